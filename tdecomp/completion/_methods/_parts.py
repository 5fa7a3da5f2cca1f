"""The parts of a matrix between which nothing is known: a start for each of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from tdecomp._shim import host
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, real_dtype
from tdecomp.completion._entries import Entries
from tdecomp.completion._masked import times
from tdecomp.completion._observed import Observed, group, narrow

# The most parts that are looked at one by one.
_MOST = 32
# So many steps lead through data in which rows are picked at random.
_STEPS = 8
# Multiples of the golden ratio, less integers, lie evenly.
_GOLDEN = (5**0.5 - 1) / 2


class Part(NamedTuple):
    """Places of its rows and columns in the whole, and what is known of it."""

    rows: np.ndarray
    columns: np.ndarray
    observed: Observed


def parts(observed: Observed, least: int, xp: Namespace) -> list[Part] | None:
    """Return the largest parts that entries other than zero connect, None if there is but one.

    Those of `least` rows or columns, or of fewer, are left out, and all but a few dozen.
    """
    if _at_once(observed, xp):
        return None
    m, _ = observed.shape
    labels = _connected(observed)
    sizes = [np.bincount(half, minlength=labels.max() + 1) for half in (labels[:m], labels[m:])]
    short = np.minimum(*sizes)
    if np.count_nonzero(short) < 2:
        return None
    order = np.argsort(-short, kind="stable")[:_MOST]
    chosen = order[short[order] > least]
    return [_part(observed, labels == label, xp) for label in chosen]


def apart(
    wholes: tuple[Array, Array],
    found: Sequence[Part],
    start: Callable[[Observed], tuple[Array, Array]],
    xp: Namespace,
) -> tuple[Array, Array]:
    """Return two factors with the rows of each part replaced by those of a start of its own."""
    starts = [start(part.observed) for part in found]
    return (
        _replaced(wholes[0], [part.rows for part in found], [pair[0] for pair in starts], xp),
        _replaced(wholes[1], [part.columns for part in found], [pair[1] for pair in starts], xp),
    )


def _at_once(observed: Observed, xp: Namespace) -> bool:
    """Tell whether a few steps lead from the fullest row to all others, as in most data.

    A step makes two products with a vector: what they do not reach is zero. Entries of vectors are
    uneven, since those of the matrix may cancel.
    """
    (rows, columns), (m, n) = observed[:2], observed.shape
    one, other = (_uneven(size, rows.values, xp) for size in (m, n))

    def onwards(seen: Array) -> Array:
        start = xp.where(seen[:, None], one, 0.0 * one)
        touched = times(columns, columns.values, start, xp) != 0
        return times(rows, rows.values, xp.where(touched, other, 0.0 * other), xp)[:, 0] != 0

    return leads_everywhere(onwards, rows.counts(), xp)


def leads_everywhere(onwards: Callable[[Array], Array], heaviness: Array, xp: Namespace) -> bool:
    """Tell whether a few steps lead from the heaviest row to all others that are not empty.

    A step takes the rows that have been seen, True, to those that share a column with them.
    """
    needed, count = int(xp.count_nonzero(heaviness)), 1
    seen = xp.arange(heaviness.shape[0], device=device(heaviness)) == xp.argmax(heaviness)
    for _ in range(_STEPS):
        seen = seen | onwards(seen)
        before, count = count, int(xp.count_nonzero(seen))
        if count in (before, needed):
            break
    return count == needed


def _uneven(size: int, like: Array, xp: Namespace) -> Array:
    """Return a column of numbers that vary between 1 and 2."""
    steps = xp.arange(size, dtype=real_dtype(like.dtype, xp), device=device(like))
    return xp.astype(1 + (_GOLDEN * steps) % 1, like.dtype)[:, None]


def _connected(observed: Observed) -> np.ndarray:
    """Return the number of the part of each row, and then of each column."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    (m, n), side = observed.shape, observed.rows
    starts, indices = host(side.starts), host(side.indices)
    linked = host(side.values != 0)
    if not linked.all():
        starts = np.concatenate([[0], np.cumsum(linked)])[starts]
        indices = indices[linked]
    starts = np.concatenate([starts, np.full(n, starts[-1])])
    ones = np.ones(indices.shape[0])
    graph = csr_array((ones, indices.astype(narrow(m + n)) + m, starts), shape=(m + n, m + n))
    return np.asarray(connected_components(graph, directed=False)[1])


def _part(observed: Observed, inside: np.ndarray, xp: Namespace) -> Part:
    """Return what is known of some of the rows and columns."""
    m, side = observed.shape[0], observed.rows
    where = device(side.values)
    places = np.flatnonzero(inside[:m]), np.flatnonzero(inside[m:])
    owners, others = host(side.owners(xp)), host(side.indices)
    chosen = np.flatnonzero(inside[:m][owners] & inside[m:][others])
    rows, columns = (
        xp.asarray(np.searchsorted(place, index[chosen]), device=where)
        for place, index in zip(places, (owners, others), strict=True)
    )
    chosen = xp.asarray(chosen, device=where)
    values = xp.take(side.values, chosen, axis=0)
    weights = None if side.weights is None else xp.take(side.weights, chosen, axis=0)
    shape = places[0].shape[0], places[1].shape[0]
    return Part(*places, group(Entries(rows, columns, values, weights, shape), xp))


def _replaced(
    whole: Array, places: Sequence[np.ndarray], pieces: Sequence[Array], xp: Namespace
) -> Array:
    """Return an array with some of its rows replaced."""
    source = np.arange(whole.shape[0])
    stop = whole.shape[0]
    for place in places:
        source[place] = np.arange(stop, stop + place.shape[0])
        stop += place.shape[0]
    index = xp.asarray(source, device=device(whole))
    return xp.take(xp.concat([whole, *pieces]), index, axis=0)
