r"""Quasi-Newton steps in the metric of the curvature of rows.

For a step of both factors the objective is, to second order, at most twice the sum of its
quadratic models by rows of the one and by rows of the other: what alternating least squares solves
half by half is the best majorant that treats rows alone. Its matrices are factorised once for many
steps, and what they leave out, between rows of both factors, is learnt from the last steps by
L-BFGS [1]_. The length of a step is then mostly right, and it costs three products with the data;
where it is not, the lowest point ahead is found.

References
----------
.. [1] J. Nocedal, S. J. Wright, "Numerical Optimization", 2nd ed., 2006, algorithms 7.4 and 7.5.
   doi:10.1007/978-0-387-40065-5
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tdecomp._iterate import Step
from tdecomp._typing import Array
from tdecomp._xp import eps
from tdecomp.completion._dense._factors import Pair, cut, flat
from tdecomp.completion._dense._line import lowest
from tdecomp.completion._dense._objective import Objective, Slopes
from tdecomp.completion._dense._rows import Metric, metric
from tdecomp.completion._dense._settled import settled
from tdecomp.completion._dense._step import reported
from tdecomp.completion._inner import inner

# The metric is renewed after so many steps: it changes little. After a step that was shorter than
# that it has changed much: the past is forgotten, and a sweep of alternating least squares made.
_LASTING, _SHORT = 30, 0.1
# How many steps are looked back to.
_MEMORY = 5
# A whole step is taken if it lowers the objective by such a part of what its slope promises, and
# takes such a part of the slope away.
_LOWERED, _BENT = 1e-4, 0.1
# Differences of so many eps of the objective are rounding.
_ROUNDINGS = 64.0


class Change(NamedTuple):
    """A step, how much less steep it is behind it, both as vectors, and their inner product."""

    step: Array
    bend: Array
    size: float


class Point(NamedTuple):
    """Factors, the slopes there, these as one vector, and the objective."""

    pair: Pair
    slopes: Slopes
    descent: Array
    value: float


class Path(NamedTuple):
    """A point, the metrics of both factors, the last steps, and how many the metrics are old.

    An infinite age is that of metrics which are of no use any more.
    """

    point: Point
    metrics: tuple[Metric, Metric]
    past: tuple[Change, ...] = ()
    age: float = 0
    gain: float = math.inf

    @property
    def pair(self) -> Pair:
        """The factors."""
        return self.point.pair


class QuasiNewton:
    """Steps that never rise: whole ones, or those to the lowest point of a line."""

    def __init__(self, objective: Objective) -> None:
        self.objective, self.turned, self.xp = objective, objective.turned, objective.xp

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
        return Path(self._at(Pair(left, right)), (by_rows, by_columns))

    def step(self, state: Path) -> Step[Path]:
        """Take a whole step where that pays, or go to the lowest point ahead."""
        before, state = state.point.value, self._renewed(state)
        aim, fall = self._aim(state)
        if not fall > 0 and state.past:
            state = state._replace(past=())
            aim, fall = self._aim(state)
        t, gained, point = self._whole(state, aim, fall) or self._lowest(state.point, aim)
        past, bend = state.past, state.point.descent - point.descent
        size = t * inner(aim, bend, self.xp)
        if size > 0 and size >= _BENT * t * fall:
            past = (*past, Change(t * aim, bend, size))[-_MEMORY:]
        gained += max(before - state.point.value, 0.0)
        gain = gained / (2 * point.value) if point.value > 0 else 0.0
        age = state.age + 1 if t >= _SHORT else math.inf
        following = Path(point, state.metrics, past, age, gain)
        misfit, excess = point.slopes.misfit, point.value - point.slopes.misfit
        gains = (gain, state.gain)
        return reported(self.objective, following, misfit=misfit, excess=excess, gains=gains)

    def _renewed(self, state: Path) -> Path:
        """Renew metrics that have served their time."""
        left, right = state.pair
        if math.isinf(state.age):
            return self.begun(state.pair)._replace(gain=state.gain)
        if state.age < _LASTING:
            return state
        metrics = metric(self.objective, right), metric(self.turned, left)
        return state._replace(metrics=metrics, age=0)

    def _at(self, pair: Pair) -> Point:
        """Return what has to be known of a pair of factors."""
        slopes = self.objective.slopes(*pair)
        value = slopes.misfit + self.objective.excess(*pair)
        return Point(pair, slopes, flat(slopes[1:], self.xp), value)

    def _aim(self, state: Path) -> tuple[Array, float]:
        """Return the step that the metric and the past suggest, and how steep it falls."""
        xp, rest, shares = self.xp, state.point.descent, []
        for step, bend, size in reversed(state.past):
            shares.append(inner(step, rest, xp) / size)
            rest = rest - shares[-1] * bend
        aim = self._turned(state, rest)
        if state.past:
            _, bend, size = state.past[-1]
            aim = aim * (size / inner(bend, self._turned(state, bend), xp))
        for (step, bend, size), share in zip(state.past, reversed(shares), strict=True):
            aim = aim + (share - inner(bend, aim, xp) / size) * step
        return aim, inner(aim, state.point.descent, xp)

    def _turned(self, state: Path, slopes: Array) -> Array:
        """Return the step that minimises the models of all rows on their own."""
        parts = cut(slopes, state.pair, self.xp)
        steps = (m.applied(part) for m, part in zip(state.metrics, parts, strict=True))
        return flat(tuple(steps), self.xp)

    def _whole(self, state: Path, aim: Array, fall: float) -> tuple[float, float, Point] | None:
        """Return where a whole step leads, None where it does not pay or cannot be judged."""
        before, rounding = state.point, _ROUNDINGS * eps(self.objective.weights.dtype, self.xp)
        if not state.past or not fall > rounding * before.value:
            return None
        with np.errstate(all="ignore"):  # what overflows is refused
            point = self._at(before.pair.moved(1.0, cut(aim, before.pair, self.xp)))
            gained = before.value - point.value
            left = inner(aim, point.descent, self.xp)
        pays = gained >= 2 * _LOWERED * fall and abs(left) <= (1 - _BENT) * fall
        return (1.0, gained, point) if pays else None

    def _lowest(self, before: Point, aim: Array) -> tuple[float, float, Point]:
        """Return where the lowest point ahead is, how much lower, and what it is."""
        direction = cut(aim, before.pair, self.xp)
        t, gained = lowest(self.objective.ahead(before.pair, direction, before.slopes))
        return t, gained, self._at(before.pair.moved(t, direction))
