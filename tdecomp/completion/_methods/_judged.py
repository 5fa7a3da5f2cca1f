"""What a step has reached: its error on the known entries, and the objective."""

from __future__ import annotations

import math
from typing import Any

from tdecomp._iterate import Step
from tdecomp._typing import Array, Namespace
from tdecomp._xp import squared_norm
from tdecomp.completion._masked import misfit
from tdecomp.completion._problem import Problem


def judged(
    problem: Problem, left: Array, right: Array, state: Any, *, loss: float | None = None
) -> Step[Any]:
    """Return the step to `state`, which stands for two factors, with its error and merit.

    The sum of weighted squares that they leave, `loss`, is found where it is not known.
    """
    xp = problem.xp
    if loss is None:
        loss = misfit(problem.observed.rows, *problem.joined(left, right), xp)
    penalty = 0.0
    if problem.regularization or problem.offsets:
        penalty = _ridge(left, problem.row_penalty, xp)
        penalty += _ridge(right, problem.column_penalty, xp)
    return told(problem, state, loss, loss + penalty)


def told(problem: Problem, state: Any, loss: float, objective: float) -> Step[Any]:
    """Return the step to `state`, its loss and its objective relative to the data."""
    error, merit = (math.sqrt(x / problem.total) for x in (loss, objective))
    return Step(state, error, merit=merit)


def _ridge(factor: Array, penalty: Array, xp: Namespace) -> float:
    """Return the penalty of a factor."""
    return squared_norm(xp.sqrt(penalty) * factor, xp)
