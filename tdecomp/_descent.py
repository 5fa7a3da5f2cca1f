"""Nonnegative least squares by coordinate descent, many rows at once."""

from __future__ import annotations

from tdecomp._typing import Array, Namespace


def descend(h: Array, g: Array, own: Array, passes: int, xp: Namespace) -> Array:
    """Return what coordinate descent over nonnegative rows makes of `own`.

    Parameters
    ----------
    h : array, shape (n, r, r) or (1, r, r)
        Positive semidefinite matrices, or one for all rows.
    g : array, shape (n, r)
        The slopes at `own`, of the descending sign.
    own : array, shape (n, r)
        The current rows, nonnegative.
    passes : int
        How often each entry is minimised.
    xp : namespace
        The library.

    Returns
    -------
    array, shape (n, r)
        The new rows, nonnegative; the objective of none is larger than before.
    """
    columns = [own[:, r] for r in range(own.shape[-1])]
    for _ in range(passes):
        for r, column in enumerate(columns):
            curvature = h[:, r, r]
            curved = curvature > 0
            step = g[:, r] / xp.where(curved, curvature, xp.ones_like(curvature))
            moved = xp.where(curved, xp.clip(column + step, 0), column)
            g = g - (moved - column)[:, None] * h[:, r, :]
            columns[r] = moved
    return xp.stack(columns, axis=-1)
