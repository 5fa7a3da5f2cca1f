"""What a step of soft-impute does with the known entries: what is missed, and products with it.

They lie by rows; a point beyond a model has the entries ``(1 + beta) * seen - beta * last``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp._xp import is_numpy
from tdecomp.completion._entries import lexicographic
from tdecomp.completion._masked import compiled, listed, times, weighted_squares
from tdecomp.completion._observed import Side


class Seen(NamedTuple):
    """The known entries of a model, those of the one before, and how far beyond a point is."""

    now: Array
    last: Array
    beta: float

    def point(self) -> Array:
        """Return the entries of the point."""
        return (1 + self.beta) * self.now - self.beta * self.last


def by_columns(rows: Side, shape: tuple[int, int], xp: Namespace) -> Array:
    """Return the order by columns of entries that lie by rows."""
    if not is_numpy(rows.indices):
        return lexicographic(rows.indices, rows.owners(xp), shape[::-1], xp)
    from scipy.sparse import csr_array

    places = np.arange(rows.indices.shape[0])
    return csr_array((places, rows.indices, rows.starts), shape=shape).tocsc().data


def missed(rows: Side, seen: Seen, scale: float, room: Array | None) -> Array:
    """Return `scale` times what the point misses of the entries, times their weights.

    Where there is `room`, an array of NumPy of as many numbers, the result is written to it: the
    pages of a new one take longer than the arithmetic.
    """
    if room is not None and compiled(rows, seen.now, seen.last, room):
        from tdecomp._kernels._imputed import gaps

        gaps(rows.values, listed(rows), *seen, scale, room)
        return room
    residual = scale * (rows.values - seen.point())
    return residual if rows.weights is None else rows.weights * residual


def squares(rows: Side, found: Array, seen: Seen, xp: Namespace) -> tuple[float, float]:
    """Return the loss of a model with entries `found`, and the weighted squares of its change.

    The change is that from the point.
    """
    if compiled(rows, found, seen.now, seen.last):
        from tdecomp._kernels._imputed import squares as kernel

        return kernel(rows.values, listed(rows), found, *seen)
    return (
        weighted_squares(rows.values - found, rows, xp),
        weighted_squares(found - seen.point(), rows, xp),
    )


def ordered_times(side: Side, values: Array, order: Array, factor: Array, xp: Namespace) -> Array:
    """Return ``S @ factor`` for the sparse matrix `S` with ``values[order]`` in its places."""
    if compiled(side, values, factor):
        from tdecomp._kernels._imputed import ordered_times as kernel

        out = np.empty((side.starts.shape[0] - 1, factor.shape[1]), factor.dtype)
        kernel(side.starts, side.indices, values, order, factor, out)
        return out
    return times(side, xp.take(values, order, axis=0), factor, xp)
