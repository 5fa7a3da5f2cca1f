"""What scikit-learn expects of estimators: precisions, seeds, scores, warnings."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state

from tdecomp._iterate import Fit, Status
from tdecomp._typing import Array

# What stays as it is; all else becomes the first.
FLOATS = (np.float64, np.float32)


def seed(random_state: Any) -> int:
    """Return a seed for a generator of this library."""
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def scores(X: Any, count: int) -> Array:
    """Return an array of scores of that many components."""
    found = check_array(X, dtype=FLOATS)
    if found.shape[1] != count:
        raise ValueError(
            f"X must have one column for each of {count} components, got {found.shape[1]}"
        )
    return found


def warn_unfinished(fit: Fit[Any], estimator: Any) -> None:
    """Warn as scikit-learn does where an iteration did not converge."""
    if fit.status is Status.CONVERGED:
        return
    name = type(estimator).__name__
    message = f"{name} stopped after {fit.n_iter} iterations: {fit.status.message}"
    if fit.status is Status.MAX_ITER:
        message = f"{name} did not converge in {fit.n_iter} iterations; raise max_iter or tol"
    warnings.warn(message, ConvergenceWarning, stacklevel=3)
