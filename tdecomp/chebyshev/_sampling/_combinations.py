"""Values at combinations of interpolation nodes, none of which is asked for twice."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from tdecomp._typing import Namespace
from tdecomp._xp import namespace
from tdecomp.chebyshev._sampling._sampler import Points, Sampler, Values

Indices = npt.NDArray[np.int64]


class Combinations:
    """Values at combinations of nodes, which change from round to round.

    Nodes have numbers in a grid that holds all of them, by which values are known again. `left`
    and `right` are those parts of combinations, from the first variable on and to the last, by
    which a train was found: they stay as long as their nodes do.
    """

    def __init__(self, ask: Sampler, rng: np.random.Generator) -> None:
        self.ask = ask
        self.rng = rng
        self.places: list[Points] = []
        self.numbers: list[npt.NDArray[np.intp]] = []
        self.left: list[Indices] = []
        self.right: list[Indices] = []
        self._rows: dict[bytes, int] = {}
        self._values: Values = np.empty(0, np.float32)

    @property
    def shape(self) -> tuple[int, ...]:
        """How many nodes there are of each variable."""
        return tuple(place.size for place in self.places)

    @property
    def xp(self) -> Namespace:
        """The namespace of the values."""
        return namespace()

    @property
    def unit(self) -> float:
        """The rounding of the values."""
        return float(np.finfo(self._values.dtype).eps)

    def put(self, places: list[Points], numbers: list[npt.NDArray[np.intp]]) -> None:
        """Take other nodes."""
        if self.numbers:
            maps = [
                np.where(np.isin(old, new), np.searchsorted(new, old), -1)
                for old, new in zip(self.numbers, numbers, strict=True)
            ]
            self.left = [_moved(part, maps[: part.shape[1]]) for part in self.left]
            self.right = [_moved(part, maps[len(maps) - part.shape[1] :]) for part in self.right]
        self.places, self.numbers = places, numbers

    def points(self, index: Indices) -> Points:
        """Return the points (m, d) of rows of indices."""
        columns = zip(self.places, index.T, strict=True)
        return np.stack([place[i] for place, i in columns], axis=1)

    def at(self, index: Indices) -> Values:
        """Return the values at rows of indices."""
        columns = zip(self.numbers, index.T, strict=True)
        names = np.stack([number[i] for number, i in columns], axis=1)
        keys = [bytes(row) for row in np.ascontiguousarray(names)]
        new = {key: place for place, key in enumerate(keys) if key not in self._rows}
        if new:
            found = self.ask(self.points(index[list(new.values())]))
            self._rows.update(zip(new, itertools.count(len(self._rows)), strict=False))
            self._values = np.concatenate([self._values, found]) if self._values.size else found
        return self._values[[self._rows[key] for key in keys]]

    def block(self, mode: int, left: Indices, right: Indices) -> Values:
        """Return the values between all pairs of parts: (left, nodes of the variable, right)."""
        n = self.shape[mode]
        shape = (left.shape[0], n, right.shape[0])
        i, j, k = (axis.ravel() for axis in np.indices(shape))
        rows = np.concatenate([left[i], j[:, None], right[k]], axis=1)
        return self.at(rows).reshape(shape)

    def anywhere(self, count: int) -> Indices:
        """Return random combinations."""
        return np.stack([self.rng.integers(n, size=count) for n in self.shape], axis=1)

    def extreme(self, count: int) -> Indices:
        """Return random combinations in which half of the nodes are the first or the last."""
        index = self.anywhere(count)
        ends = self.rng.integers(2, size=index.shape) * (np.asarray(self.shape) - 1)
        return np.where(self.rng.integers(2, size=index.shape) == 1, ends, index)

    def nearest(self, points: Points) -> Indices:
        """Return the combinations that are nearest to points."""
        pairs = zip(points.T, self.places, strict=True)
        return np.stack([np.argmin(np.abs(x[:, None] - p), axis=1) for x, p in pairs], axis=1)


def _moved(part: Indices, maps: list[npt.NDArray[np.intp]]) -> Indices:
    """Return those parts whose nodes are still there, as indices of the nodes there are now."""
    if not maps:
        return part
    found = np.stack([to[i] for to, i in zip(maps, part.T, strict=True)], axis=1)
    return found[np.all(found >= 0, axis=1)]
