"""Sweeps over both factors, exact or of a majorant, extrapolated by those of the past."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tdecomp._anderson import anderson
from tdecomp._iterate import Step
from tdecomp._typing import Array, Namespace
from tdecomp.completion._dense._factors import Pair, cut, flat
from tdecomp.completion._dense._line import lowest
from tdecomp.completion._dense._majorant import Majorant
from tdecomp.completion._dense._objective import Objective
from tdecomp.completion._dense._rows import solved
from tdecomp.completion._dense._settled import settled
from tdecomp.completion._dense._step import reported

Half = Callable[[Objective, Array, Array], Array]
"""Maps an objective, its fixed factor and the slopes of the other one to a step of that."""

# How many sweeps the extrapolation looks back.
_MEMORY = 5
# Factors are balanced, and the past forgotten, after so many sweeps.
_LASTING = 20


class Swept(NamedTuple):
    """Factors, the number of sweeps that led there, the last of these, and the objective."""

    pair: Pair
    age: int = 0
    past: tuple[tuple[Array, Array], ...] = ()
    value: float = math.inf
    gain: float = math.inf


class Alternating:
    """Sweeps of one kind: alternating least squares, or of the EM algorithm."""

    def __init__(self, objective: Objective, *, majorised: bool) -> None:
        self.objective, self.turned = objective, objective.turned
        self.halves: tuple[Half, Half] = (solved, solved)
        if majorised:
            majorant = Majorant.of(objective.weights, objective.xp)
            self.halves = (majorant.solved, majorant.turned.solved)

    def begun(self, pair: Pair) -> Swept:
        """Return the state to start from."""
        return Swept(pair)

    def step(self, state: Swept) -> Step[Swept]:
        """Sweep, aim where the sweeps of the past point to, and stop at the best point there."""
        objective, xp = self.objective, self.objective.xp
        pair, past = state.pair, state.past
        if state.age % _LASTING == 0:
            pair, past = settled(objective, pair), ()
        after = self._swept(pair)
        point, reached = flat(pair, xp), flat(after, xp)
        past = (*past, (point, reached - point))[-_MEMORY - 1 :]
        direction = cut(_aim(past, xp) - reached, after, xp)
        lines = objective.along(*after, *direction)
        t, _ = lowest(lines.sum(axis=0))
        misfit, excess = (float(part) for part in lines @ t ** np.arange(5))
        gain = max(state.value - misfit - excess, 0.0) / (2 * (misfit + excess) or 1.0)
        arrived = after.moved(t, direction) if t else after
        following = Swept(arrived, state.age + 1, past, misfit + excess, gain)
        return reported(
            objective, following, misfit=misfit, excess=excess, gains=(gain, state.gain)
        )

    def _swept(self, pair: Pair) -> Pair:
        """Solve for one factor, and then for the other."""
        objective, (left, right) = self.objective, pair
        left = left + self.halves[0](objective, right, objective.slopes(left, right).left)
        slopes = objective.slopes(left, right)
        return Pair(left, right + self.halves[1](self.turned, left, slopes.right))


def _aim(past: tuple[tuple[Array, Array], ...], xp: Namespace) -> Array:
    """Return the point to aim at: where the past points to, or the first sweep gone on."""
    point, change = past[-1]
    return point + 2 * change if len(past) == 1 else anderson(past, xp)
