"""Weights of samples, of features and of entries, checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_array, check_consistent_length

from tdecomp._typing import Array


def sample_weights(weights: Any, X: Array) -> Array:
    """Return nonnegative weights of the rows of `X`, ones without any."""
    if weights is None:
        return np.ones(X.shape[0], dtype=X.dtype)
    found = _vector(weights, X.dtype, "sample_weight")
    check_consistent_length(X, found)
    if not found.any():
        raise ValueError("sample_weight is zero for all samples: nothing is left to fit")
    return found


def feature_weights(weights: Any, X: Array) -> Array:
    """Return nonnegative weights of the columns of `X`, ones without any."""
    if weights is None:
        return np.ones(X.shape[1], dtype=X.dtype)
    found = _vector(weights, X.dtype, "feature_weight")
    if found.shape[0] != X.shape[1]:
        raise ValueError(
            f"feature_weight must hold one number for each of the {X.shape[1]} features, got "
            f"{found.shape[0]}"
        )
    if not found.any():
        raise ValueError("feature_weight is zero for all features: nothing is left to fit")
    return found


def entry_weights(weights: Any, X: Array) -> Array | None:
    """Return a weight for each entry, 0 for those that are NaN; None if all weigh the same."""
    known = ~np.isnan(X)
    if weights is None:
        return None if known.all() else known.astype(X.dtype)
    found = check_array(
        weights, dtype=X.dtype, ensure_all_finite="allow-nan", input_name="weights"
    )
    if found.shape != X.shape:
        raise ValueError(f"weights must have the shape {X.shape} of X, got {found.shape}")
    nothing = np.zeros((), dtype=X.dtype)
    return _nonnegative(np.where(known & ~np.isnan(found), found, nothing), "weights")


def _vector(weights: Any, dtype: Any, name: str) -> Array:
    if np.isscalar(weights):
        raise ValueError(f"{name} must have 1 dimension, got {weights!r}")
    found = check_array(weights, ensure_2d=False, dtype=dtype, input_name=name)
    if found.ndim != 1:
        raise ValueError(f"{name} must have 1 dimension, got shape {found.shape}")
    return _nonnegative(found, name)


def _nonnegative(weights: Array, name: str) -> Array:
    """Return weights as they are, none of which may be negative."""
    if (weights < 0).any():
        place = tuple(map(int, np.argwhere(weights < 0)[0]))
        at = ", ".join(map(str, place))
        raise ValueError(f"Negative values in {name}: {name}[{at}] is {weights[place]}")
    return weights
