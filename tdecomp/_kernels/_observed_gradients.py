"""Conjugate gradients for each row of a factor over the known entries of a matrix.

Arguments are those of `_observed_rows`. A step is two products of a row or a residual with the
rows that entries pick: linear in the rank, and no matrix of normal equations is formed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from tdecomp._kernels._gather import (
    add_combination,
    copies_and_gaps,
    copy_rows,
    products_in_order,
)
from tdecomp._kernels._jit import kernel, routine
from tdecomp._kernels._observed_rows import spread_row, wide_row

# Bytes of rows that stay in the buffer from one step to the next: half of a second level.
_ROOM = 1 << 19


@routine
def _first(
    indices: Any, values: Any, weights: Any, first: int, depth: int, factor: Any, width: int,
    lanes: int, row: Any, buffer: Any, sums: Any, scale: Any, slope: Any, square: Any,
) -> None:  # fmt: skip
    """Take picked rows into the buffer; add to half the slope, and to the squares of columns."""
    last, vectors = indices.size, width // lanes
    if weights.size:
        for p in range(depth):
            scale[p] = np.sqrt(weights[first + p])
    copies_and_gaps(
        factor, vectors, indices, first, last, depth, scale, values, row, buffer, width, sums
    )
    add_combination(sums, 0, buffer, width, depth, width, lanes, slope)
    for p in range(depth):
        line = buffer[p * width : (p + 1) * width]
        for a in range(width):
            square[a] += line[a] * line[a]


@routine
def _curvature(
    indices: Any, weights: Any, low: int, high: int, factor: Any, width: int, lanes: int,
    length: int, direction: Any, buffer: Any, sums: Any, out: Any,
) -> None:  # fmt: skip
    """Write the normal matrix of a row times a direction; rows that fit are in the buffer."""
    out[:] = 0
    vectors = width // lanes
    for first in range(low, high, length):
        depth = min(length, high - first)
        if depth < high - low:
            copy_rows(factor, vectors, indices, first, indices.size, depth, buffer, width)
        products_in_order(buffer, vectors, depth, direction, sums)
        if depth < high - low and weights.size:
            for p in range(depth):
                sums[p] *= weights[first + p]
        add_combination(sums, 0, buffer, width, depth, width, lanes, out)


@routine
def _improve(
    indices: Any, weights: Any, low: int, high: int, factor: Any, width: int, lanes: int,
    length: int, row: Any, ridge: Any, rounding: float, steps: int, shrink: float,
    floor: float, buffer: Any, sums: Any, slope: Any, square: Any, direction: Any, curved: Any,
) -> None:  # fmt: skip
    """Make conjugate-gradient steps from `row`, of which the slope is known, and overwrite it.

    Where the curvature along a direction is `rounding` times that of the diagonal, nothing is
    left but rounding, which a step would blow up.
    """
    k, energy = ridge.size, 0.0
    for a in range(k):
        square[a] = square[a] if square[a] > 0 else 1
        direction[a] = slope[a] / square[a]
        energy += slope[a] * direction[a]
    enough = max(shrink * shrink * energy, floor)
    for _ in range(steps):
        if not energy > enough:
            break
        _curvature(
            indices, weights, low, high, factor, width, lanes, length, direction, buffer, sums,
            curved,
        )  # fmt: skip
        bend, size = 0.0, 0.0
        for a in range(k):
            curved[a] += ridge[a] * direction[a]
            bend += direction[a] * curved[a]
            size += direction[a] * (square[a] * direction[a])
        if not bend > rounding * size:
            break
        step, before, energy = row.dtype.type(energy / bend), energy, 0.0
        for a in range(k):
            row[a] += step * direction[a]
            slope[a] -= step * curved[a]
            energy += slope[a] * (slope[a] / square[a])
        ratio = row.dtype.type(energy / before)
        for a in range(k):
            direction[a] = slope[a] / square[a] + ratio * direction[a]


@kernel
def improve_by_row(
    bounds: Any, starts: Any, indices: Any, values: Any, weights: Any, own: Any, factor: Any,
    width: int, lanes: int, shifted: bool, penalty: Any, rounding: float, steps: int,
    shrink: float, floor: float, out: Any,
) -> None:  # fmt: skip
    """Write rows of smaller objective to `out`, zeros where a row has no entry.

    At most so many steps: fewer where the energy of the slope has shrunk by the square of
    `shrink`, or to `floor` squared times the weighted squares of the values of the row.
    """
    k = own.shape[1]
    length = max(1, _ROOM // (width * own.itemsize))
    for t in prange(bounds.size - 1):
        buffer = np.empty(length * width, own.dtype)
        sums = np.empty(length, own.dtype)
        scale = np.empty(length if weights.size else 0, own.dtype)
        slope, square = np.empty(width, own.dtype), np.empty(width, own.dtype)
        # What fills up a row takes no part.
        direction, curved = np.zeros(width, own.dtype), np.empty(width, own.dtype)
        row = wide_row(k, width, shifted, own)
        for i in range(bounds[t], bounds[t + 1]):
            low, high = starts[i], starts[i + 1]
            if low == high:
                out[i] = 0
                continue
            spread_row(own[i], row)
            slope[:] = 0
            square[:] = 0
            total = 0.0
            for first in range(low, high, length):
                depth = min(length, high - first)
                _first(
                    indices, values, weights, first, depth, factor, width, lanes, row, buffer,
                    sums, scale, slope, square,
                )  # fmt: skip
                for p in range(depth):
                    x = np.float64(values[first + p])
                    if weights.size:
                        x *= scale[p]
                    if shifted:
                        x -= buffer[p * width + k]
                    total += x * x
            ridge = penalty[i]
            for a in range(k):
                slope[a] -= ridge[a] * row[a]
                square[a] += ridge[a]
            _improve(
                indices, weights, low, high, factor, width, lanes, length, row, ridge, rounding,
                steps, shrink, floor * floor * total, buffer, sums, slope, square,
                direction, curved,
            )  # fmt: skip
            out[i] = row[:k]
