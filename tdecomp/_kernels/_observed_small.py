"""Ridge regression for each row of a factor with few columns: nothing is copied.

The arguments are those of `_observed_rows`, but for the width of the rows of the factor, which
`_small_squares.short` tells.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from tdecomp._kernels._jit import kernel
from tdecomp._kernels._observed_rows import (
    into_lanes,
    lane_array,
    solve_filled,
    spread_row,
    wide_row,
)
from tdecomp._kernels._small_squares import squares, weighted_squares


@kernel
def solve_small_by_row(
    bounds: Any, most: int, starts: Any, indices: Any, values: Any, weights: Any, own: Any,
    factor: Any, width: int, lanes: int, shifted: bool, penalty: Any, rounding: float, order: Any,
    line: Any, out: Any, found: Any,
) -> None:  # fmt: skip
    """Do what `solve_by_row` does; `order` is a tuple of as many numbers as rows of `own` have.

    `line` is one of as many as a row of the factor has vectors. The compiler knows the lengths of
    tuples, and makes a kernel for each.
    """
    k = own.shape[1]
    for t in prange(bounds.size - 1):
        h, wide = np.empty((k + 1) * width, own.dtype), wide_row(k, width, shifted, own)
        x, losses = lane_array(k, lanes, own), np.empty(lanes)
        least, rows = np.zeros(lanes, own.dtype), np.zeros(lanes, np.int64)
        filled, total, doubts = 0, 0.0, 0.0
        for i in range(bounds[t], bounds[t + 1]):
            low, high = starts[i], starts[i + 1]
            if low == high:
                out[i] = 0
            elif high - low <= most:
                spread_row(own[i], wide)
                if weights.size:
                    losses[filled] = weighted_squares(
                        factor, indices, low, high, values, weights, wide, h, order, line
                    )
                else:
                    losses[filled] = squares(
                        factor, indices, low, high, values, weights, wide, h, order, line
                    )
                into_lanes(h, k, width, own[i], penalty[i], rounding, x, lanes, filled, least)
                rows[filled] = i
                filled += 1
            if filled == lanes or (filled and i + 1 == bounds[t + 1]):
                loss, doubt = solve_filled(
                    x, lanes, least, rows[:filled], own, penalty, rounding, losses, out
                )
                total, doubts, filled = total + loss, doubts + doubt, 0
        found[t, 0], found[t, 1] = total, doubts
