"""Arrays at unit scale, whose squares stay in the range of numbers."""

from __future__ import annotations

import numpy as np

from tdecomp._typing import Array


def to_unit(x: Array) -> tuple[Array, int]:
    """Return an array with its largest magnitude in [1, 2), and the power of two it is to have."""
    exponent = int(np.frexp(np.abs(x).max())[1]) - 1
    return np.ldexp(x, -exponent), exponent


def lengths(x: Array, axis: int | None = None) -> Array:
    """Return norms along an axis, or of the whole, whatever the scale."""
    unit, exponent = to_unit(x)
    return np.ldexp(np.linalg.norm(unit, axis=axis), exponent)
