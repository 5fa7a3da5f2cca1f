"""Contractions of a large array with a few dozen columns, in one reading of the array.

BLAS blocks such products for square matrices and reads memory more than once; here the columns
stay in the caches, blocks of the result in registers, and the array passes by.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import prange

from tdecomp._kernels._jit import kernel
from tdecomp._kernels._tile import ROWS, tile

# Rows that a thread takes at a time: a multiple of every number of ROWS.
_BLOCK = 48
# Rows of the array that pass by while a block of a transposed product stays in registers.
_DEPTH = 16
# How many rows ahead of the computation the memory is asked for them.
_AHEAD = 16


def _strip(rows: int, vectors: int) -> Any:
    """Return a function that multiplies any number of rows by `vectors` vectors of columns."""
    many, one = tile(rows, vectors), tile(1, vectors)

    def strip(
        a: Any, a0: int, da: int, dp: int, count: int, b: Any, b0: int, width: int, depth: int,
        c: Any, c0: int, ahead: int, skew: int,
    ) -> None:  # fmt: skip
        i = 0
        while i + rows <= count:
            at, to = a0 + i * da, c0 + i * width
            many(a, at, da, dp, b, b0, width, depth, c, to, width, ahead, skew)
            i += rows
        while i < count:
            at, to = a0 + i * da, c0 + i * width
            one(a, at, da, dp, b, b0, width, depth, c, to, width, ahead, skew)
            i += 1

    # Machine code that two processes have cached is linked by name: each function has its own.
    strip.__qualname__ = f"strip_of_{rows}_by_{vectors}"
    return numba.njit(nogil=True, error_model="numpy")(strip)


_strip1, _strip2, _strip4 = (_strip(rows, vectors) for vectors, rows in ROWS.items())


@numba.njit(nogil=True, error_model="numpy")
def _multiply(
    a: Any, a0: int, da: int, dp: int, count: int, b: Any, width: int, lanes: int, depth: int,
    c: Any, c0: int, ahead: int, skew: int,
) -> None:  # fmt: skip
    """Add to `count` rows of `c` the product with all columns of `b`, 4, 2 or 1 vectors at a time.

    See `tile` for the other arguments.
    """
    j = 0
    while j < width:
        vectors = (width - j) // lanes
        if vectors >= 4:
            _strip4(a, a0, da, dp, count, b, j, width, depth, c, c0 + j, ahead, skew)
            j += 4 * lanes
        elif vectors >= 2:
            _strip2(a, a0, da, dp, count, b, j, width, depth, c, c0 + j, ahead, skew)
            j += 2 * lanes
        else:
            _strip1(a, a0, da, dp, count, b, j, width, depth, c, c0 + j, ahead, skew)
            j += lanes


@kernel
def right_product(x: Any, b: Any, lanes: int, out: Any) -> None:
    """Write ``x @ b`` to `out`; the columns of `b` fill whole vectors of `lanes` numbers.

    All arrays are C-contiguous, `x` (m, n), `b` (n, w), `out` (m, w).
    """
    m, n = x.shape
    width = b.shape[1]
    flat_x, flat_b, flat_out = x.reshape(-1), b.reshape(-1), out.reshape(-1)
    for block in prange((m + _BLOCK - 1) // _BLOCK):
        first = block * _BLOCK
        count = min(_BLOCK, m - first)
        for k in range(first * width, (first + count) * width):
            flat_out[k] = 0
        _multiply(
            flat_x, first * n, n, 1, count, flat_b, width, lanes, n,
            flat_out, first * width, _AHEAD * n, n - 1,
        )  # fmt: skip


@kernel
def left_product(x: Any, a: Any, b: Any, lanes: int, stripe: int, out: Any) -> None:
    """Write to ``out[t]`` a share of the product of ``x.T`` with all products of rows of `a`, `b`.

    The shares of `out` (T, n, w) sum up to ``x.T @ khatri_rao([a, b])``, which is formed a few
    rows at a time; `x` is (len(a) * len(b), n). A thread takes `stripe` columns of `x` at a time.
    """
    shares, n, width = out.shape
    inner = b.shape[0]
    m = a.shape[0] * inner
    flat_x = x.reshape(-1)
    stripes = (n + stripe - 1) // stripe
    for task in prange(shares * stripes):
        t, start = task // stripes, task % stripes * stripe
        count = min(stripe, n - start)
        flat_out = out[t].reshape(-1)
        flat_out[start * width : (start + count) * width] = 0
        rows = np.empty(_DEPTH * width, x.dtype)
        first, high = m * t // shares, m * (t + 1) // shares
        while first < high:
            depth = min(_DEPTH, high - first)
            for p in range(depth):
                i, j = (first + p) // inner, (first + p) % inner
                for r in range(width):
                    rows[p * width + r] = a[i, r] * b[j, r]
            _multiply(
                flat_x, first * n + start, 1, n, count, rows, width, lanes, depth,
                flat_out, start * width, _AHEAD * n, 0,
            )  # fmt: skip
            first += depth


@kernel
def middle_product(x: Any, b: Any, lanes: int, out: Any) -> None:
    """Write to `out` (m, n, w) the sums over j of ``x[i, j, k] * b[j, r]``; `x` is (m, p, n)."""
    m, p, n = x.shape
    width = b.shape[1]
    flat_x, flat_b, flat_out = x.reshape(-1), b.reshape(-1), out.reshape(-1)
    for i in prange(m):
        flat_out[i * n * width : (i + 1) * n * width] = 0
        first = 0
        while first < p:
            depth = min(_DEPTH, p - first)
            _multiply(
                flat_x, (i * p + first) * n, 1, n, n, flat_b[first * width :], width, lanes, depth,
                flat_out, i * n * width, _AHEAD * n, 0,
            )  # fmt: skip
            first += depth


@kernel
def squared_gap(x: Any, left: Any, right: Any, lanes: int, block: int, out: Any) -> None:
    """Write to `out` the squared distances of blocks of rows of `x` from ``left @ right``.

    `x` is (m, n), `left` (m, r), `right` (r, w) with at least `n` columns, which fill whole
    vectors; `out` has a place for each `block` of rows. Squares are added in double precision.
    """
    m, n = x.shape
    rank, width = right.shape
    flat_left, flat_right = left.reshape(-1), right.reshape(-1)
    for k in prange((m + block - 1) // block):
        first = k * block
        count = min(block, m - first)
        model = np.zeros(count * width, x.dtype)
        _multiply(
            flat_left, first * rank, rank, 1, count, flat_right, width, lanes, rank, model, 0, 0, 0
        )
        squares = np.zeros(n, np.float64)
        for i in range(count):
            for j in range(n):
                gap = np.float64(x[first + i, j] - model[i * width + j])
                squares[j] += gap * gap
        out[k] = squares.sum()


@kernel
def contract_last(t: Any, b: Any, out: Any) -> None:
    """Write to `out` (m, w) the sum over j of ``t[i, j, r] * b[j, r]``; `t` is (m, n, w)."""
    for i in prange(t.shape[0]):
        for r in range(t.shape[2]):
            out[i, r] = 0
        for j in range(t.shape[1]):
            for r in range(t.shape[2]):
                out[i, r] += t[i, j, r] * b[j, r]


@kernel
def contract_first(t: Any, a: Any, out: Any, chunks: int) -> None:
    """Write to `out` (n, w) the sum over i of ``t[i, j, r] * a[i, r]``; `t` is (m, n, w)."""
    m, n, width = t.shape
    for c in prange(chunks):
        low, high = n * c // chunks, n * (c + 1) // chunks
        for j in range(low, high):
            for r in range(width):
                out[j, r] = 0
        for i in range(m):
            for j in range(low, high):
                for r in range(width):
                    out[j, r] += t[i, j, r] * a[i, r]
