r"""A function on many boxes at once: its series on each, and what they prove.

An interval that is halved takes the series of a variable along: a product with a matrix. On short
intervals coefficients fall fast, and few are kept; what is left out, times the largest values of
all else, is counted. On a box

.. math:: f = \sum_i c_i \prod_k T_{i_k}(t_k) + \epsilon , \qquad |T_i| \le 1 ,

the magnitudes of coefficients bound how far the function is from a constant. Largest values come
from values at points, by the inequality of Ehlich and Zeller [1]_: for a polynomial of degree
:math:`n`, magnitudes are below the largest at :math:`M + 1` Chebyshev points, times
:math:`1 / \cos(\pi n / (2 M))`.

References
----------
.. [1] H. Ehlich, K. Zeller, "Schwankung von Polynomen zwischen Gitterpunkten", Math. Z. 86, 1964.
   doi:10.1007/BF01111276
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.polynomial.chebyshev import chebval

from tdecomp._xp import namespace
from tdecomp.chebyshev._compress import orthonormal
from tdecomp.chebyshev._points import points
from tdecomp.chebyshev._series import polynomials
from tdecomp.chebyshev._transform import coefficients, values

Host = npt.NDArray[Any]
Points = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

# Series this short are not divided at first, nor where halves have so many more together.
_FEW, _MORE = 5, 1.3
# Series longer than this are evaluated by recurrence.
_LONG = 600
# Of what rounding may amount to, a part may be left out at each halving.
_PARTS = 64
# Entries of what is computed for a block of boxes.
_BLOCK_ENTRIES = 1 << 20


class Boxes:
    """Boxes of a partition of the unit box: an interval in use for each variable.

    Attributes
    ----------
    index : array, shape (N, d)
        Which interval of each variable; rows ascend.
    centres : list of array
        The centres of the intervals of each variable.
    radii : list of float
        Half the length of all of them.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        grid = np.indices(tuple(counts)).reshape(len(counts), -1)
        self.index: Index = np.ascontiguousarray(grid.T)
        self.radii = [1 / n for n in counts]
        self.centres = [(2 * np.arange(n) + 1 - n) / n for n in counts]

    def keep(self, chosen: npt.NDArray[Any]) -> None:
        """Drop all other boxes."""
        self.index = self.index[chosen]

    def halve(self, k: int) -> tuple[Index, Index]:
        """Halve all boxes along a variable.

        Return which of its intervals were in use, and of which box before each is a half.
        """
        used, place = np.unique(self.index[:, k], return_inverse=True)
        self.radii[k] /= 2
        sides = self.radii[k] * np.array([-1.0, 1.0])
        self.centres[k] = (self.centres[k][used][:, None] + sides).reshape(-1)
        index = np.repeat(self.index, 2, axis=0)
        index[0::2, k], index[1::2, k] = 2 * place, 2 * place + 1
        order = np.lexsort(index.T[::-1])
        self.index = index[order]
        return used, order // 2

    def local(self, t: Points, rows: Any) -> Points:
        """Return the local coordinates in boxes of points (N, d) of the unit box."""
        index = self.index[rows]
        columns = [
            (t[:, k] - self.centres[k][index[:, k]]) / self.radii[k] for k in range(t.shape[1])
        ]
        return np.stack(columns, axis=1)

    def points(self, local: Points, rows: Any = slice(None)) -> Points:
        """Return the points of the unit box that are at local ones (N, d) of the boxes."""
        index = self.index[rows]
        columns = [
            self.centres[k][index[:, k]] + self.radii[k] * local[:, k]
            for k in range(index.shape[1])
        ]
        return np.asarray(np.clip(np.stack(columns, axis=1), -1, 1))


