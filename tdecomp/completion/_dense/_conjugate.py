r"""Conjugate gradients in the metric of the curvature of rows.

For a step of both factors the objective is, to second order, at most twice the sum of its
quadratic models by rows of the one and by rows of the other: what alternating least squares solves
half by half is the best majorant that treats rows alone. Its matrices are factorised once for many
steps, of which each then costs a few products with the data.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from tdecomp._iterate import Step
from tdecomp.completion._dense._factors import Pair
from tdecomp.completion._dense._line import lowest
from tdecomp.completion._dense._objective import Objective, Slopes
from tdecomp.completion._dense._rows import Metric, metric
from tdecomp.completion._dense._settled import settled
from tdecomp.completion._dense._step import reported
from tdecomp.completion._inner import inner

# Factors are balanced, and the metric renewed, after so many steps: it changes little; and after a
# step that was shorter than that, since there it has changed much.
_LASTING, _SHORT = 30, 0.1


class Path(NamedTuple):
    """Factors, the slopes there, the metrics of both, where to go next, and the way behind.

    `value` is that of the objective, `age` the number of steps since the metrics are new.
    """

    pair: Pair
    slopes: Slopes
    metrics: tuple[Metric, Metric]
    direction: Pair
    size: float
    value: float
    age: int = 0
    gain: float = math.inf


class Conjugate:
    """Steps along conjugate directions, each to the lowest point of the objective on its line."""

    def __init__(self, objective: Objective) -> None:
        self.objective, self.turned = objective, objective.turned

    def begun(self, pair: Pair) -> Path:
        """Balance the factors and factorise their curvatures, to start, or to start again.

        The curvatures that the metric needs make a sweep of alternating least squares as well,
        unless there are but parts of them.
        """
        objective = self.objective
        left, right = settled(objective, pair)
        by_rows = metric(objective, right)
        if by_rows.whole:
            left = left + by_rows.applied(objective.slopes(left, right).left)
        by_columns = metric(self.turned, left)
        if by_columns.whole:
            right = right + by_columns.applied(objective.slopes(left, right).right)
        metrics, slopes = (by_rows, by_columns), objective.slopes(left, right)
        steepest = _steepest(metrics, slopes)
        value = slopes.misfit + objective.excess(left, right)
        size = self._inner(steepest, slopes)
        return Path(Pair(left, right), slopes, metrics, steepest, size, value)

    def step(self, state: Path) -> Step[Path]:
        """Go to the lowest point ahead, and turn to a direction conjugate to the last one."""
        objective, start = self.objective, state
        if state.age >= _LASTING:
            start = self.begun(state.pair)
        t, gained = lowest(objective.ahead(start.pair, start.direction, start.slopes))
        pair = start.pair.moved(t, start.direction)
        slopes = objective.slopes(*pair)
        excess = objective.excess(*pair)
        value = slopes.misfit + excess
        gained += max(state.value - start.value, 0.0)
        gain = gained / (2 * value) if value > 0 else 0.0
        direction, size = self._turned(start, slopes)
        age = start.age + 1 if t >= _SHORT else _LASTING
        following = Path(pair, slopes, start.metrics, direction, size, value, age, gain)
        gains = (gain, state.gain)
        return reported(objective, following, misfit=slopes.misfit, excess=excess, gains=gains)

    def _turned(self, state: Path, slopes: Slopes) -> tuple[Pair, float]:
        """Return the direction of Polak and Ribiere, or the steepest one where that rises."""
        steepest = _steepest(state.metrics, slopes)
        size = self._inner(steepest, slopes)
        fresh = size - self._inner(steepest, state.slopes)
        if state.size > 0 and fresh > 0:
            direction = steepest.moved(fresh / state.size, state.direction)
            if self._inner(direction, slopes) > 0:
                return direction, size
        return steepest, size

    def _inner(self, step: Pair, slopes: Slopes) -> float:
        """Return how fast the objective falls along a step."""
        xp = self.objective.xp
        return inner(step.left, slopes.left, xp) + inner(step.right, slopes.right, xp)


def _steepest(metrics: tuple[Metric, Metric], slopes: Slopes) -> Pair:
    """Return the step that minimises the models of all rows on their own."""
    return Pair(metrics[0].applied(slopes.left), metrics[1].applied(slopes.right))
