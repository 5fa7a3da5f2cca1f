"""Polar factors of many small matrices, by Newton's method and products in the nearest cache.

Scaled by bounds of the singular values, inverses bring all of them near to one; a few odd
polynomials do the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from tdecomp._kernels._jit import kernel, routine
from tdecomp._kernels._small_inverse import PANEL, add_product, invert

_CHUNKS = 64
# The largest product of the norms of a matrix and its inverse, in units of 1 / eps.
_REGULAR = 0.1
# What is missing in the end, of orthogonality (before a last step, squared) and of symmetry.
_ROUNDING = 64.0


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
def _multiply(a: Any, da: int, dp: int, b: Any, c: Any, lanes: int) -> None:
    """Overwrite `c` by the product of `a`, or of its transpose, and `b`; see `tile`."""
    n = c.shape[0]
    for i in range(n):
        for j in range(n):
            c[i, j] = 0
    add_product(a.reshape(-1), da, dp, b.reshape(-1), 0, n, c.reshape(-1), n, n, n, lanes)


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
        add_product(flat_a[start:], 1, n, flat_b, first, n, part, PANEL, n - first, n, lanes)
    for i in range(n):
        for j in range(i):
            c[i, j] = c[j, i]


@routine
def _polish(x: Any, w: Any, y: Any, polynomials: Any, lanes: int) -> float:
    """Apply odd polynomials (steps, 3) of degree three and five to the singular values of `x`.

    Returns how far from orthogonal `x` is before the last of them: the square of a norm.
    """
    n = x.shape[0]
    missing = 0.0
    for step in range(polynomials.shape[0]):
        first, third, fifth = polynomials[step]
        _multiply_symmetric(x, x, w, lanes)
        missing = _distance(w)
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
        _multiply(x, n, 1, w, y, lanes)
        for i in range(n):
            for j in range(n):
                x[i, j] = y[i, j]
    return missing


@routine
def _distance(w: Any) -> float:
    """Return the square of the distance from the identity, of a symmetric matrix."""
    total = 0.0
    for i in range(w.shape[0]):
        total += (w[i, i] - 1) * (w[i, i] - 1)
        for j in range(i):
            total += 2 * w[i, j] * w[i, j]
    return total


@routine
def _asymmetry(w: Any) -> float:
    """Return the square of the norm of what a matrix and its transpose differ by."""
    total = 0.0
    for i in range(w.shape[0]):
        for j in range(i):
            total += 2 * (w[i, j] - w[j, i]) * (w[i, j] - w[j, i])
    return total


@routine
def _newton(
    x: Any, w: Any, panel: Any, factors: Any, rows: Any, order: Any, sums: Any, eps: float,
    upper: float, lanes: int,
) -> bool:  # fmt: skip
    """Bring the singular values of `x` into ``[1, upper]``; False if it is nearly singular.

    Scaled by Byers and Xu, in exact arithmetic all of them get there in a known number of steps.
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

    ``ok`` (N) tells of which: a matrix that is singular, or nearly, is left to others, and so is
    one that pivots grow on, when what comes out is not orthogonal, or ``u^T a`` not symmetric.
    Squares of entries must be safe. The `polynomials` (steps, 3), of `a`'s dtype, take
    ``[1, upper]`` to one.
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
            missing = _polish(x, w, y, polynomials, lanes)
            _multiply(x, 1, size, given, w, lanes)
            rounding = _ROUNDING * eps
            orthogonal = missing <= rounding * size
            ok[b] = orthogonal and _asymmetry(w) <= rounding * rounding * total
            if not ok[b]:
                continue
            for i in range(n):
                for j in range(n):
                    u[b, i, j] = x[i, j]
                    h[b, i, j] = (w[i, j] + w[j, i]) / 2
