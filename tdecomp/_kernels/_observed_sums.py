"""Entries of a model where a matrix is known, and products of what is known with a factor.

Arguments are those of `_observed_rows`. The `parts` (T, 3) of rows hold the row of each, where
its entries begin and where they end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from tdecomp._kernels._gather import row_gaps, row_products
from tdecomp._kernels._jit import kernel, routine
from tdecomp._kernels._observed_rows import spread_row, wide_row
from tdecomp._kernels._picked_sums import add_picked

# Entries whose residuals are in the buffer at a time.
_DEPTH = 64


@kernel
def entries_by_row(
    bounds: Any, starts: Any, indices: Any, own: Any, factor: Any, width: int, lanes: int, out: Any
) -> None:
    """Write the products of rows of `own` with those of the factor that their entries pick.

    Stretch `t` has the entries from ``bounds[t]`` to ``bounds[t + 1]``, wherever rows end.
    """
    for t in prange(bounds.size - 1):
        wide = np.zeros(width, own.dtype)
        low = bounds[t]
        i = np.searchsorted(starts, low, side="right") - 1
        while low < bounds[t + 1]:
            high = min(starts[i + 1], bounds[t + 1])
            row_products(
                factor, width // lanes, indices, low, indices.size, high - low,
                spread_row(own[i], wide), out[low:high],
            )  # fmt: skip
            low = high
            i += 1


@kernel
def losses_by_stretch(
    bounds: Any, starts: Any, indices: Any, values: Any, weights: Any, own: Any, factor: Any,
    width: int, lanes: int, shifted: bool, out: Any,
) -> None:  # fmt: skip
    """Write the weighted squares of what a model misses in each stretch, as `entries_by_row`."""
    for t in prange(bounds.size - 1):
        wide = wide_row(own.shape[1], width, shifted, own)
        sums = np.empty(_DEPTH, own.dtype)
        low, loss = bounds[t], 0.0
        i = np.searchsorted(starts, low, side="right") - 1
        while low < bounds[t + 1]:
            high = min(starts[i + 1], bounds[t + 1])
            row = spread_row(own[i], wide)
            for first in range(low, high, _DEPTH):
                depth = min(_DEPTH, high - first)
                row_gaps(
                    factor, width // lanes, indices, first, indices.size, depth, values, row, sums
                )
                for p in range(depth):
                    gap = np.float64(sums[p])
                    loss += (weights[first + p] if weights.size else 1.0) * (gap * gap)
            low = high
            i += 1
        out[t] = loss


@routine
def _add_residual_times(
    indices: Any, values: Any, weights: Any, low: int, high: int, factor: Any, width: int,
    lanes: int, row: Any, sums: Any, total: Any,
) -> float:  # fmt: skip
    """Add picked rows times the residuals, times weights, of entries; return their loss."""
    loss = 0.0
    for first in range(low, high, _DEPTH):
        depth = min(_DEPTH, high - first)
        row_gaps(factor, width // lanes, indices, first, indices.size, depth, values, row, sums)
        for p in range(depth):
            gap = sums[p]
            sums[p] = weights[first + p] * gap if weights.size else gap
            loss += np.float64(gap) * np.float64(sums[p])
        add_picked(sums, 0, indices, first, depth, factor, width, lanes, total)
    return loss


@kernel
def times_by_row(
    bounds: Any, most: int, starts: Any, indices: Any, values: Any, factor: Any, width: int,
    lanes: int, out: Any,
) -> None:  # fmt: skip
    """Write the product of the sparse matrix with the factor to `out` (m, k)."""
    for t in prange(bounds.size - 1):
        total = np.empty(width, out.dtype)
        for i in range(bounds[t], bounds[t + 1]):
            first, count = starts[i], starts[i + 1] - starts[i]
            if count <= most:
                total[:] = 0
                add_picked(values, first, indices, first, count, factor, width, lanes, total)
                out[i] = total[: out.shape[1]]


@kernel
def times_by_part(
    parts: Any, indices: Any, values: Any, factor: Any, width: int, lanes: int, out: Any
) -> None:
    """Write what each part of a row contributes to a row of `out` (T, width)."""
    for t in prange(parts.shape[0]):
        first, count = parts[t, 1], parts[t, 2] - parts[t, 1]
        out[t] = 0
        add_picked(values, first, indices, first, count, factor, width, lanes, out[t])


@kernel
def residual_times_by_row(
    bounds: Any, most: int, starts: Any, indices: Any, values: Any, weights: Any, own: Any,
    factor: Any, width: int, lanes: int, shifted: bool, out: Any, losses: Any,
) -> None:  # fmt: skip
    """Write residuals times the factor to `out` (m, k), the loss of each row to `losses` (m,)."""
    for t in prange(bounds.size - 1):
        total = np.empty(width, out.dtype)
        sums = np.empty(_DEPTH, out.dtype)
        wide = wide_row(out.shape[1], width, shifted, out)
        for i in range(bounds[t], bounds[t + 1]):
            if starts[i + 1] - starts[i] <= most:
                total[:] = 0
                losses[i] = _add_residual_times(
                    indices, values, weights, starts[i], starts[i + 1], factor, width, lanes,
                    spread_row(own[i], wide), sums, total,
                )  # fmt: skip
                out[i] = total[: out.shape[1]]


@kernel
def residual_times_by_part(
    parts: Any, indices: Any, values: Any, weights: Any, own: Any, factor: Any, width: int,
    lanes: int, shifted: bool, out: Any, losses: Any,
) -> None:  # fmt: skip
    """Write what each part of a row contributes to a row of `out` (T, width), `losses` (T,)."""
    for t in prange(parts.shape[0]):
        sums = np.empty(_DEPTH, out.dtype)
        mine = own[parts[t, 0]]
        row = spread_row(mine, wide_row(mine.size, width, shifted, out))
        out[t] = 0
        losses[t] = _add_residual_times(
            indices, values, weights, parts[t, 1], parts[t, 2], factor, width, lanes, row,
            sums, out[t],
        )  # fmt: skip
