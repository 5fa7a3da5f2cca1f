"""A problem of sensing, in units in which steps have a size of their own."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tdecomp._iterate import Fit, Status
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, equilibrate, namespace, prepare
from tdecomp.completion._units import rounding
from tdecomp.completion.robust._checked import cast, checked_map
from tdecomp.completion.robust._energy import energy, unit_map
from tdecomp.completion.robust._measurements import (
    EntryMeasurements,
    LinearMeasurements,
    Measurements,
)
from tdecomp.linalg._formats import LowRank

# The median of the magnitude of a standard normal number.
_MEDIAN = 0.67448975


class Sensing(NamedTuple):
    """Measurements at unit scale.

    `energy` is the mean squared norm of the matrices of the map over the number of their entries:
    what a standard normal map has as the variance of its entries. The matrix that is sought is
    that of this problem times the square of `root`, the data are `y` times `scale`.
    """

    y: Array
    operator: Measurements
    energy: float
    root: float
    scale: float
    xp: Namespace

    @property
    def weight(self) -> float:
        """What makes the map times its adjoint the identity, on average."""
        return 1 / (self.operator.size * self.energy)

    def residual(self, left: Array, right: Array) -> Array:
        """Return what a product measures less what was measured."""
        return self.operator.measure(left, right) - self.y

    def in_units(self, unit: float) -> Sensing:
        """Return the problem whose matrix is smaller by a factor."""
        return self._replace(
            y=self.y / unit, root=self.root * math.sqrt(unit), scale=self.scale * unit
        )

    @property
    def vanishes(self) -> bool:
        """Tell whether nothing but zeros was measured."""
        return not bool(self.xp.any(self.y != 0))

    def is_rounding(self, back: Array) -> bool:
        """Tell whether the weighted adjoint of the data is no more than its own rounding."""
        norm = self.xp.linalg.vector_norm
        most = float(norm(self.y)) * math.sqrt(self.weight * math.prod(self.operator.shape))
        return float(norm(back)) <= rounding(self.y.dtype, self.xp) * most

    def nothing(self, rank: int, error: float) -> Fit[LowRank]:
        """Return the matrix of zeros as what solves the problem, up to an error."""
        left, right = (
            self.xp.zeros((n, rank), dtype=self.y.dtype, device=device(self.y))
            for n in self.operator.shape
        )
        low = LowRank(left, self.xp.matrix_transpose(right))
        return Fit(low, error, 0, Status.CONVERGED)

    def shown(self, left: Array, right: Array) -> LowRank:
        """Return the product in the units of the data."""
        return LowRank(left * self.root, right * self.root)


def sensing(y: Any, measurements: Any) -> Sensing:
    """Validate measurements and the map they come from, and bring both to safe scales."""
    operator, down, like = checked_map(measurements)
    xp, y = prepare(y, ndim=1, like=like, name="y")
    if y.shape[0] != operator.size:
        raise ValueError(
            f"y must have shape ({operator.size},), one number for each measurement, got "
            f"{tuple(y.shape)}"
        )
    if like is not None:
        namespace(y, like)
        if not isinstance(operator, EntryMeasurements):
            dtype = xp.result_type(y, like)
            y, operator = xp.astype(y, dtype), cast(operator, dtype, xp)
    y, up = equilibrate(y, xp, axis=(0,))
    up = float(xp.max(xp.abs(up)))
    if isinstance(operator, LinearMeasurements):
        operator, down = unit_map(operator, y, xp)
    mean = energy(operator, y, xp)
    if not mean > 0:
        raise ValueError("measurements are all zero: they tell nothing")
    return Sensing(y, operator, mean, math.sqrt(up) / math.sqrt(down), up, xp)


def typical_size(problem: Sensing) -> float:
    """Estimate the Frobenius norm of the matrix, whatever fewer than half of the numbers are.

    A normal map of variance one makes normal numbers of it, whose median magnitude is known.
    """
    xp = problem.xp
    sizes = xp.sort(xp.abs(problem.y))
    middle = float(sizes[sizes.shape[0] // 2])
    if middle > 0:
        return middle / (_MEDIAN * math.sqrt(problem.energy))
    return float(xp.mean(sizes)) / math.sqrt(problem.energy)
