"""Rows that are believed to be normal, each for itself, after what known entries say of them."""

from __future__ import annotations

from typing import NamedTuple

from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, eps
from tdecomp.completion._masked import times
from tdecomp.completion._observed import Side


class Normal(NamedTuple):
    """Independent normal rows: their means (m, k), covariances (m, k, k), and the prior (k,).

    `entropy` is the sum of the halved logarithms of the determinants of the covariances.
    """

    mean: Array
    covariance: Array
    prior: Array
    entropy: float


def second_moments(rows: Normal) -> Array:
    """Return the second moments of rows."""
    return rows.mean[:, :, None] * rows.mean[:, None, :] + rows.covariance


def improved(
    side: Side, own: Normal, other: Normal, noise: float, xp: Namespace
) -> tuple[Normal, Array]:
    """Return what the entries say of rows, and the second moments that each row meets."""
    (n, k), dtype = other.mean.shape, other.mean.dtype
    moments = xp.reshape(second_moments(other), (n, k * k))
    gram = times(side, _heavy(side, xp.ones_like(side.values)), moments, xp)
    gram = xp.reshape(gram, (-1, k, k))
    identity = xp.eye(k, dtype=dtype, device=device(gram))
    # In the units of the prior, in which directions that are given up stay harmless.
    root = xp.sqrt(own.prior)
    precision = identity + root[:, None] * root * gram / noise
    spread = xp.linalg.inv(precision)
    covariance = root[:, None] * root * (spread + xp.matrix_transpose(spread)) / 2
    slope = times(side, _heavy(side, side.values), other.mean, xp) / noise
    mean = (covariance @ slope[:, :, None])[:, :, 0]
    logarithms = xp.linalg.slogdet(precision)[1]
    rows = float(mean.shape[0]) * float(xp.sum(xp.log(root)))
    entropy = rows - 0.5 * float(xp.sum(logarithms))
    return Normal(mean, covariance, own.prior, entropy), gram


def offsets_of(side: Side, own: Normal, noise: float, xp: Namespace) -> Normal:
    """Return what the entries, less all but the offsets of rows, say of those."""
    one = xp.ones(
        (int(xp.max(side.indices)) + 1, 1), dtype=own.mean.dtype, device=device(own.mean)
    )
    weight = times(side, _heavy(side, xp.ones_like(side.values)), one, xp)
    variance = 1 / (weight / noise + 1 / own.prior)
    mean = variance * times(side, _heavy(side, side.values), one, xp) / noise
    entropy = 0.5 * float(xp.sum(xp.log(variance)))
    return Normal(mean, variance[:, :, None], own.prior, entropy)


def spread_of(side: Side, offsets: Normal, xp: Namespace) -> float:
    """Return the weighted variances of offsets, summed over the known entries."""
    spread = xp.take(offsets.covariance[:, 0, 0], side.owners(xp), axis=0)
    return float(xp.sum(_heavy(side, spread)))


def with_prior(rows: Normal, xp: Namespace) -> Normal:
    """Let the variance of the prior be what the rows have in the mean."""
    size = xp.mean(xp.linalg.diagonal(second_moments(rows)), axis=0)
    return rows._replace(prior=xp.maximum(size, xp.full_like(size, eps(size.dtype, xp))))


def divergence(rows: Normal, xp: Namespace) -> float:
    """Return the Kullback-Leibler divergence of what is believed from the prior."""
    m, k = rows.mean.shape
    size = xp.sum(xp.linalg.diagonal(second_moments(rows)), axis=0)
    spread = float(xp.sum(size / rows.prior)) - float(m * k)
    volume: float = m * float(xp.sum(xp.log(rows.prior)))
    return 0.5 * (spread + volume) - rows.entropy


def _heavy(side: Side, values: Array) -> Array:
    return values if side.weights is None else side.weights * values
