"""Tucker compression of samples that are tensors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from tdecomp._typing import Array
from tdecomp.ops import mode_products
from tdecomp.sklearn._conventions import FLOATS, scores, warn_unfinished
from tdecomp.sklearn._counts import target, whole
from tdecomp.sklearn._scale import lengths, to_unit
from tdecomp.sklearn._signs import turned
from tdecomp.sklearn._variances import explained
from tdecomp.sklearn._weights import sample_weights
from tdecomp.tucker import Tucker, hooi, sthosvd


class TuckerTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    r"""Compress samples that are tensors by one orthonormal basis for each of their modes.

    Images, spectra over time and the like have two or more modes. With the mean sample
    :math:`\bar X`, the factors :math:`A_k` minimise

    .. math:: \sum_i s_i \bigl\| X_i - \bar X
              - G_i \times_1 A_1 \times_2 \dots \times_d A_d \bigr\|_F^2 , \qquad
              G_i = (X_i - \bar X) \times_1 A_1^T \times_2 \dots \times_d A_d^T ,

    over factors of given rank: multilinear principal components [1]_. For one mode that is
    `sklearn.decomposition.PCA`; for more, far fewer parameters are learnt.

    Parameters
    ----------
    n_components : int, tuple of int or float, optional
        The rank of each mode. An int serves all modes, and those that are shorter are kept whole.
        Between 0 and 1, ranks that keep this share of the variance. None keeps all of it to
        rounding: what is lost is eps times the whole.
    sample_shape : tuple of int, optional
        The shape :math:`(n_1, \dots, n_d)` of a sample, whose entries lie in a row of the data in
        the order of C. None is that of the trailing axes, or else one mode of all features.
    center : bool
        Whether the mean sample is subtracted.
    max_iter : int
        The largest number of sweeps over the modes.
    tol : float
        Stop when a sweep changes the error by at most this, relative to it.

    Attributes
    ----------
    factors_ : list of array, shape (n_k, r_k)
        Orthonormal columns, the entry of largest magnitude of each positive.
    mean_ : array, shape (n_features,)
        The weighted mean, or zero.
    n_components_ : tuple of int
        The ranks :math:`r_k`, lowered where no data have as many.
    sample_shape_ : tuple of int
        The shape of a sample.
    explained_variance_ : array, shape (r_1 * ... * r_d,)
        The variance of each score.
    explained_variance_ratio_ : array, shape (r_1 * ... * r_d,)
        Its share in the variance of the data; the sum is what is kept.
    n_iter_ : int
        The number of sweeps.
    n_features_in_ : int
        The number of entries of a sample.

    See Also
    --------
    tdecomp.tucker.hooi : the iteration behind it.

    References
    ----------
    .. [1] H. Lu, K. N. Plataniotis, A. N. Venetsanopoulos, "MPCA: Multilinear principal component
       analysis of tensor objects", IEEE Trans. Neural Netw. 19, 2008, Algorithm of Figure 3.
       doi:10.1109/TNN.2007.901277

    Examples
    --------
    Images of 8 by 8 pixels in 16 numbers instead of 64:

    >>> from sklearn.datasets import load_digits
    >>> from tdecomp.sklearn import TuckerTransformer
    >>> images = load_digits().images
    >>> tucker = TuckerTransformer(n_components=(4, 4)).fit(images)
    >>> scores = tucker.transform(images)
    >>> scores.shape, round(float(tucker.explained_variance_ratio_.sum()), 3)
    ((1797, 16), 0.74)
    >>> tucker.inverse_transform(scores).reshape(images.shape).shape
    (1797, 8, 8)
    """

    def __init__(
        self,
        n_components: Any = None,
        *,
        sample_shape: Any = None,
        center: bool = True,
        max_iter: int = 100,
        tol: float = 1e-6,
    ) -> None:
        self.n_components = n_components
        self.sample_shape = sample_shape
        self.center = center
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> TuckerTransformer:
        """Find mean and factors.

        Parameters
        ----------
        X : array, shape (n_samples, n_features) or (n_samples, n_1, ..., n_d)
            The data.
        y : None
            Not looked at.
        sample_weight : array, shape (n_samples,), optional
            How much the squared error of each sample counts.

        Returns
        -------
        TuckerTransformer
            The estimator itself.
        """
        X = _unlisted(X)
        trailing = tuple(X.shape[1:]) if getattr(X, "ndim", 2) > 2 else None
        X = self._rows(X, reset=True)
        self.sample_shape_ = _checked_shape(self.sample_shape, trailing, X.shape[1])
        samples, _ = to_unit(sample_weights(sample_weight, X))
        self.mean_ = np.zeros(X.shape[1], dtype=X.dtype)
        if self.center:
            self.mean_ = np.average(X, axis=0, weights=samples).astype(X.dtype)
        x = self._tensors((X - self.mean_) * np.sqrt(samples)[:, None])
        modes = range(1, x.ndim)
        fit = hooi(
            x, rank=self._ranks(x), modes=modes, max_iter=self.max_iter, tol=self.tol, rng=0
        )
        warn_unfinished(fit, self)
        factors: list[Array] = list(fit.tensor.factors[1:])
        self.factors_ = [factor * turned(factor.T).T for factor in factors]
        self.n_components_ = tuple(int(factor.shape[1]) for factor in factors)
        self.n_iter_ = fit.n_iter
        found = explained(lengths(self._project(x), axis=0), lengths(x), samples)
        self.explained_variance_, self.explained_variance_ratio_ = found
        return self

    def _rows(self, X: Any, *, reset: bool) -> Array:
        """Return samples as rows, whatever their shape."""
        X = _unlisted(X)
        if getattr(X, "ndim", 2) > 2:
            expected = None if reset else self.sample_shape_
            if expected is not None and tuple(X.shape[1:]) != expected:
                raise ValueError(f"samples must have shape {expected}, got {tuple(X.shape[1:])}")
            X = np.reshape(np.asarray(X), (X.shape[0], -1))
        least = 2 if reset else 1
        return validate_data(self, X, dtype=FLOATS, reset=reset, ensure_min_samples=least)

    def _tensors(self, rows: Array) -> Array:
        return np.reshape(rows, (rows.shape[0], *self.sample_shape_))

    def _project(self, x: Array) -> Array:
        """Return the cores of tensors as rows."""
        core = mode_products(x, self.factors_, modes=range(1, x.ndim), adjoint=True)
        return np.reshape(core, (x.shape[0], -1))

    def _ranks(self, x: Array) -> tuple[int, ...]:
        """Return the ranks that are asked for, or those that a share of the variance needs."""
        asked, shape = self.n_components, self.sample_shape_
        if np.ndim(asked) == 1:
            if len(asked) != len(shape):
                raise ValueError(
                    f"n_components must hold one rank for each of {len(shape)} modes, got {asked}"
                )
            checked = zip(asked, shape, strict=True)
            return tuple(whole(r, "n_components", n) for r, n in checked)
        rank, rtol = target(asked, max(shape))
        if rank is not None and asked is not None:
            return tuple(min(rank, n) for n in shape)
        rtol = float(np.sqrt(np.finfo(x.dtype).eps)) if rtol is None else rtol
        return sthosvd(x, rtol=rtol, modes=range(1, x.ndim)).rank[1:]

    def transform(self, X: Any) -> Array:
        """Return the cores of samples.

        Parameters
        ----------
        X : array, shape (n_samples, n_features) or (n_samples, n_1, ..., n_d)
            The data.

        Returns
        -------
        array, shape (n_samples, r_1 * ... * r_d)
            Their entries in the order of C.
        """
        check_is_fitted(self)
        return self._project(self._tensors(self._rows(X, reset=False) - self.mean_))

    def inverse_transform(self, X: Any) -> Array:
        """Return the samples that cores stand for.

        Parameters
        ----------
        X : array, shape (n_samples, r_1 * ... * r_d)
            Entries of cores.

        Returns
        -------
        array, shape (n_samples, n_features)
            The samples as rows; reshape them to ``(-1, *sample_shape_)``.
        """
        check_is_fitted(self)
        cores = scores(X, self._n_features_out)
        core = np.reshape(cores, (cores.shape[0], *self.n_components_))
        rows = Tucker(core, (None, *self.factors_)).to_array()
        return np.reshape(rows, (cores.shape[0], -1)) + self.mean_

    @property
    def _n_features_out(self) -> int:
        return math.prod(self.n_components_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _unlisted(X: Any) -> Any:
    """Return lists as arrays, which tell how many axes they have."""
    return np.asarray(X) if isinstance(X, list | tuple) else X


def _checked_shape(asked: Any, trailing: tuple[int, ...] | None, size: int) -> tuple[int, ...]:
    """Return the shape of a sample: the one that is asked for, if `size` entries have it."""
    shape = trailing or (size,)
    if asked is None:
        return shape
    if np.ndim(asked) != 1:
        raise TypeError(f"sample_shape must be a tuple of int, got {asked!r}")
    wanted = tuple(whole(n, "sample_shape") for n in asked)
    if math.prod(wanted) != size or (trailing is not None and wanted != trailing):
        raise ValueError(f"sample_shape is {wanted}, but samples have shape {shape}")
    return wanted
