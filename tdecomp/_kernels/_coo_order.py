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
        outside, after = False, p == 0
        for m in range(d):
            outside |= indices[m, p] < 0 or indices[m, p] >= shape[m]
        if p:
            m = 0
            while m < d - 1 and indices[m, p] == indices[m, p - 1]:
                m += 1
            after = indices[m, p] > indices[m, p - 1]
        bad += outside or not after
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
def count_rows(cuts: Any, rows: Any, starts: Any) -> None:
    """Write to `starts` (blocks, n + 1), zero before, where each row of each block begins.

    Block `b` holds the entries ``cuts[b]`` to ``cuts[b + 1]``, here and once they are arranged.
    """
    for b in prange(cuts.size - 1):
        mine = starts[b]
        for p in range(cuts[b], cuts[b + 1]):
            mine[rows[p] + 1] += 1
        total = cuts[b]
        for i in range(mine.size):
            total += mine[i]
            mine[i] = total


@kernel
def write_by_row(
    cuts: Any, indices: Any, values: Any, mode: Any, others: Any, offsets: Any, starts: Any,
    out_indices: Any, out_values: Any,
) -> None:  # fmt: skip
    """Write the entries of every block by rows of `mode`, with their rows in stacked factors.

    The factor of ``others[m]``, a mode, begins at row ``offsets[m]`` of the stack. The rows of one
    entry lie together, so that two streams are written and not one more for each mode.
    """
    for b in prange(cuts.size - 1):
        heads = starts[b].copy()
        for p in range(cuts[b], cuts[b + 1]):
            row = indices[mode, p]
            place = heads[row]
            heads[row] = place + 1
            out_values[place] = values[p]
            for m in range(len(others)):
                out_indices[place, m] = indices[others[m], p] + offsets[m]
