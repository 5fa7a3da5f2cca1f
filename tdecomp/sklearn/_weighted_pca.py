"""Principal components where samples, features or entries count by weights of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from tdecomp._errors import check_count, check_number
from tdecomp._iterate import Fit
from tdecomp._typing import Array
from tdecomp.linalg import LowRank
from tdecomp.sklearn._components import Components, principal
from tdecomp.sklearn._conventions import FLOATS, scores, warn_unfinished
from tdecomp.sklearn._counts import target
from tdecomp.sklearn._dimension import likeliest
from tdecomp.sklearn._entrywise import entrywise
from tdecomp.sklearn._probabilistic import Probabilistic
from tdecomp.sklearn._regression import regressed
from tdecomp.sklearn._scale import to_unit
from tdecomp.sklearn._variances import shared_out
from tdecomp.sklearn._weights import entry_weights, feature_weights, sample_weights


class WeightedPCA(Probabilistic, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    r"""Principal components of weighted samples, features and entries, missing ones included.

    With weights :math:`s_i` of the samples, :math:`f_j` of the features and, where these do not
    say it all, :math:`w_{ij}` of the entries,

    .. math:: \min_{\mu, \, \operatorname{rank} Z \le k}
              \sum_{ij} s_i f_j w_{ij} (x_{ij} - \mu_j - z_{ij})^2 .

    Without :math:`w_{ij}` the solution is the weighted mean and a weighted SVD, and without any
    weights it is `sklearn.decomposition.PCA`.

    Parameters
    ----------
    n_components : int, float or "mle", optional
        How many, at most ``min(n_samples, n_features)``; or, between 0 and 1, as few as keep this
        share of the weighted variance. None is all along which there is any; "mle" the likeliest
        number [2]_, for which samples must weigh the same and be as many as features. Both are
        refused where entries are missing or have weights.
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
    n_features_in_, n_samples_ : int
        How many features there are, and samples.

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
    looked at. `get_covariance` is that of this distribution. Neither depends on `whiten`.

    References
    ----------
    .. [1] M. E. Tipping, C. M. Bishop, "Probabilistic principal component analysis", J. R. Stat.
       Soc. B 61, 1999. doi:10.1111/1467-9868.00196
    .. [2] T. P. Minka, "Automatic choice of dimensionality for PCA", NIPS 2000.

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
        self.n_samples_ = X.shape[0]
        self.feature_weight_ = feature_weights(self.feature_weight, X)
        entries = entry_weights(weights, X)
        if entries is None:
            self._keep(self._principal(X, samples), samples)
            self.n_iter_ = 1
        else:
            entries, more = to_unit(entries)
            entries, rest = to_unit(samples[:, None] * entries)
            warn_unfinished(self._fit_entries(X, entries), self)
            exponent += more + rest
        with np.errstate(over="ignore", under="ignore"):  # weights may be of any scale
            self.singular_values_ *= X.dtype.type(2.0 ** (exponent / 2))
        return self

    def _principal(self, X: Array, samples: Array) -> Components:
        """Find mean and components where no entry has a weight of its own."""
        weights = samples, self.feature_weight_
        if _is_likeliest(self.n_components):
            every = principal(X, *weights, rank=min(X.shape))
            return every.first(likeliest(every, *weights))
        rank, rtol = target(self.n_components, min(X.shape))
        varied_only = self.n_components is None
        return principal(X, *weights, rank=rank, rtol=rtol, varied_only=varied_only)

    def _fit_entries(self, X: Array, entries: Array) -> Fit[LowRank]:
        """Find mean and components where entries have weights."""
        empty = ~(entries > 0).any(axis=0)
        if empty.any():
            raise ValueError(f"nothing is known of feature {int(np.argmax(empty))}: leave it out")
        ranks, lost = self._ranks(entries)
        fit, found, samples = entrywise(
            X,
            entries,
            self.feature_weight_,
            ranks=ranks,
            lost=lost,
            max_iter=self.max_iter,
            tol=self.tol,
        )
        self._keep(found, samples)
        self.n_iter_ = fit.n_iter
        return fit

    def _ranks(self, entries: Array) -> tuple[range, float]:
        """Return the ranks to try where entries have weights, and the share that may be lost."""
        if not self._may_be_incomplete():
            raise ValueError(
                "n_components must be a number where entries have weights: as many as there can "
                "be follow all noise"
            )
        most = min(entries.shape)
        rank, rtol = target(self.n_components, most)
        if rank is not None:
            return range(rank, rank + 1), 1.0
        return range(1, most + 1), (rtol or 0.0) ** 2

    def _keep(self, found: Components, samples: Array) -> None:
        """Keep mean and components, and the variances of samples of these weights."""
        self.mean_, self.components_ = found.mean, found.rows
        self.singular_values_: Array = found.values
        self.n_components_: int = found.values.shape[0]
        self._variances = shared_out(found, samples, self.feature_weight_)
        along, noise, shares, _, exponent = self._variances
        self.explained_variance_ratio_ = shares
        with np.errstate(over="ignore", under="ignore"):
            self.explained_variance_ = np.ldexp(along, 2 * exponent)
            self.noise_variance_ = float(np.ldexp(noise, 2 * exponent))

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
        return found / self._variances.deviations if self.whiten else found

    def _may_be_incomplete(self) -> bool:
        """Tell whether a number or a share is asked for, which data with missing entries have."""
        return self.n_components is not None and not _is_likeliest(self.n_components)

    def _checked(self, X: Any, *, reset: bool) -> Array:
        finite = "allow-nan" if self._may_be_incomplete() else True
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
        found = found * self._variances.deviations if self.whiten else found
        return found @ self.components_ + self.mean_

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._may_be_incomplete()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _is_likeliest(n_components: Any) -> bool:
    """Tell whether the likeliest number is asked for."""
    return isinstance(n_components, str) and n_components == "mle"
