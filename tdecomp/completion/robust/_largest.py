"""The largest entries of a matrix, and those that are large in their row and in their column."""

from __future__ import annotations

import numpy as np

from tdecomp._program import one_program
from tdecomp._typing import Array, Namespace
from tdecomp._xp import is_numpy


def largest(x: Array, count: int, xp: Namespace) -> Array:
    """Return `x` with zeros in place of all but `count` entries of largest magnitude.

    Of entries as large as the smallest that is kept, the first are.
    """
    if count <= 0:
        return xp.zeros_like(x)
    if count >= x.shape[0] * x.shape[1]:
        return x
    sizes = xp.reshape(xp.abs(x), (-1,))
    return _kept(x, sizes, _order(sizes, count, xp), count, xp=xp)


@one_program
def _kept(x: Array, sizes: Array, least: Array, count: int, *, xp: Namespace) -> Array:
    """Keep what is larger than the least of the largest, and of its equals as many as fit."""
    above, equal = sizes > least, sizes == least
    number = xp.asarray(0).dtype
    room = count - xp.sum(xp.astype(above, number))
    kept = above | (equal & (xp.cumulative_sum(xp.astype(equal, number)) <= room))
    return xp.where(xp.reshape(kept, x.shape), x, xp.zeros_like(x))


def _order(sizes: Array, count: int, xp: Namespace) -> Array:
    """Return the entry at place `count` from the top of each row, along the last axis."""
    place = sizes.shape[-1] - count
    if is_numpy(sizes):
        return np.partition(sizes, place, axis=-1)[..., place]
    return _sorted(sizes, place, xp=xp)


@one_program
def _sorted(sizes: Array, place: int, *, xp: Namespace) -> Array:
    return xp.sort(sizes, axis=-1)[..., place]


def outstanding(x: Array, fraction: float, xp: Namespace) -> Array:
    """Return the entries that are among the largest `fraction` of their row and their column."""
    if fraction == 0:
        return xp.zeros_like(x)
    sizes = xp.abs(x)
    rows = _order(sizes, max(1, round(fraction * x.shape[1])), xp)
    columns = _order(xp.matrix_transpose(sizes), max(1, round(fraction * x.shape[0])), xp)
    kept = (sizes >= rows[:, None]) & (sizes >= columns[None, :])
    return xp.where(kept, x, xp.zeros_like(x))
