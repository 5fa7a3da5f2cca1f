"""Inverses of small matrices, by Gauss-Jordan elimination with partial pivoting.

In panels of eight columns: what lies beside a panel is updated by one product of registers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tdecomp._kernels._jit import routine
from tdecomp._kernels._tile import ROWS, tile

PANEL = 8
_ROWS1, _ROWS2 = ROWS[1], ROWS[2]
_add1, _add2 = tile(_ROWS1, 1), tile(_ROWS2, 2)


@routine
def add_product(
    a: Any, da: int, dp: int, b: Any, b0: int, depth: int, c: Any, count: int, width: int, n: int,
    lanes: int,
) -> None:  # fmt: skip
    """Add to `c` (count, width) the product of a panel `a` and `depth` rows of `b`; see `tile`.

    Rows of `b` and `c` are `n` entries apart.
    """
    j = 0
    while j < width:
        if j + 2 * lanes <= width:
            for i in range(0, count, _ROWS2):
                _add2(a, i * da, da, dp, b, b0 + j, n, depth, c, i * n + j, n, 0, 0)
            j += 2 * lanes
        else:
            for i in range(0, count, _ROWS1):
                _add1(a, i * da, da, dp, b, b0 + j, n, depth, c, i * n + j, n, 0, 0)
            j += lanes


@routine
def _swap(w: Any, first: int, second: int) -> None:
    """Exchange two rows."""
    for j in range(w.shape[1]):
        kept = w[first, j]
        w[first, j] = w[second, j]
        w[second, j] = kept


@routine
def _swap_columns(x: Any, first: int, second: int) -> None:
    """Exchange two columns."""
    for q in range(x.shape[0]):
        kept = x[q, first]
        x[q, first] = x[q, second]
        x[q, second] = kept


@routine
def _eliminate(
    panel: Any, factors: Any, start: int, w: Any, order: Any, lanes: int
) -> bool:  # fmt: skip
    """Eliminate the columns of `w` from `start` on, which are the rows of `panel` (PANEL, n).

    Row c of `factors` tells by what the row of pivot c is to be multiplied and added to others,
    and at its own place the inverse of the pivot.
    """
    n = w.shape[0]
    entries = np.empty(PANEL, w.dtype)
    flat_panel, flat_factors = panel.reshape(-1), factors.reshape(-1)
    for c in range(PANEL):
        k = start + c
        p, largest = k, abs(panel[c, k])
        for i in range(k + 1, n):
            size = abs(panel[c, i])
            if size > largest:
                p, largest = i, size
        if not largest > 0:
            return False
        if p != k:
            _swap(w, k, p)
            _swap_columns(panel, k, p)
            _swap_columns(factors[:c], k, p)
            kept = order[k]
            order[k] = order[p]
            order[p] = kept
        inverse = 1 / panel[c, k]
        for i in range(n):
            factors[c, i] = -panel[c, i]
        factors[c, k] = inverse
        for q in range(PANEL):
            entries[q] = panel[q, k] * inverse
        entries[c] = inverse
        for i in range(n):
            panel[c, i] = 0
        add_product(entries, 1, 1, flat_factors, c * n, 1, flat_panel, PANEL, n, n, lanes)
        for q in range(PANEL):
            panel[q, k] = entries[q]
    return True


@routine
def _reduce(rows: Any, factors: Any, start: int) -> None:
    """Make `rows` those of the pivots at their time; what is done is taken from the `factors`.

    One after the other: as stable as elimination without panels. Their product with the inverse
    of the block of pivots is not, where that block is worse conditioned than the matrix.
    """
    n = rows.shape[1]
    for c in range(PANEL):
        for b in range(c):
            factor = factors[b, start + c]
            factors[b, start + c] = 0
            for j in range(n):
                rows[c, j] += factor * rows[b, j]
        inverse = factors[c, start + c]
        factors[c, start + c] = 0
        for j in range(n):
            rows[c, j] *= inverse


@routine
def invert(w: Any, panel: Any, factors: Any, rows: Any, order: Any, lanes: int) -> bool:
    """Overwrite `w` (n, n) by its inverse, of which column ``order[j]`` comes to be ``w[:, j]``.

    The side is a multiple of `PANEL` and of `lanes`; the other arrays, (PANEL, n), are room to
    work in. False if a column has no pivot.
    """
    n = w.shape[0]
    for i in range(n):
        order[i] = i
    for start in range(0, n, PANEL):
        for i in range(n):
            for q in range(PANEL):
                panel[q, i] = w[i, start + q]
        if not _eliminate(panel, factors, start, w, order, lanes):
            return False
        for q in range(PANEL):
            for j in range(n):
                rows[q, j] = w[start + q, j]
        _reduce(rows, factors, start)
        for q in range(PANEL):
            for j in range(n):
                w[start + q, j] = rows[q, j]
        add_product(
            factors.reshape(-1), 1, n, rows.reshape(-1), 0, PANEL, w.reshape(-1), n, n, n, lanes
        )  # fmt: skip
        for i in range(n):
            for q in range(PANEL):
                w[i, start + q] = panel[q, i]
    return True
