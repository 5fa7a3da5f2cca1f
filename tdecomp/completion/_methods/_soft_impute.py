"""Soft-impute: proximal gradients for the nuclear norm, accelerated."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tdecomp._iterate import Step
from tdecomp._random import normal
from tdecomp._typing import Array, Namespace
from tdecomp._xp import conj, device
from tdecomp.completion._entries import lexicographic
from tdecomp.completion._masked import entries, times, weighted_squares
from tdecomp.completion._methods._singular import (
    Singular,
    across,
    of_columns,
    orthonormal,
    singular,
)
from tdecomp.completion._methods._soft_impute_als import heaviest, shrunk
from tdecomp.completion._observed import Side
from tdecomp.completion._problem import Problem, Solver

# Directions beyond those above the threshold that are followed from step to step, and the number
# of which multiples are kept: that of a vector of a machine, so that few shapes occur.
_MORE, _LANES = 6, 8


class _State(NamedTuple):
    """Two models with their known entries, directions to start from, objective and momentum."""

    model: Singular
    seen: Array
    last: Singular
    seen_last: Array
    start: Array
    objective: float
    momentum: float


def soft_impute(problem: Problem) -> Solver:
    r"""Return the iteration that completes the matrix and shrinks its singular values [1]_.

    .. math:: Z \leftarrow S_{\lambda / \bar w} \bigl( Y + W \circ (X - Y) / \bar w \bigr)

    with the heaviest weight :math:`\bar w`, the soft threshold `S` for singular values, and `Y`
    beyond `Z` in the direction of the last step [2]_, as long as the objective falls. The matrix
    is the sum of a sparse one and of low rank; what it does to the leading singular subspace of
    the last step is a round of subspace iteration, and near the limit one round is exact.

    Where the rank exceeds that of the solution, the limit is the minimum of
    :math:`\sum w |x - z|^2 + 2 \lambda \|Z\|_*`.

    Notes
    -----
    A step makes three passes over the entries, :math:`6 |\Omega| k` operations, and
    :math:`O((m + n) k^2)` more.

    References
    ----------
    .. [1] R. Mazumder, T. Hastie, R. Tibshirani, "Spectral regularization algorithms for learning
       large incomplete matrices", JMLR 11, 2010, algorithm 1.
    .. [2] A. Beck, M. Teboulle, "A fast iterative shrinkage-thresholding algorithm for linear
       inverse problems", SIAM J. Imaging Sci. 2, 2009. doi:10.1137/080716542
    """
    (rows, columns, shape), xp, rank = problem.observed, problem.xp, problem.rank
    heavy = heaviest(problem.observed, xp)
    threshold = problem.regularization / heavy
    order = _by_columns(rows, shape, xp)
    widest = min(rank + _MORE, *shape)

    def step(state: _State) -> Step[_State]:
        momentum = (1 + math.sqrt(1 + 4 * state.momentum**2)) / 2
        beta = (state.momentum - 1) / momentum
        left, right = _extrapolated(state, beta, xp)
        missed = rows.values - (1 + beta) * state.seen + beta * state.seen_last
        if rows.weights is not None:
            missed = rows.weights * missed / heavy
        found = times(rows, missed, conj(state.start, xp), xp)
        basis = orthonormal(found + across(left, right, state.start, xp), xp)
        found = times(columns, xp.take(missed, order, axis=0), conj(basis, xp), xp)
        whole = of_columns(basis, found + across(right, left, basis, xp), xp)
        above = int(xp.sum(xp.astype(whole.s > threshold, xp.int32)))
        u, s, v = (part[..., : min(rank, _rounded(above))] for part in whole)
        model = Singular(u, shrunk(s, threshold, xp), v)
        seen = _seen(model, rows, xp)
        loss = weighted_squares(rows.values - seen, rows, xp)
        objective = loss + 2 * problem.regularization * float(xp.sum(model.s))
        if objective > state.objective:
            momentum = 1.0
        start = _widened(whole.v, min(widest, _rounded(above + _MORE)), xp)
        after = _State(model, seen, state.model, state.seen, start, objective, momentum)
        error, merit = (math.sqrt(x / problem.total) for x in (loss, objective))
        return Step(after, error, merit=merit)

    def factors(state: _State) -> tuple[Array, Array]:
        left, right = state.model.balanced(rank, xp)
        return _filled(left, rank, xp), _filled(right, rank, xp)

    model = singular(problem.left, problem.right, xp)
    seen, start = _seen(model, rows, xp), _widened(model.v, widest, xp)
    return Solver(_State(model, seen, model, seen, start, math.inf, 1.0), step, factors)


def _by_columns(rows: Side, shape: tuple[int, int], xp: Namespace) -> Array:
    """Return the order by columns of entries that lie by rows."""
    return lexicographic(rows.indices, rows.owners(xp), shape[::-1], xp)


def _seen(model: Singular, rows: Side, xp: Namespace) -> Array:
    """Return what a model says of the known entries."""
    return entries(rows, model.u * xp.astype(model.s, model.u.dtype), model.v, xp)


def _extrapolated(state: _State, beta: float, xp: Namespace) -> tuple[Array, Array]:
    """Return factors of the point so far beyond the model."""
    now, last = (
        model.u * xp.astype(model.s, model.u.dtype) for model in (state.model, state.last)
    )
    if beta == 0:
        return now, state.model.v
    left = xp.concat([(1 + beta) * now, -beta * last], axis=1)
    return left, xp.concat([state.model.v, state.last.v], axis=1)


def _rounded(count: int) -> int:
    """Round up to whole vectors, one at least."""
    return max(1, -(-count // _LANES)) * _LANES


def _widened(basis: Array, width: int, xp: Namespace) -> Array:
    """Return so many columns, random ones where there are too few."""
    n, more = basis.shape[0], width - basis.shape[1]
    if more <= 0:
        return basis[:, :width]
    drawn = normal(np.random.default_rng(width), (n, more), basis, xp)
    return xp.concat([basis, drawn / math.sqrt(n)], axis=1)


def _filled(factor: Array, rank: int, xp: Namespace) -> Array:
    """Append columns of zeros."""
    m, k = factor.shape
    if k == rank:
        return factor
    zeros = xp.zeros((m, rank - k), dtype=factor.dtype, device=device(factor))
    return xp.concat([factor, zeros], axis=1)
