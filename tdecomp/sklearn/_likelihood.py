"""The likelihood of samples under probabilistic principal components."""

from __future__ import annotations

import math

import numpy as np

from tdecomp._typing import Array


def log_likelihood(
    gap: Array, components: Array, variances: Array, noise: float, weights: Array
) -> Array:
    r"""Return the logarithms of the densities of samples, from what they are off the mean.

    Of the normal distribution with the covariance
    :math:`\sum_r (\lambda_r - \sigma^2)_+ c_r c_r^T + \sigma^2 F^{-1}`, whose components are
    orthonormal in the metric :math:`F` of the features. Along each of them the variance is the
    larger one of :math:`\lambda_r` and :math:`\sigma^2`, and what is orthogonal to all is noise.

    Parameters
    ----------
    gap : array, shape (m, n)
        Samples less the mean.
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
    variances = np.maximum(variances, noise)
    if not variances.all() or (noise == 0 and n > k):
        raise ValueError(
            f"samples have a likelihood where there is noise: {k} components leave none, take "
            "fewer"
        )
    scores = (gap * weights) @ components.T
    squares = (scores**2 / variances).sum(axis=1)
    volume = np.log(variances).sum() - np.log(weights).sum() + n * math.log(2 * math.pi)
    if n > k:
        squares += ((gap - scores @ components) ** 2) @ weights / noise
        volume += (n - k) * math.log(noise)
    return -(squares + volume) / 2
