r"""The normal distribution of probabilistic principal components.

Its covariance is :math:`\sum_r (\lambda_r - \sigma^2)_+ c_r c_r^T + \sigma^2 F^{-1}`, with
components that are orthonormal in the metric :math:`F` of the features.
"""

from __future__ import annotations

import math

import numpy as np

from tdecomp._typing import Array
from tdecomp.sklearn._regression import batches


def log_likelihood(
    gap: Array, components: Array, variances: Array, noise: float, weights: Array
) -> Array:
    r"""Return the logarithms of the densities of samples, from what they are off the mean.

    Along each component the variance is the larger one of :math:`\lambda_r` and
    :math:`\sigma^2`, and what is orthogonal to all is noise.

    Of samples with missing entries it is that of the others.

    Parameters
    ----------
    gap : array, shape (m, n)
        Samples less the mean, NaN where they are missing.
    components : array, shape (k, n)
        The rows :math:`c_r`.
    variances : array, shape (k,)
        The variances :math:`\lambda_r`.
    noise : float
        The variance :math:`\sigma^2`.
    weights : array, shape (n,)
        The diagonal of :math:`F`. Features of weight 0 are left out.

    Raises
    ------
    ValueError
        If the covariance is singular.
    """
    heavy = weights > 0
    gap, components, weights = gap[:, heavy], components[:, heavy], weights[heavy]
    k, n = components.shape
    larger = np.maximum(variances, noise)
    known = ~np.isnan(gap)
    _check_regular(larger, noise, complete=n == k and bool(known.all()))
    if not known.all():
        return _of_known(
            np.where(known, gap, 0), known, components, larger - noise, noise / weights
        )
    scores = (gap * weights) @ components.T
    squares = (scores**2 / larger).sum(axis=1)
    volume = np.log(larger).sum() - np.log(weights).sum() + n * math.log(2 * math.pi)
    if n > k:
        squares += ((gap - scores @ components) ** 2) @ weights / noise
        volume += (n - k) * math.log(noise)
    return -(squares + volume) / 2


def covariance(components: Array, variances: Array, noise: float, weights: Array) -> Array:
    """Return the covariance, of infinite variance in features of weight 0."""
    excess = np.sqrt(np.maximum(variances - noise, 0))[:, None] * components
    heavy = weights > 0
    own = np.where(heavy, noise / np.where(heavy, weights, np.ones_like(weights)), np.inf)
    return excess.T @ excess + np.diag(own.astype(components.dtype))


def precision(components: Array, variances: Array, noise: float, weights: Array) -> Array:
    r"""Return the inverse of the covariance, zero in features of weight 0.

    As :math:`C F C^T = I`, with :math:`C` the components, it is
    :math:`F / \sigma^2 - \sum_r (1 / \sigma^2 - 1 / \max(\lambda_r, \sigma^2)) F c_r c_r^T F`.

    Raises
    ------
    ValueError
        If the covariance is singular.
    """
    larger = np.maximum(variances, noise)
    _check_regular(larger, noise, complete=larger.shape[0] == np.count_nonzero(weights))
    dual = components * weights
    if noise == 0:
        dual /= np.sqrt(larger)[:, None]
        return dual.T @ dual
    dual *= np.sqrt((larger - noise) / larger)[:, None]
    return (np.diag(weights) - dual.T @ dual) / noise


def _check_regular(larger: Array, noise: float, *, complete: bool) -> None:
    """Refuse a singular covariance; one without noise is regular if components are complete."""
    if not larger.all() or (noise == 0 and not complete):
        raise ValueError(
            f"the covariance is singular: {larger.shape[0]} components leave no noise, take fewer"
        )


def _of_known(gap: Array, known: Array, components: Array, excess: Array, noises: Array) -> Array:
    r"""Return the logarithms of densities of known entries.

    With :math:`A` the scaled components of a sample, over the root of the noise, the covariance
    is noise times :math:`I + A A^T`, and has the determinant of :math:`I + A^T A`, while
    :math:`y^T (I + A A^T)^{-1} y = \min_z |y - A z|^2 + |z|^2`. One triangular factor of
    :math:`(A \; y; \, I \; 0)` holds both.
    """
    k, n = components.shape
    root = known / np.sqrt(noises)
    parts = np.sqrt(excess)[:, None] * components
    below = np.eye(k, k + 1)
    found = -(known @ np.log(2 * math.pi * noises)) / 2
    for run in batches(gap.shape[0], (n + k) * (k + 1)):
        top = np.empty((*gap[run].shape, k + 1))
        top[..., :k] = root[run, :, None] * parts.T
        top[..., k] = root[run] * gap[run]
        stack = np.concatenate([top, np.broadcast_to(below, (len(top), *below.shape))], axis=1)
        diagonal = np.abs(np.diagonal(np.linalg.qr(stack, mode="r"), axis1=1, axis2=2))
        found[run] -= np.log(diagonal[:, :k]).sum(axis=1) + diagonal[:, k] ** 2 / 2
    return found
