"""Entries of a model where a matrix is known, and products of what is known with a factor.

Arguments are those of `_observed_rows`. The `parts` (T, 3) of rows hold the row of each, where
its entries begin and where they end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from tdecomp._kernels._gather import (
    add_combination,
    copies_and_gaps,
    copy_rows,
    row_gaps,
    row_products,
)
from tdecomp._kernels._jit import kernel, routine
from tdecomp._kernels._observed_rows import spread_row

# Entries whose rows are in the buffer at a time.
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
    width: int, lanes: int, out: Any,
) -> None:  # fmt: skip
    """Write the weighted squares of what a model misses in each stretch, as `entries_by_row`."""
    for t in prange(bounds.size - 1):
        wide, sums = np.zeros(width, own.dtype), np.empty(_DEPTH, own.dtype)
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
def _add_times(
    indices: Any, values: Any, low: int, high: int, factor: Any, width: int, lanes: int,
    buffer: Any, total: Any,
) -> None:  # fmt: skip
    """Add the rows of the factor that entries pick, times those, to `total`."""
    for first in range(low, high, _DEPTH):
        depth = min(_DEPTH, high - first)
        copy_rows(factor, width // lanes, indices, first, indices.size, depth, buffer, width)
        add_combination(values, first, buffer, width, depth, width, lanes, total)


@routine
def _add_residual_times(
    indices: Any, values: Any, weights: Any, low: int, high: int, factor: Any, width: int,
    lanes: int, row: Any, buffer: Any, sums: Any, total: Any,
) -> float:  # fmt: skip
    """Do so with what is left of entries, times their weights; return its weighted squares."""
    loss, none = 0.0, values[:0]
    for first in range(low, high, _DEPTH):
        depth = min(_DEPTH, high - first)
        copies_and_gaps(
            factor, width // lanes, indices, first, indices.size, depth, none, values, row,
            buffer, width, sums,
        )  # fmt: skip
        for p in range(depth):
            gap = sums[p]
            sums[p] = weights[first + p] * gap if weights.size else gap
            loss += np.float64(gap) * np.float64(sums[p])
        add_combination(sums, 0, buffer, width, depth, width, lanes, total)
    return loss


@kernel
def times_by_row(
    bounds: Any, most: int, starts: Any, indices: Any, values: Any, factor: Any, width: int,
    lanes: int, out: Any,
) -> None:  # fmt: skip
    """Write the product of the sparse matrix with the factor to `out` (m, k)."""
    for t in prange(bounds.size - 1):
        buffer, total = np.empty(_DEPTH * width, out.dtype), np.empty(width, out.dtype)
        for i in range(bounds[t], bounds[t + 1]):
            if starts[i + 1] - starts[i] <= most:
                total[:] = 0
                _add_times(
                    indices, values, starts[i], starts[i + 1], factor, width, lanes, buffer, total
                )
                out[i] = total[: out.shape[1]]


@kernel
def times_by_part(
    parts: Any, indices: Any, values: Any, factor: Any, width: int, lanes: int, out: Any
) -> None:
    """Write what each part of a row contributes to a row of `out` (T, width)."""
    for t in prange(parts.shape[0]):
        buffer = np.empty(_DEPTH * width, out.dtype)
        out[t] = 0
        _add_times(indices, values, parts[t, 1], parts[t, 2], factor, width, lanes, buffer, out[t])


@kernel
def residual_times_by_row(
    bounds: Any, most: int, starts: Any, indices: Any, values: Any, weights: Any, own: Any,
    factor: Any, width: int, lanes: int, out: Any, losses: Any,
) -> None:  # fmt: skip
    """Write residuals times the factor to `out` (m, k), the loss of each row to `losses` (m,)."""
    for t in prange(bounds.size - 1):
        buffer, total = np.empty(_DEPTH * width, out.dtype), np.empty(width, out.dtype)
        sums, wide = np.empty(_DEPTH, out.dtype), np.zeros(width, out.dtype)
        for i in range(bounds[t], bounds[t + 1]):
            if starts[i + 1] - starts[i] <= most:
                total[:] = 0
                losses[i] = _add_residual_times(
                    indices, values, weights, starts[i], starts[i + 1], factor, width, lanes,
                    spread_row(own[i], wide), buffer, sums, total,
                )  # fmt: skip
                out[i] = total[: out.shape[1]]


@kernel
def residual_times_by_part(
    parts: Any, indices: Any, values: Any, weights: Any, own: Any, factor: Any, width: int,
    lanes: int, out: Any, losses: Any,
) -> None:  # fmt: skip
    """Write what each part of a row contributes to a row of `out` (T, width), `losses` (T,)."""
    for t in prange(parts.shape[0]):
        buffer, sums = np.empty(_DEPTH * width, out.dtype), np.empty(_DEPTH, out.dtype)
        row = spread_row(own[parts[t, 0]], np.zeros(width, out.dtype))
        out[t] = 0
        losses[t] = _add_residual_times(
            indices, values, weights, parts[t, 1], parts[t, 2], factor, width, lanes, row,
            buffer, sums, out[t],
        )  # fmt: skip
