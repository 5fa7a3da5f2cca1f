"""A problem of sensing, validated and in units in which steps have a size of their own."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import check_callable, check_count
from tdecomp._random import signs
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, eps, equilibrate, finite, namespace, prepare
from tdecomp.completion.robust._measurements import (
    KINDS,
    EntryMeasurements,
    LinearMeasurements,
    MatrixMeasurements,
    Measurements,
    RankOneMeasurements,
)
from tdecomp.linalg._formats import LowRank

# Random signs that tell the size of what only two functions know.
_PROBES = 4
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

    def shown(self, left: Array, right: Array) -> LowRank:
        """Return the product in the units of the data."""
        return LowRank(left * self.root, right * self.root)


def sensing(y: Any, measurements: Any) -> Sensing:
    """Validate measurements and the map they come from, and bring both to safe scales."""
    operator, down, like = _operator(measurements)
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
            y, operator = xp.astype(y, dtype), _cast(operator, dtype, xp)
    y, up = equilibrate(y, xp, axis=(0,))
    up = float(xp.max(xp.abs(up)))
    if not isinstance(measurements, LinearMeasurements):
        energy = _energy(operator, xp)
    else:
        energy = _probed(operator, y, xp)
    if not energy > 0:
        raise ValueError("measurements are all zero: they tell nothing")
    return Sensing(y, operator, energy, math.sqrt(up) / math.sqrt(down), up, xp)


def _operator(measurements: Any) -> tuple[Measurements, float, Array | None]:
    """Return the map, by what power of two it was made smaller, and an array of its library."""
    if isinstance(measurements, LinearMeasurements):
        check_callable(measurements.forward, name="measurements.forward")
        check_callable(measurements.backward, name="measurements.backward")
        shape = _shape(measurements.shape)
        size = check_count(measurements.size, name="measurements.size", least=1)
        return measurements._replace(shape=shape, size=size), 1.0, None
    if isinstance(measurements, EntryMeasurements):
        return _entries(measurements), 1.0, None
    if isinstance(measurements, RankOneMeasurements):
        return _rank_one(measurements)
    stack = measurements.matrices if isinstance(measurements, KINDS) else measurements
    xp, stack = prepare(stack, ndim=3, name="measurements")
    stack, scale = equilibrate(stack, xp, axis=(0, 1, 2))
    return MatrixMeasurements(stack), float(xp.max(xp.abs(scale))), stack


def _shape(shape: Any) -> tuple[int, int]:
    """Return the shape of a matrix."""
    lengths = tuple(shape) if isinstance(shape, tuple | list) else ()
    if len(lengths) != 2:
        raise ValueError(f"measurements.shape must be a pair (m, n), got {shape!r}")
    m, n = (check_count(k, name=f"measurements.shape[{i}]", least=1) for i, k in enumerate(shape))
    return m, n


def _entries(measurements: EntryMeasurements) -> EntryMeasurements:
    """Refuse places that are none."""
    shape, places = _shape(measurements.shape), measurements.indices
    xp = namespace(places)
    places = xp.asarray(places)
    if places.ndim != 2 or places.shape[0] != 2 or not places.shape[1]:
        raise ValueError(f"measurements.indices must have shape (2, p), got {tuple(places.shape)}")
    if not xp.isdtype(places.dtype, "integral"):
        raise TypeError(f"measurements.indices must be integers, got {places.dtype}")
    for mode, n in enumerate(shape):
        low, high = int(xp.min(places[mode, ...])), int(xp.max(places[mode, ...]))
        if low < 0 or high >= n:
            raise ValueError(
                f"measurements.indices[{mode}] must lie between 0 and {n - 1}, got "
                f"{low if low < 0 else high}"
            )
    return EntryMeasurements(xp.astype(places, xp.asarray(0).dtype), shape)


def _rank_one(
    measurements: RankOneMeasurements,
) -> tuple[RankOneMeasurements, float, Array]:
    """Bring both vectors of each form to unit scale."""
    like = next((x for x in measurements if hasattr(x, "dtype")), None)
    scale, sides = 1.0, []
    for side, name in zip(measurements, ("left", "right"), strict=True):
        xp, x = prepare(side, ndim=2, like=like, name=f"measurements.{name}")
        x, unit = equilibrate(x, xp, axis=(0, 1))
        scale *= float(xp.max(xp.abs(unit)))
        sides.append(x)
    xp = namespace(*sides)
    if sides[0].shape[0] != sides[1].shape[0]:
        raise ValueError(
            "measurements.left and right must have one row for each measurement, got shapes "
            f"{tuple(sides[0].shape)} and {tuple(sides[1].shape)}"
        )
    dtype = xp.result_type(*sides)
    sides = [xp.astype(x, dtype) for x in sides]
    return RankOneMeasurements(*sides), scale, sides[0]


def _cast(operator: Measurements, dtype: Any, xp: Namespace) -> Measurements:
    """Bring the arrays of a map to the common dtype."""
    if isinstance(operator, RankOneMeasurements):
        return RankOneMeasurements(*(xp.astype(x, dtype, copy=False) for x in operator))
    assert isinstance(operator, MatrixMeasurements)
    return MatrixMeasurements(xp.astype(operator.matrices, dtype, copy=False))


def _energy(operator: Measurements, xp: Namespace) -> float:
    """Return the mean squared magnitude of all entries of all matrices of a map."""
    if isinstance(operator, EntryMeasurements):
        return 1 / math.prod(operator.shape)
    if isinstance(operator, RankOneMeasurements):
        squares = [xp.sum(xp.abs(x) ** 2, axis=1) for x in operator]
        return float(xp.mean(squares[0] * squares[1])) / math.prod(operator.shape)
    assert isinstance(operator, MatrixMeasurements)
    norm = float(xp.linalg.vector_norm(operator.matrices))
    return norm**2 / operator.size / math.prod(operator.shape)


def _probed(operator: Measurements, y: Array, xp: Namespace) -> float:
    """Estimate that mean from random signs: exact where every entry is seen by itself."""
    rng = np.random.default_rng(0)
    eye = xp.eye(operator.shape[1], dtype=y.dtype, device=device(y))
    total = 0.0
    for _ in range(_PROBES):
        seen = operator.measure(signs(rng, operator.shape, y, xp), eye)
        if tuple(getattr(seen, "shape", ())) != tuple(y.shape):
            raise ValueError(
                f"measurements.forward must return shape {tuple(y.shape)}, got "
                f"{tuple(getattr(seen, 'shape', ()))}"
            )
        finite(seen, xp, name="measurements.forward(x)")
        total += float(xp.linalg.vector_norm(seen)) ** 2
    back = operator.adjoint(y)
    if tuple(getattr(back, "shape", ())) != operator.shape:
        raise ValueError(
            f"measurements.backward must return shape {operator.shape}, got "
            f"{tuple(getattr(back, 'shape', ()))}"
        )
    return total / _PROBES / operator.size / math.prod(operator.shape)


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


def rounding(problem: Sensing) -> float:
    """Return the relative residual that is rounding."""
    return 8.0 * eps(problem.y.dtype, problem.xp)
