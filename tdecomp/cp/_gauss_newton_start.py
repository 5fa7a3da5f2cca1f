"""Where Gauss-Newton steps begin: on the core of a tensor, if that is much smaller."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, conj, eps
from tdecomp.cp._gauss_newton_state import Problem, State, balanced, evaluated
from tdecomp.cp._initial import _initialise
from tdecomp.cp._least_squares import gram, joint_gram, solve_normal
from tdecomp.cp._slabwise import all_mttkrp, slabs
from tdecomp.linalg._left_basis import left_basis
from tdecomp.ops._mode_products import _mode_product, _mode_products

# A part this many square roots of eps of the norm is not seen through a Gram matrix.
_BLURRED = 100.0
# Compression pays where the core has this many times fewer entries.
_PAYS = 2


def start(
    problem: Problem, rank: int, init: Any, rng: np.random.Generator, compress: bool
) -> State:
    """Compress where it pays, and make the start there."""
    xp = problem.xp
    core = _compressed(problem, rank, rng) if compress else problem
    if isinstance(init, str):
        cp = _initialise(core.x, rank, init, rng, xp=xp)
        factors = balanced([cp.factors[0] * cp.weights, *cp.factors[1:]], xp)
        # An algebraic solution may have digits that a sweep loses; other starts may have all
        # signs wrong, and then lead to a saddle.
        states = [evaluated(core, start) for start in (factors, _swept(core, factors))]
        return min(states, key=lambda state: state.objective)
    factors = balanced([init.factors[0] * init.weights, *init.factors[1:]], xp)
    factors = [
        f if q is None else adjoint(q, xp) @ f for q, f in zip(core.bases, factors, strict=True)
    ]
    return evaluated(core, factors)


def _compressed(problem: Problem, rank: int, rng: np.random.Generator) -> Problem:
    """Return the core of a truncated HOSVD if it is much smaller than the tensor."""
    x, xp = problem.x, problem.xp
    sizes = [int(n) for n in x.shape]
    if _PAYS * math.prod(min(n, rank) for n in sizes) > math.prod(sizes):
        return problem
    bases: list[Array | None] = [None] * len(sizes)
    # Squares may have hidden a tensor of low rank under their rounding: then without them.
    for route in ("auto", "qr"):
        core = x
        for mode, n in sorted(enumerate(sizes), key=lambda pair: -pair[1]):
            if n > rank:
                basis = left_basis(core, mode, rank=rank, route=route, rng=rng, xp=xp)
                bases[mode], core = basis.U, basis.core
        lost = _missed(x, core, bases, xp)
        if lost > _BLURRED * eps(x.dtype, xp) ** 0.5 * problem.norm:
            break
    return problem._replace(x=core, bases=bases, lost=lost)


def _missed(x: Array, core: Array, bases: Sequence[Array | None], xp: Namespace) -> float:
    """Return the norm of what a core in its bases misses, by forming the difference."""
    pairs = [(mode, q) for mode, q in enumerate(bases) if q is not None and mode > 0]
    around = _mode_products(core, [q for _, q in pairs], [mode for mode, _ in pairs], xp=xp)
    squares = []
    for rows in slabs(tuple(x.shape)):
        inside = (
            around[rows, ...]
            if bases[0] is None
            else _mode_product(around, bases[0][rows, :], 0, xp=xp)
        )
        squares.append(float(xp.linalg.vector_norm(x[rows, ...] - inside)) ** 2)
    return math.sqrt(math.fsum(squares))


def _swept(problem: Problem, factors: list[Array]) -> list[Array]:
    """Give arbitrary columns a sensible size: one sweep of alternating least squares."""
    xp = problem.xp
    factors = list(factors)
    for mode in range(len(factors)):
        right = all_mttkrp(problem.x, [conj(f, xp) for f in factors], xp=xp)[mode]
        joint = joint_gram([gram(f, xp) for f in factors], mode)
        factors[mode] = solve_normal(right, joint, xp).factor
    return balanced(factors, xp)
