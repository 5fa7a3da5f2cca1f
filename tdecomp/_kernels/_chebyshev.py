r"""Values of Chebyshev-Tucker functions at scattered points, a block of points at a time.

Points lie along vectors. For each variable the polynomials at a block of points are multiplied by
the coefficients, a tile of registers at a time, and then the core by what comes of it.

Polynomials come from their differences [1]_: with :math:`\tau_j = T_j(|t|)` and :math:`v = 2 (1 -
|t|)`,

.. math:: \delta_{j+1} = \delta_j - v \tau_j , \qquad \tau_{j+1} = \tau_j + \delta_{j+1} , \qquad
          T_j(t) = (\operatorname{sign} t)^j \tau_j .

Errors grow like the degree, not like its square as those of :math:`T_{j+1} = 2 t T_j - T_{j-1}`
and of doubling do towards the ends, where a rounded :math:`2 t` forgets the distance from them; it
is taken from the box.

Of long series there may be a table of short ones, in cells, which are looked up point by point.

References
----------
.. [1] J. Oliver, "An error analysis of the modified Clenshaw method for evaluating Chebyshev and
   Fourier series", IMA J. Appl. Math. 20, 1977 (after C. Reinsch). doi:10.1093/imamat/20.3.379
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import prange

from tdecomp._kernels._jit import kernel, routine
from tdecomp._kernels._tile import ROWS, tile, weighted_tile

# Points of a block: whole tiles of 4 vectors, however long vectors are.
BLOCK = 64
# Polynomials at a time, a multiple of 8: they stay in the cache beside the sums.
_DEPTH = 64
# Bytes of a line of memory.
_LINE = 64
# Rows of tiles of 4 vectors: as many as registers hold, and fewer for what is left over.
_MANY = ROWS[4]
_FOUR = min(4, _MANY)
_SIZES = (_MANY, _FOUR, 2, 1)


@routine
def _aligned(count: int, like: Any) -> Any:
    """Return memory that starts with a line, so that no vector lies in two of them."""
    memory = np.empty(count + _LINE // like.itemsize, like.dtype)
    start = -memory.ctypes.data % _LINE // like.itemsize
    return memory[start : start + count]


@routine
def _farther(first: Any, second: Any) -> Any:
    """Return the larger number; what is not a number is farther than all."""
    return first if first >= second or np.isnan(first) else second


@routine
def _start(x: Any, first: int, count: int, column: int, low: Any, high: Any, state: Any) -> Any:
    """Write where points are to `state`; return by how much the largest `|t|` exceeds 1.

    Rows of `state` are the distance `v` from the nearer end, the sign, the polynomial of degree
    zero, and the difference before the next. Points that lie outside count as ends.
    """
    side = high - low
    farthest = side - side
    for q in range(BLOCK):
        at = x[first + min(q, count - 1), column]
        left, right = at - low, high - at
        v = 4 * (min(left, right) / side)
        farthest = _farther(farthest, -v)
        v = max(v, 0 * v)
        state[q] = v
        state[BLOCK + q] = 1 if right < left else -1
        state[2 * BLOCK + q] = 1
        state[3 * BLOCK + q] = -v / 2
    return farthest / 2


@numba.njit(nogil=True, error_model="numpy", fastmath={"contract"})
def _polynomials(state: Any, count: int, out: Any) -> None:
    """Write the next polynomials at a block of points to rows of `out`, a multiple of 8."""
    for j in range(0, count * BLOCK, 8 * BLOCK):
        row = out[j : j + 8 * BLOCK]
        for q in range(BLOCK):
            v, sign = state[q], state[BLOCK + q]
            t0, d = state[2 * BLOCK + q], state[3 * BLOCK + q]
            t1 = t0 + d
            d = d - v * t1
            t2 = t1 + d
            d = d - v * t2
            t3 = t2 + d
            d = d - v * t3
            t4 = t3 + d
            d = d - v * t4
            t5 = t4 + d
            d = d - v * t5
            t6 = t5 + d
            d = d - v * t6
            t7 = t6 + d
            d = d - v * t7
            t8 = t7 + d
            d = d - v * t8
            row[q] = t0
            row[BLOCK + q] = sign * t1
            row[2 * BLOCK + q] = t2
            row[3 * BLOCK + q] = sign * t3
            row[4 * BLOCK + q] = t4
            row[5 * BLOCK + q] = sign * t5
            row[6 * BLOCK + q] = t6
            row[7 * BLOCK + q] = sign * t7
            state[2 * BLOCK + q] = t8
            state[3 * BLOCK + q] = d


_many, _four, _two, _one = (tile(rows, 4) for rows in _SIZES)
_pair, _single = weighted_tile(1, 2), weighted_tile(1, 1)
_many_weighted, _four_weighted, _two_weighted, _one_weighted = (
    weighted_tile(rows, 4) for rows in _SIZES
)


@numba.njit(nogil=True, error_model="numpy")
def _product(
    a: Any, a0: int, da: int, dp: int, count: int, b: Any, depth: int, lanes: int, c: Any, c0: int
) -> None:
    """Add to `count` rows of `c` the products with `depth` rows of `b`, each a block of points."""
    for j in range(0, BLOCK, 4 * lanes):
        i, at, to = 0, a0, c0 + j
        while i + _MANY <= count:
            _many(a, at, da, dp, b, j, BLOCK, depth, c, to, BLOCK, 0, 0)
            i, at, to = i + _MANY, at + _MANY * da, to + _MANY * BLOCK
        if i + _FOUR <= count:
            _four(a, at, da, dp, b, j, BLOCK, depth, c, to, BLOCK, 0, 0)
            i, at, to = i + _FOUR, at + _FOUR * da, to + _FOUR * BLOCK
        if i + 2 <= count:
            _two(a, at, da, dp, b, j, BLOCK, depth, c, to, BLOCK, 0, 0)
            i, at, to = i + 2, at + 2 * da, to + 2 * BLOCK
        if i < count:
            _one(a, at, da, dp, b, j, BLOCK, depth, c, to, BLOCK, 0, 0)


@numba.njit(nogil=True, error_model="numpy")
def _weighted_product(
    a: Any, a0: int, da: int, dp: int, count: int, b: Any, b0: int, depth: int, lanes: int,
    w: Any, w0: int, c: Any, c0: int,
) -> None:  # fmt: skip
    """Add to a row of `c` a sum of `count` products of rows, each weighted with a row of `w`."""
    for j in range(0, BLOCK, 4 * lanes):
        i, at, by, to = 0, a0, w0 + j, c0 + j
        while i + _MANY <= count:
            _many_weighted(a, at, da, dp, b, b0 + j, BLOCK, depth, w, by, BLOCK, c, to)
            i, at, by = i + _MANY, at + _MANY * da, by + _MANY * BLOCK
        if i + _FOUR <= count:
            _four_weighted(a, at, da, dp, b, b0 + j, BLOCK, depth, w, by, BLOCK, c, to)
            i, at, by = i + _FOUR, at + _FOUR * da, by + _FOUR * BLOCK
        if i + 2 <= count:
            _two_weighted(a, at, da, dp, b, b0 + j, BLOCK, depth, w, by, BLOCK, c, to)
            i, at, by = i + 2, at + 2 * da, by + 2 * BLOCK
        if i < count:
            _one_weighted(a, at, da, dp, b, b0 + j, BLOCK, depth, w, by, BLOCK, c, to)


@routine
def _enter(state: Any, cells: int, places: Any) -> None:
    """Turn the places of points between ends, in `state`, into those inside of cells.

    Cells divide the root of the distance from an end evenly, `cells` from either end to the
    middle. Their numbers go to `places`. Inside, places are as exact as the distance.
    """
    for q in range(BLOCK):
        v = state[q]
        cell = min(int(np.sqrt(v / 2) * cells), cells - 1)
        width = 2 * cell + 1
        s = (v * (cells * cells) - (cell * width + cell + 1)) / width
        places[q] = cell + cells if state[BLOCK + q] > 0 else cell
        v = 2 * (1 - abs(s))
        state[q] = v
        state[BLOCK + q] = 1 if s > 0 else -1
        state[3 * BLOCK + q] = -v / 2


@routine
def _look_up(
    table: Any, at: int, terms: int, count: int, polynomials: Any, places: Any, lanes: int,
    ones: Any, found: Any, rows: Any, to: int,
) -> None:  # fmt: skip
    """Write to `count` rows the series of each point in its own cell, of `terms` coefficients.

    A table holds, for each cell, rows of as many columns as fill whole vectors. Even and odd terms
    are added up apart, since a sum waits for the one before.
    """
    width = (count + lanes - 1) // lanes * lanes
    even, odd, p, d = (terms + 1) // 2, terms // 2, 2 * BLOCK, 2 * width
    for q in range(BLOCK):
        for j in range(2 * width):
            found[j] = 0
        c, j = at + places[q] * terms * width, 0
        while j + 2 * lanes <= width:
            _pair(polynomials, q, 0, p, table, c + j, d, even, ones, 0, 0, found, j)
            i = width + j
            _pair(polynomials, BLOCK + q, 0, p, table, c + i, d, odd, ones, 0, 0, found, i)
            j += 2 * lanes
        if j < width:
            _single(polynomials, q, 0, p, table, c + j, d, even, ones, 0, 0, found, j)
            i = width + j
            _single(polynomials, BLOCK + q, 0, p, table, c + i, d, odd, ones, 0, 0, found, i)
        for j in range(count):
            rows[to + j * BLOCK + q] = found[j] + found[width + j]


@routine
def _contract(core: Any, ranks: Any, firsts: Any, rows: Any, lanes: int, sums: Any) -> None:
    """Write an array contracted with `rows`, a few for each variable, to the first row of `sums`.

    The last two variables go first; what is left is taken in by one variable after the other,
    each when the sum over its own is complete.
    """
    top = ranks.size - 2
    last, inner = ranks[top + 1], ranks[top]
    sums[: (top + 1) * BLOCK] = 0
    for group in range(core.size // (last * inner)):
        k, rest = top, group
        _weighted_product(
            core, group * inner * last, last, 1, inner, rows, firsts[top + 1] * BLOCK, last, lanes,
            rows, firsts[top] * BLOCK, sums, top * BLOCK,
        )  # fmt: skip
        while k > 0:
            k -= 1
            digit = rest % ranks[k]
            rest //= ranks[k]
            row = rows[(firsts[k] + digit) * BLOCK : (firsts[k] + digit + 1) * BLOCK]
            low, high = sums[k * BLOCK : (k + 1) * BLOCK], sums[(k + 1) * BLOCK : (k + 2) * BLOCK]
            for q in range(BLOCK):
                low[q] += high[q] * row[q]
                high[q] = 0
            if digit < ranks[k] - 1:
                break


@routine
def _pass_through(
    cores: Any, bonds: Any, ranks: Any, firsts: Any, rows: Any, lanes: int, sums: Any, spare: Any
) -> None:
    """Write a train contracted with `rows`, from its first core on, to `sums`."""
    sums[:BLOCK] = 1
    at = 0
    for k in range(ranks.size):
        r, s = ranks[k], bonds[k + 1]
        spare[: s * BLOCK] = 0
        for j in range(s):
            _weighted_product(
                cores, at + j, r * s, s, bonds[k], rows, firsts[k] * BLOCK, r, lanes,
                sums, 0, spare, j * BLOCK,
            )  # fmt: skip
        at += bonds[k] * r * s
        for q in range(s * BLOCK):
            sums[q] = spare[q]


@routine
def _block(
    core: Any, bonds: Any, series: Any, cells: Any, counts: Any, ranks: Any, columns: Any,
    box: Any, x: Any, first: int, count: int, lanes: int, firsts: Any, memory: Any,
) -> Any:  # fmt: skip
    """Write the values at a block of points to `memory`; return how far they are out.

    It has places for positions, polynomials, what series make of them, sums, which begin with the
    values, and more of these.
    """
    state, places, polynomials, ones, found, rows, sums, spare = memory
    rows[:] = 0
    outside = box[0, 0] - box[0, 0]
    at = 0
    for k in range(ranks.size):
        c, m, r = columns[k], counts[k], ranks[k]
        outside = _farther(outside, _start(x, first, count, c, box[c, 0], box[c, 1], state))
        to = firsts[k] * BLOCK
        if cells[k]:
            _enter(state, cells[k], places)
            _polynomials(state, m, polynomials)
            _look_up(series, at, m, r, polynomials, places, lanes, ones, found, rows, to)
            at += 2 * cells[k] * m * ((r + lanes - 1) // lanes * lanes)
            continue
        for p in range(0, m, _DEPTH):
            depth = min(_DEPTH, m - p)
            _polynomials(state, depth, polynomials)
            _product(series, at + p * r, 1, r, r, polynomials, depth, lanes, rows, to)
        at += (m * r + lanes - 1) // lanes * lanes
    if bonds.size:
        _pass_through(core, bonds, ranks, firsts, rows, lanes, sums, spare)
    else:
        _contract(core, ranks, firsts, rows, lanes, sums)
    return outside


@routine
def _task(
    core: Any, bonds: Any, series: Any, cells: Any, counts: Any, ranks: Any, columns: Any,
    box: Any, x: Any, low: int, high: int, lanes: int, out: Any,
) -> Any:  # fmt: skip
    """Write the values at some blocks of points to `out`; return how far they are out."""
    firsts = np.zeros(ranks.size + 1, np.int64)
    for k in range(ranks.size):
        firsts[k + 1] = firsts[k] + ranks[k]
    width = ranks.size if bonds.size == 0 else bonds.max()
    state, places = _aligned(4 * BLOCK, core), np.empty(BLOCK, np.int64)
    ones, found = np.ones(2 * lanes, core.dtype), _aligned(2 * (ranks.max() + lanes), core)
    polynomials, rows = _aligned(_DEPTH * BLOCK, core), _aligned(firsts[ranks.size] * BLOCK, core)
    sums, spare = _aligned(width * BLOCK, core), _aligned(width * BLOCK, core)
    outside = box[0, 0] - box[0, 0]
    for first in range(low * BLOCK, min(high * BLOCK, x.shape[0]), BLOCK):
        count = min(BLOCK, x.shape[0] - first)
        far = _block(
            core, bonds, series, cells, counts, ranks, columns, box, x, first, count, lanes,
            firsts, (state, places, polynomials, ones, found, rows, sums, spare),
        )  # fmt: skip
        outside = _farther(outside, far)
        for j in range(out.shape[0]):
            for q in range(count):
                out[j, first + q] = sums[j * BLOCK + q]
    return outside


@kernel
def evaluate(
    core: Any, bonds: Any, series: Any, cells: Any, counts: Any, ranks: Any, columns: Any,
    box: Any, x: Any,
    lanes: int, out: Any, outside: Any,
) -> None:  # fmt: skip
    """Write the values at points `x` (N, d) to rows of `out`, a task for each place of `outside`.

    `core` is flat: an array of two axes or more, for one row, or where `bonds` are, those of a
    train, its cores one after the other, the last of which ends in all rows. `series` are the
    factors one after the other, each from the start of a vector on, `counts` and `ranks` their
    shapes, or where there are `cells`, tables of series of `counts` terms in that many cells from
    either end of the box to its middle, those from the low end first. `columns` are the
    coordinates of `x`, rows of `box`, that they belong to. `outside` says
    how much farther than its ends points are from the middle of the box, as a part of half a side:
    0 of points inside, NaN of what is not a number.
    """
    blocks = (x.shape[0] + BLOCK - 1) // BLOCK
    tasks = outside.size
    for task in prange(tasks):
        low, high = blocks * task // tasks, blocks * (task + 1) // tasks
        outside[task] = _task(
            core, bonds, series, cells, counts, ranks, columns, box, x, low, high, lanes, out
        )
