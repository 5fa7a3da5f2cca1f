"""Entries by the rows that own them, and what they see of a factor."""

from __future__ import annotations

import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, is_numpy
from tdecomp.completion._entries import Entries
from tdecomp.completion._observed import Side, group


def facing(entries: Entries, factor: Array, across: bool, xp: Namespace) -> tuple[Side, Array]:
    """Return entries by their rows, or `across` by their columns, and the factor they pick from.

    Fewer entries than the factor has rows bring copies of those that they pick, one each: nothing
    of the size of the factor is made.
    """
    count = entries.values.shape[0]
    if count >= factor.shape[0]:
        observed = group(entries, xp)
        return (observed.columns if across else observed.rows), factor
    owners, picked = entries.rows, entries.columns
    if across:
        # Rows ascend, and still do within each column.
        entries = entries.take(xp.argsort(entries.columns, stable=True), xp)
        owners, picked = entries.columns, entries.rows
    edges = xp.arange(
        entries.shape[1 if across else 0] + 1, dtype=owners.dtype, device=device(owners)
    )
    starts = xp.astype(xp.searchsorted(owners, edges), owners.dtype, copy=False)
    values, weights = entries.values, entries.weights
    if is_numpy(owners, values):
        # What kernels take: no gaps, and the integers of `group`.
        values = np.ascontiguousarray(values)
        weights = None if weights is None else np.ascontiguousarray(weights)
        places = np.arange(count, dtype=np.int32)
    else:
        places = xp.arange(count, dtype=owners.dtype, device=device(owners))
    return Side(starts, places, values, weights), rows_of(factor, picked, xp)


def rows_of(factor: Array, index: Array, xp: Namespace) -> Array:
    """Return some rows of a factor, row by row in memory.

    NumPy's `take` would copy all of a factor first that is stored by columns.
    """
    if is_numpy(factor, index):
        return np.ascontiguousarray(factor[index])
    return xp.take(factor, index, axis=0)
