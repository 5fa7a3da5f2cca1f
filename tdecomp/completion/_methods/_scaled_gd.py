"""Scaled gradient descent on both factors at once."""

from __future__ import annotations

import math
from typing import NamedTuple

from tdecomp._iterate import Status, Step
from tdecomp._typing import Array, Namespace
from tdecomp._xp import eps, real_dtype, squared_norm
from tdecomp.completion._inner import inner
from tdecomp.completion._masked import residual_times
from tdecomp.completion._methods._judged import told
from tdecomp.completion._methods._metric import in_metric
from tdecomp.completion._methods._spectral import heaviness
from tdecomp.completion._observed import Side
from tdecomp.completion._problem import Problem, Solver

# The step, half of what would solve for one factor with the other one fixed.
_STEP = 0.5
# How the step shrinks where the objective rises, how it grows back, and how often it may shrink.
_SHRINK, _GROW, _TRIES = 0.5, 1.25, 40
# The damping of the scaling, relative to the error and to the largest eigenvalue.
_DAMP = 1e-3


class _State(NamedTuple):
    """Factors, the objective and half its slopes there, and the step to try next."""

    left: Array
    right: Array
    loss: float
    objective: float
    slopes: tuple[Array, Array]
    length: float


def scaled_gd(problem: Problem) -> Solver:
    r"""Return gradient descent in the metric of the other factor [1]_.

    .. math:: U \leftarrow U + \eta\, (W \circ (X - U V^T)) \bar V\, (p V^T \bar V)^{-1},

    and the same for `V`, from the same `U`. From a spectral start the error shrinks by a factor
    that does not depend on the condition of the matrix. The share `p` is that of each row, where
    it has more than the mean: rows of which much is known take no longer steps than others. It is
    multiplied by the mean of the weights of the row: those of whole rows and columns, however
    uneven, are taken out. Others count as a condition that is not: where weights differ within
    rows and columns by more than a few orders of magnitude, use ``"als"`` or ``"riemannian"``. The
    ridge of a row belongs to its metric, and so does a damping by the error, with which the error
    falls as fast where the rank is larger than that of the matrix [2]_. A step that raises the
    objective is halved: on no data does the iteration diverge. Where no step of any length lowers
    it, though the slopes say that it should, the iteration has stagnated.

    Notes
    -----
    A step makes two passes over the entries, :math:`8 |\Omega| k` operations, and
    :math:`4 (m + n) k^2` more. The rate is that of a start in which every direction of the matrix
    is above the noise. Beyond a condition number of 100 or so the spectral start is not: pass
    ``init=`` the result of a few sweeps of ``"als"``.

    References
    ----------
    .. [1] T. Tong, C. Ma, Y. Chi, "Accelerating ill-conditioned low-rank matrix estimation via
       scaled gradient descent", JMLR 22, 2021, algorithm 3. arXiv:2005.08898
    .. [2] G. Zhang, S. Fattahi, R. Zhang, "Preconditioned gradient descent for overparameterized
       nonconvex Burer-Monteiro factorization with global optimality certification", JMLR 24, 2023.
       arXiv:2206.03345
    """
    (rows, columns, shape), xp = problem.observed, problem.xp
    shares = [
        _shares(side, size, xp) for side, size in zip((rows, columns), shape[::-1], strict=True)
    ]
    penalties = problem.row_penalty, problem.column_penalty

    def at(left: Array, right: Array, length: float) -> _State:
        """Evaluate the objective and its slopes."""
        loss, slope = residual_times(rows, left, right, xp)
        _, other = residual_times(columns, right, left, xp)
        objective = loss
        slopes = [slope, other]
        if problem.regularization:
            for i, factor in enumerate((left, right)):
                ridge = penalties[i]
                objective += squared_norm(xp.sqrt(ridge) * factor, xp)
                slopes[i] = slopes[i] - ridge * factor
        return _State(left, right, loss, objective, (slopes[0], slopes[1]), length)

    def step(state: _State) -> Step[_State]:
        left, right, loss, objective, slopes, length = state
        damp = _DAMP * math.sqrt(loss / problem.total)
        ways = [
            in_metric(slopes[i], (right, left)[i], shares[i], penalties[i], damp=damp, xp=xp)
            for i in range(2)
        ]
        for _ in range(_TRIES):
            after = at(left + length * ways[0], right + length * ways[1], length)
            if after.objective <= objective:
                after = after._replace(length=min(_STEP, _GROW * length))
                return _taken(problem, after, objective, _STEP / length)
            length *= _SHRINK
        promised = sum(inner(way, slope, xp) for way, slope in zip(ways, slopes, strict=True))
        resting = promised <= eps(left.dtype, xp) * objective
        verdict = None if resting else Status.STAGNATED
        return told(problem, state, loss, objective)._replace(change=0.0, verdict=verdict)

    begun = at(problem.left, problem.right, _STEP)
    return Solver(begun, step, lambda state: (state.left, state.right), True)


def _shares(side: Side, size: int, xp: Namespace) -> Array:
    """Return the share of entries that are known of each row, the mean at least, times weights."""
    counts = xp.astype(side.counts(), real_dtype(side.values.dtype, xp))
    weight = heaviness(side, xp) / xp.clip(counts, 1.0)
    return weight * xp.clip(counts, float(xp.mean(counts))) / size


def _taken(problem: Problem, after: _State, before: float, whole: float) -> Step[_State]:
    """Return the step to a state, its change that of as many steps as make a whole one."""
    gain = (before - after.objective) / (2 * after.objective) if after.objective > 0 else 0.0
    return told(problem, after, after.loss, after.objective)._replace(change=whole * gain)
