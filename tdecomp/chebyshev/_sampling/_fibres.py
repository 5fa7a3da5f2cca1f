r"""The fibres of one variable: a function along lines through the box.

A fibre is the function of one variable that is left when the others are held at an *anchor*. All
fibres of a function of multilinear rank :math:`r_k` lie in a space of that dimension. Values of
fibres at Chebyshev points are columns of a matrix; a QR decomposition with pivoting tells which of
them span all, to a tolerance, and one of the adjoint basis at which points a function of that
space can be interpolated:

.. math:: v \approx C\, v_I , \qquad C = Q\, (Q_I)^{-1} ,

where :math:`I` are the pivots. The larger :math:`\|(Q_I)^{-1}\|`, the more interpolation amplifies
what is missing; pivoting keeps it small (Q-DEIM).

References
----------
.. [1] Z. Drmac, S. Gugercin, "A new selection operator for the discrete empirical interpolation
   method", SIAM J. Sci. Comput. 38, 2016. doi:10.1137/15M1019271
.. [2] S. Dolgov, D. Kressner, C. Stroessner, "Functional Tucker approximation using Chebyshev
   interpolation", SIAM J. Sci. Comput. 43, 2021. doi:10.1137/20M1356944
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tdecomp._xp import namespace
from tdecomp.chebyshev._chop import LEAST, chop
from tdecomp.chebyshev._points import points
from tdecomp.chebyshev._sampling._sampler import Points, Sampler, Values
from tdecomp.chebyshev._transform import coefficients

# No fibre is asked at more points.
_MOST = 2**16 + 1

# The noise of values is so many times that of their points, until slopes are seen as they are.
_NOISY = 2.0
# What is left of a series counts from so many tolerances on, and is level, the noise of values, if
# its second half is no less than this part of the first. To know what is left takes more of it.
_COUNTS, _LEVEL, _SEEN = 50.0, 0.3, 3.0

# Nodes are numbered in a grid that holds all; they stay where no cardinal function exceeds this.
FINEST, _STABLE = 2**20, 4.0


class Basis(NamedTuple):
    """Functions that span all fibres: which points interpolate them, their values and series.

    ``values`` (n, r) are one at a point of ``nodes`` each, and zero at the others; ``series``
    (m, r) are their coefficients, chopped.
    """

    nodes: npt.NDArray[np.intp]
    values: Values
    series: Values

    def missing(self, fibres: Values) -> Values:
        """Return what interpolation leaves of fibres (n, p): the largest magnitude of each."""
        rest: Values = np.max(np.abs(fibres - self.values @ fibres[self.nodes]), axis=0)
        return rest


class Fibres:
    """Fibres of variable `k`, through anchors (p, d) of the unit box, at `n` points."""

    def __init__(
        self, ask: Sampler, k: int, anchors: Points, n: int = LEAST, *, stable: bool = False
    ) -> None:
        self.ask = ask
        self.k = k
        self.anchors = anchors
        self.n = n
        self.values = self.along(anchors)
        self.tried = self.count
        self.stable = stable
        self.nodes: npt.NDArray[np.intp] = np.empty(0, np.intp)

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
        """What the rounding of points makes of values: eps times the steepest slope seen.

        Points far from zero, of a small box, are rounded by more.
        """
        return float(np.max(self._roundings()))

    def _roundings(self) -> npt.NDArray[np.float64]:
        """Return what the rounding of points makes of values, between neighbours."""
        low, high = self.ask.domain[self.k]
        reach = max(abs(low), abs(high)) / ((high - low) / 2)
        slopes = np.abs(np.diff(self.values, axis=0)) / np.diff(self.points)[:, None]
        unit = float(np.finfo(self.values.dtype).eps)
        found: npt.NDArray[np.float64] = unit * max(1.0, float(reach)) * slopes
        return found

    def _noisy(self, tol: float) -> float:
        """Return the norm that a fibre may have and still be noise, or `tol` where that is more.

        Roundings are independent of one another: their norm counts, not their number.
        """
        roundings = self._roundings()
        largest = float(np.max(roundings))
        if largest == 0.0:
            return tol
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
        chosen = self._unspanned(asked, coarse, tol / math.sqrt(step))
        self.tried += anchors.shape[0] - chosen.size
        if chosen.size:
            anchors, asked = anchors[chosen], asked[:, chosen]
            others = self.along(anchors, self.points[~coarse])
            new = np.empty((self.n, chosen.size), np.result_type(asked, others))
            new[coarse], new[~coarse] = asked, others
            self.append(anchors, new)
        return None

    def _unspanned(
        self, fibres: Values, rows: npt.NDArray[np.bool_], tol: float
    ) -> npt.NDArray[np.intp]:
        """Return which of other fibres, known in some rows, these do not span there."""
        from scipy.linalg import qr

        q, _ = qr(self.values[rows], mode="economic", check_finite=False)
        rest = fibres - q @ (np.conj(q.T) @ fibres)
        triangle, order = qr(rest, mode="r", pivoting=True, check_finite=False)
        chosen: npt.NDArray[np.intp] = order[: int(np.sum(np.abs(np.diagonal(triangle)) > tol))]
        return chosen

    def refine(self) -> None:
        """Halve the distance of points: what is known stays known."""
        finer = 2 * self.n - 1
        new = self.along(self.anchors, points(finer)[1::2])
        values = np.empty((finer, self.count), np.result_type(new, self.values))
        values[::2], values[1::2] = self.values, new
        self.n, self.values = finer, values

    def pivots(self, tol: float) -> npt.NDArray[np.intp]:
        """Return which fibres span all of them up to `tol`, or noise: at least one."""
        from scipy.linalg import qr

        triangle, order = qr(self.values, mode="r", pivoting=True, check_finite=False)
        rank = int(np.sum(np.abs(np.diagonal(triangle)) > self._noisy(tol)))
        found: npt.NDArray[np.intp] = order[: max(rank, 1)]
        return found

    def keep(self, which: Any) -> None:
        """Forget all fibres but some."""
        self.anchors, self.values = self.anchors[which], self.values[:, which]
        self.tried = self.count

    def settle(self, tol: float) -> int | None:
        """Refine until all series end, up to `tol`; return where, None if none is in sight.

        Finer points show steeper slopes, and that some fibres are but noise: they are forgotten.
        """
        while True:
            c = coefficients(self.values, namespace(self.values))
            sizes = np.sum(np.abs(c), axis=1)
            largest = float(np.max(sizes))
            if largest <= tol:
                return 1
            end = chop(sizes, max(tol / largest, float(np.finfo(c.dtype).eps)))
            if end is not None:
                end = _further(np.abs(c), end, tol)
            if end is not None:
                return end
            if 2 * self.n - 1 > _MOST:
                return None
            self.refine()
            self.keep(self.pivots(tol))

    def basis(self, length: int) -> Basis:
        """Return what interpolates all fibres, by series of that length.

        Of `stable` fibres the nodes of the basis before are among its nodes, if they do as well.
        """
        from scipy.linalg import qr, solve

        q, _ = qr(self.values, mode="economic", check_finite=False)
        former = self.nodes[: self.nodes.size * self.stable] // (FINEST // (self.n - 1))
        for known in (former[: q.shape[1]], former[:0]):
            nodes = np.sort(row_pivots(q, known))
            values = solve(q[nodes].T, q.T, check_finite=False).T
            if float(np.max(np.abs(values))) <= _STABLE:
                break
        self.nodes = nodes * (FINEST // (self.n - 1))
        series = coefficients(values, namespace(values))[:length]
        return Basis(nodes, values, series)


def row_pivots(q: Values, known: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return as many rows as there are columns: `known` ones, and pivots of what these leave."""
    from scipy.linalg import qr

    spanned, _ = qr(np.conj(q[known].T), mode="economic", check_finite=False)
    rest = q - (q @ spanned) @ np.conj(spanned.T)
    _, order = qr(np.conj(rest.T), mode="r", pivoting=True, check_finite=False)
    found: npt.NDArray[np.intp] = np.concatenate([known, order[: q.shape[1] - known.size]])
    return found


def _further(sizes: npt.NDArray[np.float64], end: int, tol: float) -> int | None:
    """Return where series end that are said to end earlier, None if none is in sight.

    The rule that ends them takes one that falls slowly, that of a kink, for level. What is left
    of a series may only count where it is level, the noise of values.
    """
    n = sizes.shape[0]
    rest = np.max(np.cumsum(sizes[::-1], axis=0)[::-1], axis=1)
    if rest[end] <= _COUNTS * tol:
        return end
    half = (end + n) // 2
    if _SEEN * end <= n and np.max(sizes[half:]) > _LEVEL * np.max(sizes[end:half]):
        return end
    further = int(np.sum(rest > _COUNTS * tol))
    return further if _SEEN * further <= n else None
