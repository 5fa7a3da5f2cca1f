"""What curves of singular values share: validation, gaps for zeros, where the axis ends."""

from __future__ import annotations

from typing import Any

import numpy as np

from tdecomp._xp import floats
from tdecomp.plot._style import Values

# Nearly every spectrum of weights ends in a cliff that says nothing about rank.
_MOST = 0.97


def checked(s: Any, name: str) -> Values:
    """Return a spectrum as a NumPy array in double precision."""
    if getattr(s, "ndim", 1) != 1:
        raise ValueError(f"{name} must have one axis, got shape {tuple(s.shape)}")
    values = np.asarray(floats(s) if hasattr(s, "shape") else s, dtype=np.float64)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"{name} must be a vector of singular values, got shape {values.shape}")
    if not np.all(np.isfinite(values)) or values[-1] < 0 or np.any(np.diff(values) > 0):
        raise ValueError(f"{name} must be finite, nonnegative and descending")
    return values


def logarithmic(y: Values) -> Values:
    """Leave gaps for zeros."""
    return np.where(y > 0, y, np.nan)


def bottom(curves: list[Values], marks: list[float], floor: float) -> float:
    """Return where a logarithmic axis ends: below all marks and most values, above rounding."""
    most = [float(y[int(_MOST * (y.size - 1))]) for y in curves]
    least = max(min((y for y in most if y > 0), default=1.0), floor)
    return 0.6 * min([least, *(mark for mark in marks if mark > 0)])
