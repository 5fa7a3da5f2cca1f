"""Matrices whose every entry has a weight of its own, missing ones none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.utils import check_array

from tdecomp._iterate import Fit, Step, iterate
from tdecomp._typing import Array
from tdecomp.completion import weighted_low_rank
from tdecomp.linalg import LowRank
from tdecomp.sklearn._shared import lengths, nonnegative, to_unit

# Steps on the factors in each round, at the end of which the mean follows.
_STEPS = 10
# How many numbers the matrices of a batch may hold.
_ROOM = 1 << 22


def entry_weights(weights: Any, X: Array) -> Array | None:
    """Return a weight for each entry, 0 for those that are NaN; None if all weigh the same."""
    known = ~np.isnan(X)
    if weights is None:
        return None if known.all() else known.astype(X.dtype)
    found = check_array(
        weights, dtype=X.dtype, ensure_all_finite="allow-nan", input_name="weights"
    )
    if found.shape != X.shape:
        raise ValueError(f"weights must have the shape {X.shape} of X, got {found.shape}")
    nothing = np.zeros((), dtype=X.dtype)
    return nonnegative(np.where(known & ~np.isnan(found), found, nothing), "weights")


def closest(X: Array, weights: Array, *, rank: int, max_iter: int, tol: float) -> Fit[LowRank]:
    r"""Return :math:`(1 \; U) (\mu \; V)^T` with the least weighted squares of `X` less it.

    Rounds of steps on :math:`U V^T`, after each of which :math:`\mu` becomes the weighted mean of
    what they leave. Neither raises the objective, and each hardly depends on the other unless
    much is missing.
    """
    weights, _ = to_unit(weights)
    x, exponent = to_unit(np.where(weights > 0, X, np.zeros_like(X)))
    heavy = weights.sum(axis=0)
    shares = weights / np.where(heavy > 0, heavy, np.ones_like(heavy))
    # A gap is a sum of `rank + 2` numbers, and its factors are rounded too: below that an error
    # tells nothing.
    root, floor = np.sqrt(weights), 10 * (rank + 2) * float(np.finfo(x.dtype).eps)
    size = float(lengths(root * x)) or 1.0

    def follow(state: tuple[Array, Any]) -> Step[tuple[Array, Any]]:
        mean, start = state
        z = weighted_low_rank(
            x - mean, weights, rank=rank, init=start, tol=tol, max_iter=_STEPS, rng=0
        ).tensor
        gap = x - mean - z.to_array()
        change = (shares * gap).sum(axis=0)
        error = float(lengths(root * (gap - change))) / size
        return Step((mean + change, z), error, merit=max(error, floor))

    def show(state: tuple[Array, LowRank]) -> LowRank:
        mean, (left, right) = state
        left = np.hstack([np.ones_like(left[:, :1]), left])
        return LowRank(left, np.ldexp(np.vstack([mean, right]), exponent))

    first: tuple[Array, Any] = (shares * x).sum(axis=0), "best"
    return iterate(follow, first, max_iter=max_iter, tol=tol, show=show)


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
