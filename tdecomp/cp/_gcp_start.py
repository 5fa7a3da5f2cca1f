"""Where the minimisation of a generalised loss starts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp.cp._format import CP
from tdecomp.cp._gcp_objective import Filled, Objective
from tdecomp.cp._initial import _initialise, values_of
from tdecomp.cp._losses import best_is_data
from tdecomp.ops._coo import COO

# Entries of a nonnegative start are at least this part of the mean of their column: from zero,
# two factors at once cannot move.
_LEAST = 1e-2


def start(
    objective: Objective, init: Any, rank: int, rng: np.random.Generator, *, xp: Namespace
) -> list[Array]:
    """Return factors that share the weights evenly, within the bounds of the loss."""
    loss, x = objective.loss, objective.x
    if isinstance(init, CP):
        return _shared(init, xp)
    ones = objective.total(lambda x: 0 * x + 1)
    mean = objective.total(lambda x: x) / ones

    def natural(x: Array) -> Array:
        """Return the model of an entry; of one halfway to the mean where models are unbounded."""
        return x if best_is_data(loss) else loss.best((x + mean) / 2)

    target = natural(values_of(x))
    if isinstance(objective, Filled):
        target = target - natural(0 * target)
    cp = _initialise(x._replace(values=target) if isinstance(x, COO) else target, rank, init, rng,
                     xp=xp)  # fmt: skip
    if loss.lower == 0.0:
        cp = _positive(cp, objective.total(natural) / ones, xp)
    return _shared(cp, xp)


def _positive(cp: CP, mean: float, xp: Namespace) -> CP:
    """Take magnitudes, and scale the mean of the model to that of the data."""
    factors = []
    for factor in cp.factors:
        sizes = xp.abs(factor)
        least = _LEAST * xp.mean(sizes, axis=0, keepdims=True)
        factors.append(xp.where(sizes > least, sizes, least * xp.ones_like(sizes)))
    means = xp.abs(cp.weights)
    for factor in factors:
        means = means * xp.mean(factor, axis=0)
    total = float(xp.sum(means))
    scale = mean / total if total > 0 else 0.0
    ones = xp.ones_like(means)
    # A model of zeros has no derivative by any factor: the weights start from one then.
    weights = xp.abs(cp.weights) * scale if scale > 0 else ones
    return CP(weights, tuple(factors))


def _shared(cp: CP, xp: Namespace) -> list[Array]:
    """Spread weights over the factors; a sign goes to the first."""
    even = xp.abs(cp.weights) ** (1 / cp.modes)
    sign = xp.where(cp.weights < 0, -xp.ones_like(even), xp.ones_like(even))
    first, *rest = cp.factors
    return [first * (even * sign), *(factor * even for factor in rest)]


def rescaled_ridge(ridge: float, unit: float, exponent: float) -> float:
    """Return ``ridge * unit**exponent``, as near as numbers allow."""
    power = math.exp2(max(-1000.0, min(1000.0, exponent * math.log2(unit))))
    return min(ridge * power, math.sqrt(float(np.finfo(float).max)))
