"""Maps of measurements as a caller gives them, validated and at unit scale."""

from __future__ import annotations

from typing import Any

from tdecomp._errors import check_callable, check_count
from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import equilibrate, integers, namespace, prepare
from tdecomp.completion.robust._measurements import (
    EntryMeasurements,
    LinearMeasurements,
    MatrixMeasurements,
    Measurements,
    RankOneMeasurements,
)


def checked_map(measurements: Any) -> tuple[Measurements, float, Array | None]:
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
    stacked = isinstance(measurements, MatrixMeasurements)
    stack = measurements.matrices if stacked else measurements
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
    return EntryMeasurements(xp.astype(places, integers(xp)), shape)


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


def cast(operator: Measurements, dtype: DType, xp: Namespace) -> Measurements:
    """Bring the arrays of a map to the common dtype."""
    if isinstance(operator, RankOneMeasurements):
        return RankOneMeasurements(*(xp.astype(x, dtype, copy=False) for x in operator))
    assert isinstance(operator, MatrixMeasurements)
    return MatrixMeasurements(xp.astype(operator.matrices, dtype, copy=False))
