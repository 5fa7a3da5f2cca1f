"""Sampled fibres of a dense tensor, multiplied where they lie."""

from __future__ import annotations

from typing import Any

from numba import prange

from tdecomp._kernels._jit import kernel

_CHUNK = 32


@kernel
def multiply_contiguous(flat: Any, starts: Any, factors: Any, out: Any) -> None:
    """Write to `out` (n, r) the product of fibres, as columns (n, s), with `factors` (s, r).

    Fibre `p` has the entries ``flat[starts[p] + i]``. Four of them are taken at a time, so that
    `out` is read and written once for all of them.
    """
    n, rank = out.shape
    count = starts.size
    for t in prange((n + _CHUNK - 1) // _CHUNK):
        low, high = t * _CHUNK, min((t + 1) * _CHUNK, n)
        out[low:high] = 0
        for p in range(0, count - 3, 4):
            a, b, c, d = starts[p], starts[p + 1], starts[p + 2], starts[p + 3]
            ra, rb, rc, rd = factors[p], factors[p + 1], factors[p + 2], factors[p + 3]
            for i in range(low, high):
                target = out[i]
                xa, xb, xc, xd = flat[a + i], flat[b + i], flat[c + i], flat[d + i]
                for r in range(rank):
                    target[r] += (xa * ra[r] + xb * rb[r]) + (xc * rc[r] + xd * rd[r])
        for p in range(count - count % 4, count):
            row = factors[p]
            for i in range(low, high):
                entry, target = flat[starts[p] + i], out[i]
                for r in range(rank):
                    target[r] += entry * row[r]


@kernel
def multiply_strided(flat: Any, starts: Any, stride: int, factors: Any, out: Any) -> None:
    """Write the same for fibres with the entries ``flat[starts[p] + i * stride]``.

    Entries of one `i` lie in one slab, whose pages are few and near: it is finished first.
    """
    n, rank = out.shape
    count = starts.size
    for i in prange(n):
        target, shift = out[i], i * stride
        target[:] = 0
        for p in range(0, count - 3, 4):
            xa, xb = flat[starts[p] + shift], flat[starts[p + 1] + shift]
            xc, xd = flat[starts[p + 2] + shift], flat[starts[p + 3] + shift]
            ra, rb, rc, rd = factors[p], factors[p + 1], factors[p + 2], factors[p + 3]
            for r in range(rank):
                target[r] += (xa * ra[r] + xb * rb[r]) + (xc * rc[r] + xd * rd[r])
        for p in range(count - count % 4, count):
            entry, row = flat[starts[p] + shift], factors[p]
            for r in range(rank):
                target[r] += entry * row[r]
