"""Regression of rows whose entries have weights of their own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tdecomp._typing import Array

# How many numbers the matrices of a batch may hold.
_ROOM = 1 << 22


def batches(count: int, size: int) -> Iterator[slice]:
    """Yield runs of rows whose matrices, of that size each, are not too many to hold at once."""
    step = max(1, _ROOM // size)
    for start in range(0, count, step):
        yield slice(start, start + step)


def regressed(Y: Array, weights: Array, design: Array) -> Array:
    r"""Return :math:`b_i` with the least :math:`\sum_j w_{ij} (y_{ij} - d_j \cdot b_i)^2`.

    Of several such it is the shortest: zero for a row without weights. By orthogonal
    transformations, as what few entries of a row say may be close to nothing.

    Parameters
    ----------
    Y : array, shape (m, n)
        The rows; what weighs nothing may be NaN.
    weights : array, shape (m, n)
        Their weights.
    design : array, shape (n, k)
        The rows :math:`d_j`.
    """
    Y, root = np.where(weights > 0, Y, np.zeros_like(Y)), np.sqrt(weights)
    found = np.empty((Y.shape[0], design.shape[1]), dtype=Y.dtype)
    for run in batches(Y.shape[0], design.size):
        q, r = np.linalg.qr(root[run, :, None] * design)
        seen = np.swapaxes(q, 1, 2) @ (root[run] * Y[run])[:, :, None]
        found[run] = (np.linalg.pinv(r) @ seen)[:, :, 0]
    return found
