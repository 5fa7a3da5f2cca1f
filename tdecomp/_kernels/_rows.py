"""Weighted least squares for each row of a factor, over the observed entries of its slice.

Entries are sorted by the slice they lie in: those of slice `i` are ``start[i]:start[i + 1]``. All
factors lie in one matrix `flat`, that of the mode itself from row `first` on, and `rows[p]` names
the rows of it that meet in entry `p`. `weights` has one entry each, or a single one for all. A
`penalty` `P` adds ``a^* P a`` to the squares of a row `a`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from tdecomp._kernels._descent import descend
from tdecomp._kernels._jit import kernel, routine

_BLOCK = 4


@routine
def _product(rows: Any, flat: Any, out: Any) -> None:
    """Multiply rows of `flat` into `out`."""
    out[:] = 1
    for m in range(rows.size):
        row = flat[rows[m]]
        for r in range(out.size):
            out[r] *= row[r]


@routine
def _accumulate(
    low: int, high: int, rows: Any, values: Any, weights: Any, flat: Any, own: Any, k: Any, h: Any,
    g: Any,
) -> None:  # fmt: skip
    """Add the Gram matrix of the entries to `h` and their products with what is left to `g`.

    Four entries at a time, so that `h` is read and written once for all of them.
    """
    rank = own.size
    step = 1 if weights.size > 1 else 0
    w = np.empty(_BLOCK, weights.dtype)
    x = np.empty(_BLOCK, values.dtype)
    k0, k1, k2, k3 = k[0], k[1], k[2], k[3]
    for p in range(low, high, _BLOCK):
        for q in range(_BLOCK):
            if p + q >= high:
                k[q, :] = 0
                w[q] = 0
                x[q] = 0
                continue
            _product(rows[p + q], flat, k[q])
            w[q] = weights[(p + q) * step]
            x[q] = values[p + q]
        x0, x1, x2, x3 = x[0], x[1], x[2], x[3]
        for r in range(rank):
            x0 -= k0[r] * own[r]
            x1 -= k1[r] * own[r]
            x2 -= k2[r] * own[r]
            x3 -= k3[r] * own[r]
        for a in range(rank):
            c0, c1 = w[0] * np.conj(k0[a]), w[1] * np.conj(k1[a])
            c2, c3 = w[2] * np.conj(k2[a]), w[3] * np.conj(k3[a])
            g[a] += (c0 * x0 + c1 * x1) + (c2 * x2 + c3 * x3)
            line = h[a]
            for b in range(rank):
                line[b] += (c0 * k0[b] + c1 * k1[b]) + (c2 * k2[b] + c3 * k3[b])


@routine
def _solve(h: Any, g: Any, least: float) -> bool:
    """Overwrite `g` with the solution of ``h d = g``; False where a pivot is lost in rounding."""
    rank = g.size
    for a in range(rank):
        top = h[a, a].real
        pivot = top
        for q in range(a):
            pivot -= (h[a, q] * np.conj(h[a, q])).real
        if not pivot > least * top:
            return False
        inverse = 1 / np.sqrt(pivot)
        h[a, a] = inverse
        for b in range(a + 1, rank):
            rest = h[b, a]
            for q in range(a):
                rest -= h[b, q] * np.conj(h[a, q])
            h[b, a] = rest * inverse
    for a in range(rank):
        rest = g[a]
        for q in range(a):
            rest -= h[a, q] * g[q]
        g[a] = rest * h[a, a].real
    for a in range(rank - 1, -1, -1):
        rest = g[a]
        for q in range(a + 1, rank):
            rest -= np.conj(h[q, a]) * g[q]
        g[a] = rest * h[a, a].real
    return True


@routine
def _equations(
    low: int, high: int, rows: Any, values: Any, weights: Any, flat: Any, own: Any, penalty: Any,
    k: Any, h: Any, g: Any,
) -> None:  # fmt: skip
    """Write the normal equations of the change of a row to `h` and `g`.

    What is left of the entries stands on the right: rounding errors are then relative to the
    change, which shrinks, and not to the solution.
    """
    h[:] = penalty
    g[:] = 0
    for a in range(own.size):
        for b in range(own.size):
            g[a] -= penalty[a, b] * own[b]
    _accumulate(low, high, rows, values, weights, flat, own, k, h, g)


@kernel
def solve_rows(
    bounds: Any, start: Any, rows: Any, values: Any, weights: Any, first: int, flat: Any,
    penalty: Any, least: float, out: Any, failed: Any,
) -> None:  # fmt: skip
    """Write the least-squares solution of each row to `out`, or 1 to `failed`.

    Between two `bounds` lie rows with about equally many entries.
    """
    rank = flat.shape[1]
    for t in prange(bounds.size - 1):
        k = np.empty((_BLOCK, rank), flat.dtype)
        h = np.empty((rank, rank), flat.dtype)
        g = np.empty(rank, flat.dtype)
        for i in range(bounds[t], bounds[t + 1]):
            low, high, own = start[i], start[i + 1], flat[first + i]
            _equations(low, high, rows, values, weights, flat, own, penalty, k, h, g)
            failed[i] = 0 if _solve(h, g, least) else 1
            for a in range(rank):
                out[i, a] = own[a] if failed[i] else own[a] + g[a]


@kernel
def solve_nonnegative_rows(
    bounds: Any, start: Any, rows: Any, values: Any, weights: Any, first: int, flat: Any,
    penalty: Any, passes: int, out: Any,
) -> None:  # fmt: skip
    """Write to `out` what coordinate descent over nonnegative rows makes of each row."""
    rank = flat.shape[1]
    for t in prange(bounds.size - 1):
        k = np.empty((_BLOCK, rank), flat.dtype)
        h = np.empty((rank, rank), flat.dtype)
        g = np.empty(rank, flat.dtype)
        for i in range(bounds[t], bounds[t + 1]):
            low, high, own = start[i], start[i + 1], flat[first + i]
            _equations(low, high, rows, values, weights, flat, own, penalty, k, h, g)
            out[i] = own
            descend(h, g, out[i], passes)


@routine
def _rotated(triangle: Any, y: Any) -> None:
    """Take one more equation `y` into a triangle, by Givens rotations; `y` is overwritten."""
    rank = triangle.shape[0]
    for a in range(rank):
        top, low = triangle[a, a].real, y[a]
        length = np.hypot(top, np.abs(low))
        if length == 0:
            continue
        c, s = top / length, low / length
        for b in range(a, rank + 1):
            above, below = triangle[a, b], y[b]
            triangle[a, b] = c * above + np.conj(s) * below
            y[b] = c * below - s * above


@kernel
def triangular_rows(
    chosen: Any, start: Any, rows: Any, values: Any, weights: Any, first: int, flat: Any,
    root: Any, out: Any,
) -> None:  # fmt: skip
    """Write the triangular factor and the right-hand side of each chosen row to `out` (m, r, r+1).

    Rotations take in the `root` `R` of the penalty ``R^* R`` and one entry after another: no
    product is squared, so that no digit is lost of rows that are nearly dependent.
    """
    rank = flat.shape[1]
    step = 1 if weights.size > 1 else 0
    for t in prange(chosen.size):
        i = chosen[t]
        own = flat[first + i]
        k = np.empty(rank, flat.dtype)
        y = np.empty(rank + 1, flat.dtype)
        triangle = out[t]
        triangle[:] = 0
        for a in range(rank):
            y[:rank] = root[a]
            y[rank] = 0
            for r in range(rank):
                y[rank] -= root[a, r] * own[r]
            _rotated(triangle, y)
        for p in range(start[i], start[i + 1]):
            _product(rows[p], flat, k)
            gap = values[p]
            scale = np.sqrt(weights[p * step])
            for r in range(rank):
                gap -= k[r] * own[r]
                y[r] = scale * k[r]
            y[rank] = scale * gap
            _rotated(triangle, y)


@routine
def _along_three(a: Any, b: Any, c: Any, da: Any, db: Any, dc: Any, out: Any) -> None:
    """Write the coefficients of the sum of ``(a + t da) (b + t db) (c + t dc)`` to `out`."""
    s0 = s1 = s2 = s3 = out.dtype.type(0)
    for r in range(a.size):
        p0, p2 = a[r] * b[r], da[r] * db[r]
        p1 = a[r] * db[r] + da[r] * b[r]
        s0 += p0 * c[r]
        s1 += p0 * dc[r] + p1 * c[r]
        s2 += p1 * dc[r] + p2 * c[r]
        s3 += p2 * dc[r]
    out[0], out[1], out[2], out[3] = s0, s1, s2, s3


@routine
def _along_any(places: Any, flat: Any, direction: Any, c: Any, out: Any) -> None:
    """Write the coefficients of the sum of products of any number of rows to `out`."""
    rank = flat.shape[1]
    c[0], c[1] = flat[places[0]], direction[places[0]]
    for m in range(1, places.size):
        f, d = flat[places[m]], direction[places[m]]
        for r in range(rank):
            c[m + 1, r] = c[m, r] * d[r]
        for j in range(m, 0, -1):
            for r in range(rank):
                c[j, r] = c[j, r] * f[r] + c[j - 1, r] * d[r]
        for r in range(rank):
            c[0, r] *= f[r]
    for j in range(out.size):
        total = c[j, 0]
        for r in range(1, rank):
            total += c[j, r]
        out[j] = total


@kernel
def along_line(
    bounds: Any, start: Any, rows: Any, values: Any, weights: Any, first: int, flat: Any,
    direction: Any, out: Any,
) -> None:  # fmt: skip
    r"""Write the Gram matrices of the coefficients of the misfit along a line to `out`.

    An entry of the model of ``flat + t * direction`` less its value is a polynomial of `t`. With
    its coefficients :math:`e_j`, the lower triangle of ``out`` sums :math:`w \operatorname{Re}
    e_a \bar e_b` for each stretch of rows, in double precision.
    """
    size = rows.shape[1] + 2
    step = 1 if weights.size > 1 else 0
    for t in prange(bounds.size - 1):
        places = np.empty(size - 1, np.uint64)
        c, e = np.empty((size, flat.shape[1]), flat.dtype), np.empty(size, flat.dtype)
        gram = out[t]
        gram[:] = 0
        for i in range(bounds[t], bounds[t + 1]):
            own, slope = flat[first + i], direction[first + i]
            for p in range(start[i], start[i + 1]):
                if size == 4:
                    j, k = rows[p, 0], rows[p, 1]
                    _along_three(own, flat[j], flat[k], slope, direction[j], direction[k], e)
                else:
                    places[0] = first + i
                    places[1:] = rows[p]
                    _along_any(places, flat, direction, c, e)
                e[0] -= values[p]
                w = weights[p * step]
                for a in range(size):
                    for b in range(a + 1):
                        gram[a, b] += w * (e[a] * np.conj(e[b])).real
