"""Components as a model of the samples: what is likely under it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from tdecomp._typing import Array
from tdecomp.sklearn._likelihood import covariance, log_likelihood, precision
from tdecomp.sklearn._scale import to_unit
from tdecomp.sklearn._variances import Variances
from tdecomp.sklearn._weights import sample_weights


class Probabilistic:
    """What components say of samples if they and noise are normally distributed."""

    mean_: Array
    components_: Array
    feature_weight_: Array
    _variances: Variances
    _checked: Callable[..., Array]

    def score_samples(self, X: Any) -> Array:
        """Return the logarithm of the likelihood of each sample.

        Parameters
        ----------
        X : array, shape (n_samples, n_features)
            The data, NaN where they are missing.

        Returns
        -------
        array, shape (n_samples,)
            Those of the normal distribution with the variances found, at what is known.
        """
        check_is_fitted(self)
        X = self._checked(X, reset=False)
        along, noise, _, _, exponent = self._variances
        gap, heavy = np.ldexp(X - self.mean_, -exponent), self.feature_weight_
        found = log_likelihood(gap, self.components_, along, noise, heavy)
        count = np.count_nonzero(~np.isnan(gap) & (heavy > 0), axis=1)
        return found - count * (exponent * math.log(2))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the mean logarithm of the likelihood of samples.

        Parameters
        ----------
        X : array, shape (n_samples, n_features)
            The data, NaN where they are missing.
        y : None
            Not looked at.
        sample_weight : array, shape (n_samples,), optional
            How much each sample counts.

        Returns
        -------
        float
            The weighted mean.
        """
        found = self.score_samples(X)
        weights, _ = to_unit(sample_weights(sample_weight, found))
        return float(np.average(found, weights=weights))

    def get_covariance(self) -> Array:
        """Return the covariance of the model.

        Returns
        -------
        array, shape (n_features, n_features)
            That of components of the variances found and of noise, whitened scores or not. The
            variance of a feature of weight 0, of which any error is allowed, is infinite.
        """
        check_is_fitted(self)
        along, noise, _, _, exponent = self._variances
        found = covariance(self.components_, along, noise, self.feature_weight_)
        with np.errstate(over="ignore", under="ignore"):  # squares of data of any scale
            return np.ldexp(found, 2 * exponent)

    def get_precision(self) -> Array:
        """Return the inverse of the covariance of the model.

        Returns
        -------
        array, shape (n_features, n_features)
            The inverse, zero for features of weight 0.

        Raises
        ------
        ValueError
            If the covariance is singular: there is no noise, and fewer components than features.
        """
        check_is_fitted(self)
        along, noise, _, _, exponent = self._variances
        found = precision(self.components_, along, noise, self.feature_weight_)
        with np.errstate(over="ignore", under="ignore"):
            return np.ldexp(found, -2 * exponent)
