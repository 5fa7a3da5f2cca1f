"""The sum of resolvents that makes the polar factor of a bidiagonal matrix, entry by entry."""

from __future__ import annotations

from typing import Any

import numpy as np

from tdecomp._kernels._jit import routine

# How many rows go together.
_ROWS = 64
# How many resolvents go together: their number is to be a multiple.
TOGETHER = 4


@routine
def inverse_norms(b: Any) -> float:
    """Return the root of the product of the inverse's norms one and infinity; `b` as below."""
    last = b.size - 1
    across = highest = 1 / abs(b[last])
    for i in range(last - 2, -1, -2):
        across = (1 + abs(b[i + 1]) * across) / abs(b[i])
        highest = max(highest, across)
    down = widest = 1 / abs(b[0])
    for i in range(2, last + 1, 2):
        down = (1 + abs(b[i - 1]) * down) / abs(b[i])
        widest = max(widest, down)
    return float(np.sqrt(highest) * np.sqrt(widest))


@routine
def _pivots(b: Any, tau: float, down: Any, up: Any) -> None:
    """Write the pivots of elimination from the first row on to `down`, from the last to `up`."""
    last = b.size
    down[0] = tau
    for i in range(last):
        down[i + 1] = tau + b[i] * (b[i] / down[i])
    up[last] = tau
    for i in range(last - 1, -1, -1):
        up[i] = tau + b[i] * (b[i] / up[i + 1])


@routine
def _generators(
    b: Any, tau: Any, weights: Any, ahead: Any, back: Any, first: Any, last: Any
) -> None:  # fmt: skip
    """Write what leads from column to column, all (n, r), of every resolvent.

    In row i the entry right of the diagonal is ``first[i]``, times ``ahead[j]`` from column j to
    j + 1; that on the diagonal is ``last[i]``, times ``back[j]`` from column j + 1 to j.
    """
    n = (b.size + 1) // 2
    down, up = np.empty(2 * n), np.empty(2 * n)
    for k in range(tau.size):
        _pivots(b, tau[k], down, up)
        for i in range(n):
            row = 2 * i + 1
            step = b[row] / up[row + 1] if i < n - 1 else 0.0
            pivot = down[row] + (b[row] * step if i < n - 1 else 0.0)
            first[i, k] = weights[k] / pivot * step
            last[i, k] = weights[k] / pivot * (b[row - 1] / down[row - 1])
        for j in range(n - 1):
            ahead[j, k] = -(b[2 * j] / up[2 * j + 1]) * (b[2 * j + 1] / up[2 * j + 2])
            back[j, k] = -(b[2 * j + 1] / down[2 * j + 1]) * (b[2 * j] / down[2 * j])


@routine
def _advance(parts: Any, ratios: Any, total: Any) -> None:
    """Take all resolvents (r, rows) one column further, and sum them."""
    total[:] = 0
    for k in range(0, parts.shape[0], TOGETHER):
        a, b, c, d = parts[k], parts[k + 1], parts[k + 2], parts[k + 3]
        ra, rb, rc, rd = ratios[k], ratios[k + 1], ratios[k + 2], ratios[k + 3]
        for i in range(_ROWS):
            w, x, y, z = a[i] * ra, b[i] * rb, c[i] * rc, d[i] * rd
            a[i], b[i], c[i], d[i] = w, x, y, z
            total[i] += (w + x) + (y + z)


@routine
def _enter(parts: Any, row: int, values: Any, total: Any) -> None:
    """Let a row begin."""
    total[row] = 0
    for k in range(values.size):
        parts[k, row] = values[k]
        total[row] += values[k]


@routine
def bidiagonal_sign(b: Any, tau: Any, weights: Any, out: Any) -> None:
    r"""Write :math:`\sum_k w_k B (B^T B + \tau_k^2)^{-1}`, transposed, to `out` (n, n).

    ``b`` (2 n - 1) holds diagonal and superdiagonal of the upper bidiagonal :math:`B`, in turn;
    the number of shifts `tau` is a multiple of `TOGETHER`.
    The entries are those of :math:`(\tau + K)^{-1}`, with the skew tridiagonal :math:`K` of `b`:
    its pivots, and all that is made of them, are sums and quotients of positive numbers, and all
    terms of an entry have one sign. Every entry has a relative error of some n eps.
    """
    n, r = out.shape[0], tau.size
    ahead, back = np.zeros((n, r)), np.zeros((n, r))
    first, last = np.empty((n, r)), np.empty((n, r))
    _generators(b, tau, weights, ahead, back, first, last)
    parts, total = np.empty((r, _ROWS)), np.empty(_ROWS)
    for start in range(0, n, _ROWS):
        count = min(_ROWS, n - start)
        parts[:] = 0
        for j in range(start + 1, n):
            _advance(parts, ahead[j - 1], total)
            row = j - 1 - start
            if row < count:
                _enter(parts, row, first[j - 1], total)
            out[j, start : start + min(row + 1, count)] = total[: min(row + 1, count)]
        parts[:] = 0
        for j in range(start + count - 1, -1, -1):
            _advance(parts, back[j], total)
            row = max(j - start, 0)
            if j >= start:
                _enter(parts, row, last[j], total)
            out[j, start + row : start + count] = total[row:count]
