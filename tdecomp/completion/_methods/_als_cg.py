"""Alternating minimisation in nearly linear time: every row by a few conjugate gradients."""

from __future__ import annotations

from typing import NamedTuple

from tdecomp._iterate import Step
from tdecomp._typing import Array, Namespace
from tdecomp._xp import conj, eps
from tdecomp.completion._gradients import Effort, improve_rows
from tdecomp.completion._masked import solve_rows
from tdecomp.completion._methods._balanced import balanced
from tdecomp.completion._methods._judged import judged
from tdecomp.completion._observed import Side
from tdecomp.completion._problem import Problem, Solver
from tdecomp.linalg._thin import inner_product, mixed_columns

# The most steps for a row: with the axes of its factor, three to five are usual.
_STEPS = 16
# By how much more than the last sweep the rows of the next are to shrink what is left of them.
_AHEAD = 0.1
# Between what that may lie, and where it starts: looser rows than that do not see singular values
# of a hundredth of the largest, and end in minima of their own.
_LEAST, _MOST, _FIRST = 1e-3, 0.03, 1e-3
# So many eps of the data are rounding, and no rise.
_RISE = 8.0


class _State(NamedTuple):
    """Two factors, how far their rows are solved next, and the root of the objective."""

    left: Array
    right: Array
    shrink: float
    merit: float


def als_cg(problem: Problem) -> Solver:
    r"""Return the iteration of `als` with rows that are solved as far as a sweep can use [1]_.

    A row starts from its last value and makes conjugate-gradient steps until the slope of its
    regression has shrunk, in the norm of the diagonal, to a tenth of the factor by which the last
    sweep lowered the objective: few steps cost digits that the next sweep would change. The other
    factor is turned to its principal axes first, which changes no model and no penalty. There
    the normal equations of a row whose entries are known at random are nearly diagonal, whatever
    the condition of the matrix. Where that is beyond a few hundred and few entries are known, the
    first sweeps miss what is smallest: take ``init="rising"``. A sweep that raises the objective,
    as it can with rows that their entries do not determine, is made again as one of `als`.

    Notes
    -----
    A sweep costs a few passes over the entries, each :math:`4 |\Omega| k` operations, and
    :math:`4 (m + n) k^2` for the axes. `als` needs :math:`|\Omega| k^2`, but fewer passes: it is
    the faster one below rank 60 or so. The analysis [1]_ has sketched solvers for the rows, of
    which a few hundred entries are too few to pay for a sketch.

    References
    ----------
    .. [1] Y. Gu, Z. Song, J. Yin, L. Zhang, "Low rank matrix completion via robust alternating
       minimization in nearly linear time", ICLR 2024, algorithm 1. arXiv:2302.11068
    """
    (rows, columns, _), xp = problem.observed, problem.xp
    floor = eps(rows.values.dtype, xp)

    def step(state: _State) -> Step[_State]:
        left, right = _along_axes(state.left, state.right, problem.rank, xp)
        effort, shrink = Effort(_STEPS, state.shrink, floor), state.shrink
        left = half(rows, left, right, problem.row_penalty, effort)
        right, left = _along_axes(right, left, problem.rank, xp)
        right = half(columns, right, left, problem.column_penalty, effort)
        following = judged(problem, left, right, None)
        merit = following.merit or 0.0
        if not merit <= state.merit + _RISE * floor:
            left = half(rows, state.left, state.right, problem.row_penalty)
            right = half(columns, state.right, left, problem.column_penalty)
            following = judged(problem, left, right, None)
            merit = following.merit or 0.0
        if state.merit > 0:
            shrink = min(_MOST, max(_LEAST, _AHEAD * merit / state.merit))
        left, right = balanced(problem, left, right)
        return following._replace(state=_State(left, right, shrink, merit))

    def half(
        side: Side, own: Array, other: Array, ridge: Array, effort: Effort | None = None
    ) -> Array:
        seen, fixed = problem.facing(side, other)
        if effort is None:
            return solve_rows(seen, own, fixed, ridge, xp)
        return improve_rows(seen, own, fixed, ridge, effort=effort, xp=xp)

    first = judged(problem, problem.left, problem.right, None).merit or 0.0
    begun = _State(problem.left, problem.right, _FIRST, first)
    return Solver(begun, step, lambda state: problem.joined(state.left, state.right), True)


def _along_axes(left: Array, right: Array, rank: int, xp: Namespace) -> tuple[Array, Array]:
    """Turn two factors, their product fixed, so that the columns of `right` are orthogonal.

    Offsets behind them stay.
    """
    first, second = left[:, :rank], right[:, :rank]
    _, axes = xp.linalg.eigh(inner_product(second, second, xp))
    turned = mixed_columns(first, conj(axes, xp)), mixed_columns(second, axes)
    if left.shape[1] == rank:
        return turned
    return tuple(
        xp.concat([factor, old[:, rank:]], axis=1)
        for factor, old in zip(turned, (left, right), strict=True)
    )