class Pieces:
    """A function of the unit box, in series on the intervals of a partition.

    Attributes
    ----------
    series : list of array, shape (intervals, p_k, r_k)
        Local coefficients for each variable.
    unit : float
        What rounding may amount to.
    size : float
        What magnitudes do not exceed.
    work : int
        How many entries were computed for coefficients of boxes.
    """

    def __init__(self, core: Host, factors: Sequence[Host], *, cut: float = 0.0) -> None:
        self.work = 0
        self._eps = float(np.finfo(np.float64).eps)
        self.core, turned = _turned(core, factors)
        self.series = [factor[None, :, :] for factor in turned]
        self._weights, self.size = weights(self.core, turned)
        # Terms of what is turned may cancel, and their rounding is left.
        magnified = _of_products(core, factors) + _of_products(self.core, turned)
        self.unit = self._eps * (magnified + self._of_series(turned))
        self._cut = max(cut, self.unit / _PARTS)
        # What is left out from each coefficient on, of each interval, may amount to.
        self._tails = [np.zeros((1, 1)) for _ in turned]
        for k in range(self.core.ndim):
            self._shorten(k, np.zeros(1))

    def _of_series(self, factors: Sequence[Host]) -> float:
        """Return how series magnify rounding of points.

        It grows with the slopes of polynomials at the ends, which are squares of degrees.
        """
        total = 0.0
        for factor, weight in zip(factors, self._weights, strict=True):
            squares = (1.0 + np.arange(factor.shape[0])) ** 2
            total += float(squares @ np.abs(factor) @ weight)
        return total

    def divide(self, cut: float, most: int) -> list[int]:
        """Divide intervals while that costs little; return how many there are for each variable.

        There are never more boxes than `most`. The halves of an interval need as many coefficients
        together as it does, for what is left out to be below a cut, where the function oscillates,
        and twice as many where it does not.
        """
        for k in range(self.core.ndim):
            while 2 * math.prod(self.counts) <= most:
                before = self.series[k], self._tails[k], self.unit
                p, count = self._head(k, cut), before[0].shape[0]
                self.halve(k, np.arange(count))
                if p <= _FEW or 2 * self._head(k, cut) > _MORE * p:
                    self.series[k], self._tails[k], self.unit = before
                    break
        return self.counts

    @property
    def counts(self) -> list[int]:
        """How many intervals there are for each variable."""
        return [series.shape[0] for series in self.series]

    def divide_into(self, counts: Sequence[int]) -> None:
        """Divide all intervals until there are so many, which are powers of two."""
        for k, count in enumerate(counts):
            while self.counts[k] < count:
                self.halve(k, np.arange(self.counts[k]))

    def halve(self, k: int, used: Index) -> None:
        """Halve the intervals of a variable that are in use."""
        rest = np.repeat(self._tails[k][used, -1], 2)
        self.series[k] = _halved(self.series[k][used])
        self.unit += self._eps * self.series[k].shape[1] ** 2 * self.size
        self._shorten(k, rest)

    def _shorten(self, k: int, rest: Points) -> None:
        """Drop the last coefficients of a variable, as many as are small everywhere."""
        sizes = np.abs(self.series[k]) @ self._weights[k]
        tails = np.cumsum(np.append(sizes, rest[:, None], axis=1)[:, ::-1], axis=1)[:, ::-1]
        dropped = np.max(tails - rest[:, None], axis=0) <= self._cut
        p = max(1, int(np.argmax(dropped)))
        self._tails[k] = tails[:, : p + 1]
        self.series[k] = np.ascontiguousarray(self.series[k][:, :p, :])

    def _head(self, k: int, cut: float) -> int:
        """Return how many coefficients of a variable leave out no more than a cut."""
        small = np.max(self._tails[k], axis=0) <= cut
        return max(1, int(np.argmax(small))) if np.any(small) else self.series[k].shape[1]

    def heads(self, cut: float) -> tuple[int, ...]:
        """Return how many coefficients to compute, for all that is left out to be small."""
        return tuple(self._head(k, cut / self.core.ndim) for k in range(self.core.ndim))

    @property
    def shape(self) -> tuple[int, ...]:
        """How many coefficients there are on a box for each variable."""
        return tuple(series.shape[1] for series in self.series)

    def left_out(self, index: Index, heads: Sequence[int]) -> Points:
        """Return what coefficients that are not computed may amount to on boxes."""
        parts = [self._tails[k][index[:, k], p] for k, p in enumerate(heads)]
        return np.asarray(np.sum(parts, axis=0))

    def blocks(self, index: Index, heads: Sequence[int]) -> Iterator[tuple[slice, Host, Points]]:
        """Yield rows of boxes, their coefficients (rows, p_0, ..., p_{d-1}), what is left out."""
        sizes = np.cumprod(heads).tolist()
        rests = [math.prod(self.core.shape[k:]) for k in range(1, self.core.ndim + 1)]
        widest = max(p * r for p, r in zip(sizes, rests, strict=True))
        step = max(1, _BLOCK_ENTRIES // widest)
        for start in range(0, index.shape[0], step):
            rows = slice(start, min(start + step, index.shape[0]))
            found = self._coefficients(index[rows], heads)
            yield rows, found, self.left_out(index[rows], heads)

    def _coefficients(self, index: Index, heads: Sequence[int]) -> Host:
        """Contract variable after variable, once for all boxes that agree so far."""
        left = self.core.reshape(1, 1, -1)
        parent = np.zeros(index.shape[0], dtype=np.intp)
        for k, (series, p) in enumerate(zip(self.series, heads, strict=True)):
            codes, parent = np.unique(parent * series.shape[0] + index[:, k], return_inverse=True)
            before, now = np.divmod(codes, series.shape[0])
            rows = series[now, :p, :]
            blocks: Any = left.reshape(*left.shape[:2], series.shape[2], -1)
            if k == 0:
                left = rows @ blocks[0, 0]
            else:
                left = rows[:, None, :, :] @ blocks[before]
                left = left.reshape(left.shape[0], -1, left.shape[3])
            self.work += left.size
        return left.reshape(-1, *heads)  # boxes differ, and ascend


def weights(core: Host, factors: Sequence[Host]) -> tuple[list[Points], float]:
    """Return by how much columns of each variable weigh, and what bounds the function.

    The weight of a column is the sum of magnitudes in its slice of the core, times the largest
    values of all other columns.
    """
    most = [tops(factor) for factor in factors]
    sizes = np.abs(core)
    found = []
    for k in range(core.ndim):
        rest = sizes
        for other in reversed(range(core.ndim)):
            if other != k:
                rest = np.tensordot(rest, most[other], axes=(other, 0))
        found.append(rest)
    return found, float(found[0] @ most[0])


def _of_products(core: Host, factors: Sequence[Host]) -> float:
    """Return how products of a core with factors magnify rounding."""
    sizes = [float(np.linalg.norm(tops(factor))) for factor in factors]
    count = sum(sum(factor.shape) for factor in factors)
    return count * float(np.linalg.norm(core)) * math.prod(sizes)


def tops(factor: Host) -> Points:
    """Return what magnitudes of series do not exceed, by Ehlich and Zeller."""
    m = factor.shape[0]
    if m == 1:
        return np.asarray(np.abs(factor[0]))
    finer = np.concatenate([factor, np.zeros_like(factor[: m - 1])])
    on_points = np.max(np.abs(values(finer, namespace(factor))), axis=0)
    return np.asarray(np.minimum(math.sqrt(2) * on_points, np.sum(np.abs(factor), axis=0)))


def _turned(core: Host, factors: Sequence[Host]) -> tuple[Host, list[Host]]:
    """Turn factors so that slices of the core fall as fast as they can, and sizes tell much."""
    core, bases = orthonormal(core, factors, namespace(core))
    found: list[Host] = []
    for k, basis in enumerate(bases):
        unfolded = np.moveaxis(core, k, 0).reshape(core.shape[k], -1)
        u, _, _ = np.linalg.svd(unfolded, full_matrices=False)
        core = np.moveaxis(np.tensordot(u.conj().T, core, axes=(1, k)), 0, k)
        found.append(basis @ u)
    return np.ascontiguousarray(core), found


def _halved(series: Host) -> Host:
    """Return the series (2 U, p, r) on the halves of intervals, of those (U, p, r) on them."""
    count, p, r = series.shape
    xp = namespace(series)
    halves = []
    for side in (-1, 1):
        t = (points(p) + side) / 2
        if p <= _LONG:
            found = np.moveaxis(polynomials(t, p, xp) @ series, 1, 0)
        else:  # a table of all polynomials would not stay in the cache
            columns = np.moveaxis(series, 1, 0).reshape(p, -1)
            found = chebval(t, columns).T.reshape(p, count, r)
        halves.append(np.moveaxis(coefficients(found, xp), 0, 1))
    return np.stack(halves, axis=1).reshape(2 * count, p, r)
