"""What a step of soft-impute does with known entries, one pass for each; see `_observed`.

The entries are shared out evenly, wherever rows end: of a row that several threads have entries
of, all but the first leave their sums beside the result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from tdecomp._kernels._jit import kernel
from tdecomp._kernels._observed import padded
from tdecomp._kernels._picked_sums import add_picked
from tdecomp._kernels._threads import threads_for

# Stretches of entries for threads to share: more than threads, so that they end together.
_STRETCHES = 32
# Numbers that are picked at a time.
_DEPTH = 64


def gaps(
    values: np.ndarray,
    weights: np.ndarray,
    seen: np.ndarray,
    last: np.ndarray,
    beta: float,
    scale: float,
    out: np.ndarray,
) -> None:
    """Write ``scale * weights * (values - (1 + beta) * seen + beta * last)`` to `out` (nnz,)."""
    with threads_for(8 * values.size):
        _gaps(_bounds(values.size), values, weights, seen, last, beta, scale, out)


def squares(
    values: np.ndarray,
    weights: np.ndarray,
    found: np.ndarray,
    seen: np.ndarray,
    last: np.ndarray,
    beta: float,
) -> tuple[float, float]:
    """Return the weighted squares of ``values - found`` and of what `gaps` subtracts from it."""
    out = np.empty((_STRETCHES, 2))
    with threads_for(8 * values.size):
        _squares(_bounds(values.size), values, weights, found, seen, last, beta, out)
    loss, moved = np.sum(out, axis=0)
    return float(loss), float(moved)


def ordered_times(
    starts: np.ndarray,
    indices: np.ndarray,
    values: np.ndarray,
    order: np.ndarray,
    factor: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write the sparse matrix of ``values[order]`` times a factor to `out` (m, k)."""
    flat, width, lane = padded(factor)
    bounds = _bounds(indices.size)
    owners, rests = np.empty(_STRETCHES, np.int64), np.zeros((_STRETCHES, width), out.dtype)
    out[:] = 0
    with threads_for(2 * indices.size * width):
        _ordered_times(
            bounds, starts, indices, values, order, flat, width, lane, out, owners, rests
        )
    for i, rest in zip(owners, rests, strict=True):
        out[i] += rest[: out.shape[1]]


def _bounds(count: int) -> np.ndarray:
    """Cut so many entries into stretches."""
    return np.linspace(0, count, _STRETCHES + 1).astype(np.int64)


@kernel
def _gaps(
    bounds: Any, values: Any, weights: Any, seen: Any, last: Any, beta: float, scale: float,
    out: Any,
) -> None:  # fmt: skip
    for t in prange(bounds.size - 1):
        for p in range(bounds[t], bounds[t + 1]):
            gap = scale * (values[p] - ((1 + beta) * seen[p] - beta * last[p]))
            out[p] = weights[p] * gap if weights.size else gap


@kernel
def _squares(
    bounds: Any, values: Any, weights: Any, found: Any, seen: Any, last: Any, beta: float, out: Any
) -> None:
    for t in prange(bounds.size - 1):
        loss, moved = 0.0, 0.0
        for p in range(bounds[t], bounds[t + 1]):
            weight = np.float64(weights[p]) if weights.size else 1.0
            gap = np.float64(values[p]) - found[p]
            move = np.float64(found[p]) - ((1 + beta) * seen[p] - beta * last[p])
            loss += weight * (gap * gap)
            moved += weight * (move * move)
        out[t, 0], out[t, 1] = loss, moved


@kernel
def _ordered_times(
    bounds: Any, starts: Any, indices: Any, values: Any, order: Any, factor: Any, width: int,
    lanes: int, out: Any, owners: Any, rests: Any,
) -> None:  # fmt: skip
    """Write rows that begin in a stretch to `out`, what belongs to an earlier one to its rest."""
    for t in prange(bounds.size - 1):
        picked, total = np.empty(_DEPTH, values.dtype), np.empty(width, out.dtype)
        low = bounds[t]
        i = np.searchsorted(starts, low, side="right") - 1
        owners[t] = min(i, out.shape[0] - 1)
        while low < bounds[t + 1]:
            high = min(starts[i + 1], bounds[t + 1])
            total[:] = 0
            for first in range(low, high, _DEPTH):
                depth = min(_DEPTH, high - first)
                for p in range(depth):
                    picked[p] = values[order[first + p]]
                add_picked(picked, 0, indices, first, depth, factor, width, lanes, total)
            if low == starts[i]:
                out[i] = total[: out.shape[1]]
            else:
                rests[t] = total
            low = high
            i += 1
