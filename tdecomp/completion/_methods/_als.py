"""Alternating least squares: every row of a factor by normal equations of its own."""

from __future__ import annotations

import math

from tdecomp._iterate import Step
from tdecomp._typing import Array
from tdecomp.completion._masked import residual_times, solve_rows
from tdecomp.completion._problem import Problem, Solver


def als(problem: Problem) -> Solver:
    """Return the iteration that solves for one factor and then for the other."""

    def step(state: tuple[Array, Array]) -> Step[tuple[Array, Array]]:
        (rows, columns, _), xp = problem.observed, problem.xp
        left, right = state
        left = solve_rows(rows, left, right, problem.row_penalty, xp)
        right = solve_rows(columns, right, left, problem.column_penalty, xp)
        loss, _ = residual_times(rows, left, right, xp)
        penalty = _penalty(left, problem.row_penalty, problem) + _penalty(
            right, problem.column_penalty, problem
        )
        error = math.sqrt(loss / problem.total)
        return Step((left, right), error, merit=math.sqrt((loss + penalty) / problem.total))

    return Solver((problem.left, problem.right), step, lambda state: state)


def _penalty(factor: Array, penalty: Array, problem: Problem) -> float:
    xp = problem.xp
    return float(xp.sum(penalty * xp.sum(xp.abs(factor) ** 2, axis=1)))
