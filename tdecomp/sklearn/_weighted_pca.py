"""Principal components where samples, features or entries count by weights of their own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from tdecomp._errors import check_count, check_number
from tdecomp._iterate import Fit
from tdecomp._typing import Array
from tdecomp.linalg import LowRank, weighted_svd
from tdecomp.sklearn._entrywise import closest, entry_weights, regressed
from tdecomp.sklearn._likelihood import log_likelihood
from tdecomp.sklearn._shared import (
    FLOATS,
    explained,
    feature_weights,
    freedom,
    lengths,
    sample_weights,
    scores,
    target,
    to_unit,
    turned,
    warn_unfinished,
)


class WeightedPCA(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    r"""Principal components of weighted samples, features and entries, missing ones included.

    With weights :math:`s_i` of the samples, :math:`f_j` of the features and, where these do not
    say it all, :math:`w_{ij}` of the entries,

    .. math:: \min_{\mu, \, \operatorname{rank} Z \le k}
              \sum_{ij} s_i f_j w_{ij} (x_{ij} - \mu_j - z_{ij})^2 .

    Without :math:`w_{ij}` the solution is the weighted mean and a weighted SVD, and without any
    weights it is `sklearn.decomposition.PCA`.

    Parameters
    ----------
    n_components : int or float, optional
        How many, at most ``min(n_samples, n_features)``; or, between 0 and 1, as few as keep this
        share of the weighted variance. None is all along which there is any, and refused where
        entries are missing or have weights.
    feature_weight : array, shape (n_features,), optional
        How much the squared error of each feature counts. Features of weight 0 do not influence
        the scores; their components are what the scores tell about them.
    whiten : bool
        Whether scores are divided by their standard deviations.
    max_iter : int
        The largest number of rounds over mean and components, for weights of entries.
    tol : float
        Stop when a round changes the weighted error by at most this, relative to it.

    Attributes
    ----------
    components_ : array, shape (k, n_features)
        The rows :math:`c_r`, orthonormal in the metric of the features:
        :math:`\sum_j f_j c_{rj} c_{sj} = \delta_{rs}`. The entry of largest weighted magnitude is
        positive. Without variance along a component it is zero.
    mean_ : array, shape (n_features,)
        The weighted mean; of what was fitted, where entries have weights.
    singular_values_ : array, shape (k,)
        The singular values of the weighted, centred data; of what was fitted, where entries have
        weights.
    explained_variance_ : array, shape (k,)
        Their squares over :math:`\sum s - \sum s^2 / \sum s`, as in ``np.cov(..., aweights=s)``:
        the variances of the scores, whatever the scale of the weights.
    explained_variance_ratio_ : array, shape (k,)
        The share of each in the weighted variance.
    noise_variance_ : float
        The mean variance along the directions left out, which is that of the noise in `score`.
    feature_weight_ : array, shape (n_features,)
        The weights of the features.
    n_components_ : int
        How many there are.
    n_iter_ : int
        The number of rounds, 1 where no entry has a weight of its own.
    n_features_in_ : int
        How many features there are.

    See Also
    --------
    tdecomp.weighted_svd : the decomposition behind it, for weights that are matrices too.
    tdecomp.completion.weighted_low_rank : where each entry has a weight of its own.
    LowRankImputer : for many missing entries; its penalty keeps components from following noise.

    Notes
    -----
    A weight of 2 has the same components as a sample that comes twice. One SVD of the weighted
    data, which are held in two copies.

    *Weights of entries.* No SVD solves the problem: steps on the factors and means of what they
    leave alternate, and what they converge to may be a local minimum. What was fitted is then
    decomposed as if it were data, samples counting as :math:`s_i \sum_j f_j w_{ij} / \sum_j f_j`.
    Rows of equal weights are thereby samples of that weight, and a row of which nothing is known
    does not count. There is no penalty: with few more entries than there are components to a row
    or feature, noise is followed.

    *Likelihood.* `score` is that of probabilistic components [1]_: scores of the variances found,
    and noise of variance :math:`\sigma^2 / f_j` in feature `j`; features of weight 0 are not
    looked at.

    References
    ----------
    .. [1] M. E. Tipping, C. M. Bishop, "Probabilistic principal component analysis", J. R. Stat.
       Soc. B 61, 1999. doi:10.1111/1467-9868.00196

    Examples
    --------
    The last sample is an outlier, and counts for nothing:

    >>> import numpy as np
    >>> from tdecomp.sklearn import WeightedPCA
    >>> X = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [-9.0, 9.0]])
    >>> pca = WeightedPCA(n_components=1).fit(X, sample_weight=[1, 1, 1, 0])
    >>> pca.mean_, pca.components_.round(4)
    (array([2., 2.]), array([[0.7071, 0.7071]]))
    >>> pca.explained_variance_ratio_.round(12)
    array([1.])

    What is missing follows from the rest:

    >>> pca.inverse_transform(pca.transform([[5.0, np.nan]])).round(12)
    array([[5., 5.]])
    """

    def __init__(
        self,
        n_components: Any = None,
        *,
        feature_weight: Any = None,
        whiten: bool = False,
        max_iter: int = 200,
        tol: float = 1e-6,
    ) -> None:
        self.n_components = n_components
        self.feature_weight = feature_weight
        self.whiten = whiten
        self.max_iter = max_iter
        self.tol = tol

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, weights: Any = None
    ) -> WeightedPCA:
        """Find mean and components.

        Parameters
        ----------
        X : array, shape (n_samples, n_features)
            The data, NaN where they are missing.
        y : None
            Not looked at.
        sample_weight : array, shape (n_samples,), optional
            How much the squared error of each sample counts.
        weights : array, shape (n_samples, n_features), optional
            How much that of each entry counts, on top of it; nothing where this is 0 or NaN.

        Returns
        -------
        WeightedPCA
            The estimator itself.
        """
        X = self._checked(X, reset=True)
        check_count(self.max_iter, name="max_iter", least=1)
        check_number(self.tol, name="tol")
        samples, exponent = to_unit(sample_weights(sample_weight, X))
        self.feature_weight_ = feature_weights(self.feature_weight, X)
        entries = entry_weights(weights, X)
        if entries is None:
            rank, rtol = target(self.n_components, min(X.shape))
            self._explain(self._decompose(X, samples, rank, rtol), samples)
            self.n_iter_ = 1
        else:
            entries, more = to_unit(entries)
            entries, rest = to_unit(samples[:, None] * entries)
            fit = self._fit_entries(X, entries)
            warn_unfinished(fit, self)
            self.n_iter_ = fit.n_iter
            exponent += more + rest
        with np.errstate(over="ignore", under="ignore"):  # weights may be of any scale
            self.singular_values_ *= X.dtype.type(2.0 ** (exponent / 2))
        return self

    def _fit_entries(self, X: Array, entries: Array) -> Fit[LowRank]:
        """Find what is closest to data whose entries have weights, and take it for data."""
        empty = ~(entries > 0).any(axis=0)
        if empty.any():
            raise ValueError(f"nothing is known of feature {int(np.argmax(empty))}: leave it out")
        weights = entries * self.feature_weight_
        samples = entries @ (self.feature_weight_ / self.feature_weight_.sum())
        known = np.where(entries > 0, X, np.zeros_like(X))
        light = self.feature_weight_ == 0
        ranks, lost = self._ranks(entries)
        for rank in ranks:
            fit = closest(X, weights, rank=rank, max_iter=self.max_iter, tol=self.tol)
            left, right = fit.tensor
            if light.any():
                right[:, light] = regressed(known[:, light].T, entries[:, light].T, left).T
            fitted = left @ right
            self._decompose(fitted, samples, rank)
            self._explain(lengths((known - fitted) * np.sqrt(weights)), samples)
            if 1 - self.explained_variance_ratio_.sum() <= lost:
                break
        return fit

    def _ranks(self, entries: Array) -> tuple[range, float]:
        """Return the ranks to try where entries have weights, and the share that may be lost."""
        if self.n_components is None:
            raise ValueError(
                "n_components must be a number where entries have weights: as many as there can "
                "be follow all noise"
            )
        most = min(entries.shape)
        rank, rtol = target(self.n_components, most)
        if rank is not None:
            return range(rank, rank + 1), 1.0
        return range(1, most + 1), (rtol or 0.0) ** 2

    def _decompose(
        self, Z: Array, samples: Array, rank: int | None, rtol: float | None = None
    ) -> Array:
        """Keep mean and components of a matrix; return the norm of what they leave."""
        self.mean_ = np.average(Z, axis=0, weights=samples).astype(Z.dtype)
        left, right = np.sqrt(samples), np.sqrt(self.feature_weight_)
        centred = Z - self.mean_
        found = weighted_svd(centred, left=left, right=right, rank=rank, rtol=rtol)
        self._store(found, left, right)
        return lengths((centred - found.to_array()) * left[:, None] * right)

    def _store(self, z: LowRank, left: Array, right: Array) -> None:
        """Keep the right factor, its rows at unit length in the metric of the features.

        Singular values are the products of the weighted lengths of both factors, however these
        share them.
        """
        tall, wide = z.left, z.right
        sizes = lengths(wide * right, axis=1)
        values = lengths(left[:, None] * tall, axis=0) * sizes
        varied = values > values[0] * np.finfo(wide.dtype).eps * max(z.shape)
        if self.n_components is None:
            count = max(1, int(varied.sum()))
            wide, sizes, values, varied = (part[:count] for part in (wide, sizes, values, varied))
        safe = np.where(varied, sizes, np.ones_like(sizes))[:, None]
        rows = np.where(varied[:, None], wide / safe, np.zeros_like(wide))
        self.components_ = rows * turned(rows * right)
        self.singular_values_: Array = values
        self.n_components_: int = values.shape[0]

    def _explain(self, rest: Array, samples: Array) -> None:
        """Share the variance among components and what is left, of that norm."""
        values = np.append(self.singular_values_, rest).astype(self.singular_values_.dtype)
        # Variances may leave the range of numbers; those of data at unit scale do not.
        values, self._exponent = to_unit(values)
        variances, shares = explained(values, lengths(values), samples)
        most = min(np.count_nonzero(samples), np.count_nonzero(self.feature_weight_))
        left_out = most - self.n_components_
        noise = float(variances[-1]) / left_out if left_out > 0 else 0.0
        self._at_unit_scale = variances[:-1], noise
        with np.errstate(over="ignore", under="ignore"):
            self.explained_variance_ = np.ldexp(variances[:-1], 2 * self._exponent)
            self.noise_variance_ = float(np.ldexp(noise, 2 * self._exponent))
        self.explained_variance_ratio_ = shares[:-1]
        degrees = freedom(samples)
        spread = self.singular_values_ / math.sqrt(degrees if degrees > 0 else 1.0)
        # Not the roots of variances, which may leave the range of numbers.
        self._deviations = np.where(spread > 0, spread, np.ones_like(spread))

    def fit_transform(
        self, X: Any, y: Any = None, sample_weight: Any = None, weights: Any = None
    ) -> Array:
        """Find mean and components, and return the scores of the samples.

        Parameters
        ----------
        X : array, shape (n_samples, n_features)
            The data, NaN where they are missing.
        y : None
            Not looked at.
        sample_weight : array, shape (n_samples,), optional
            How much the squared error of each sample counts.
        weights : array, shape (n_samples, n_features), optional
            How much that of each entry counts.

        Returns
        -------
        array, shape (n_samples, k)
            The scores.
        """
        return self.fit(X, y, sample_weight, weights).transform(X, weights)

    def transform(self, X: Any, weights: Any = None) -> Array:
        """Return the scores of samples.

        Parameters
        ----------
        X : array, shape (n_samples, n_features)
            The data, NaN where they are missing.
        weights : array, shape (n_samples, n_features), optional
            How much the squared error of each entry counts.

        Returns
        -------
        array, shape (n_samples, k)
            What multiplies the components to come closest to each sample in the weighted norm,
            the shortest such where known entries do not determine it.
        """
        check_is_fitted(self)
        X = self._checked(X, reset=False)
        entries, gap = entry_weights(weights, X), X - self.mean_
        if entries is None:
            found = (gap * self.feature_weight_) @ self.components_.T
        else:
            cost = to_unit(entries)[0] * to_unit(self.feature_weight_)[0]
            found = regressed(gap, cost, self.components_.T)
        return found / self._deviations if self.whiten else found

    def _checked(self, X: Any, *, reset: bool) -> Array:
        finite = True if self.n_components is None else "allow-nan"
        least = 2 if reset else 1
        return validate_data(
            self, X, dtype=FLOATS, reset=reset, ensure_all_finite=finite, ensure_min_samples=least
        )

    def inverse_transform(self, X: Any) -> Array:
        """Return the samples that scores stand for.

        Parameters
        ----------
        X : array, shape (n_samples, k)
            Scores.

        Returns
        -------
        array, shape (n_samples, n_features)
            The mean plus the components times their scores.
        """
        check_is_fitted(self)
        found = scores(X, self.n_components_)
        found = found * self._deviations if self.whiten else found
        return found @ self.components_ + self.mean_

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
        gap, heavy = np.ldexp(X - self.mean_, -self._exponent), self.feature_weight_
        found = log_likelihood(gap, self.components_, *self._at_unit_scale, heavy)
        count = np.count_nonzero(~np.isnan(gap) & (heavy > 0), axis=1)
        return found - count * (self._exponent * math.log(2))

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

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.n_components is not None
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
