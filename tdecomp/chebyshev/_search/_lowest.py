r"""The search for what is lowest in a box, and the proof that little is lower.

Boxes on which a function is proven to be nowhere below the lowest value found, but for a
tolerance, are dropped; all others are halved along the variable in which they are known worst.
What is lowest among the bounds, of boxes dropped and of boxes left, is a bound for all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tdecomp._xp import namespace
from tdecomp.chebyshev._core import contracted
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._points import points
from tdecomp.chebyshev._search._bounds import (
    local_values,
    lower_bounds,
    spread,
    upper_bounds,
    widest,
)
from tdecomp.chebyshev._search._pieces import Boxes, Pieces, tops
from tdecomp.chebyshev._search._polish import Objective, polished
from tdecomp.chebyshev._values._evaluate import evaluate
from tdecomp.tt import TensorTrain

Points = npt.NDArray[np.float64]

# Points tried first, and how many of the best a descent starts from.
_TRIED, _STARTS = 1024, 8
# Lines through the best of them, how often each variable has its turn, points of a line.
_LINES, _SWEEPS, _LONGEST = 4, 2, 129
# What a box costs beside its coefficients.
_OVERHEAD = 64
# Of the gap that is left, how much coefficients that are not computed may amount to.
_LEFT_OUT = 0.05
# Intervals are not halved more often than this.
_DEEPEST = 40


class Lowest(NamedTuple):
    """The lowest value found, its point in the unit box, and what is proven."""

    value: float
    t: Points
    bound: float


class Search:
    """The search for the lowest value of a real function of the unit box.

    With `sizes`, for that of minus the magnitude of a function, which may be complex.
    """

    def __init__(self, f: ChebyshevTucker, *, sizes: bool) -> None:
        self.f = f
        self.sizes = sizes
        self.d = len(f.factors)
        self._objective = Objective(f, squares=sizes)
        self.value, self.t = math.inf, np.zeros(self.d)
        self.highest = -math.inf

    def __call__(self, tol: float, limit: int) -> Lowest:
        """Search until the gap is below a part of the spread of values, or a limit is reached."""
        self._try_points()
        if isinstance(self.f.core, TensorTrain):
            return Lowest(self.value, self.t, -_size(self.f.core, self.f.factors))
        span = self.highest - self.value
        pieces = Pieces(self.f.core, self.f.factors, cut=tol * span / (1000 * self.d))
        bound = self._prove(pieces, tol, limit)
        return Lowest(self.value, self.t, min(bound, self.value))

    def _prove(self, pieces: Pieces, tol: float, limit: int) -> float:
        """Drop boxes and halve boxes; return the lowest bound."""
        gap = max(tol * (self.highest - self.value), 4 * pieces.unit)
        certain, cut = math.inf, max(gap, _LEFT_OUT * (self.highest - self.value))
        boxes = Boxes(pieces.divide(cut / self.d, limit // _OVERHEAD))
        lower = np.full(boxes.index.shape[0], -pieces.size)
        while True:
            heads = _affordable(pieces, cut, limit // boxes.index.shape[0])
            if heads is None:
                break
            before = pieces.work - _OVERHEAD * boxes.index.shape[0]
            found, wide = self._bounds(pieces, boxes, heads, gap)
            limit -= pieces.work - before
            lower = np.maximum(lower, found)
            gap = max(tol * (self.highest - self.value), 4 * pieces.unit)
            left = lower < self.value - gap
            certain = min(certain, float(np.min(lower[~left], initial=math.inf)))
            lower = lower[left]
            boxes.keep(left)
            k = widest(wide, boxes.radii, _DEEPEST)
            if not lower.size or k is None:
                break
            cut = max(gap, _LEFT_OUT * (self.value - float(np.min(lower)))) / 2
            used, whole = boxes.halve(k)
            pieces.halve(k, used)
            lower = lower[whole]
        return min(certain, float(np.min(lower, initial=math.inf))) - pieces.unit

    def _bounds(
        self, pieces: Pieces, boxes: Boxes, heads: Sequence[int], gap: float
    ) -> tuple[Points, Points]:
        """Return bounds of all boxes, and what would be gained in each variable; look around."""
        lower = np.empty(boxes.index.shape[0])
        guesses = np.empty_like(lower)
        places = np.empty((lower.size, self.d))
        wide = np.zeros(self.d)
        for rows, c, rest in pieces.blocks(boxes.index, heads):
            if self.sizes:
                upper, places[rows] = upper_bounds(c, rest)
                lower[rows] = -upper
                guesses[rows] = -np.abs(local_values(c, places[rows]))
            else:
                lower[rows], places[rows] = lower_bounds(c, rest)
                guesses[rows] = local_values(c, places[rows])
            wide += spread(c[lower[rows] < self.value - gap], exact=2)
        best = np.argsort(guesses)[:_STARTS]
        best = best[guesses[best] < self.value - gap / 4]
        if best.size:
            self._descend(boxes.points(places[best], best))
        return lower, wide

    def _try_points(self) -> None:
        """Try points that are spread over the box, some at its ends; then all points of lines."""
        t = np.random.default_rng(0).uniform(-1, 1, (_TRIED, self.d))
        t[: _TRIED // 2] = np.clip(2 * t[: _TRIED // 2], -1, 1)
        values = self._values(t)
        self.highest = float(np.max(values))
        best = t[np.argsort(values)[:_STARTS]]
        self._descend(np.concatenate([best, self._along_lines(best[:_LINES])]))

    def _along_lines(self, t: Points) -> Points:
        """Change one coordinate after the other to where values are lowest along its line."""
        t = t.copy()
        for _ in range(_SWEEPS):
            for k, factor in enumerate(self.f.factors):
                line = points(min(2 * factor.shape[0] + 1, _LONGEST))
                all_points = np.repeat(t, line.size, axis=0)
                all_points[:, k] = np.tile(line, t.shape[0])
                values = self._values(all_points).reshape(t.shape[0], -1)
                t[:, k] = line[np.argmin(values, axis=1)]
                self.highest = max(self.highest, float(np.max(values)))
        return t

    def _values(self, t: Points) -> Points:
        found = evaluate(self.f, t)
        return -np.abs(found) if self.sizes else np.asarray(found)

    def _descend(self, t: Points) -> None:
        """Go down from points, and keep the lowest."""
        t, _ = polished(self._objective, t)
        values = self._values(t)
        best = int(np.argmin(values))
        if values[best] < self.value:
            self.value, self.t = float(values[best]), t[best]


def _size(core: TensorTrain, factors: Sequence[Points]) -> float:
    """Return what magnitudes of a function, whose core is a train, do not exceed."""
    rows = [tops(factor)[None, :] for factor in factors]
    sizes = TensorTrain(tuple(np.abs(cell) for cell in core.cores))
    count = sum(factor.shape[0] ** 2 + factor.shape[1] for factor in factors)
    slack = 1 + count * float(np.finfo(np.float64).eps)
    return float(contracted(sizes, rows, namespace(rows[0]))[0] * slack)


def _affordable(pieces: Pieces, cut: float, limit: int) -> tuple[int, ...] | None:
    """Return how many coefficients to compute for a box, None where even one is too many."""
    heads = pieces.heads(cut)
    while math.prod(heads) > limit:
        if math.prod(heads) == 1 or limit < _OVERHEAD:
            return None
        cut *= 2
        heads = pieces.heads(cut)
    return heads
