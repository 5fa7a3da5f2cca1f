"""Random arrays like another array, drawn by NumPy: a seed means one thing everywhere.

Every draw is made in float64 on the host, then moved: the same `rng` gives the same numbers,
rounded, on every library, device and precision.
"""

from __future__ import annotations

import math
import sys

import numpy as np

from tdecomp._errors import check_count
from tdecomp._typing import Array, Namespace, Seed
from tdecomp._xp import device


def generator(rng: Seed) -> np.random.Generator:
    """Return the generator that `rng` names: an int seeds one, None draws fresh entropy."""
    if isinstance(rng, np.random.Generator):
        return rng
    if rng is None:
        return np.random.default_rng()
    if not isinstance(rng, int | np.integer) or isinstance(rng, bool):
        raise TypeError(
            f"rng must be an int, a numpy.random.Generator or None, got {type(rng).__name__}"
        )
    return np.random.default_rng(check_count(rng, name="rng"))


def like(values: np.ndarray, array: Array, xp: Namespace) -> Array:
    """Move host `values` to the dtype and device of `array`."""
    target = str(array.dtype).rsplit(".", maxsplit=1)[-1]
    values = values.astype(target)
    if xp.__name__ == "jax.numpy":  # whose `asarray` is a program of its own for each shape
        moved: Array = sys.modules["jax"].device_put(values, device(array))
        return moved
    return xp.asarray(values, device=device(array))


def normal(rng: np.random.Generator, shape: tuple[int, ...], array: Array, xp: Namespace) -> Array:
    """Draw standard Gaussian entries (circular ones for complex `array`)."""
    values = rng.standard_normal(shape)
    if xp.isdtype(array.dtype, "complex floating"):
        values = (values + 1j * rng.standard_normal(shape)) / math.sqrt(2.0)
    return like(values, array, xp)


def signs(rng: np.random.Generator, shape: tuple[int, ...], array: Array, xp: Namespace) -> Array:
    """Draw entries that are 1 or -1 with equal probability."""
    return like(2.0 * rng.integers(0, 2, size=shape) - 1.0, array, xp)


def indices(
    rng: np.random.Generator, high: int, size: int, array: Array, xp: Namespace, *, replace: bool
) -> Array:
    """Draw `size` integers below `high`, distinct ones unless `replace`."""
    drawn = rng.integers(0, high, size=size) if replace else rng.permutation(high)[:size]
    return xp.asarray(drawn, device=device(array))
