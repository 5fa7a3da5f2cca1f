"""Regression on pairs: entries of a matrix of low rank by the labels of their row and column."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import coo_array
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.preprocessing import OrdinalEncoder
from sklearn.utils.validation import check_is_fitted, validate_data

from tdecomp._typing import Array
from tdecomp.completion import Completion, complete, predict
from tdecomp.completion._using._predict import check_clip
from tdecomp.sklearn._conventions import seed, warn_unfinished
from tdecomp.sklearn._counts import lowered
from tdecomp.sklearn._labels import check_kinds, check_present, labels
from tdecomp.sklearn._weights import sample_weights


class MatrixCompletion(RegressorMixin, BaseEstimator):
    r"""Predict a number from a pair of labels, as of who and what.

    Each sample is an entry of a matrix: the label of its row, the label of its column, and its
    value. What is learnt are numbers for each label,

    .. math:: y \approx \mu + b_i + c_j + \sum_{r=1}^k u_{ir} v_{jr} .

    Parameters
    ----------
    n_components : int
        The rank `k`; lowered where there are fewer rows or columns.
    method : str
        How to minimise, as in `tdecomp.completion.complete`.
    regularization : float
        The penalty of the squares of `u` and `v`.
    by_count : bool
        Whether it is multiplied by the number of samples of the label.
    biases : bool or float
        Whether there are offsets of rows and columns, fitted with the factors by the methods
        ``"als"`` and ``"als_cg"`` and before them by others, and with which penalty.
    nonnegative : bool
        Whether `u` and `v` may not be negative.
    clip : pair of float, optional
        The least and the largest value there can be.
    max_iter : int
        The largest number of iterations.
    tol : float
        Stop when the root of the objective changes by at most this, relative to it.
    random_state : int, RandomState or None
        Of the start.

    Attributes
    ----------
    completion_ : Completion
        The matrix, in the order of `row_labels_` and `column_labels_`.
    row_labels_, column_labels_ : array
        The labels, sorted.
    n_iter_ : int
        The number of iterations.
    n_features_in_ : int
        The number of columns of the data.

    See Also
    --------
    tdecomp.completion.complete : the algorithms, for matrices that are sparse or dense.

    Notes
    -----
    Labels are numbers, text or dates, of one kind in each column: text is refused where numbers
    were fitted. Samples that share a pair count as their weighted mean with the sum of their
    weights, which leaves the minimum where it was. For a label that was not seen all numbers are
    zero: with biases, the prediction is the mean plus the offset of the other label.

    Examples
    --------
    >>> from tdecomp.sklearn import MatrixCompletion
    >>> X = [["ann", "tea"], ["ann", "jam"], ["bob", "tea"], ["bob", "jam"], ["cem", "tea"]]
    >>> y = [2.0, 4.0, 3.0, 6.0, 5.0]
    >>> model = MatrixCompletion(1, regularization=1e-9, biases=False, random_state=0).fit(X, y)
    >>> model.predict([["cem", "jam"]]).round(4)
    array([10.])
    """

    def __init__(
        self,
        n_components: int = 10,
        *,
        method: str = "als",
        regularization: float = 0.1,
        by_count: bool = True,
        biases: bool | float = True,
        nonnegative: bool = False,
        clip: Any = None,
        max_iter: int = 100,
        tol: float = 1e-4,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.method = method
        self.regularization = regularization
        self.by_count = by_count
        self.biases = biases
        self.nonnegative = nonnegative
        self.clip = clip
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> MatrixCompletion:
        """Learn the numbers of all labels.

        Parameters
        ----------
        X : array, shape (n_samples, 2)
            The labels of row and column. Further columns, such as times, are not looked
            at, except that nothing may be missing there.
        y : array, shape (n_samples,)
            The values.
        sample_weight : array, shape (n_samples,), optional
            How much each value counts; what has weight 0 is not seen.

        Returns
        -------
        MatrixCompletion
            The estimator itself.
        """
        check_clip(self.clip)
        X, y = validate_data(self, labels(X), y, dtype=None, y_numeric=True, ensure_min_features=2)
        check_present(X)
        y = np.asarray(y, dtype=np.float32 if y.dtype == np.float32 else np.float64)
        weights = sample_weights(sample_weight, y)
        seen = weights > 0
        self._encoder = OrdinalEncoder(
            dtype=np.int64, handle_unknown="use_encoded_value", unknown_value=-1
        )
        pairs = self._encoder.fit_transform(X[seen, :2])
        self.row_labels_, self.column_labels_ = self._encoder.categories_
        shape = (self.row_labels_.shape[0], self.column_labels_.shape[0])
        fit = complete(
            coo_array((y[seen], tuple(pairs.T)), shape=shape),
            rank=lowered(self.n_components, *shape),
            method=self.method,
            regularization=self.regularization,
            by_count=self.by_count,
            weights=None if sample_weight is None else weights[seen],
            biases=self.biases,
            nonnegative=self.nonnegative,
            duplicates="mean",
            max_iter=self.max_iter,
            tol=self.tol,
            rng=seed(self.random_state),
        )
        warn_unfinished(fit, self)
        self.completion_, self.n_iter_ = fit.tensor, fit.n_iter
        return self

    def predict(self, X: Any) -> Array:
        """Return the values at pairs of labels.

        Parameters
        ----------
        X : array, shape (n_samples, 2)
            The labels of row and column.

        Returns
        -------
        array, shape (n_samples,)
            The values.
        """
        check_is_fitted(self)
        X = validate_data(self, labels(X), dtype=None, reset=False)
        check_present(X)
        pairs = X[:, :2]
        check_kinds(pairs, self._encoder.categories_)
        if self.row_labels_.dtype == object:  # numbers are not compared to these otherwise
            pairs = pairs.astype(object)
        rows, columns = self._encoder.transform(pairs).T
        return predict(_with_unseen(self.completion_), rows, columns, clip=self.clip)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        # What does not recur, as in data drawn at random, has nothing to be learnt from.
        tags.regressor_tags.poor_score = True
        return tags


def _with_unseen(z: Completion) -> Completion:
    """Add a row and a column of zeros at the end, where the index -1 of unseen labels points."""
    left, right = np.pad(z.left, ((0, 1), (0, 0))), np.pad(z.right, ((0, 0), (0, 1)))
    return Completion(
        left, right, z.mean, np.pad(z.row_bias, (0, 1)), np.pad(z.column_bias, (0, 1))
    )
