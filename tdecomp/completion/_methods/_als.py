"""Alternating least squares: every row of a factor by normal equations of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tdecomp._iterate import Step
from tdecomp._typing import Array
from tdecomp.completion._masked import solve_and_judge, solve_rows
from tdecomp.completion._methods._balanced import balanced
from tdecomp.completion._methods._extrapolated import extrapolated
from tdecomp.completion._methods._judged import judged
from tdecomp.completion._nonnegative import descend_rows
from tdecomp.completion._observed import Side
from tdecomp.completion._problem import Problem, Solver


def als(problem: Problem) -> Solver:
    r"""Return the iteration that solves for one factor and then for the other [1]_.

    With one factor fixed, every row of the other is a ridge regression of its own on the
    :math:`n_i` entries that are known of it, and no step raises the objective. From a spectral
    start on entries that are known at random, the misfit of a matrix of low rank falls
    geometrically [2]_. Between sweeps the factors of the same matrix are balanced, and from the
    seventh on they begin where the last six point to. These are kept of the factor with fewer
    rows: it is solved for last, whichever it is. Offsets are one number more of each row.
    Nonnegative rows descend coordinate by coordinate instead, each time from where they are.

    Notes
    -----
    A sweep costs :math:`|\Omega| k^2` multiplications for the lower halves of the normal
    equations of both sides, and :math:`(m + n) k^3 / 6` for their Cholesky factors.

    References
    ----------
    .. [1] Y. Zhou, D. Wilkinson, R. Schreiber, R. Pan, "Large-scale parallel collaborative
       filtering for the Netflix prize", AAIM 2008. doi:10.1007/978-3-540-68880-8_32
    .. [2] P. Jain, P. Netrapalli, S. Sanghavi, "Low-rank matrix completion using alternating
       minimization", STOC 2013. doi:10.1145/2488608.2488693
    """
    (rows, columns, (m, n)), xp = problem.observed, problem.xp
    tall = problem if m >= n else problem.mT

    def sweep(left: Array, right: Array) -> tuple[Array, Array, Step[None]]:
        left = half(solve_rows, tall.observed.rows, left, right, tall.row_penalty)
        right, loss = half(
            solve_and_judge, tall.observed.columns, right, left, tall.column_penalty
        )
        left, right = balanced(tall, left, right)
        return left, right, judged(tall, left, right, None, loss=loss)

    def half(solve: Callable[..., Any], side: Side, own: Array, other: Array, ridge: Array) -> Any:
        seen, fixed = problem.facing(side, other)
        return solve(seen, own, fixed, ridge, xp)

    def descend(state: tuple[Array, Array]) -> Step[tuple[Array, Array]]:
        left, right = state
        left = descend_rows(rows, left, right, problem.row_penalty, xp)
        right = descend_rows(columns, right, left, problem.column_penalty, xp)
        return judged(problem, left, right, balanced(problem, left, right))

    if not problem.nonnegative:
        solver = extrapolated(tall, sweep)
        if m >= n:
            return solver
        return solver._replace(factors=lambda state: problem.joined(state.right, state.left))
    return Solver(
        (problem.left, problem.right), descend, lambda state: problem.joined(*state), True
    )
