"""Products with the known entries of a matrix, laid out for the kernels that make them.

The entries of row `i` are ``starts[i]:starts[i + 1]``, `weights` is empty where all are 1. Rows
of `left` (m, k) own the entries, which pick rows of `right` (n, k), and numbers of `offsets` (n,)
that are subtracted from them; it is empty where there are none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tdecomp._kernels import _observed_gradients as gradients
from tdecomp._kernels import _observed_rows as rows
from tdecomp._kernels import _observed_small as small
from tdecomp._kernels import _observed_sums as sums
from tdecomp._kernels._small_squares import short
from tdecomp._kernels._threads import threads_for
from tdecomp._kernels._tile import lanes

# Stretches of rows for threads to share: more than threads, so that they end together.
_STRETCHES = 32
# Multiplications from which a kernel of its own for a rank pays: compiling it takes seconds, once.
_MANY = 1 << 24
# Bytes of a line of memory.
_LINE = 64
# A row with more than this share of all entries is divided, if it has more than so many.
_LONG, _FEWEST = 1 / 16, 1 << 14


class Layout(NamedTuple):
    """How threads share rows: stretches of those with at most `most` entries, parts of others."""

    bounds: np.ndarray
    most: int
    parts: np.ndarray


def entries(
    starts: np.ndarray, indices: np.ndarray, left: np.ndarray, right: np.ndarray, out: np.ndarray
) -> None:
    """Write the entries of the model ``left @ right.T`` at the known places to `out` (nnz,)."""
    flat, width, lane = padded(right)
    bounds = np.linspace(0, indices.size, _STRETCHES + 1).astype(np.int64)
    with threads_for(2 * indices.size * width):
        sums.entries_by_row(bounds, starts, indices, left, flat, width, lane, out)


def loss(
    starts: np.ndarray,
    indices: np.ndarray,
    values: np.ndarray,
    weights: np.ndarray,
    offsets: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
) -> float:
    """Return the weighted squares of what the model misses of the known entries."""
    flat, width, lane = padded(right, offsets)
    bounds = np.linspace(0, indices.size, _STRETCHES + 1).astype(np.int64)
    out = np.empty(_STRETCHES)
    with threads_for(2 * indices.size * width):
        sums.losses_by_stretch(
            bounds,
            starts,
            indices,
            values,
            weights,
            left,
            flat,
            width,
            lane,
            offsets.size > 0,
            out,
        )
    return float(np.sum(out))


def times(
    starts: np.ndarray,
    indices: np.ndarray,
    values: np.ndarray,
    factor: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write the product of the sparse matrix of `values` with a factor (n, k) to `out` (m, k)."""
    flat, width, lane = padded(factor)
    bounds, most, parts = _layout(starts)
    with threads_for(2 * indices.size * width):
        sums.times_by_row(bounds, most, starts, indices, values, flat, width, lane, out)
        if parts.size:
            found = np.empty((parts.shape[0], width), out.dtype)
            sums.times_by_part(parts, indices, values, flat, width, lane, found)
            for i, own in _of_rows(parts):
                out[i] = np.sum(found[own], axis=0)[: out.shape[1]]


def residual_times(
    starts: np.ndarray,
    indices: np.ndarray,
    values: np.ndarray,
    weights: np.ndarray,
    offsets: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    out: np.ndarray,
    losses: np.ndarray,
) -> None:
    """Write the weighted residuals times `right` to `out`, the loss of each row to `losses`."""
    flat, width, lane = padded(right, offsets)
    bounds, most, parts = _layout(starts)
    known = (indices, values, weights, left, flat, width, lane, offsets.size > 0)
    with threads_for(4 * indices.size * width):
        sums.residual_times_by_row(bounds, most, starts, *known, out, losses)
        if parts.size:
            found = np.empty((parts.shape[0], width), out.dtype)
            shares = np.empty(parts.shape[0])
            sums.residual_times_by_part(parts, *known, found, shares)
            for i, own in _of_rows(parts):
                out[i] = np.sum(found[own], axis=0)[: out.shape[1]]
                losses[i] = np.sum(shares[own])


