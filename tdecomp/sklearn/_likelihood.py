"""The likelihood of samples under probabilistic principal components."""

from __future__ import annotations

import math

import numpy as np

from tdecomp._typing import Array
from tdecomp.sklearn._regression import batches


def log_likelihood(
    gap: Array, components: Array, variances: Array, noise: float, weights: Array
) -> Array:
    r"""Return the logarithms of the densities of samples, from what they are off the mean.

    Of the normal distribution with the covariance
    :math:`\sum_r (\lambda_r - \sigma^2)_+ c_r c_r^T + \sigma^2 F^{-1}`, whose components are
    orthonormal in the metric :math:`F` of the features. Along each of them the variance is the
    larger one of :math:`\lambda_r` and :math:`\sigma^2`, and what is orthogonal to all is noise.

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
    if not larger.all() or (noise == 0 and not (n == k and known.all())):
        raise ValueError(
            f"samples have a likelihood where there is noise: {k} components leave none, take "
            "fewer"
        )
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
