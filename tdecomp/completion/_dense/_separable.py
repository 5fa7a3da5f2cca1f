"""Weights of rank one, for which nothing has to be iterated."""

from __future__ import annotations

from tdecomp._program import one_program
from tdecomp._typing import Array, Namespace
from tdecomp._xp import eps
from tdecomp.completion._dense._factors import Pair
from tdecomp.completion._dense._objective import Objective
from tdecomp.linalg._weighted import _weighted_svd

# Weights so many eps away from a product are one.
_ROUNDINGS = 32


def closed(objective: Objective, rank: int) -> Pair | None:
    """Return the solution for weights that are products, None for others."""
    xp = objective.xp
    if objective.penalty:
        return None
    rows, columns, separable = _split(objective.weights, xp)
    if not bool(separable):
        return None
    left, right = _weighted_svd(objective.values, rows, columns, rank, xp=xp)
    return Pair(left, xp.matrix_transpose(right))


@one_program
def _split(weights: Array, xp: Namespace) -> tuple[Array, Array, Array]:
    """Return the roots of two vectors whose product is the weights if any is, and whether."""
    total = xp.sum(weights)
    rows, columns = xp.sum(weights, axis=1), xp.sum(weights, axis=0) / total
    product = rows[:, None] * columns
    lost = float(xp.finfo(weights.dtype).smallest_normal)  # below it products lose digits
    near = xp.abs(weights - product) <= _ROUNDINGS * eps(weights.dtype, xp) * product + lost
    return xp.sqrt(rows), xp.sqrt(columns), xp.all(near)
