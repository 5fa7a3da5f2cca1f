"""Components of matrices whose every entry has a weight of its own, missing ones none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tdecomp._iterate import Fit, Step, iterate
from tdecomp._typing import Array
from tdecomp.completion import weighted_low_rank
from tdecomp.linalg import LowRank
from tdecomp.sklearn._components import Components, principal
from tdecomp.sklearn._regression import regressed
from tdecomp.sklearn._scale import lengths, to_unit
from tdecomp.sklearn._variances import shared_out

# Steps on the factors in each round, at the end of which the mean follows.
_STEPS = 10


def entrywise(
    X: Array,
    entries: Array,
    features: Array,
    *,
    ranks: Iterable[int],
    lost: float,
    max_iter: int,
    tol: float,
) -> tuple[Fit[LowRank], Components, Array]:
    """Find what is closest to data whose entries have weights, and take it for data.

    Parameters
    ----------
    X : array, shape (m, n)
        The data; what weighs nothing may be NaN.
    entries : array, shape (m, n)
        Weights of the entries, some in every column.
    features : array, shape (n,)
        Weights of the features.
    ranks : iterable of int
        What to try, until no more than the share `lost` of the variance is lost.
    lost : float
        That share.
    max_iter, tol : int and float
        Where rounds end.

    Returns
    -------
    Fit, Components, array of shape (m,)
        The last round, its components, and what the samples weigh.
    """
    weights = entries * features
    samples = entries @ (features / features.sum())
    known = np.where(entries > 0, X, np.zeros_like(X))
    light = features == 0
    for rank in ranks:
        fit = closest(X, weights, rank=rank, max_iter=max_iter, tol=tol)
        left, right = fit.tensor
        if light.any():
            right[:, light] = regressed(known[:, light].T, entries[:, light].T, left).T
        fitted = left @ right
        rest = lengths((known - fitted) * np.sqrt(weights))
        found = principal(fitted, samples, features, rank=rank)._replace(rest=rest)
        if 1 - shared_out(found, samples, features).shares.sum() <= lost:
            break
    return fit, found, samples


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
