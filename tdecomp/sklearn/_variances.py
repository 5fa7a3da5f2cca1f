"""Variances of scores, their shares in that of the data, and that of noise."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tdecomp._typing import Array
from tdecomp.sklearn._components import Components
from tdecomp.sklearn._scale import lengths, to_unit


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


class Variances(NamedTuple):
    """Variances along components and of noise, to be multiplied by that power of four."""

    along: Array
    noise: float
    shares: Array
    deviations: Array
    exponent: int


def shared_out(found: Components, samples: Array, features: Array) -> Variances:
    """Share the variance among components and noise, which is the mean of what is left.

    Variances may leave the range of numbers; those of data at unit scale do not. Deviations are
    those of the data as they are, and 1 where there is none.
    """
    values = np.append(found.values, found.rest).astype(found.values.dtype)
    unit, exponent = to_unit(values)
    along, shares = explained(unit, lengths(unit), samples)
    most = int(min(np.count_nonzero(samples), np.count_nonzero(features)))
    left_out = most - found.values.shape[0]
    noise = float(along[-1]) / left_out if left_out > 0 else 0.0
    degrees = freedom(samples)
    spread = found.values / math.sqrt(degrees if degrees > 0 else 1.0)
    deviations = np.where(spread > 0, spread, np.ones_like(spread))
    return Variances(along[:-1], noise, shares[:-1], deviations, exponent)
