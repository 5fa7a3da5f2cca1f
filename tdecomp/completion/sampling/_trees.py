"""The trees of a matrix: one of squares for each row, and one of the squared norms of rows."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from tdecomp._kernels import accepts
from tdecomp._program import one_program
from tdecomp._shim import host
from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import device, equilibrate, floats, times_power
from tdecomp.completion.sampling import _stored as store
from tdecomp.completion.sampling._forest import (
    Forest,
    moved,
    planted,
    put,
    replaced,
    roots,
    sums_of,
    wide,
)


class Trees(NamedTuple):
    """Sums of squares at scales that are powers of two.

    Attributes
    ----------
    rows : Forest
        A tree for each row, of its squared entries over ``4 ** exponents[i]``.
    top : Forest
        One tree, of the squared norms of the rows over ``4 ** unit``.
    exponents : array, shape (m,)
        The scale of each row, in the dtype of the sums.
    unit : int
        The scale of the matrix.
    """

    rows: Forest
    top: Forest
    exponents: Array
    unit: int


def grown(x: store.Stored, xp: Namespace) -> Trees:
    """Return the trees of all entries."""
    values, counts = x.values, store.counts(x)
    top = planted(np.asarray([counts.size]), values, xp)
    exponents = xp.zeros(counts.size, dtype=top.heap.dtype, device=device(values))
    trees = Trees(planted(counts, values, xp), top, exponents, 0)
    if accepts(values, trees.rows.heap):
        _plant(trees, x)
        return _settled(trees, xp)
    kept = np.flatnonzero(counts)
    return _settled(_rescaled(trees, x, kept, xp) if kept.size else trees, xp)


def _plant(trees: Trees, x: store.Stored) -> None:
    """Write the scales and sums of all entries of NumPy, in one pass over them."""
    from tdecomp._kernels._sampling_tree import plant_rows
    from tdecomp._kernels._threads import threads_for

    rows = trees.rows
    with threads_for(rows.heap.size):
        plant_rows(x.values, x.starts, rows.heap, rows.starts, rows.sizes, trees.exponents)


def changed(
    trees: Trees, x: store.Stored, rows: np.ndarray, places: np.ndarray, xp: Namespace
) -> Trees:
    """Return the trees after the entries stored at `places`, which lie in `rows`, have changed.

    A row whose sum has left the range of safe squares gets another scale, at the cost of all of
    it; so does the tree over the rows. One that has become zero keeps its scale.
    """
    limit = _limit(trees.exponents.dtype, xp)
    exponents = picked(trees.exponents, rows, xp)
    squares = _squares(picked(x.values, places, xp), exponents, xp)
    forest = replaced(trees.rows, rows, places - x.starts[rows], squares, xp)
    trees, touched = trees._replace(rows=forest), np.unique(rows)
    sums = np.asarray(floats(_sums(forest, touched, xp)))
    lost = touched[(sums > 0) & ~((sums > 1 / limit) & (sums < limit))]
    trees = _rescaled(trees, x, lost, xp) if lost.size else trees
    trees = _weighed(trees, touched, xp)
    return trees if _safe(total(trees), limit) else _settled(trees, xp)


def changed_one(trees: Trees, x: store.Stored, i: int, place: int, xp: Namespace) -> Trees:
    """Return the trees of NumPy after the entry stored at `place` of row `i` has changed."""
    from tdecomp._kernels._sampling_tree import replace_leaf

    limit, exponent = _limit(trees.exponents.dtype, xp), int(trees.exponents[i])
    rows, top, leaf = trees.rows, trees.top, place - int(x.starts[i])
    square = _square(x.values[place], exponent, limit)
    sum_ = replace_leaf(rows.heap, int(rows.starts[i]), int(rows.sizes[i]) + leaf, square)
    if not _safe(sum_, limit):
        return changed(trees, x, np.asarray([i]), np.asarray([place]), xp)
    share = _within(scaled(sum_, 2 * (exponent - trees.unit)), limit) if sum_ else 0.0
    whole = replace_leaf(top.heap, int(top.starts[0]), int(top.sizes[0]) + i, share)
    return trees if _safe(whole, limit) else _settled(trees, xp)


def _safe(sum_: float, limit: float) -> bool:
    """Tell whether a sum needs no other scale."""
    return sum_ == 0 or 1 / limit < sum_ < limit


def _square(entry: Any, exponent: int, limit: float) -> float:
    """Return what `_squares` does of one entry of NumPy."""
    parts = (entry.real, entry.imag) if entry.dtype.kind == "c" else (entry,)
    top = math.sqrt(limit)
    square = sum(min(abs(scaled(float(part), -exponent)), top) ** 2 for part in parts)
    return _within(square, limit) if entry else 0.0


def _within(square: float, limit: float) -> float:
    """Return a positive number cut to the ends of the range."""
    return min(max(square, _least(np.dtype(np.float64), np)), limit)


def total(trees: Trees) -> float:
    """Return the squared norm of the matrix over ``4 ** unit``."""
    return floats(trees.top.heap[1:2])[0]


def row_total(trees: Trees, i: int) -> tuple[float, int]:
    """Return the squared norm of a row over a power of four, and that power."""
    root = int(trees.rows.starts[i]) + 1
    return floats(trees.rows.heap[root : root + 1])[0], int(floats(trees.exponents[i : i + 1])[0])


def picked(x: Array, index: np.ndarray, xp: Namespace) -> Array:
    """Return entries of `x` at indices of the host."""
    return xp.take(x, moved(index, x, xp), axis=0)


def shifted(x: Array, exponent: int, xp: Namespace) -> Array:
    """Return ``x * 2 ** exponent`` for an array."""
    if not exponent:
        return x
    # An array, as some libraries take a number of Python for one of single precision.
    power = xp.asarray(float(exponent), dtype=wide(xp), device=device(x))
    return times_power(x, power, xp)


def scaled(x: float, exponent: int) -> float:
    """Return ``x * 2 ** exponent``, infinite where that overflows."""
    try:
        return math.ldexp(x, exponent)
    except OverflowError:
        return math.inf


def _rescaled(trees: Trees, x: store.Stored, rows: np.ndarray, xp: Namespace) -> Trees:
    """Give whole rows, none without entries, a scale and its squares."""
    owner, leaves = store.spread(x, rows)
    begin = np.flatnonzero(leaves == 0)
    entries = picked(x.values, x.starts[rows][owner] + leaves, xp)
    exponents = _exponents(_sizes(entries, xp), begin, x.columns is None, xp)
    exponents = xp.astype(exponents, trees.exponents.dtype)
    squares = _squares(entries, picked(exponents, owner, xp), xp)
    forest = replaced(trees.rows, rows[owner], leaves, squares, xp)
    return trees._replace(rows=forest, exponents=put(trees.exponents, rows, exponents, xp))


def _exponents(size: Array, begin: np.ndarray, even: bool, xp: Namespace) -> Array:
    """Return the exponent of the largest entry of each row, zero for a row of zeros."""
    if even:
        return _powers(xp.reshape(size, (begin.size, -1)), xp)
    return _powers(np.maximum.reduceat(size, begin)[:, None], xp)


@one_program
def _powers(size: Array, xp: Namespace) -> Array:
    """Return the exponent of the power of two below the largest of each row."""
    scale = equilibrate(size, xp, axis=1, always=True)[1]
    return xp.round(xp.log2(scale[:, 0]))


def _weighed(trees: Trees, rows: np.ndarray, xp: Namespace) -> Trees:
    """Put the squared norms of `rows` into the tree over the rows."""
    exponents = picked(trees.exponents, rows, xp)
    leaves = _shares(_sums(trees.rows, rows, xp), exponents, float(trees.unit), xp)
    first = np.zeros(rows.size, dtype=np.int64)
    return trees._replace(top=replaced(trees.top, first, rows, leaves, xp))


@one_program
def _shares(sums: Array, exponents: Array, unit: float, xp: Namespace) -> Array:
    """Return squared norms of rows over ``4 ** unit``; what is out of range is cut to its end."""
    shifts = xp.where(sums > 0, 2 * (exponents - unit), xp.zeros_like(exponents))
    shares = times_power(sums, shifts, xp)
    return _cut(shares, sums > 0, xp)


def _sums(forest: Forest, trees: np.ndarray, xp: Namespace) -> Array:
    """Return the sums of some trees, given by indices of the host."""
    return sums_of(forest, moved(trees, forest.heap, xp), xp)


def _settled(trees: Trees, xp: Namespace) -> Trees:
    """Give the tree over the rows the scale of the largest norm of a row."""
    sums = host(roots(trees.rows, xp))
    powers = 2 * host(trees.exponents) + np.frexp(sums)[1] - 1
    unit = int(np.max(powers[sums > 0], initial=-math.inf) // 2) if np.any(sums > 0) else 0
    everything = np.arange(trees.rows.starts.size)
    return _weighed(trees._replace(unit=unit), everything, xp)


@functools.cache
def _limit(dtype: DType, xp: Namespace) -> float:
    """Return how large a sum of squares may be, and one over how small, before it is rescaled."""
    return float(2.0 ** (math.log2(float(xp.finfo(dtype).max)) // 2))


def _least(dtype: DType, xp: Namespace) -> float:
    """Return what stands for a square that is too small: what is not zero can be drawn."""
    return float(xp.finfo(dtype).smallest_normal)


@one_program
def _squares(x: Array, exponents: Array, xp: Namespace) -> Array:
    """Return squared magnitudes after division by powers of two, in the dtype of the exponents.

    What is out of range is cut to its end: its row gets another scale. The squares of parts of
    complex numbers are added, as magnitudes may overflow where neither part does.
    """
    end = math.sqrt(_limit(exponents.dtype, xp))
    squares: Array = 0.0
    for part in _parts(x, xp):
        size = xp.abs(times_power(xp.astype(part, exponents.dtype), -exponents, xp))
        squares = squares + xp.minimum(size, xp.full_like(size, end)) ** 2
    return _cut(squares, x != 0, xp)


@one_program
def _sizes(x: Array, xp: Namespace) -> Array:
    """Return magnitudes, of complex numbers those of the larger part."""
    first, *rest = (xp.abs(part) for part in _parts(x, xp))
    return xp.maximum(first, *rest) if rest else first


def _parts(x: Array, xp: Namespace) -> tuple[Array, ...]:
    return (xp.real(x), xp.imag(x)) if xp.isdtype(x.dtype, "complex floating") else (x,)


def _cut(squares: Array, positive: Array, xp: Namespace) -> Array:
    """Return squares cut to the ends of the range, and zero where nothing is `positive`."""
    low, high = _least(squares.dtype, xp), _limit(squares.dtype, xp)
    inside = xp.clip(squares, low, high)
    return xp.where(positive, inside, xp.zeros_like(inside))
