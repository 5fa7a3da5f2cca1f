"""The largest entries: of a matrix, or of each of its rows and columns."""

from __future__ import annotations

import numpy as np

from tdecomp._program import one_program
from tdecomp._typing import Array, Namespace
from tdecomp._xp import integers, is_numpy


def largest(x: Array, count: int, xp: Namespace) -> Array:
    """Return `x` with zeros in place of all but `count` entries of largest magnitude.

    Of entries as large as the smallest that is kept, the first are.
    """
    if count <= 0:
        return xp.zeros_like(x)
    if count >= x.shape[0] * x.shape[1]:
        return x
    kept = _leading(xp.reshape(xp.abs(x), (1, -1)), count, xp)
    return xp.where(xp.reshape(kept, x.shape), x, xp.zeros_like(x))


def outstanding(x: Array, fraction: float, xp: Namespace) -> Array:
    """Return the entries that are among the largest `fraction` of their row and their column.

    No row and no column keeps more, however many entries are as large as one another.
    """
    if fraction == 0:
        return xp.zeros_like(x)
    sizes = xp.abs(x)
    across, down = (max(1, round(fraction * n)) for n in (x.shape[1], x.shape[0]))
    columns = xp.matrix_transpose(_leading(xp.matrix_transpose(sizes), down, xp))
    return xp.where(_leading(sizes, across, xp) & columns, x, xp.zeros_like(x))


def _leading(sizes: Array, count: int, xp: Namespace) -> Array:
    """Tell which entries are the `count` largest of their row, of equals the first."""
    place = sizes.shape[-1] - count
    if not is_numpy(sizes):
        return _sorted(sizes, place, xp=xp)
    least = np.partition(sizes, place, axis=-1)[:, place, None]
    kept = sizes >= least
    if np.count_nonzero(kept) == count * sizes.shape[0]:
        return kept  # no ties to break
    return _untied(sizes, least, count, xp)


@one_program
def _sorted(sizes: Array, place: int, *, xp: Namespace) -> Array:
    least = xp.sort(sizes, axis=-1)[:, place : place + 1]
    return _untied(sizes, least, sizes.shape[-1] - place, xp)


def _untied(sizes: Array, least: Array, count: int, xp: Namespace) -> Array:
    """Keep what is larger than the least of the largest, and of its equals as many as fit."""
    above, equal = sizes > least, sizes == least
    number = integers(xp)
    room = count - xp.sum(xp.astype(above, number), axis=-1, keepdims=True)
    return above | (equal & (xp.cumulative_sum(xp.astype(equal, number), axis=-1) <= room))
