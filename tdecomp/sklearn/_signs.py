"""Signs of components, which are otherwise free."""

from __future__ import annotations

import numpy as np

from tdecomp._typing import Array


def turned(rows: Array) -> Array:
    """Return the signs that make the entry of largest magnitude of each row positive."""
    pivots = np.take_along_axis(rows, np.abs(rows).argmax(axis=1, keepdims=True), axis=1)
    return np.where(pivots < 0, -1, 1).astype(rows.dtype)
