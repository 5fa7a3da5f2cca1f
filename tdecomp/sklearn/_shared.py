"""What the estimators share: weights of samples, seeds, targets, signs, warnings."""

from __future__ import annotations

import math
import warnings
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_consistent_length, check_random_state, check_scalar

from tdecomp._iterate import Fit, Status
from tdecomp._typing import Array

# What stays as it is; all else becomes the first.
FLOATS = (np.float64, np.float32)


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


def _vector(weights: Any, dtype: Any, name: str) -> Array:
    if np.isscalar(weights):
        raise ValueError(f"{name} must have 1 dimension, got {weights!r}")
    found = check_array(weights, ensure_2d=False, dtype=dtype, input_name=name)
    if found.ndim != 1:
        raise ValueError(f"{name} must have 1 dimension, got shape {found.shape}")
    return nonnegative(found, name)


def nonnegative(weights: Array, name: str) -> Array:
    """Return weights as they are, none of which may be negative."""
    if (weights < 0).any():
        place = tuple(map(int, np.argwhere(weights < 0)[0]))
        at = ", ".join(map(str, place))
        raise ValueError(f"Negative values in {name}: {name}[{at}] is {weights[place]}")
    return weights


def to_unit(x: Array) -> tuple[Array, int]:
    """Return an array with its largest magnitude in [1, 2), and the power of two it is to have."""
    exponent = int(np.frexp(np.abs(x).max())[1]) - 1
    return np.ldexp(x, -exponent), exponent


def lengths(x: Array, axis: int | None = None) -> Array:
    """Return norms along an axis, or of the whole, whatever the scale."""
    unit, exponent = to_unit(x)
    return np.ldexp(np.linalg.norm(unit, axis=axis), exponent)


def freedom(weights: Array) -> float:
    r"""Return :math:`\sum s - \sum s^2 / \sum s`, which is `n - 1` for `n` weights of one."""
    weights = weights.astype(float)
    return float(weights.sum() - weights @ weights / weights.sum())


def explained(values: Array, total: float, weights: Array) -> tuple[Array, Array]:
    """Return the variances of scores of given norms, and their shares in that of the data."""
    degrees = freedom(weights)
    if total == 0 or degrees <= 0:
        return np.zeros_like(values), np.zeros_like(values)
    with np.errstate(over="ignore", under="ignore"):  # squares may leave the range of numbers
        return np.square(values / math.sqrt(degrees)), np.square(values / total)


def seed(random_state: Any) -> int:
    """Return a seed for a generator of this library."""
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def lowered(n_components: Any, *limits: int) -> int:
    """Return how many components there can be of those that are asked for."""
    return min(whole(n_components, "n_components"), *limits)


def whole(value: Any, name: str, limit: int | None = None) -> int:
    """Return a positive whole number, which yes and no are not, up to a limit."""
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be an instance of int, not bool.")
    return int(check_scalar(value, name, Integral, min_val=1, max_val=limit))


def scores(X: Any, count: int) -> Array:
    """Return an array of scores of that many components."""
    found = check_array(X, dtype=FLOATS)
    if found.shape[1] != count:
        raise ValueError(
            f"X must have one column for each of {count} components, got {found.shape[1]}"
        )
    return found


def target(n_components: Any, limit: int) -> tuple[int | None, float | None]:
    """Return the rank that is asked for, or the relative error that leaves a share of variance."""
    if n_components is None:
        return limit, None
    if isinstance(n_components, Integral | np.bool_):
        return whole(n_components, "n_components", limit), None
    share = float(
        check_scalar(
            n_components, "n_components", Real, min_val=0, max_val=1, include_boundaries="neither"
        )
    )
    return None, math.sqrt(1 - share)


def turned(rows: Array) -> Array:
    """Return the signs that make the entry of largest magnitude of each row positive."""
    pivots = np.take_along_axis(rows, np.abs(rows).argmax(axis=1, keepdims=True), axis=1)
    return np.where(pivots < 0, -1, 1).astype(rows.dtype)


def warn_unfinished(fit: Fit[Any], estimator: Any) -> None:
    """Warn as scikit-learn does where an iteration did not converge."""
    if fit.status is Status.CONVERGED:
        return
    name = type(estimator).__name__
    message = f"{name} stopped after {fit.n_iter} iterations: {fit.status.message}"
    if fit.status is Status.MAX_ITER:
        message = f"{name} did not converge in {fit.n_iter} iterations; raise max_iter or tol"
    warnings.warn(message, ConvergenceWarning, stacklevel=3)
