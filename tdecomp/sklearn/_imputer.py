"""Imputation by a matrix of low rank."""

from __future__ import annotations

import math
import sys
from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.impute import MissingIndicator
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted, validate_data

from tdecomp._iterate import Fit
from tdecomp._typing import Array
from tdecomp.completion import Completion, complete, fold_in
from tdecomp.sklearn._conventions import FLOATS, seed, warn_unfinished
from tdecomp.sklearn._counts import lowered
from tdecomp.sklearn._scale import to_unit
from tdecomp.sklearn._weights import sample_weights


class LowRankImputer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    r"""Replace missing entries by those of a matrix of low rank.

    With the mean :math:`\mu_j` and the standard deviation :math:`\sigma_j` of what is known of
    each feature, and :math:`\Omega` the places of known entries,

    .. math:: \min_{U, V} \sum_{(i,j) \in \Omega} \Bigl(
              \frac{x_{ij} - \mu_j}{\sigma_j} - u_i \cdot v_j \Bigr)^2
              + \lambda \Bigl( \sum_i n_i \|u_i\|^2 + \sum_j n_j \|v_j\|^2 \Bigr) ,

    where :math:`n_i` and :math:`n_j` count known entries of rows and columns. New samples keep
    :math:`V` and solve for rows :math:`u` of their own, and so do those that were fitted.

    Parameters
    ----------
    n_components : int
        The rank; lowered where there are fewer samples or features. With a penalty it is an upper
        bound: components that it makes zero do no harm.
    missing_values : float or pandas.NA
        What stands for a missing entry, NaN or a number.
    scale : bool
        Whether features are divided by their standard deviations for the fit.
    method : str
        How to minimise, as in `tdecomp.completion.complete`.
    regularization : float
        The penalty :math:`\lambda`.
    by_count : bool
        Whether it is multiplied by :math:`n_i` and :math:`n_j`.
    max_iter : int
        The largest number of iterations.
    tol : float
        Stop when the root of the objective changes by at most this, relative to it.
    random_state : int, RandomState or None
        Of the start.
    min_value, max_value : float or array, shape (n_features,), or None
        The least and the largest values that are put in for missing entries; None is any.
    add_indicator : bool
        Whether columns follow that tell what was missing, one for each feature that had missing
        entries in `fit`.
    keep_empty_features : bool
        Whether features of which `fit` knew nothing are kept, missing entries 0, or left out.

    Attributes
    ----------
    statistics_ : array, shape (n_features,)
        The means of the features, NaN for those of which nothing is known.
    completion_ : Completion or None
        The matrix that was fitted, of features that were not empty, less mean and over standard
        deviation; None where nothing was known.
    indicator_ : MissingIndicator or None
        Tells what was missing.
    n_iter_ : int
        The number of iterations.
    n_features_in_ : int
        The number of features.

    See Also
    --------
    tdecomp.completion.complete : the algorithms.
    tdecomp.completion.fold_in : completes rows that come later.

    Notes
    -----
    A sample of which nothing is known gets the means. An iteration costs :math:`|\Omega| k^2`
    multiplications and :math:`(m + n) k^3 / 6`, in time linear in the number of features, to
    which regressing each on all others adds two powers.

    References
    ----------
    .. [1] Y. Zhou, D. Wilkinson, R. Schreiber, R. Pan, "Large-scale parallel collaborative
       filtering for the Netflix prize", AAIM 2008. doi:10.1007/978-3-540-68880-8_32

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.sklearn import LowRankImputer
    >>> X = np.array([[1.0, 2.0], [2.0, np.nan], [3.0, 6.0]])
    >>> imputer = LowRankImputer(1, scale=False, regularization=1e-9, random_state=0).fit(X)
    >>> imputer.transform([[5.0, np.nan], [np.nan, np.nan]]).round(3)
    array([[ 5., 10.],
           [ 2.,  4.]])
    """

    def __init__(
        self,
        n_components: int = 10,
        *,
        missing_values: float = np.nan,
        scale: bool = True,
        method: str = "als",
        regularization: float = 0.1,
        by_count: bool = True,
        max_iter: int = 100,
        tol: float = 1e-4,
        random_state: Any = None,
        min_value: Any = -np.inf,
        max_value: Any = np.inf,
        add_indicator: bool = False,
        keep_empty_features: bool = False,
    ) -> None:
        self.n_components = n_components
        self.missing_values = missing_values
        self.scale = scale
        self.method = method
        self.regularization = regularization
        self.by_count = by_count
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.min_value = min_value
        self.max_value = max_value
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> LowRankImputer:
        """Find means, standard deviations and the factor of the features.

        Parameters
        ----------
        X : array, shape (n_samples, n_features)
            The data.
        y : None
            Not looked at.
        sample_weight : array, shape (n_samples,), optional
            How much each sample counts.

        Returns
        -------
        LowRankImputer
            The estimator itself.
        """
        X = self._marked(X, reset=True)
        self._limits = self._checked_limits(X)
        samples = sample_weights(sample_weight, X)
        known = ~np.isnan(X) & (samples > 0)[:, None]
        self._known = known.any(axis=0)
        if not self._kept().any():
            raise ValueError("X has no known entry: all of them are missing")
        self.indicator_ = None
        if self.add_indicator:
            self.indicator_ = MissingIndicator(error_on_new=False).fit(X)
        self.statistics_ = np.full(X.shape[1], np.nan, dtype=X.dtype)
        self.completion_, self.n_iter_ = None, 0
        if self._known.any():
            weights = None
            if sample_weight is not None:
                weights = known[:, self._known] * samples[:, None]
            fit = self._fit_known(X[:, self._known], samples, weights)
            warn_unfinished(fit, self)
            self.completion_, self.n_iter_ = fit.tensor, fit.n_iter
        return self

    def _fit_known(self, X: Array, samples: Array, weights: Array | None) -> Fit[Completion]:
        """Find means, deviations and factors of features of which something is known."""
        self._exponents = self._binary_exponents(X[samples > 0])
        unit, _ = to_unit(samples)
        some = np.ldexp(X, -self._exponents)
        self._scaler = StandardScaler(with_std=self.scale).fit(some, sample_weight=unit)
        self.statistics_[self._known] = np.ldexp(self._scaler.mean_, self._exponents)
        return complete(
            self._scaler.transform(some),
            rank=lowered(self.n_components, *some.shape),
            method=self.method,
            regularization=self.regularization,
            by_count=self.by_count,
            weights=weights,
            max_iter=self.max_iter,
            tol=self.tol,
            rng=seed(self.random_state),
        )

    def _binary_exponents(self, X: Array) -> Array:
        """Return powers of two near the features, so that no square of theirs overflows.

        Without `scale` they are zero: the penalty is meant for the data as they are.
        """
        if not self.scale:
            return np.zeros(X.shape[1], dtype=np.int32)
        return np.frexp(np.nanmax(np.abs(X), axis=0))[1]

    def _checked_limits(self, X: Array) -> Array:
        """Return the least and the largest value of each feature."""
        limits = []
        for name, free in (("min_value", -np.inf), ("max_value", np.inf)):
            asked = getattr(self, name)
            asked = np.asarray(free if asked is None else asked, dtype=X.dtype)
            if asked.shape not in {(), (1,), X.shape[1:]}:
                raise ValueError(
                    f"{name} must be a number or one for each of the {X.shape[1]} features, got "
                    f"shape {asked.shape}"
                )
            limits.append(np.broadcast_to(asked, X.shape[1:]))
        least, largest = limits
        if not (least <= largest).all():
            j = int(np.argmin(least <= largest))
            raise ValueError(
                f"min_value must not exceed max_value, got {least[j]} and {largest[j]} for "
                f"feature {j}"
            )
        return np.stack(limits)

    def _marked(self, X: Any, *, reset: bool) -> Array:
        """Return the data with NaN where they are missing."""
        if _is_nan(self.missing_values):
            if hasattr(X, "isna") and X.ndim == 2 and any(d.kind == "O" for d in X.dtypes):
                X = X.mask(X.isna(), np.nan)  # of objects, pandas.NA is not read as a number
            return validate_data(self, X, dtype=FLOATS, reset=reset, ensure_all_finite="allow-nan")
        mark = check_scalar(self.missing_values, "missing_values", Real)
        X = validate_data(self, X, dtype=FLOATS, reset=reset)
        return np.where(X == mark, np.asarray(np.nan, dtype=X.dtype), X)

    def transform(self, X: Any) -> Array:
        """Return samples without missing entries; known ones are what they were.

        Parameters
        ----------
        X : array, shape (n_samples, n_features)
            The data.

        Returns
        -------
        array, shape (n_samples, n_features_out)
            The completed data, and the columns of the indicator.
        """
        check_is_fitted(self)
        X = self._marked(X, reset=False)
        full = np.where(np.isnan(X), np.zeros_like(X), X)
        if self._known.any():
            full[:, self._known] = self._filled(X[:, self._known])
        parts = [full[:, self._kept()]]
        if self.indicator_ is not None:
            parts.append(self.indicator_.transform(X))
        return np.hstack(parts)

    def _filled(self, X: Array) -> Array:
        """Fill in features of which something is known, from what is known of each row."""
        Z = self._scaler.transform(np.ldexp(X, -self._exponents))
        missing = np.isnan(Z)
        guess = np.zeros_like(Z)
        rows = missing.any(axis=1) & ~missing.all(axis=1)
        if rows.any():
            folded = fold_in(
                self.completion_,
                Z[rows],
                regularization=self.regularization,
                by_count=self.by_count,
            )
            guess[rows] = folded.to_array()
        found = np.ldexp(self._scaler.inverse_transform(guess), self._exponents)
        least, largest = self._limits[:, self._known].astype(X.dtype)
        return np.where(missing, np.clip(found, least, largest), X)

    def _kept(self) -> Array:
        """Tell which features are in the output."""
        return self._known | self.keep_empty_features

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Return the names of the features that are left, and of what the indicator adds.

        Parameters
        ----------
        input_features : array of str, optional
            Names of the features; by default those that `fit` saw.

        Returns
        -------
        array of object
            The names.
        """
        names = super().get_feature_names_out(input_features)
        left = names[self._kept()]
        if self.indicator_ is None:
            return left
        return np.concatenate([left, self.indicator_.get_feature_names_out(names)])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = _is_nan(self.missing_values)
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _is_nan(mark: Any) -> bool:
    """Tell whether a mark is NaN or what frames of pandas have in its place."""
    pandas = sys.modules.get("pandas")
    if pandas is not None and mark is pandas.NA:
        return True
    return isinstance(mark, Real) and math.isnan(mark)
