"""How many components there are to be."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import check_scalar


def whole(value: Any, name: str, limit: int | None = None) -> int:
    """Return a positive whole number, which yes and no are not, up to a limit."""
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be an instance of int, not bool.")
    return int(check_scalar(value, name, Integral, min_val=1, max_val=limit))


def lowered(n_components: Any, *limits: int) -> int:
    """Return how many components there can be of those that are asked for."""
    return min(whole(n_components, "n_components"), *limits)


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
