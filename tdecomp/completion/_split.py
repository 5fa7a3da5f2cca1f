"""Entries set aside, to judge by what a fit has not seen."""

from __future__ import annotations

import numpy as np

from tdecomp._shim import host
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device
from tdecomp.completion._entries import Entries


def set_aside(
    entries: Entries, share: float, rng: np.random.Generator, xp: Namespace
) -> tuple[Entries, Entries]:
    """Return the entries to fit, and a random `share` of all to judge by.

    The first entry, in a random order, of every row and of every column stays: what is left of
    the rest may be fewer than the share.
    """
    total = int(entries.values.shape[0])
    order = rng.permutation(total)
    kept = first_of_each(entries, order)
    spare = order[~kept[order]]
    chosen = np.zeros(total, bool)
    chosen[spare[: max(1, round(share * total))]] = True
    return tuple(entries.take(_positions(mask, entries, xp), xp) for mask in (~chosen, chosen))  # type: ignore[return-value]


def first_of_each(entries: Entries, order: np.ndarray) -> np.ndarray:
    """Mark the entries that come first of their row or of their column in an order."""
    marked = np.zeros(order.shape[0], bool)
    for index in (entries.rows, entries.columns):
        _, first = np.unique(host(index)[order], return_index=True)
        marked[order[first]] = True
    return marked


def without(entries: Entries, others: Entries, xp: Namespace) -> Entries:
    """Return the entries at whose places there are no others."""
    # No place overflows: both modes have arrays of their length.
    keys, there = (
        host(known.rows) * entries.shape[1] + host(known.columns) for known in (entries, others)
    )
    kept = ~np.isin(keys, there, assume_unique=True)
    return entries if kept.all() else entries.take(_positions(kept, entries, xp), xp)


def _positions(mask: np.ndarray, entries: Entries, xp: Namespace) -> Array:
    return xp.asarray(np.nonzero(mask)[0], device=device(entries.values))
