"""Conjugate gradients on the manifold of matrices of fixed rank."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tdecomp._iterate import Step
from tdecomp._typing import Array
from tdecomp._xp import squared_norm
from tdecomp.completion._dense._line import lowest
from tdecomp.completion._inner import inner
from tdecomp.completion._masked import entries, residual_times
from tdecomp.completion._methods._als import als
from tdecomp.completion._methods._judged import told
from tdecomp.completion._methods._metric import in_metric
from tdecomp.completion._methods._spectral import heaviness
from tdecomp.completion._problem import Problem, Solver

# Sweeps of alternating least squares before the first step.
_SWEEPS = 4

Pair = tuple[Array, Array]
"""Two factors, (m, k) and (n, k), or a step of both."""


class _State(NamedTuple):
    """Factors, how they do, the way down from there, and the way to go.

    `slopes` are halves of the gradients, downwards, `size` is their product with the steepest way
    in the metric, and `gain` is how much the last step lowered the root of the objective.
    """

    factors: Pair
    loss: float
    objective: float
    slopes: Pair
    steepest: Pair
    way: Pair
    size: float
    gain: float


class _Manifold:
    """The objective, its slopes, its metric and its course on a line, for one problem."""

    def __init__(self, problem: Problem) -> None:
        self.xp, self.sides = problem.xp, problem.observed[:2]
        self.penalties = problem.row_penalty, problem.column_penalty
        self.penalised = bool(problem.regularization)
        sizes = problem.observed.shape[::-1]
        self.shares = [
            heaviness(side, self.xp) / size for side, size in zip(self.sides, sizes, strict=True)
        ]

    def at(self, factors: Pair) -> tuple[float, float, Pair]:
        """Return misfit, objective and slopes."""
        xp, slopes = self.xp, []
        loss, excess = 0.0, 0.0
        for i, side in enumerate(self.sides):
            loss, slope = residual_times(side, factors[i], factors[1 - i], xp)
            if self.penalised:
                pulled = self.penalties[i] * factors[i]
                excess += inner(factors[i], pulled, xp)
                slope = slope - pulled
            slopes.append(slope)
        return loss, loss + excess, (slopes[0], slopes[1])

    def steepest(self, factors: Pair, slopes: Pair) -> Pair:
        """Return the steepest way down in the metric."""
        left, right = (
            in_metric(slopes[i], factors[1 - i], self.shares[i], self.penalties[i], xp=self.xp)
            for i in range(2)
        )
        return left, right

    def dot(self, one: Pair, other: Pair) -> float:
        """Return the real inner product of a step with slopes."""
        return sum(inner(x, y, self.xp) for x, y in zip(one, other, strict=True))

    def line(self, state: _State, way: Pair) -> np.ndarray:
        """Return the coefficients of the objective along a way, less what it is now."""
        xp, side = self.xp, self.sides[0]
        (left, right), (left_step, right_step) = state.factors, way
        linear = entries(
            side, xp.concat([left, left_step], axis=1), xp.concat([right_step, right], axis=1), xp
        )
        square = entries(side, left_step, right_step, xp)
        gap = entries(side, left, right, xp) - side.values
        if side.weights is not None:
            root = xp.sqrt(side.weights)
            gap, linear, square = root * gap, root * linear, root * square
        bend = 2 * inner(gap, square, xp) + squared_norm(linear, xp)
        if self.penalised:
            bend += sum(inner(d, p * d, xp) for d, p in zip(way, self.penalties, strict=True))
        fall = -2 * self.dot(way, state.slopes)
        return np.asarray(
            [0.0, fall, bend, 2 * inner(linear, square, xp), inner(square, square, xp)]
        )


def riemannian(problem: Problem) -> Solver:
    r"""Return nonlinear conjugate gradients over matrices of rank `k` [1]_.

    A matrix is held by two factors, of which many pairs have the same product. The metric

    .. math:: \sum_i (p_i |\xi_i|^2_{V^T \bar V} + \lambda |\xi_i|^2)
              + \sum_j (q_j |\eta_j|^2_{U^T \bar U} + \lambda |\eta_j|^2),

    with what is known of each row and column, :math:`p_i` and :math:`q_j`, is the curvature of the
    objective where entries are known at random. It is the same for all these pairs, up to the
    ridge, which chooses among them: no bases have to be kept orthonormal, and of the condition of
    the matrix nothing is left. Where the rank is larger than that of the solution, columns
    that vanish are at a distance that steps can go. Directions are those of Polak and Ribiere, and
    a step goes to the lowest point of the objective on its line, a polynomial of degree four.

    The spectral start errs by as much as entries are missing, and of a matrix of condition number
    100 or more its last directions are noise, out of which geometry does not lead. So a few sweeps
    of alternating least squares come first.

    No step raises the objective. Conjugate directions make short steps now and then: the gain of
    the last two counts as change.

    Notes
    -----
    A step makes a pass of rank :math:`2k` and four of rank `k` over the entries, and
    :math:`O((m + n) k^2 + k^3)` operations more, and each sweep before the first
    :math:`|\Omega| k^2`.

    References
    ----------
    .. [1] B. Mishra, K. A. Apuroop, R. Sepulchre, "A Riemannian geometry for low-rank matrix
       completion", 2012, section 3. arXiv:1211.1550
    """
    space = _Manifold(problem)

    def begin() -> _State:
        near = als(problem)
        state = near.state
        for _ in range(_SWEEPS):
            state = near.step(state).state
        factors = near.factors(state)
        loss, objective, slopes = space.at(factors)
        way = space.steepest(factors, slopes)
        size = space.dot(way, slopes)
        return _State(factors, loss, objective, slopes, way, way, size, math.inf)

    def lowered(state: _State, way: Pair) -> _State | None:
        """Return the lowest point along a way, None where none is lower."""
        length, gained = lowest(space.line(state, way))
        if not gained:
            return None
        left, right = (x + length * d for x, d in zip(state.factors, way, strict=True))
        loss, objective, slopes = space.at((left, right))
        if not objective <= state.objective:
            return None
        gain = gained / (2 * objective) if objective > 0 else 0.0
        steepest = space.steepest((left, right), slopes)
        size = space.dot(steepest, slopes)
        after = _State((left, right), loss, objective, slopes, steepest, steepest, size, gain)
        return after._replace(way=_conjugate(space, state, after, way))

    def step(state: _State) -> Step[_State]:
        after = lowered(state, state.way) or lowered(state, state.steepest)
        after = after or state._replace(gain=0.0)
        found = told(problem, after, after.loss, after.objective)
        return found._replace(change=max(after.gain, state.gain))

    return Solver(begin(), step, lambda state: state.factors, True)


def _conjugate(space: _Manifold, before: _State, after: _State, way: Pair) -> Pair:
    """Return the direction of Polak and Ribiere, or the steepest one where that rises."""
    fresh = after.size - space.dot(after.steepest, before.slopes)
    if not (fresh > 0 and before.size > 0):
        return after.steepest
    ratio = fresh / before.size
    left, right = (x + ratio * d for x, d in zip(after.steepest, way, strict=True))
    return (left, right) if space.dot((left, right), after.slopes) > 0 else after.steepest