def solve_rows(
    starts: np.ndarray,
    indices: np.ndarray,
    values: np.ndarray,
    weights: np.ndarray,
    offsets: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    penalty: np.ndarray,
    out: np.ndarray,
) -> tuple[float, float]:
    """Write the rows that fit best with `right` fixed to `out`, their ridges in `penalty` (m, k).

    The loss that they leave is returned, and a bound on its rounding.
    """
    bounds, most, parts = _layout(starts)
    rounding, k, lane = _rounding(left), left.shape[1], lanes(left.itemsize)
    found, work = np.empty((bounds.size - 1, 2)), indices.size * k**2
    known, shifted = (indices, values, weights, left), offsets.size > 0
    narrow = short(k, left.itemsize) if work >= _MANY else 0
    with threads_for(work):
        if narrow:
            flat, width = aligned(right, offsets, narrow)
            small.solve_small_by_row(
                bounds, most, starts, *known, flat, width, lane, shifted, penalty, rounding,
                (0,) * k, (0,) * (width // narrow), out, found,
            )  # fmt: skip
        else:
            rows.solve_by_row(
                bounds, most, starts, *known, *padded(right, offsets), shifted, penalty,
                rounding, out, found,
            )  # fmt: skip
        total, doubt = np.sum(found, axis=0)
        if parts.size:
            flat, width, lane = padded(right, offsets)
            for i, h, loss in _long_rows(parts, (*known, flat, width, lane, shifted)):
                rest = rows.solve_formed(
                    h, width, lane, left[i], penalty[i], rounding, loss, out[i]
                )
                total, doubt = total + rest[0], doubt + rest[1]
    return float(total), float(doubt)


def solve_nonnegative_rows(
    starts: np.ndarray,
    indices: np.ndarray,
    values: np.ndarray,
    weights: np.ndarray,
    offsets: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    penalty: np.ndarray,
    passes: int,
    out: np.ndarray,
) -> None:
    """Write what coordinate descent over nonnegative rows makes of `left` to `out`."""
    flat, width, lane = padded(right, offsets)
    bounds, most, parts = _layout(starts)
    known = (indices, values, weights, left, flat, width, lane, offsets.size > 0)
    with threads_for(indices.size * left.shape[1] ** 2):
        rows.descend_by_row(bounds, most, starts, *known, penalty, passes, out)
        for i, h, _ in _long_rows(parts, known):
            rows.descend_formed(h, width, left[i], penalty[i], passes, out[i])


def _long_rows(
    parts: np.ndarray, known: tuple[Any, ...]
) -> list[tuple[int, np.ndarray, np.floating[Any]]]:
    """Return the normal equations and the loss of each row that was divided."""
    if not parts.size:
        return []
    left, width = known[3], known[5]
    h = np.empty((parts.shape[0], rows.equations(left.shape[1]) * width), left.dtype)
    losses = np.empty(parts.shape[0])
    rows.squares_by_part(parts, *known, h, losses)
    return [(i, np.sum(h[own], axis=0), np.sum(losses[own])) for i, own in _of_rows(parts)]


def _of_rows(parts: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Return each row that was divided, with the places of its parts."""
    return [(int(i), parts[:, 0] == i) for i in np.unique(parts[:, 0])]


def _rounding(factor: np.ndarray) -> Any:
    """Return what normal equations lose to rounding, relative to their trace."""
    return factor.dtype.type(4 * factor.shape[1] * np.finfo(factor.dtype).eps)


def padded(factor: np.ndarray, offsets: np.ndarray | None = None) -> tuple[np.ndarray, int, int]:
    """Return a factor flat, its rows filled up to whole vectors, their width and that of those.

    Offsets, if any, stand behind the numbers of its rows.
    """
    lane = lanes(factor.dtype.itemsize)
    n, k = factor.shape
    some = offsets is not None and offsets.size > 0
    width = -(-(k + some) // lane) * lane
    if width == k:
        return np.ascontiguousarray(factor).reshape(-1), width, lane
    wide = np.zeros((n, width), factor.dtype)
    wide[:, :k] = factor
    if some:
        wide[:, k] = offsets
    return wide.reshape(-1), width, lane


def aligned(factor: np.ndarray, offsets: np.ndarray, lane: int) -> tuple[np.ndarray, int]:
    """Return what `padded` does, in vectors of `lane` numbers, none of them across two lines.

    The width of rows comes with it.
    """
    n, k = factor.shape
    some = offsets.size > 0
    width = -(-(k + some) // lane) * lane
    room = np.zeros(n * width + _LINE // factor.itemsize, factor.dtype)
    first = -room.ctypes.data % _LINE // factor.itemsize
    flat = room[first : first + n * width]
    wide = flat.reshape(n, width)
    wide[:, :k] = factor
    if some:
        wide[:, k] = offsets
    return flat, width


def _layout(starts: np.ndarray) -> Layout:
    """Cut rows into stretches with about equally many entries, and long rows into parts."""
    most = max(_FEWEST, int(_LONG * starts[-1]))
    counts = np.diff(starts)
    ends = starts
    long = np.nonzero(counts > most)[0]
    if long.size:
        ends = np.concatenate([[0], np.cumsum(np.where(counts > most, 0, counts))])
    parts = [
        (i, low, min(low + _FEWEST, starts[i + 1]))
        for i in long
        for low in range(starts[i], starts[i + 1], _FEWEST)
    ]
    return Layout(_even_bounds(ends), most, np.asarray(parts, np.int64).reshape(-1, 3))


def _even_bounds(ends: np.ndarray) -> np.ndarray:
    """Cut rows into stretches with about equally many entries."""
    cuts = np.searchsorted(ends, np.linspace(0, ends[-1], _STRETCHES + 1)[1:-1])
    return np.unique(np.concatenate([[0], cuts, [ends.size - 1]]))


def improve_rows(
    starts: np.ndarray,
    indices: np.ndarray,
    values: np.ndarray,
    weights: np.ndarray,
    offsets: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    penalty: np.ndarray,
    steps: int,
    shrink: float,
    floor: float,
    out: np.ndarray,
) -> None:
    """Write what conjugate gradients make of `left` with `right` fixed to `out`."""
    flat, width, lane = padded(right, offsets)
    bounds = _even_bounds(starts)
    with threads_for(4 * steps * indices.size * width):
        gradients.improve_by_row(
            bounds, starts, indices, values, weights, left, flat, width, lane,
            offsets.size > 0, penalty, _rounding(left), steps, shrink, floor, out,
        )  # fmt: skip
