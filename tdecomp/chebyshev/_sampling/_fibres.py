r"""The fibres of one variable: a function along lines through the box.

A fibre is the function of one variable that is left when the others are held at an *anchor*. All
fibres of a function of multilinear rank :math:`r_k` lie in a space of that dimension. Values of
fibres at Chebyshev points are columns of a matrix; pivots of its columns tell which fibres span
all, to a tolerance, and pivots of its rows at which points a function of that space can be
interpolated, the nodes.

References
----------
.. [1] S. Dolgov, D. Kressner, C. Stroessner, "Functional Tucker approximation using Chebyshev
   interpolation", SIAM J. Sci. Comput. 43, 2021. doi:10.1137/20M1356944
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tdecomp._xp import namespace
from tdecomp.chebyshev._chop import LEAST
from tdecomp.chebyshev._points import points
from tdecomp.chebyshev._sampling._pivots import (
    cardinal,
    column_pivots,
    row_pivots,
    span,
    unspanned,
)
from tdecomp.chebyshev._sampling._sampler import Points, Sampler, Values
from tdecomp.chebyshev._sampling._settled import settled_length
from tdecomp.chebyshev._transform import coefficients

# No fibre is asked at more points.
_MOST = 2**16 + 1

# The noise of values is so many times that of their points, until slopes are seen as they are;
# and so many of the least numbers, where values are as small.
_NOISY, _TINY = 2.0, 4.0

# Nodes are numbered in a grid that holds all; they stay where no cardinal function exceeds this.
_FINEST, _STABLE = 2**20, 4.0


class Basis(NamedTuple):
    """Functions that span all fibres: which points interpolate them, their values and series.

    ``values`` (n, r) are one at a point of ``nodes`` each, and zero at the others; ``series``
    (m, r) are their coefficients, chopped. ``numbers`` are those of the nodes in a grid of which
    all others are a part, and ``places`` their coordinates.
    """

    nodes: npt.NDArray[np.intp]
    numbers: npt.NDArray[np.intp]
    places: Points
    values: Values
    series: Values


class Fibres:
    """Fibres of variable `k`, through anchors (p, d) of the unit box, at `n` points.

    Attributes
    ----------
    values : array, shape (n, p)
        Those along the fibres.
    tried : int
        How many fibres these are known to span.
    length : int or None
        How many coefficients their series have; None if they do not end.
    numbers : array
        Those of the nodes of the latest basis; if they are to stay, the next has them too.
    """

    def __init__(
        self, ask: Sampler, k: int, anchors: Points, n: int = LEAST, *, stay: bool = False
    ) -> None:
        self.ask = ask
        self.k = k
        self.anchors = anchors
        self.n = n
        self.values = self.along(anchors)
        self.tried = self.count
        self.length: int | None = None
        self.stay = stay
        self.numbers: npt.NDArray[np.intp] = np.empty(0, np.intp)

    @property
    def count(self) -> int:
        """How many fibres there are."""
        return int(self.anchors.shape[0])

    @property
    def points(self) -> Points:
        """The points along the variable."""
        return points(self.n)

    @property
    def noise(self) -> float:
        """What rounding makes of values: eps times the largest, or that of their points.

        Points far from zero, of a small box, are rounded by more.
        """
        own = float(np.finfo(self.values.dtype).eps) * float(np.max(np.abs(self.values)))
        return max(own, float(np.max(self._roundings())))

    def _roundings(self) -> npt.NDArray[np.float64]:
        """Return what the rounding of points makes of values: eps times slopes, and reach."""
        low, high = self.ask.domain[self.k]
        reach = max(abs(low), abs(high)) / ((high - low) / 2)
        slopes = np.abs(np.diff(self.values, axis=0)) / np.diff(self.points)[:, None]
        kind = np.finfo(self.values.dtype)
        found: npt.NDArray[np.float64] = float(kind.eps) * max(1.0, float(reach)) * slopes
        found += _TINY * float(kind.smallest_subnormal)
        return found

    def _noisy(self, tol: float) -> float:
        """Return the norm that a fibre may have and still be noise, or `tol` where that is more.

        Roundings are independent of one another: their norm counts, not their number.
        """
        roundings = self._roundings()
        largest = float(np.max(roundings))
        norms = np.linalg.norm(roundings / largest, axis=0)
        return max(tol, _NOISY * largest * float(np.max(norms)))

    def along(self, anchors: Points, t: Points | None = None) -> Values:
        """Return the values (n, p) of other fibres, at all points or at those of `t`."""
        t = self.points if t is None else t
        place = np.tile(anchors, (t.size, 1, 1))
        place[:, :, self.k] = t[:, None]
        return self.ask(place)

    def append(self, anchors: Points, values: Values | None = None) -> None:
        """Add fibres, whose values may be known."""
        values = self.along(anchors) if values is None else values
        self.anchors = np.concatenate([self.anchors, anchors])
        self.values = np.concatenate([self.values, values], axis=1)
        self.tried += anchors.shape[0]

    def offer(self, anchors: Points, tol: float) -> None:
        """Add those of other fibres that are not spanned up to `tol` at some of the points.

        At twice as many points as there are fibres, one more that is not spanned shows.
        """
        step = 1
        while (self.n - 1) // (2 * step) >= 2 * (self.count + anchors.shape[0]):
            step *= 2
        if step == 1:
            return self.append(anchors)
        coarse = np.zeros(self.n, bool)
        coarse[::step] = True
        asked = self.along(anchors, self.points[coarse])
        chosen = unspanned(self.values[coarse], asked, tol / math.sqrt(step))
        self.tried += anchors.shape[0] - chosen.size
        if chosen.size:
            anchors, asked = anchors[chosen], asked[:, chosen]
            others = self.along(anchors, self.points[~coarse])
            new = np.empty((self.n, chosen.size), np.result_type(asked, others))
            new[coarse], new[~coarse] = asked, others
            self.append(anchors, new)
        return None

    def refine(self) -> None:
        """Halve the distance of points: what is known stays known."""
        finer = 2 * self.n - 1
        new = self.along(self.anchors, points(finer)[1::2])
        values = np.empty((finer, self.count), np.result_type(new, self.values))
        values[::2], values[1::2] = self.values, new
        self.n, self.values = finer, values

    def pivots(self, tol: float) -> npt.NDArray[np.intp]:
        """Return which fibres span all of them up to `tol`, or noise: at least one."""
        return column_pivots(self.values, self._noisy(tol), least=1)

    def keep(self, which: Any) -> None:
        """Forget all fibres but some."""
        self.anchors, self.values = self.anchors[which], self.values[:, which]
        self.tried = self.count

    def settle(self, tol: float) -> None:
        """Refine until all series end, up to `tol`, or points are too many.

        Finer points show steeper slopes, and that some fibres are but noise: they are forgotten.
        """
        self.length = settled_length(self.values, tol)
        while self.length is None and 2 * self.n - 1 <= _MOST:
            self.refine()
            self.keep(self.pivots(tol))
            self.length = settled_length(self.values, tol)

    def basis(self) -> Basis:
        """Return what interpolates all fibres, by series as long as theirs.

        Nodes that are to stay do so where what interpolates remains small.
        """
        q = span(self.values)
        spacing = _FINEST // (self.n - 1)
        former = self.numbers[: self.numbers.size * self.stay] // spacing
        for known in (former[: q.shape[1]], former[:0]):
            nodes = np.sort(row_pivots(q, known))
            values = cardinal(q, nodes)
            if float(np.max(np.abs(values))) <= _STABLE:
                break
        self.numbers = nodes * spacing
        series = coefficients(values, namespace(values))[: self.length]
        return Basis(nodes, self.numbers, self.points[nodes], values, series)
