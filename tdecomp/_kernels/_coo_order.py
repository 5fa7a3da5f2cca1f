"""Counting sorts of coordinates: by a digit of a key, and by the row of a mode."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from tdecomp._kernels._jit import kernel

DIGIT = 11
"""Bits sorted at a time: the write heads of all buckets stay in the innermost caches."""

_SEGMENTS = 4


@kernel
def find_disorder(indices: Any, shape: Any, found: Any) -> None:
    """Write to `found` (1,) how many coordinates lie outside, or not after the one before."""
    d, n = indices.shape
    bad = 0
    for p in prange(n):
        before = p - 1 if p else 0
        inside, after, alike = True, False, True
        for m in range(d):
            here, there = indices[m, p], indices[m, before]
            inside &= (here >= 0) & (here < shape[m])
            after |= alike & (here > there)
            alike &= here == there
        bad += (not inside) | ((not after) & (p > 0))
    found[0] = bad


@kernel
def sort_by_digit(keys: Any, values: Any, shift: Any, out_keys: Any, out_values: Any) -> None:
    """Write keys and their values in the order of `DIGIT` bits above `shift`, stably.

    Each segment counts its digits, and then knows where to write them: digits in ascending order,
    equal ones by segment.
    """
    mask, n = (1 << DIGIT) - 1, keys.size
    heads = np.zeros((_SEGMENTS, 1 << DIGIT), np.int64)
    for s in prange(_SEGMENTS):
        for p in range(n * s // _SEGMENTS, n * (s + 1) // _SEGMENTS):
            heads[s, (keys[p] >> shift) & mask] += 1
    total = 0
    for digit in range(1 << DIGIT):
        for s in range(_SEGMENTS):
            count = heads[s, digit]
            heads[s, digit] = total
            total += count
    for s in prange(_SEGMENTS):
        for p in range(n * s // _SEGMENTS, n * (s + 1) // _SEGMENTS):
            digit = (keys[p] >> shift) & mask
            place = heads[s, digit]
            heads[s, digit] = place + 1
            out_keys[place] = keys[p]
            out_values[place] = values[p]


@kernel
def count_rows(cuts: Any, rows: Any, parts: Any, shift: Any, starts: Any) -> None:
    """Write to `starts` (blocks * pieces, n + 1), zero before, where rows of pieces begin.

    Block `b` holds the entries ``cuts[b]`` to ``cuts[b + 1]``, here and once they are written;
    ``parts[p] >> shift`` is the piece of the block that entry `p` belongs to.
    """
    blocks = cuts.size - 1
    pieces = starts.shape[0] // blocks
    for b in prange(blocks):
        mine = starts[b * pieces : (b + 1) * pieces]
        for p in range(cuts[b], cuts[b + 1]):
            mine[parts[p] >> shift, rows[p] + 1] += 1
        total = cuts[b]
        for piece in range(pieces):
            for i in range(mine.shape[1]):
                total += mine[piece, i]
                mine[piece, i] = total


@kernel
def write_by_row(
    cuts: Any, indices: Any, values: Any, mode: Any, part: Any, shift: Any, others: Any,
    offsets: Any, starts: Any, out_indices: Any, out_values: Any,
) -> None:  # fmt: skip
    """Write the entries of every piece by rows of `mode`, with their rows in stacked factors.

    Mode `part` tells the pieces, as in `count_rows`. The factor of ``others[m]``, a mode, begins
    at row ``offsets[m]`` of the stack. The rows of one entry lie together, so that two streams
    are written and not one more for each mode.
    """
    blocks = cuts.size - 1
    pieces = starts.shape[0] // blocks
    for b in prange(blocks):
        heads = starts[b * pieces : (b + 1) * pieces].copy()
        for p in range(cuts[b], cuts[b + 1]):
            piece, row = indices[part, p] >> shift, indices[mode, p]
            place = heads[piece, row]
            heads[piece, row] = place + 1
            out_values[place] = values[p]
            for m in range(len(others)):
                out_indices[place, m] = indices[others[m], p] + offsets[m]
