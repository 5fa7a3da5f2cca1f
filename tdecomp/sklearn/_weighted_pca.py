"""Principal components where samples and features count by weights of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from tdecomp._typing import Array
from tdecomp.linalg import LowRank, weighted_svd
from tdecomp.sklearn._shared import (
    FLOATS,
    explained,
    feature_weights,
    lengths,
    sample_weights,
    scores,
    target,
    turned,
)


class WeightedPCA(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    r"""Principal components of weighted samples and weighted features.

    With the weighted mean :math:`\mu`, weights :math:`s_i` of the samples and :math:`f_j` of the
    features,

    .. math:: \min_{\operatorname{rank} Z \le k} \sum_{ij} s_i f_j (x_{ij} - \mu_j - z_{ij})^2 ,

    whose solution is the weighted SVD. Without weights it is `sklearn.decomposition.PCA`.

    Parameters
    ----------
    n_components : int or float, optional
        How many, at most ``min(n_samples, n_features)``; or, between 0 and 1, as few as keep this
        share of the weighted variance. None is all along which there is any.
    feature_weight : array, shape (n_features,), optional
        How much the squared error of each feature counts. Features of weight 0 do not influence
        the scores; their components are what the scores tell about them.

    Attributes
    ----------
    components_ : array, shape (k, n_features)
        The rows :math:`c_r`, orthonormal in the metric of the features:
        :math:`\sum_j f_j c_{rj} c_{sj} = \delta_{rs}`. The entry of largest weighted magnitude is
        positive. Without variance along a component it is zero.
    mean_ : array, shape (n_features,)
        The weighted mean.
    singular_values_ : array, shape (k,)
        The singular values of the weighted, centred data.
    explained_variance_ : array, shape (k,)
        Their squares over :math:`\sum s - \sum s^2 / \sum s`, as in ``np.cov(..., aweights=s)``:
        the variances of the scores, whatever the scale of the weights.
    explained_variance_ratio_ : array, shape (k,)
        The share of each in the weighted variance.
    feature_weight_ : array, shape (n_features,)
        The weights of the features.
    n_components_ : int
        How many there are.
    n_features_in_ : int
        How many features there are.

    See Also
    --------
    tdecomp.weighted_svd : the decomposition behind it, for weights that are matrices too.
    tdecomp.completion.weighted_low_rank : where each entry has a weight of its own.
    LowRankImputer : where entries are missing.

    Notes
    -----
    Weights are those of samples and of features, and that of an entry is their product: with any
    others there is no SVD that solves the problem, and `tdecomp.completion.weighted_low_rank`
    iterates. A weight of 2 has the same components as a sample that comes twice. One SVD of the
    weighted data, which are held in one copy.

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
    """

    def __init__(self, n_components: Any = None, *, feature_weight: Any = None) -> None:
        self.n_components = n_components
        self.feature_weight = feature_weight

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> WeightedPCA:
        """Find mean and components.

        Parameters
        ----------
        X : array, shape (n_samples, n_features)
            The data.
        y : None
            Not looked at.
        sample_weight : array, shape (n_samples,), optional
            How much the squared error of each sample counts.

        Returns
        -------
        WeightedPCA
            The estimator itself.
        """
        X = validate_data(self, X, dtype=FLOATS, ensure_min_samples=2)
        samples = sample_weights(sample_weight, X)
        self.feature_weight_ = feature_weights(self.feature_weight, X)
        self.mean_ = np.average(X, axis=0, weights=samples).astype(X.dtype)
        left, right = np.sqrt(samples), np.sqrt(self.feature_weight_)
        rank, rtol = target(self.n_components, min(X.shape))
        centred = X - self.mean_
        self._store(
            weighted_svd(centred, left=left, right=right, rank=rank, rtol=rtol), left, right
        )
        whole = lengths(centred * left[:, None] * right)
        found = explained(self.singular_values_, whole, samples)
        self.explained_variance_, self.explained_variance_ratio_ = found
        return self

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
        self.singular_values_ = values
        self.n_components_: int = values.shape[0]

    def transform(self, X: Any) -> Array:
        """Return the scores of samples.

        Parameters
        ----------
        X : array, shape (n_samples, n_features)
            The data.

        Returns
        -------
        array, shape (n_samples, k)
            What multiplies the components to come closest to each sample in the weighted norm.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        return ((X - self.mean_) * self.feature_weight_) @ self.components_.T

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
        return scores(X, self.n_components_) @ self.components_ + self.mean_

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
