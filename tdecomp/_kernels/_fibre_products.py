"""Products of the fibres of a tensor along one mode with a few dozen columns.

The tensor is (m, p, n), the mode in the middle; it passes by once, in runs of fibres. Where the
mode is the last, `n` is 1, a run is a block of rows; else it is a stripe of a slab's columns.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import prange

from tdecomp._kernels._contract import _AHEAD, _DEPTH, _multiply
from tdecomp._kernels._jit import kernel


@numba.njit(nogil=True, error_model="numpy")
def _runs(m: int, p: int, n: int, length: int) -> tuple[int, int, int, int, int]:
    """Return how fibres lie: how many follow evenly, in how many runs, and three distances.

    The distances are those of fibres, of the entries of one, and of the depth of a panel.
    """
    if n == 1:
        return m, (m + length - 1) // length, p, 1, p
    return n, (n + length - 1) // length, 1, n, _DEPTH


@kernel
def mode_product(x: Any, b: Any, lanes: int, length: int, out: Any) -> None:
    """Write to `out` (m, r, n) the sums over j of ``x[i, j, k] * b[j, r]``; `x` is (m, p, n).

    The columns of `b` fill whole vectors of `lanes` numbers; the first `r` of them count. A
    thread takes `length` fibres at a time.
    """
    m, p, n = x.shape
    rank, width = out.shape[1], b.shape[1]
    even, runs, da, dp, panel = _runs(m, p, n, length)
    ahead, skew = (_AHEAD * p, p - 1) if n == 1 else (_AHEAD * n, 0)
    ds, dr = (rank, 1) if n == 1 else (1, n)
    flat_x, flat_b, flat_out = x.reshape(-1), b.reshape(-1), out.reshape(-1)
    for task in prange((m * n // even) * runs):
        group, start = task // runs, task % runs * length
        count = min(length, even - start)
        sums = np.zeros(count * width, x.dtype)
        first = 0
        while first < p:
            depth = min(panel, p - first)
            _multiply(
                flat_x, group * p * n + start * da + first * dp, da, dp, count,
                flat_b[first * width :], width, lanes, depth, sums, 0, ahead, skew,
            )  # fmt: skip
            first += depth
        to = group * rank * n + start * ds
        for r in range(rank):
            for k in range(count):
                flat_out[to + k * ds + r * dr] = sums[k * width + r]


@kernel
def normal_product(x: Any, q: Any, lanes: int, length: int, out: Any) -> None:
    """Write to ``out[t]`` shares of :math:`X X^T q`, with `X` the unfolding of `x` (m, p, n).

    The shares of `out` (T, p, w) are in double precision, the arithmetic of `length` fibres at a
    time is in that of `q` (p, w), whose columns fill whole vectors.
    """
    m, p, n = x.shape
    shares, width = out.shape[0], q.shape[1]
    even, runs, da, _, _ = _runs(m, p, n, length)
    flat_x, flat_q = x.reshape(-1), q.reshape(-1)
    tasks = (m * n // even) * runs
    for t in prange(shares):
        flat_out = out[t].reshape(-1)
        flat_out[:] = 0
        copy = np.empty(length * p, q.dtype)
        inner = np.empty(length * width, q.dtype)
        sums = np.empty(p * width, q.dtype)
        for task in range(tasks * t // shares, tasks * (t + 1) // shares):
            group, start = task // runs, task % runs * length
            count = min(length, even - start)
            origin = group * p * n + start * da
            # Of the copy: the distances of fibres, and of the entries of one.
            if n == 1:
                ca, cp = p, 1
                copy[: count * p] = flat_x[origin : origin + count * p]
            else:
                ca, cp = 1, count
                for j in range(p):
                    line = origin + j * n
                    copy[j * count : (j + 1) * count] = flat_x[line : line + count]
            inner[: count * width] = 0
            first = 0
            while first < p:
                depth = min(_DEPTH, p - first)
                _multiply(
                    copy, first * cp, ca, cp, count, flat_q[first * width :], width, lanes, depth,
                    inner, 0, 0, 0,
                )  # fmt: skip
                first += depth
            sums[:] = 0
            first = 0
            while first < count:
                depth = min(_DEPTH, count - first)
                _multiply(
                    copy, first * ca, cp, ca, p, inner[first * width :], width, lanes, depth,
                    sums, 0, 0, 0,
                )  # fmt: skip
                first += depth
            for k in range(p * width):
                flat_out[k] += sums[k]
