"""The ridge of each number of a factor."""

from __future__ import annotations

from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, real_dtype
from tdecomp.completion._observed import Side

# Penalties above this make every completion zero, and their squares may overflow.
CRUSHING = 2.0**60


def row_penalties(side: Side, ridge: float, by_count: bool, rank: int, xp: Namespace) -> Array:
    """Return the ridges (m, k) of the rows of a factor.

    They are the same for all rows, or, `by_count`, that times what the entries of a row weigh.
    """
    m, real = side.starts.shape[0] - 1, real_dtype(side.values.dtype, xp)
    where = {"dtype": real, "device": device(side.values)}
    ridge = min(ridge, CRUSHING)
    if not by_count:
        return xp.full((m, rank), ridge, **where)
    counts = xp.astype(side.counts(), real)
    if side.weights is not None:
        sums = xp.cumulative_sum(xp.astype(side.weights, xp.float64), include_initial=True)
        edges = xp.take(sums, side.starts, axis=0)
        counts = xp.astype(edges[1:] - edges[:-1], real)
    return xp.ones((1, rank), **where) * (ridge * counts)[:, None]


def with_offsets(penalty: Array, ridge: float, xp: Namespace) -> Array:
    """Return the ridges (m, k + 1) of rows of which the last number is an offset."""
    where = {"dtype": penalty.dtype, "device": device(penalty)}
    return xp.concat(
        [penalty, xp.full((penalty.shape[0], 1), min(ridge, CRUSHING), **where)], axis=1
    )
