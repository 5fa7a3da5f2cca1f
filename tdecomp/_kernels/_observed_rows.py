"""Ridge regression for each row of a factor over the known entries of a matrix.

The entries of row `i` are ``starts[i]:starts[i + 1]``. `factor` is flat, each row filled up with
zeros to `width` numbers, whole vectors of `lanes`; `weights` is empty where all are 1. Rows of
`own` (m, k) are what the solutions replace. `bounds` share out the rows among threads; rows with
more than `most` entries are left to the kernels that divide them.

If `shifted`, number `k` of a row of the factor is subtracted from the entries that pick it: a one
in that place of the row that multiplies it does so, without another array of entries.

Picked rows of the factor are copied into a buffer, the residual of their entry behind them: the
lower half of the normal equations and their right-hand side are then one product.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from tdecomp._kernels._descent import descend
from tdecomp._kernels._gather import joined_copies
from tdecomp._kernels._jit import kernel, routine
from tdecomp._kernels._lanes import solve_lanes
from tdecomp._kernels._tile import ROWS, VECTOR_BITS, staircase, tile

# Entries that are in the buffer at a time.
_DEPTH = 64
# Rows of normal equations that are formed at a time, and the fewest: numbers of accumulators.
_HIGH, _LOW = 8, 4
_WIDE = 2 if ROWS[2] == _HIGH else 1

# Fewer equations, of numbers in double precision, are formed in one pass of half vectors: that
# takes 27 of 32 registers.
_SHORT, _HALF = 12, 4
_FULL = 2 * _HALF if VECTOR_BITS == 512 else 0
_short = staircase(_SHORT, _HALF)
# With 16 registers, the first rows of whole vectors are formed in one pass.
_QUARTER = _HALF if VECTOR_BITS == 256 else 0
_first = staircase(_HIGH, _HALF)

_high1, _high2 = (tile(_HIGH, vectors, asking=False) for vectors in (1, _WIDE))
_low1, _low2, _low3 = (tile(_LOW, vectors, asking=False) for vectors in (1, 2, 3))
_row1, _row2, _row4 = (tile(1, vectors, asking=False) for vectors in (1, 2, 4))


def equations(k: int) -> int:
    """Return how many rows a kernel needs for `k` normal equations and their right-hand side."""
    return k + 1 + _HIGH


@routine
def _panel(
    buffer: Any, stride: int, i: int, rows: int, depth: int, columns: int, lanes: int, h: Any,
    width: int,
) -> None:  # fmt: skip
    """Add to `rows` rows of `h` from row `i` on the products of as many columns of the buffer."""
    j = 0
    while j < columns:
        to, left = i * width + j, (columns - j) // lanes
        if rows == _HIGH and left >= _WIDE > 1:
            _high2(buffer, i, 1, stride, buffer, j, stride, depth, h, to, width, 0, 0)
            j += _WIDE * lanes
        elif rows == _HIGH:
            _high1(buffer, i, 1, stride, buffer, j, stride, depth, h, to, width, 0, 0)
            j += lanes
        elif rows == _LOW and left == 3:
            _low3(buffer, i, 1, stride, buffer, j, stride, depth, h, to, width, 0, 0)
            j += 3 * lanes
        elif rows == _LOW and left >= 2:
            _low2(buffer, i, 1, stride, buffer, j, stride, depth, h, to, width, 0, 0)
            j += 2 * lanes
        elif rows == _LOW:
            _low1(buffer, i, 1, stride, buffer, j, stride, depth, h, to, width, 0, 0)
            j += lanes
        elif left >= 4:
            _row4(buffer, i, 1, stride, buffer, j, stride, depth, h, to, width, 0, 0)
            j += 4 * lanes
        elif left >= 2:
            _row2(buffer, i, 1, stride, buffer, j, stride, depth, h, to, width, 0, 0)
            j += 2 * lanes
        else:
            _row1(buffer, i, 1, stride, buffer, j, stride, depth, h, to, width, 0, 0)
            j += lanes


@routine
def add_squares(
    buffer: Any, stride: int, depth: int, k: int, width: int, lanes: int, h: Any
) -> None:
    """Add the lower half of the products of the columns of the buffer to `h`, and row `k`."""
    if lanes == _FULL and k < _SHORT <= width:
        _short(buffer, stride, depth, h, width)
        return
    i = 0
    if lanes == _QUARTER and k >= _HIGH:
        _first(buffer, stride, depth, h, width)
        i = _HIGH
    while i <= k:
        left = k + 1 - i
        rows = _HIGH if left > _LOW else _LOW if left > 1 else 1
        last = min(i + rows, k)
        columns = width if left <= rows else (last + lanes - 1) // lanes * lanes
        _panel(buffer, stride, i, rows, depth, columns, lanes, h, width)
        i += rows


@routine
def add_entries(
    indices: Any, values: Any, weights: Any, low: int, high: int, factor: Any, k: int, width: int,
    lanes: int, own: Any, buffer: Any, stride: int, sums: Any, scale: Any, h: Any,
) -> float:  # fmt: skip
    """Add the normal equations of the change of a row to `h`; row `k` is their right-hand side.

    What is left of the entries stands on the right: rounding errors are then relative to the
    change, which shrinks, and not to the solution. Its weighted squares are returned.
    """
    vectors, last, loss = width // lanes, indices.size, 0.0
    for first in range(low, high, _DEPTH):
        depth = min(_DEPTH, high - first)
        if weights.size:
            for p in range(depth):
                scale[p] = np.sqrt(weights[first + p])
        joined_copies(
            factor, vectors, indices, first, last, depth, scale, values, own, buffer, stride, k,
            sums,
        )  # fmt: skip
        for p in range(depth):
            loss += np.float64(sums[p]) * np.float64(sums[p])
        add_squares(buffer, stride, depth, k, width, lanes, h)
    return loss


@routine
def into_lanes(
    h: Any, k: int, width: int, own: Any, penalty: Any, rounding: float, x: Any, lanes: int,
    lane: int, least: Any,
) -> None:  # fmt: skip
    """Write the normal equations of a row into a lane, their diagonal safely enlarged.

    The enlargement by a few eps of the trace, without ridges, makes the factorisation safe: each
    ridge covers the rounding that it brings, and none is a reason to hold back the others. A
    change that solves the enlarged equations lowers the objective all the same, and is as small
    as need be. A copy of the right-hand side stands behind it.
    """
    trace, lightest = own.dtype.type(0), penalty[0]
    for a in range(k):
        trace += h[a * width + a]
        lightest = min(lightest, penalty[a])
    safe = rounding * (trace + lightest)
    least[lane] = safe
    for a in range(k):
        for b in range(a):
            x[(a * k + b) * lanes + lane] = h[a * width + b]
        x[(a * k + a) * lanes + lane] = h[a * width + a] + (penalty[a] + safe)
        right = h[k * width + a] - penalty[a] * own[a]
        x[(k * k + a) * lanes + lane] = x[(k * k + k + a) * lanes + lane] = right


@routine
def lane_array(k: int, lanes: int, like: Any) -> Any:
    """Return room for as many systems as a vector has lanes, which can be solved as it is."""
    return np.zeros((k + 2) * k * lanes, like.dtype)


@routine
def from_lane(
    x: Any, k: int, lanes: int, lane: int, safe: float, own: Any, penalty: Any,
    rounding: float, loss: float, out: Any,
) -> Any:  # fmt: skip
    r"""Write a solution; return the loss of the row that it leaves, and a bound on its rounding.

    With the normal matrix :math:`H`, the slope :math:`g` and the loss :math:`f` of the old row
    :math:`u`, a change by :math:`d` leaves :math:`f - 2 d \cdot g + d \cdot H d`. Where
    :math:`(H + \Lambda + \delta) d = b = g - \Lambda u`, that is

    .. math:: f - d \cdot b - 2 d \cdot \Lambda u - d \cdot \Lambda d - \delta |d|^2 .

    The solution has a residual of a few :math:`\epsilon\, \mathrm{tr}(H) |d|` at most, of which
    the product with :math:`d` is what the loss may miss, beside the rounding of each term.
    """
    square = slope = along = bent = 0.0
    for a in range(k):
        d, ridge = np.float64(x[(k * k + a) * lanes + lane]), np.float64(penalty[a])
        square += d * d
        bent += ridge * d * d
        slope += d * np.float64(x[(k * k + k + a) * lanes + lane])
        along += 2 * ridge * d * np.float64(own[a])
        out[a] = own[a] + x[(k * k + a) * lanes + lane]
    more = np.float64(safe) * square
    doubt = more + rounding * (loss + abs(slope) + abs(along))
    return loss - slope - along - bent - more, doubt


@routine
def solve_filled(
    x: Any, lanes: int, least: Any, rows: Any, own: Any, penalty: Any, rounding: float,
    losses: Any, out: Any,
) -> Any:  # fmt: skip
    """Solve for the `rows` that fill lanes; return their losses and the bounds, summed."""
    k = own.shape[1]
    total = doubts = 0.0
    solve_lanes(x, k, lanes, least)
    for lane in range(rows.size):
        i = rows[lane]
        loss, doubt = from_lane(
            x, k, lanes, lane, least[lane], own[i], penalty[i], rounding, losses[lane], out[i]
        )
        total, doubts = total + loss, doubts + doubt
    return total, doubts


@routine
def wide_row(k: int, width: int, shifted: bool, like: Any) -> Any:
    """Return room for a row of `k` numbers filled up, with a one behind them if `shifted`."""
    wide = np.zeros(width, like.dtype)
    if shifted:
        wide[k] = 1
    return wide


@routine
def spread_row(row: Any, wide: Any) -> Any:
    """Copy a row to the front of a wider one."""
    for a in range(row.size):
        wide[a] = row[a]
    return wide


@kernel
def solve_by_row(
    bounds: Any, most: int, starts: Any, indices: Any, values: Any, weights: Any, own: Any,
    factor: Any, width: int, lanes: int, shifted: bool, penalty: Any, rounding: float, out: Any,
    found: Any,
) -> None:  # fmt: skip
    """Write the minimisers to the rows of `out`, zeros where a row has no entry.

    The loss that they leave, and a bound on its rounding, go to a row of `found` (T, 2) for each
    stretch of rows.
    """
    k = own.shape[1]
    stride = width if width > k else width + lanes
    for t in prange(bounds.size - 1):
        buffer = np.zeros(_DEPTH * stride + _HIGH, own.dtype)
        sums = np.empty(_DEPTH, own.dtype)
        scale = np.empty(_DEPTH if weights.size else 0, own.dtype)
        h = np.zeros((k + 1 + _HIGH) * width, own.dtype)
        x, losses = lane_array(k, lanes, own), np.empty(lanes)
        least, rows = np.zeros(lanes, own.dtype), np.zeros(lanes, np.int64)
        wide = wide_row(k, width, shifted, own)
        filled, total, doubts = 0, 0.0, 0.0
        for i in range(bounds[t], bounds[t + 1]):
            low, high = starts[i], starts[i + 1]
            if low == high:
                out[i] = 0
            elif high - low <= most:
                spread_row(own[i], wide)
                h[:] = 0
                losses[filled] = add_entries(
                    indices, values, weights, low, high, factor, k, width, lanes, wide, buffer,
                    stride, sums, scale, h,
                )  # fmt: skip
                into_lanes(h, k, width, own[i], penalty[i], rounding, x, lanes, filled, least)
                rows[filled] = i
                filled += 1
            if filled == lanes or (filled and i + 1 == bounds[t + 1]):
                loss, doubt = solve_filled(
                    x, lanes, least, rows[:filled], own, penalty, rounding, losses, out
                )
                total, doubts, filled = total + loss, doubts + doubt, 0
        found[t, 0], found[t, 1] = total, doubts


@kernel
def squares_by_part(
    parts: Any, indices: Any, values: Any, weights: Any, own: Any, factor: Any, width: int,
    lanes: int, shifted: bool, h: Any, losses: Any,
) -> None:  # fmt: skip
    """Write the normal equations of parts of rows, ``row, low, high`` of each, to rows of `h`."""
    k = own.shape[1]
    stride = width if width > k else width + lanes
    for t in prange(parts.shape[0]):
        buffer = np.zeros(_DEPTH * stride + _HIGH, own.dtype)
        sums = np.empty(_DEPTH, own.dtype)
        scale = np.empty(_DEPTH if weights.size else 0, own.dtype)
        row = spread_row(own[parts[t, 0]], wide_row(k, width, shifted, own))
        h[t] = 0
        losses[t] = add_entries(
            indices, values, weights, parts[t, 1], parts[t, 2], factor, k, width, lanes, row,
            buffer, stride, sums, scale, h[t],
        )  # fmt: skip


@routine
def solve_formed(
    h: Any, width: int, lanes: int, own: Any, penalty: Any, rounding: float, loss: float,
    out: Any,
) -> Any:  # fmt: skip
    """Do what `from_lane` does for a row of which the normal equations are formed."""
    k = own.size
    x, least = lane_array(k, lanes, own), np.zeros(lanes, own.dtype)
    into_lanes(h, k, width, own, penalty, rounding, x, lanes, 0, least)
    solve_lanes(x, k, lanes, least)
    return from_lane(x, k, lanes, 0, least[0], own, penalty, rounding, loss, out)


@routine
def descend_formed(h: Any, width: int, own: Any, penalty: Any, passes: int, out: Any) -> None:
    """Write what coordinate descent over nonnegative rows makes of one, its equations formed."""
    k = own.size
    square, g = np.empty((k, k), own.dtype), np.empty(k, own.dtype)
    for a in range(k):
        for b in range(a):
            square[a, b] = square[b, a] = h[a * width + b]
        square[a, a] = h[a * width + a] + penalty[a]
        g[a] = h[k * width + a] - penalty[a] * own[a]
        out[a] = own[a]
    descend(square, g, out, passes)


@kernel
def descend_by_row(
    bounds: Any, most: int, starts: Any, indices: Any, values: Any, weights: Any, own: Any,
    factor: Any, width: int, lanes: int, shifted: bool, penalty: Any, passes: int, out: Any,
) -> None:  # fmt: skip
    """Write what coordinate descent over nonnegative rows makes of each, zeros for no entry."""
    k = own.shape[1]
    stride = width if width > k else width + lanes
    for t in prange(bounds.size - 1):
        buffer = np.zeros(_DEPTH * stride + _HIGH, own.dtype)
        sums = np.empty(_DEPTH, own.dtype)
        scale = np.empty(_DEPTH if weights.size else 0, own.dtype)
        h = np.zeros((k + 1 + _HIGH) * width, own.dtype)
        wide = wide_row(k, width, shifted, own)
        for i in range(bounds[t], bounds[t + 1]):
            low, high = starts[i], starts[i + 1]
            if low == high:
                out[i] = 0
            elif high - low <= most:
                h[:] = 0
                add_entries(
                    indices, values, weights, low, high, factor, k, width, lanes,
                    spread_row(own[i], wide), buffer, stride, sums, scale, h,
                )  # fmt: skip
                descend_formed(h, width, own[i], penalty[i], passes, out[i])
