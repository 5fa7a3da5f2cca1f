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

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tdecomp._xp import namespace
from tdecomp.chebyshev._chop import LEAST, chop
from tdecomp.chebyshev._points import points
from tdecomp.chebyshev._sampler import Points, Sampler, Values
from tdecomp.chebyshev._transform import coefficients

# No fibre is asked at more points.
_MOST = 2**16 + 1


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

    def __init__(self, ask: Sampler, k: int, anchors: Points) -> None:
        self.ask = ask
        self.k = k
        self.anchors = anchors
        self.n = LEAST
        self.values = self.along(anchors)

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
        low, high = self.ask.domain[self.k]
        reach = max(abs(low), abs(high)) / ((high - low) / 2)
        slopes = np.abs(np.diff(self.values, axis=0)) / np.diff(self.points)[:, None]
        unit = float(np.finfo(self.values.dtype).eps)
        return unit * max(1.0, float(reach)) * float(np.max(slopes))

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

    def refine(self) -> None:
        """Halve the distance of points: what is known stays known."""
        finer = 2 * self.n - 1
        new = self.along(self.anchors, points(finer)[1::2])
        values = np.empty((finer, self.count), np.result_type(new, self.values))
        values[::2], values[1::2] = self.values, new
        self.n, self.values = finer, values

    def pivots(self, tol: float) -> npt.NDArray[np.intp]:
        """Return which fibres span all of them up to `tol`: at least one."""
        from scipy.linalg import qr

        triangle, order = qr(self.values, mode="r", pivoting=True, check_finite=False)
        rank = int(np.sum(np.abs(np.diagonal(triangle)) > tol))
        found: npt.NDArray[np.intp] = order[: max(rank, 1)]
        return found

    def keep(self, which: Any) -> None:
        """Forget all fibres but some."""
        self.anchors, self.values = self.anchors[which], self.values[:, which]

    def settle(self, tol: float) -> int | None:
        """Refine until all series end, up to `tol`; return where, None if none is in sight."""
        while True:
            c = coefficients(self.values, namespace(self.values))
            sizes = np.sum(np.abs(c), axis=1)
            largest = float(np.max(sizes))
            if largest == 0.0:
                return 1
            end = chop(sizes, max(tol / largest, float(np.finfo(c.dtype).eps)))
            if end is not None:
                return end
            if 2 * self.n - 1 > _MOST:
                return None
            self.refine()

    def basis(self, length: int) -> Basis:
        """Return what interpolates all fibres, by series of that length."""
        from scipy.linalg import qr, solve

        q, _ = qr(self.values, mode="economic", check_finite=False)
        _, order = qr(np.conj(q.T), mode="r", pivoting=True, check_finite=False)
        nodes = np.sort(order[: q.shape[1]])
        values = solve(q[nodes].T, q.T, check_finite=False).T
        series = coefficients(values, namespace(values))[:length]
        return Basis(nodes, values, series)
