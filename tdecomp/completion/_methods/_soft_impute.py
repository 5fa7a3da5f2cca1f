"""Soft-impute: proximal gradients for the nuclear norm, accelerated."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tdecomp._iterate import Step
from tdecomp._random import normal
from tdecomp._typing import Array, Namespace
from tdecomp._xp import conj, device, is_numpy, squared_norm
from tdecomp.completion._masked import entries, times
from tdecomp.completion._methods._imputed import Seen, by_columns, missed, ordered_times, squares
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
from tdecomp.completion._units import rounding
from tdecomp.linalg._thin import inner_product, mixed_columns

# Directions beyond those above the threshold that are followed from step to step, and the number
# of which multiples are kept: that of a vector of a machine, so that few shapes occur.
_MORE, _LANES = 6, 8
# How much longer a step may be than the last one, and how much of the length that would have been
# right for that one.
_GROWTH, _SHARE = 1.2, 0.8


class _State(NamedTuple):
    """Two models with their known entries, and how the next step goes on from them.

    The `loss` and the `objective` are those of the first.
    """

    model: Singular
    seen: Array
    last: Singular
    seen_last: Array
    start: Array
    loss: float
    objective: float
    momentum: float
    length: float


class _Point(NamedTuple):
    """The point ``left @ right.T`` beyond a model."""

    left: Array
    right: Array


def soft_impute(problem: Problem) -> Solver:
    r"""Return the iteration that completes the matrix and shrinks its singular values [1]_.

    .. math:: Z \leftarrow S_{t \lambda} \bigl( Y + t \, W \circ (X - Y) \bigr)

    with the soft threshold `S` for singular values, and `Y` beyond `Z` in the direction of the
    last step [2]_. With the heaviest weight :math:`\bar w` no `t` up to :math:`1 / \bar w` is too
    long. Where few entries are known, longer ones are right: :math:`\sum w |d|^2 \le |D|^2 / t`
    for the change `D` from `Y` to the next `Z` is all that [2]_ asks for, and what holds of one
    change is asked of the next one. A step that raises the objective all the same is not taken:
    the next one starts without momentum, and if there was none, with a `t` that is not too long.

    The matrix is the sum of a sparse one and of low rank; what it does to the leading singular
    subspace of the last step is a round of subspace iteration, and near the limit one round is
    exact.

    Where the rank exceeds that of the solution, the limit is the minimum of
    :math:`\sum w |x - z|^2 + 2 \lambda \|Z\|_*`.

    Notes
    -----
    A step makes three passes over the entries, :math:`6 |\Omega| k` operations, and
    :math:`O((m + n) k^2)` more. The iteration ends where neither the objective nor
    :math:`|D|^2 / t`, which is what a step along a slope gains, is worth mentioning.

    References
    ----------
    .. [1] R. Mazumder, T. Hastie, R. Tibshirani, "Spectral regularization algorithms for learning
       large incomplete matrices", JMLR 11, 2010, algorithm 1.
    .. [2] A. Beck, M. Teboulle, "A fast iterative shrinkage-thresholding algorithm for linear
       inverse problems", SIAM J. Imaging Sci. 2, 2009. doi:10.1137/080716542
    """
    (rows, columns, shape), xp, rank = problem.observed, problem.xp, problem.rank
    heavy = heaviest(problem.observed, xp)
    penalty, longest = problem.regularization / heavy, _longest(rows, shape, heavy, xp)
    order = by_columns(rows, shape, xp)
    widest, slack = min(rank + _MORE, *shape), rounding(rows.values.dtype, xp)
    room = np.empty_like(rows.values) if is_numpy(rows.values) else None

    def step(state: _State) -> Step[_State]:
        momentum = (1 + math.sqrt(1 + 4 * state.momentum**2)) / 2
        length, threshold = state.length, state.length * penalty
        beyond = Seen(state.seen, state.seen_last, (state.momentum - 1) / momentum)
        point = _extrapolated(state, beyond.beta, xp)
        rest = missed(rows, beyond, length / heavy, room)
        found = times(rows, rest, conj(state.start, xp), xp)
        basis = orthonormal(found + across(point.left, point.right, state.start, xp), xp)
        found = ordered_times(columns, rest, order, conj(basis, xp), xp)
        whole = of_columns(basis, found + across(point.right, point.left, basis, xp), xp)
        above = int(xp.sum(xp.astype(whole.s > threshold, xp.int32)))
        u, s, v = (part[..., : min(rank, _rounded(above))] for part in whole)
        model = Singular(u, shrunk(s, threshold, xp), v)
        seen = _seen(model, rows, xp)
        loss, felt = squares(rows, seen, beyond, xp)
        objective = loss + 2 * problem.regularization * float(xp.sum(model.s))
        moved = _distance(model, point, xp)
        best = min(_GROWTH * length, _SHARE * heavy * moved / felt if felt > 0 else longest)
        start = _widened(whole.v, min(widest, _rounded(above + _MORE)), xp)
        best = max(1.0, min(best, longest))
        after = _State(
            model, seen, state.model, state.seen, start, loss, objective, momentum, best
        )
        if objective > (1 + slack) * state.objective:  # by more than rounding
            after = _kept(state, start, min(best, length / _GROWTH) if beyond.beta else 1.0)
        error, merit = (math.sqrt(x / problem.total) for x in (after.loss, after.objective))
        gain = max(abs(state.objective - objective), heavy * moved / length)
        return Step(after, error, gain / max(2 * after.objective, math.ulp(0.0)), merit=merit)

    def factors(state: _State) -> tuple[Array, Array]:
        left, right = state.model.balanced(rank, xp)
        return _filled(left, rank, xp), _filled(right, rank, xp)

    model = singular(problem.left, problem.right, xp)
    seen, start = _seen(model, rows, xp), _widened(model.v, widest, xp)
    begun = _State(model, seen, model, seen, start, math.inf, math.inf, 1.0, math.sqrt(longest))
    return Solver(begun, step, factors, True)


def _kept(state: _State, start: Array, length: float) -> _State:
    """Return a state from which a step is tried again, without momentum."""
    return state._replace(
        last=state.model, seen_last=state.seen, start=start, momentum=1.0, length=max(1.0, length)
    )


def _longest(rows: Side, shape: tuple[int, int], heavy: float, xp: Namespace) -> float:
    """Return the length of a step that would be right if the weights were spread evenly.

    Lengths are multiples of one over the heaviest weight.
    """
    weight = rows.values.shape[0] if rows.weights is None else float(xp.sum(rows.weights))
    return max(1.0, heavy * shape[0] * shape[1] / weight)


def _seen(model: Singular, rows: Side, xp: Namespace) -> Array:
    """Return what a model says of the known entries."""
    return entries(rows, model.u * xp.astype(model.s, model.u.dtype), model.v, xp)


def _extrapolated(state: _State, beta: float, xp: Namespace) -> _Point:
    """Return the point so far beyond the model."""
    now, last = (
        model.u * xp.astype(model.s, model.u.dtype) for model in (state.model, state.last)
    )
    if beta == 0:
        return _Point(now, state.model.v)
    left = xp.concat([(1 + beta) * now, -beta * last], axis=1)
    right = xp.concat([state.model.v, state.last.v], axis=1)
    return _Point(left, right)


def _distance(model: Singular, point: _Point, xp: Namespace) -> float:
    """Return the squared distance, of which no digit cancels.

    It is the sum of those within the row space of the model and across it.
    """
    turn = inner_product(model.v, point.right, xp)
    within = model.u * xp.astype(model.s, model.u.dtype)
    within = within - mixed_columns(point.left, xp.matrix_transpose(turn))
    rest = point.right - mixed_columns(model.v, turn)
    squares = inner_product(point.left, point.left, xp) * inner_product(rest, rest, xp)
    return squared_norm(within, xp) + max(0.0, float(xp.real(xp.sum(squares))))


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
