r"""Values at the combinations of interpolation nodes, as a tensor train made from few of them.

The array of all combinations has as many entries as the product of the ranks. Its unfoldings at
the bonds between the variables have ranks of their own, which are often as small, and rows and
columns that span it: a sweep from the first variable to the last chooses rows, combinations of
nodes of the variables so far, by columns that are random combinations of the others, a sweep back
chooses columns by these rows, and so forth, until values at other combinations are met.

References
----------
.. [1] I. V. Oseledets, E. E. Tyrtyshnikov, "TT-cross approximation for multidimensional arrays",
   Linear Algebra Appl. 432, 2010. doi:10.1016/j.laa.2009.07.024
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tdecomp._typing import Namespace
from tdecomp._xp import namespace
from tdecomp.chebyshev._sampler import Points, Sampler, Values
from tdecomp.tt import TensorTrain
from tdecomp.tt._evaluate import _evaluate
from tdecomp.tt._ranks import largest_ranks
from tdecomp.tt._sweep import Cross, half_sweep

Indices = npt.NDArray[np.int64]

# Columns to begin with, more than the largest rank of a variable; combinations that join rows and
# columns after each half sweep; those that a train is compared at, and what passes, in tolerances.
_MORE, _OFFERED, _COMPARED, _SLACK = 1, 2, 40, 5.0
# A train is expected to ask for so many times its entries.
_ASKED = 2.0
_SWEEPS = 12


def pays(sizes: Sequence[int]) -> bool:
    """Tell whether a train is expected to ask for fewer values than there are combinations."""
    most = max(sizes)
    bonds = (1, *(min(r, most + 1) for r in largest_ranks(sizes)), 1)
    pairs = zip(bonds[:-1], sizes, bonds[1:], strict=True)
    return _ASKED * sum(r * n * s for r, n, s in pairs) < math.prod(sizes)


class Combinations:
    """Values at combinations of nodes, none of which is asked for twice.

    `numbers` are those of the nodes of each variable in a grid that holds all of them, by which
    values are known again when nodes change.
    """

    def __init__(self, ask: Sampler, rng: np.random.Generator) -> None:
        self.ask = ask
        self.rng = rng
        self.places: list[Points] = []
        self.numbers: list[npt.NDArray[np.intp]] = []
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

    def put(self, places: list[Points], numbers: list[npt.NDArray[np.intp]]) -> None:
        """Take other nodes."""
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

    def nearest(self, points: Points) -> Indices:
        """Return the combinations that are nearest to points."""
        pairs = zip(points.T, self.places, strict=True)
        return np.stack([np.argmin(np.abs(x[:, None] - p), axis=1) for x, p in pairs], axis=1)

    def train(self, tol: float) -> TensorTrain | None:
        """Return the train of all values, with errors near `tol`; None where it does not pay."""
        d = len(self.shape)
        points = self.anywhere(max(self.shape) + _MORE)
        none = np.empty((1, 0), np.int64)
        right = [*(np.unique(points[:, k:], axis=0) for k in range(d)), none]
        cross = Cross([none] * d, right, (), (), ())
        extra, before = self.anywhere(_OFFERED), self.ask.evaluations
        for sweep in range(_SWEEPS):
            unit = float(self.ask.largest) * max(self.shape) ** 1.5 or 1.0
            tau = max(tol / unit, 4 * float(np.finfo(self._values.dtype).eps))
            cross = half_sweep(self, cross, extra, forward=sweep % 2 == 0, tau=tau, limits=None)
            index = self.anywhere(_COMPARED)
            missed = np.abs(_evaluate(cross.cores, index, xp=self.xp) - self.at(index))
            if float(np.max(missed)) <= _SLACK * tol:
                return TensorTrain(cross.cores)
            if self.ask.evaluations - before > math.prod(self.shape):
                break
            worst = np.argsort(-missed, kind="stable")[:_OFFERED]
            extra = np.concatenate([extra[-_OFFERED:], index[worst]])
        return None
