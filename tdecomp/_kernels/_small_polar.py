"""Polar factors of many small matrices, by Newton's method and products in the nearest cache.

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
# The largest product of the norms of a matrix and its inverse, in units of 1 / eps.
_REGULAR = 0.1
_ROWS1, _ROWS2 = ROWS[1], ROWS[2]
_add1, _add2 = tile(_ROWS1, 1), tile(_ROWS2, 2)


@routine
def _add_product(
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
        _add_product(entries, 1, 1, flat_factors, c * n, 1, flat_panel, PANEL, n, n, lanes)
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
            factors.reshape(-1), 1, n, rows.reshape(-1), 0, PANEL, w.reshape(-1), n, n, n, lanes
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
def _step(x: Any, w: Any, rows: Any, order: Any, p: Any, q: Any) -> None:
    """Overwrite `x` by ``p * x + q * inv(x).T``.

    Columns of the inverse become rows eight at a time, as many as a line of memory holds.
    """
    n = x.shape[0]
    for start in range(0, n, PANEL):
        for i in range(n):
            for k in range(PANEL):
                rows[k, i] = w[i, start + k]
        for k in range(PANEL):
            row = order[start + k]
            for i in range(n):
                x[row, i] = p * x[row, i] + q * rows[k, i]


@routine
def _multiply(a: Any, b: Any, c: Any, lanes: int) -> None:
    """Overwrite `c` by ``a @ b``."""
    n = c.shape[0]
    for i in range(n):
        for j in range(n):
            c[i, j] = 0
    _add_product(a.reshape(-1), n, 1, b.reshape(-1), 0, n, c.reshape(-1), n, n, n, lanes)


@routine
def _multiply_symmetric(a: Any, b: Any, c: Any, lanes: int) -> None:
    """Overwrite `c` by ``a.T @ b``, which is symmetric: from the diagonal on, mirrored."""
    n = c.shape[0]
    flat_a, flat_b, flat_c = a.reshape(-1), b.reshape(-1), c.reshape(-1)
    for i in range(n):
        for j in range(n):
            c[i, j] = 0
    for start in range(0, n, PANEL):
        first = start // lanes * lanes
        part = flat_c[start * n + first :]
        _add_product(flat_a[start:], 1, n, flat_b, first, n, part, PANEL, n - first, n, lanes)
    for i in range(n):
        for j in range(i):
            c[i, j] = c[j, i]


@routine
def _polish(x: Any, w: Any, y: Any, polynomials: Any, lanes: int) -> None:
    """Apply odd polynomials (steps, 3) of degree three and five to the singular values of `x`."""
    n = x.shape[0]
    for step in range(polynomials.shape[0]):
        first, third, fifth = polynomials[step]
        _multiply_symmetric(x, x, w, lanes)
        if fifth != 0:
            _multiply_symmetric(w, w, y, lanes)
            for i in range(n):
                for j in range(n):
                    w[i, j] = third * w[i, j] + fifth * y[i, j]
        else:
            for i in range(n):
                for j in range(n):
                    w[i, j] *= third
        for i in range(n):
            w[i, i] += first
        _multiply(x, w, y, lanes)
        for i in range(n):
            for j in range(n):
                x[i, j] = y[i, j]


@routine
def _newton(
    x: Any, w: Any, panel: Any, factors: Any, rows: Any, order: Any, sums: Any, eps: float,
    upper: float, lanes: int,
) -> bool:  # fmt: skip
    """Bring the singular values of `x` into ``[1, upper]``; False if it is nearly singular.

    With Byers' and Xu's scaling, from bounds on, all of them are known to be there.
    """
    n = x.shape[0]
    largest, factor = np.inf, 1.0
    while largest > upper:
        for i in range(n):
            for j in range(n):
                w[i, j] = x[i, j]
        if not invert(w, panel, factors, rows, order, lanes):
            return False
        if largest == np.inf:
            energy, inverse = _energy(x, sums), _energy(w, sums)
            if not energy * inverse * (eps / _REGULAR) ** 2 < 1:
                return False
            high = min(_bound(x, sums), np.sqrt(energy))
            low = 1 / min(_bound(w, sums), np.sqrt(inverse))
            factor = 1 / np.sqrt(high * low)
            largest = (np.sqrt(high / low) + np.sqrt(low / high)) / 2
        else:
            factor = 1 / np.sqrt(largest)
            largest = (factor + 1 / factor) / 2
        _step(x, w, rows, order, x.dtype.type(factor / 2), x.dtype.type(1 / (2 * factor)))
    return True


@kernel
def small_polar(
    a: Any, u: Any, h: Any, ok: Any, eps: float, upper: float, polynomials: Any, lanes: int
) -> None:  # fmt: skip
    """Write the polar factors of square matrices `a` (N, n, n) to `u` and `h`.

    ``ok`` (N) tells of which: a matrix that is singular, or nearly, is left to others. Squares of
    entries must be safe. The `polynomials` (steps, 3), of `a`'s dtype, take ``[1, upper]`` to one.
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
        sums = np.empty(size, a.dtype)
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
            ok[b] = _newton(x, w, panel, factors, rows, order, sums, eps, upper, lanes)
            if not ok[b]:
                continue
            _polish(x, w, y, polynomials, lanes)
            _multiply_symmetric(x, given, w, lanes)
            for i in range(n):
                for j in range(n):
                    u[b, i, j] = x[i, j]
                    h[b, i, j] = w[i, j]
