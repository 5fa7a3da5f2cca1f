"""What one step of any of the methods reports."""

from __future__ import annotations

import math
from typing import TypeVar

from tdecomp._iterate import Status, Step
from tdecomp.completion._dense._objective import Objective
from tdecomp.completion._units import rounding

T = TypeVar("T")


def reported(
    objective: Objective, state: T, *, misfit: float, excess: float, gains: tuple[float, float]
) -> Step[T]:
    """Return the step to a state with its error and its merit, both relative to a model of zero.

    The gains of the last two steps count, so that a short one alone does not stop.
    """
    total = objective.total
    error = math.sqrt(max(misfit, 0.0) / total)
    merit = math.sqrt(max(misfit + excess, 0.0) / total)
    exact = error <= rounding(objective.weights.dtype, objective.xp) and not objective.penalty
    verdict = Status.CONVERGED if exact else None
    return Step(state, error, max(gains), verdict, merit)
