"""Soft-impute: proximal gradients for the nuclear norm, accelerated."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tdecomp._iterate import Step
from tdecomp._random import normal
from tdecomp._typing import Array
from tdecomp._xp import conj
from tdecomp.completion._masked import entries, times, weighted_squares
from tdecomp.completion._methods._singular import (
    Singular,
    across,
    of_columns,
    orthonormal,
    singular,
)
from tdecomp.completion._methods._soft_impute_als import heaviest, shrunk
from tdecomp.completion._problem import Problem, Solver

# Directions beyond the rank that are followed from step to step.
_MORE = 6


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
    (rows, columns, (m, n)), xp, rank = problem.observed, problem.xp, problem.rank
    heavy = heaviest(problem.observed, xp)
    threshold = problem.regularization / heavy
    order = xp.argsort(rows.indices, stable=True)

    def extrapolated(state: _State, beta: float) -> tuple[Array, Array, Array]:
        """Return factors of the point beyond the model, and what it misses, over the heaviest."""
        now, last = state.model, state.last
        left = [(1 + beta) * now.u * _of(now), -beta * last.u * _of(last)]
        missed = rows.values - (1 + beta) * state.seen + beta * state.seen_last
        if rows.weights is not None:
            missed = rows.weights * missed / heavy
        if beta == 0:
            return left[0], now.v, missed
        return xp.concat(left, axis=1), xp.concat([now.v, last.v], axis=1), missed

    def _of(model: Singular) -> Array:
        return xp.astype(model.s, model.u.dtype)

    def step(state: _State) -> Step[_State]:
        momentum = (1 + math.sqrt(1 + 4 * state.momentum**2)) / 2
        left, right, missed = extrapolated(state, (state.momentum - 1) / momentum)
        found = across(left, right, state.start, xp)
        found = found + times(rows, missed, conj(state.start, xp), xp)
        basis = orthonormal(found, xp)
        found = across(right, left, basis, xp)
        turned = xp.take(missed, order, axis=0)
        found = found + times(columns, turned, conj(basis, xp), xp)
        whole = of_columns(basis, found, xp)
        model = Singular(
            whole.u[:, :rank], shrunk(whole.s[:rank], threshold, xp), whole.v[:, :rank]
        )
        seen = entries(rows, model.u * _of(model), model.v, xp)
        loss = weighted_squares(rows.values - seen, rows, xp)
        objective = loss + 2 * problem.regularization * float(xp.sum(model.s))
        if objective > state.objective:
            momentum = 1.0
        after = _State(model, seen, state.model, state.seen, whole.v, objective, momentum)
        error, merit = (math.sqrt(x / problem.total) for x in (loss, objective))
        return Step(after, error, merit=merit)

    model = singular(problem.left, problem.right, xp)
    more = min(rank + _MORE, m, n) - rank
    drawn = normal(np.random.default_rng(rank), (n, more), rows.values, xp)
    start = orthonormal(xp.concat([model.v, drawn], axis=1), xp)
    seen = entries(rows, model.u * _of(model), model.v, xp)
    begun = _State(model, seen, model, seen, start, math.inf, 1.0)
    return Solver(begun, step, lambda state: state.model.balanced(rank, xp))
