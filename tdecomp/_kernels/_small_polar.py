"""Polar factors of many small matrices, by Newton's method in the nearest cache.

Inverses come from Gauss-Jordan elimination with partial pivoting, in panels of eight columns: what
lies beside a panel is updated by one product of registers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from tdecomp._kernels._jit import kernel, routine
from tdecomp._kernels._tile import ROWS, tile

PANEL = 8
_CHUNKS = 64
_MAX_ITER = 30
# After a step below this, relative and squared, products go on, and how many times at most.
_CLOSE, _LAST = 1e-4, 4
# The largest product of the norms of a matrix and its inverse, in units of 1 / eps.
_REGULAR = 0.1
_ROWS1, _ROWS2 = ROWS[1], ROWS[2]
_add1, _add2 = tile(_ROWS1, 1), tile(_ROWS2, 2)


@routine
def _add_product(
    a: Any, da: int, dp: int, b: Any, b0: int, depth: int, c: Any, count: int, n: int, lanes: int
) -> None:  # fmt: skip
    """Add to `c` (count, n) the product of a panel `a` and `depth` rows of `b`; see `tile`."""
    j = 0
    while j < n:
        if j + 2 * lanes <= n:
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
        _add_product(entries, 1, 1, flat_factors, c * n, 1, flat_panel, PANEL, n, lanes)
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
        _add_product(
            factors.reshape(-1), 1, n, rows.reshape(-1), 0, PANEL, w.reshape(-1), n, n, lanes
        )  # fmt: skip
        for i in range(n):
            for q in range(PANEL):
                w[i, start + q] = panel[q, i]
    return True


@routine
def _energy(x: Any, sums: Any) -> float:
    """Return the sum of all squares."""
    n = x.shape[0]
    for j in range(n):
        sums[j] = 0
    for i in range(n):
        for j in range(n):
            sums[j] += x[i, j] * x[i, j]
    return float(sums[:n].sum())


@routine
def _bound(x: Any, sums: Any) -> float:
    """Return at least the largest singular value: the root of the product of two norms."""
    n = x.shape[0]
    for j in range(n):
        sums[j] = 0
    widest = 0.0
    for i in range(n):
        total = x.dtype.type(0)
        for j in range(n):
            size = abs(x[i, j])
            total += size
            sums[j] += size
        widest = max(widest, float(total))
    return float(np.sqrt(widest * float(sums[:n].max())))


@routine
def _step(
    x: Any, w: Any, rows: Any, order: Any, p: Any, q: Any, changes: Any, squares: Any
) -> None:  # fmt: skip
    """Overwrite `x` by ``p * x + q * inv(x).T``; add squares of changes, and of entries.

    Columns of the inverse become rows eight at a time, as many as a line of memory holds.
    """
    n = x.shape[0]
    for i in range(n):
        changes[i] = 0
        squares[i] = 0
    for start in range(0, n, PANEL):
        for i in range(n):
            for k in range(PANEL):
                rows[k, i] = w[i, start + k]
        for k in range(PANEL):
            row = order[start + k]
            for i in range(n):
                old = x[row, i]
                new = p * old + q * rows[k, i]
                changes[i] += (new - old) * (new - old)
                squares[i] += new * new
                x[row, i] = new


@routine
def _schulz(x: Any, w: Any, y: Any, eps: float, lanes: int) -> None:
    """Overwrite `x`, nearly orthogonal, by its orthogonal polar factor, in products alone.

    ``x (3 - x^T x) / 2`` squares what is missing, as Newton's step does, and rounds less.
    """
    n = x.shape[0]
    flat_x, flat_w, flat_y = x.reshape(-1), w.reshape(-1), y.reshape(-1)
    for _ in range(_LAST):
        for i in range(n):
            for j in range(n):
                w[i, j] = 0
                y[i, j] = 0
            w[i, i] = -3
        _add_product(flat_x, 1, n, flat_x, 0, n, flat_w, n, n, lanes)
        missing = 0.0
        for i in range(n):
            missing += (w[i, i] + 2) * (w[i, i] + 2)
            for j in range(i):
                missing += 2 * w[i, j] * w[i, j]
        _add_product(flat_x, n, 1, flat_w, 0, n, flat_y, n, n, lanes)
        for i in range(n):
            for j in range(n):
                x[i, j] = y[i, j] / -2
        if missing <= eps:
            break


@routine
def _newton(
    x: Any, w: Any, y: Any, panel: Any, factors: Any, rows: Any, order: Any, sums: Any,
    squares: Any, eps: float, lanes: int,
) -> bool:  # fmt: skip
    """Overwrite `x` by its orthogonal polar factor; False for a matrix that is nearly singular."""
    n = x.shape[0]
    factor = 1.0
    for iteration in range(_MAX_ITER):
        for i in range(n):
            for j in range(n):
                w[i, j] = x[i, j]
        if not invert(w, panel, factors, rows, order, lanes):
            return False
        following = 1.0
        if iteration == 0:
            energy, inverse = _energy(x, sums), _energy(w, sums)
            if not energy * inverse * (eps / _REGULAR) ** 2 < 1:
                return False
            high = min(_bound(x, sums), np.sqrt(energy))
            low = 1 / min(_bound(w, sums), np.sqrt(inverse))
            mean = np.sqrt(high * low)
            factor, following = 1 / mean, np.sqrt(2 * mean / (high + low))
        else:
            following = 1 / np.sqrt((factor + 1 / factor) / 2)
        p, q = x.dtype.type(factor / 2), x.dtype.type(1 / (2 * factor))
        _step(x, w, rows, order, p, q, sums, squares)
        change, size = float(sums[:n].sum()), float(squares[:n].sum())
        if change <= 2 * eps * np.sqrt(size):
            return True
        if change <= _CLOSE * size:
            _schulz(x, w, y, eps, lanes)
            return True
        factor = following
    return False


@kernel
def small_polar(a: Any, u: Any, h: Any, ok: Any, eps: float, lanes: int) -> None:
    """Write the polar factors of square matrices `a` (N, n, n) to `u` and `h`.

    ``ok`` (N) tells of which: a matrix that is singular, or nearly, is left to others. Squares of
    entries must be safe. Iterations are scaled by Byers' and Xu's bounds.
    """
    count, n = a.shape[0], a.shape[1]
    unit = max(PANEL, lanes)
    size = (n + unit - 1) // unit * unit
    chunks = min(count, _CHUNKS)
    for chunk in prange(chunks):
        given = np.zeros((size, size), a.dtype)
        x, w, y = np.empty_like(given), np.empty_like(given), np.empty_like(given)
        panel = np.empty((PANEL, size), a.dtype)
        factors, rows = np.empty_like(panel), np.empty_like(panel)
        sums, squares = np.empty(size, a.dtype), np.empty(size, a.dtype)
        order = np.empty(size, np.int64)
        for b in range(count * chunk // chunks, count * (chunk + 1) // chunks):
            total = a.dtype.type(0)
            for i in range(n):
                for j in range(n):
                    given[i, j] = a[b, i, j]
                    total += a[b, i, j] * a[b, i, j]
            # What fills whole panels is a multiple of the identity among the singular values.
            for i in range(n, size):
                given[i, i] = np.sqrt(total / n)
            for i in range(size):
                for j in range(size):
                    x[i, j] = given[i, j]
            ok[b] = _newton(x, w, y, panel, factors, rows, order, sums, squares, eps, lanes)
            if not ok[b]:
                continue
            for i in range(size):
                for j in range(size):
                    w[i, j] = 0
            flat_x, flat_given, flat_w = x.reshape(-1), given.reshape(-1), w.reshape(-1)
            _add_product(flat_x, 1, size, flat_given, 0, size, flat_w, size, size, lanes)
            for i in range(n):
                for j in range(n):
                    u[b, i, j] = x[i, j]
                    h[b, i, j] = (w[i, j] + w[j, i]) / 2
