"""Weights of entries: how much each is trusted, not at all where it is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp._xp import namespace, prepare, real_dtype


def elementwise(
    weights: Any, x: Array, shape: Sequence[int], xp: Namespace, *, name: str = "x"
) -> Array:
    """Validate weights without coordinates, in the `shape` and the real dtype of the data."""
    weights = nonnegative(weights, x, xp)
    try:
        return xp.broadcast_to(weights, tuple(shape))
    except (ValueError, RuntimeError):
        raise _misshapen(weights, shape, name) from None


def at_places(
    weights: Array, rows: Array, columns: Array, shape: Sequence[int], xp: Namespace, *, name: str
) -> Array:
    """Look up weights that `nonnegative` has seen, (m, n) or with a 1 for either, at places."""
    sizes = tuple(weights.shape)
    if any(size not in (1, whole) for size, whole in zip(sizes, shape, strict=True)):
        raise _misshapen(weights, shape, name)
    down, along = (int(size > 1) for size in sizes)
    place = rows * sizes[1] * down + columns * along
    return xp.take(xp.reshape(weights, (-1,)), place, axis=0)


def nonnegative(weights: Any, x: Array, xp: Namespace) -> Array:
    """Validate weights in the shape they have, in the real dtype of the data."""
    namespace(weights, x)
    _, weights = prepare(weights, ndim=0, batch=True, like=x, name="weights")
    if xp.isdtype(weights.dtype, "complex floating"):
        raise TypeError(f"weights must be real and nonnegative, got dtype {weights.dtype}")
    check_sign(weights, xp)
    return xp.astype(weights, real_dtype(x.dtype, xp))


def _misshapen(weights: Array, shape: Sequence[int], name: str) -> ValueError:
    return ValueError(
        f"weights of shape {tuple(weights.shape)} cannot be broadcast to {name} of shape "
        f"{tuple(shape)}"
    )


def check_sign(weights: Array, xp: Namespace, *, indices: Array | None = None) -> None:
    """Refuse a negative weight, and say where it is."""
    flat = xp.reshape(weights, (-1,))
    negative = xp.astype(flat < 0, xp.int32)
    if flat.shape[0] == 0 or not bool(xp.any(negative)):
        return
    first = int(xp.argmax(negative))
    if indices is not None:
        place = tuple(int(indices[k, first]) for k in range(indices.shape[0]))
    else:
        place = tuple(int(i) for i in np.unravel_index(first, tuple(weights.shape)))
    raise ValueError(
        f"weights must be nonnegative, got {float(flat[first])} at weights{list(place)}; a "
        "missing entry has weight 0"
    )
