"""Where to begin: the best of several matrices of low rank that need no iteration."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tdecomp._program import one_program
from tdecomp._random import normal
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, device, eps
from tdecomp.completion._dense._factors import Pair, balanced
from tdecomp.completion._dense._majorant import Majorant
from tdecomp.completion._dense._objective import Objective
from tdecomp.completion._dense._rows import solved
from tdecomp.completion._entries import read
from tdecomp.completion._methods._parts import leads_everywhere
from tdecomp.completion._methods._spectral import spectral
from tdecomp.completion._observed import group
from tdecomp.linalg import SVD, randomized_svd

# Starts are that near to the best of their kind, where so many products are enough for it.
_TOL = 1e-2
_PRODUCTS = 4
# Roots of means within such a factor of one another weigh alike.
_ALIKE = 1.25


def best_of_several(objective: Objective, rank: int, rng: np.random.Generator) -> Pair:
    """Return the candidate from which the objective is least, each at its best length."""
    found = [_stretched(objective, pair) for pair in _candidates(objective, rank, rng)]
    return min(found, key=lambda scored: scored[0])[1]


def plain(objective: Objective, rank: int, rng: np.random.Generator) -> Pair:
    """Return the truncated SVD of the data, at its best length."""
    return _stretched(objective, _weighted(objective, None, None, rank, rng))[1]


def drawn(objective: Objective, rank: int, rng: np.random.Generator) -> Pair:
    """Return a random left factor, with the right one that fits it best."""
    xp, values = objective.xp, objective.values
    m, n = values.shape
    left = normal(rng, (m, rank), values, xp)
    nothing = xp.zeros((n, rank), dtype=values.dtype, device=device(values))
    slopes = objective.slopes(left, nothing)
    return Pair(left, solved(objective.turned, left, slopes.right))


def _candidates(objective: Objective, rank: int, rng: np.random.Generator) -> Iterator[Pair]:
    """Yield the solutions for weights of rank one that are like the given ones."""
    xp, weights = objective.xp, objective.weights
    rows, columns = (xp.sqrt(xp.mean(weights, axis=axis)) for axis in (1, 0))
    for left in _sides(rows, xp):
        for right in _sides(columns, xp):
            yield _weighted(objective, left, right, rank, rng)
    yield _majorised(objective, rank, rng)
    if not _in_one(objective):
        # What nothing connects needs a start for each part.
        _, entries = read(objective.values, objective.weights)
        yield Pair(*spectral(group(entries, xp), rank, rng, xp))


def _in_one(objective: Objective) -> bool:
    """Tell whether a few steps along weights lead from the heaviest row to all others."""
    xp, weights = objective.xp, objective.weights

    def onwards(seen: Array) -> Array:
        touched = xp.astype(seen, weights.dtype) @ weights > 0
        return weights @ xp.astype(touched, weights.dtype) > 0

    return leads_everywhere(onwards, xp.sum(weights, axis=1), xp)


def _sides(roots: Array, xp: Namespace) -> tuple[Array | None, ...]:
    """Return the metrics to try: none, and that of these roots unless it is hardly one."""
    return (None,) if bool(xp.max(roots) <= _ALIKE * xp.min(roots)) else (None, roots)


def _weighted(
    objective: Objective,
    left: Array | None,
    right: Array | None,
    rank: int,
    rng: np.random.Generator,
) -> Pair:
    """Return the best approximation in the metric of two diagonals; see `weighted_svd`."""
    xp, a = objective.xp, objective.values
    heavy = a if left is None else left[:, None] * a
    svd = _leading(heavy if right is None else heavy * right, rank, rng)
    v, u = adjoint(svd.Vh, xp), adjoint(svd.U, xp)
    v = v if right is None else xp.astype(right, v.dtype)[:, None] * v
    u = u if left is None else u * left
    return Pair(*_of_rows_and_columns(u, svd.S, v, a, xp=xp))


def _majorised(objective: Objective, rank: int, rng: np.random.Generator) -> Pair:
    """Return where a majorant that touches the objective at zero is least."""
    xp = objective.xp
    majorant = Majorant.of(objective.weights, xp)
    left, right = xp.sqrt(majorant.rows)[:, None], xp.sqrt(majorant.columns)
    svd = _leading(objective.weights * objective.values / left / right, rank, rng)
    return Pair(svd.U * svd.S / left, xp.matrix_transpose(svd.Vh / right))


def _leading(a: Array, rank: int, rng: np.random.Generator) -> SVD:
    """Return the leading triplets, to the accuracy of a start."""
    return randomized_svd(a, rank=rank, tol=_TOL, max_iter=_PRODUCTS, rng=rng).tensor


@one_program
def _of_rows_and_columns(
    u: Array, sizes: Array, v: Array, a: Array, *, xp: Namespace
) -> tuple[Array, Array]:
    """Return the factors of `weighted_svd`, which are made of the matrix itself."""
    kept = sizes > eps(sizes.dtype, xp) * sizes.shape[0] * xp.max(sizes)
    inverse = xp.where(kept, 1 / xp.where(kept, sizes, xp.ones_like(sizes)), xp.zeros_like(sizes))
    return (a @ v) * xp.astype(inverse, u.dtype), xp.matrix_transpose(u @ a)


def _stretched(objective: Objective, pair: Pair) -> tuple[float, Pair]:
    """Return the multiple of a start that the objective likes best, and its value."""
    pair = balanced(pair, objective.xp)
    (gap, square), excess = objective.overlaps(*pair), objective.excess(*pair)
    if not square > 0:
        return objective.total, pair
    length = 1 + (gap - excess / 2) / square
    length = length if length > 0 else 1 + gap / square
    value = objective.total - length * (2 * (gap + square) - length * square)
    root = math.sqrt(abs(length))
    stretched = Pair(root * pair.left, math.copysign(root, length) * pair.right)
    return value + abs(length) * excess, stretched
