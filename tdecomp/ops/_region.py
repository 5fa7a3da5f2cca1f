"""Regions of a tensor: which indices of each mode a caller wants to see."""

from __future__ import annotations

import operator
from typing import Any

import array_api_compat
import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp._xp import concrete, device, integers


def parts(region: Any, modes: int) -> tuple[Any, ...]:
    """Return one part for each mode: all of it, a slice, an int, or a list of indices."""
    if region is None:
        return (slice(None),) * modes
    if isinstance(region, slice):
        return (region,) + (slice(None),) * (modes - 1)
    if not isinstance(region, tuple) or hasattr(region, "_fields"):
        raise TypeError(
            "region must be None, a slice of the first mode, or a tuple with one entry for each "
            f"mode, got {type(region).__name__}"
        )
    if len(region) != modes:
        raise ValueError(
            f"region must have one entry for each of {modes} modes, got {len(region)}"
        )
    return region


def is_index(part: Any) -> bool:
    """Tell whether `part` names a single index, and so drops its mode."""
    return hasattr(part, "__index__") and getattr(part, "ndim", 0) == 0


def index_of(part: Any, size: int, mode: int | str) -> int:
    """Return a single index of a mode as a number between 0 and ``size - 1``.

    The mode is that of a region, or else what errors call the index.
    """
    name = mode if isinstance(mode, str) else f"region[{mode}]"
    if isinstance(part, bool):
        raise TypeError(f"{name} is a bool; pass a slice or indices")
    if not is_index(part):
        raise TypeError(f"{name} must be an int, got {part!r}")
    index = operator.index(part)
    if not -size <= index < size:
        raise ValueError(
            f"{name} must lie between {-size} and {size - 1} for a mode of size {size}, "
            f"got {index}"
        )
    return index % size


def restrict(x: Array, part: Any, axis: int, xp: Namespace, *, mode: int) -> Array:
    """Return what a slice or a list of indices keeps of a negative `axis` of `x`."""
    size = x.shape[axis]
    if isinstance(part, slice):
        start, stop, step = part.indices(size)
        if step > 0:
            trailing = (slice(None),) * (-axis - 1)
            return x[(..., slice(start, max(start, stop), step), *trailing)]
        part = np.arange(start, stop, step)
    return xp.take(x, indices_of(part, size, x, xp, name=f"region[{mode}]"), axis=axis)


def indices_of(part: Any, size: int, like: Array, xp: Namespace, *, name: str) -> Array:
    """Return a list of indices below `size`, none negative, in the library of `like`."""
    if array_api_compat.is_array_api_obj(part) and not isinstance(part, np.ndarray):
        index = part
    else:
        plain = np.asarray(part)
        if plain.dtype == np.uint64:  # else the largest would be negative
            plain = np.minimum(plain, np.uint64(np.iinfo(np.int64).max))
        integral = plain.dtype.kind in "iu" or plain.size == 0
        index = xp.asarray(plain.astype(np.int64) if integral else plain, device=device(like))
    if not xp.isdtype(index.dtype, "integral") or index.ndim != 1:
        raise TypeError(
            f"{name} must be a slice, an int or a 1-d array of ints, got an array of "
            f"{index.dtype} and shape {tuple(index.shape)}"
        )
    # Few bits hold neither the size of a mode nor the end that negative ones count from.
    index = xp.astype(index, integers(xp), copy=False)
    outside = xp.any((index < -size) | (index >= size)) if index.shape[0] else False
    if concrete(outside):
        raise ValueError(
            f"{name} has an index outside of {-size} ... {size - 1} for a mode of size {size}"
        )
    return xp.where(index < 0, index + size, index)
