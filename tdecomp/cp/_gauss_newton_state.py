"""A CP approximation on the way: its factors, its misfit, and the gradient there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from tdecomp._typing import Array, Namespace
from tdecomp._xp import conj
from tdecomp.cp._degeneracy import opposition
from tdecomp.cp._format import CP
from tdecomp.cp._least_squares import gram
from tdecomp.cp._slabwise import slabwise

# The first damping, in units of the largest diagonal entry of J^* J times the squared error.
_DAMPING = 1e-3


class Problem(NamedTuple):
    """A tensor, or the core of one in orthonormal bases, and what the bases miss."""

    x: Array
    bases: list[Array | None]
    lost: float
    norm: float
    ridge: float
    xp: Namespace


class State(NamedTuple):
    """Factors of a problem, with the misfit and its gradient there."""

    problem: Problem
    factors: list[Array]
    misfit: float
    gradient: list[Array]
    damping: float = _DAMPING

    @property
    def objective(self) -> float:
        """Half the squared misfit, and half the ridge."""
        ridge = self.problem.ridge
        squares = real_dot(self.factors, self.factors, self.problem.xp) if ridge else 0.0
        return (self.misfit**2 + ridge * squares) / 2

    @property
    def error(self) -> float:
        """The relative error, with what the bases of a core miss."""
        return math.hypot(self.misfit, self.problem.lost) / self.problem.norm

    @property
    def opposition(self) -> float:
        """How far components exceed the tensor and cancel."""
        xp = self.problem.xp
        grams = [gram(factor, xp) for factor in self.factors]
        ones = xp.ones_like(self.factors[0][0, :])
        return opposition(ones, grams, self.problem.norm, xp)

    @property
    def size(self) -> float:
        """The sum of the norms of the components, in units of the norm of the tensor."""
        xp, sizes = self.problem.xp, 1.0
        for factor in self.factors:
            sizes = sizes * xp.linalg.vector_norm(factor, axis=0)
        return float(xp.sum(sizes)) / self.problem.norm

    @property
    def expanded(self) -> list[Array]:
        """The factors of the whole tensor."""
        pairs = zip(self.problem.bases, self.factors, strict=True)
        return [f if q is None else q @ f for q, f in pairs]


def evaluated(problem: Problem, factors: list[Array]) -> State:
    """Form the residual slab by slab, with its norm and its gradient."""
    xp, x = problem.xp, problem.x
    ones = xp.ones_like(factors[0][0, :])
    cp = CP(ones, tuple(factors))

    def residual(rows: slice) -> tuple[float, Array]:
        gap = cp.to_array(rows) - x[rows, ...]
        return float(xp.linalg.vector_norm(gap)) ** 2, gap

    sums = slabwise(residual, tuple(x.shape), [conj(f, xp) for f in factors], xp=xp)
    return State(problem, factors, math.sqrt(sums.value), sums.products)


def rebalanced(state: State, damping: float) -> State:
    """Make the columns of each component equally long, and turn the gradient with them."""
    xp = state.problem.xp
    factors = balanced(state.factors, xp)
    gradient = []
    for old, new, g in zip(state.factors, factors, state.gradient, strict=True):
        before, after = (xp.linalg.vector_norm(f, axis=0) for f in (old, new))
        ratio = xp.where(after > 0, before / xp.where(after > 0, after, after + 1), after + 1)
        gradient.append(g * ratio)
    return state._replace(factors=factors, gradient=gradient, damping=damping)


def balanced(factors: Sequence[Array], xp: Namespace) -> list[Array]:
    """Share the norm of each component evenly among the modes; leave zeros alone."""
    lengths = [xp.linalg.vector_norm(f, axis=0) for f in factors]
    mean = xp.exp(sum(xp.log(xp.where(n > 0, n, n + 1)) for n in lengths) / len(factors))
    zero = lengths[0] <= 0
    for n in lengths[1:]:
        zero = zero | (n <= 0)
    return [
        f * xp.where(zero, xp.ones_like(n), mean / xp.where(zero, xp.ones_like(n), n))
        for f, n in zip(factors, lengths, strict=True)
    ]


def real_dot(a: Sequence[Array], b: Sequence[Array], xp: Namespace) -> float:
    """Return the real part of the inner product of two lists of matrices."""
    total = 0.0
    for x, y in zip(a, b, strict=True):
        product = xp.sum(conj(x, xp) * y)
        real = xp.isdtype(product.dtype, "real floating")
        total += float(product if real else xp.real(product))
    return total
