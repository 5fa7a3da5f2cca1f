"""Nonnegative least squares by coordinate descent, row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from tdecomp._kernels._jit import kernel, routine


@routine
def descend(h: Any, g: Any, row: Any, passes: int) -> None:
    """Minimise ``d h d / 2 - g d`` over ``row + d >= 0``, one entry at a time; overwrites `g`.

    An entry without curvature has no slope either, and stays. A pass that changes nothing is the
    last.
    """
    rank = row.size
    for _ in range(passes):
        moved = False
        for r in range(rank):
            curvature = h[r, r]
            if curvature <= 0:
                continue
            change = max(row[r] + g[r] / curvature, row.dtype.type(0)) - row[r]
            if change != 0:
                moved = True
                row[r] += change
                for q in range(rank):
                    g[q] -= change * h[r, q]
        if not moved:
            break


@kernel
def nonnegative_rows(products: Any, gram: Any, passes: int, out: Any) -> None:
    """Descend from the rows of `out` (n, r) for one Gram matrix (r, r) and `products` (n, r)."""
    n, rank = out.shape
    for i in prange(n):
        row = out[i]
        g = np.empty(rank, out.dtype)
        for a in range(rank):
            total = products[i, a]
            for b in range(rank):
                total -= gram[a, b] * row[b]
            g[a] = total
        descend(gram, g, row, passes)
