"""Many starts at the price of a few sweeps: a race on a tensor compressed to a small core."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tdecomp._random import normal
from tdecomp._typing import Array, Namespace
from tdecomp._xp import conj, floats
from tdecomp.cp._least_squares import gram, joint_gram, solve_shifted
from tdecomp.linalg._fibres import project_fibres
from tdecomp.ops._factor_products import _khatri_rao
from tdecomp.ops._products import DenseProducts
from tdecomp.ops._unfold import _unfold

# Columns of the random sketches beyond the rank.
OVERSAMPLE = 8
# Sweeps in the first round of the race; every round is twice as long, for half of the starts. The
# winner runs on in such rounds, at most that many, while one gains that much.
_ROUND, _ROUNDS, _GAIN = 5, 40, 1e-3
# Entries of a tensor that is worth a kernel which is loaded already.
_LOADED = 1 << 16
# A core is worth its making where the tensor has this many times more entries.
_SMALLER = 8


def compressible(shape: tuple[int, ...], rank: int) -> bool:
    """Tell whether a core for starts of `rank` is small enough to be worth its making."""
    core = math.prod(min(n, rank + OVERSAMPLE) for n in shape)
    return _SMALLER * core <= math.prod(shape)


def compressed(
    x: Array, products: DenseProducts, width: int, rng: np.random.Generator, xp: Namespace
) -> tuple[Array, list[Array]]:
    """Return a core of `x` and a basis for each mode, found by Khatri-Rao sketches.

    The sketch of a mode is the MTTKRP with Gaussian factors, so that those of all modes read the
    tensor twice. They need not be accurate: the core is where a race is run, and its winner goes
    on with the tensor itself.
    """
    draws = [normal(rng, (n, width), x, xp) for n in x.shape]
    bases = [xp.linalg.qr(products.mttkrp(mode, draws))[0] for mode in range(x.ndim)]
    core = x
    for mode in reversed(range(x.ndim)):
        entries = _LOADED if products.compiled else math.prod(x.shape) + 1
        core = project_fibres(core, bases[mode], mode, xp, entries=entries)
    return core, bases


def race(x: Array, starts: Sequence[Array], xp: Namespace) -> list[Array]:
    """Return the factors of the start that wins, after rounds of sweeps and a run of its own.

    `starts` holds one array (S, n_k, R) for each mode: `S` starts side by side.
    """
    factors, sweeps = list(starts), _ROUND
    while factors[0].shape[0] > 1:
        factors = _cp_als(x, factors, sweeps, xp=xp)
        errors = floats(misfits(x, factors, xp=xp))
        ranking = sorted(range(len(errors)), key=lambda k: (math.isnan(errors[k]), errors[k]))
        best = ranking[0]
        better = ranking[: (len(errors) + 1) // 2]
        factors = [xp.stack([factor[k, ...] for k in better]) for factor in factors]
        sweeps *= 2
    last = errors[best]
    for _ in range(_ROUNDS):
        factors = _cp_als(x, factors, _ROUND, xp=xp)
        error = float(misfits(x, factors, xp=xp)[0])
        if not error < (1 - _GAIN) * last:
            break
        last = error
    return [factor[0, ...] for factor in factors]


def _cp_als(x: Array, factors: Sequence[Array], sweeps: int, *, xp: Namespace) -> list[Array]:
    """Make plain sweeps from factors (..., n_k, R), any number of starts at once."""
    unfoldings = [_unfold(x, mode, xp=xp) for mode in range(x.ndim)]
    factors = list(factors)
    grams = [gram(factor, xp) for factor in factors]
    for _ in range(sweeps):
        for mode, unfolding in enumerate(unfoldings):
            others = [*factors[:mode], *factors[mode + 1 :]]
            product = unfolding @ conj(_khatri_rao(others, xp=xp), xp)
            solution = solve_shifted(product, joint_gram(grams, mode), xp)
            factors[mode] = solution
            grams[mode] = gram(solution, xp)
    return factors


def misfits(x: Array, factors: Sequence[Array], *, xp: Namespace) -> Array:
    """Return the distance of `x` from each member of a batch of CP tensors."""
    model = _khatri_rao(factors[1:], xp=xp) @ xp.matrix_transpose(factors[0])
    gap = xp.matrix_transpose(_unfold(x, 0, xp=xp)) - model
    return xp.linalg.vector_norm(gap, axis=(-2, -1))
