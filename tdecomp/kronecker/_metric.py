"""The Kronecker-product SVD in a metric: of the weighted matrix, led back to the matrix itself."""

from __future__ import annotations

import math

import numpy as np

from tdecomp._iterate import Fit
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, conj
from tdecomp.kronecker._format import KroneckerSum, of_vectors
from tdecomp.kronecker._operands import operator_of, rearrangement
from tdecomp.kronecker._search import searched
from tdecomp.kronecker._task import Task
from tdecomp.kronecker._weights import (
    Weight,
    Weights,
    along,
    factors_of,
    pushed,
    weighted,
)
from tdecomp.linalg._operand import Dense, Operand, Sparse, operand
from tdecomp.linalg._signs import canonical_signs


def of_metric(source: Operand, weights: Weights, task: Task) -> Fit[KroneckerSum]:
    """Solve the problem of the weighted matrix, and lead back to the matrix itself."""
    xp, pair, op = source.xp, task.pair, rearrangement(source, task.pair)
    inner = rearrangement(_weighted_source(source, weights, task), weights.shapes(pair))
    fit = searched(inner, task)
    first, second = factors_of(op, fit.tensor, weights, pair)
    first, vh = canonical_signs(first, xp.matrix_transpose(second), xp)
    second = xp.matrix_transpose(vh)
    error = 0.0
    if inner.total > 0:
        rows, columns = pushed(first, second, weights, pair, xp)
        misfit = inner.misfit(rows / inner.scale, xp.matrix_transpose(columns))
        error = math.sqrt(misfit / inner.total)
    return Fit(of_vectors((first, second), op.scale, pair, xp), error, fit.n_iter, fit.status)


def _weighted_source(source: Operand, weights: Weights, task: Task) -> Operand:
    """Return ``L @ a @ R``: in memory, in its stored entries under diagonals, or as products."""
    xp, pair = source.xp, task.pair
    if isinstance(source, Dense):
        return operand(weighted(source.array, weights, pair, xp), task.rng)
    diagonal = all(w is None or w.ndim == 1 for w in (*weights.left, *weights.right))
    if isinstance(source, Sparse) and diagonal:
        entries = source.matrix.tocoo()
        sizes = zip((weights.left, weights.right), zip(*pair, strict=True), strict=True)
        rows, columns = (_diagonal(weight, size) for weight, size in sizes)
        scaled = entries.data * rows[entries.row] * columns[entries.col]
        places = (entries.row, entries.col)
        return operand(type(entries)((scaled, places), shape=source.shape), task.rng)
    (m, n), (p, q) = (tuple(zip(*shapes, strict=True)) for shapes in (pair, weights.shapes(pair)))
    left_dual, right_dual = (_dual(weight, xp) for weight in (weights.left, weights.right))

    def forward(x: Array) -> Array:
        images = source.matmat(_applied(weights.right, x, q, xp))
        return _applied(weights.left, images, m, xp)

    def backward(y: Array) -> Array:
        images = source.rmatmat(_applied(left_dual, y, p, xp))
        return _applied(right_dual, images, n, xp)

    shape = math.prod(p), math.prod(q)
    return operand(operator_of(forward, backward, shape, source.like), task.rng)


def _diagonal(weight: Weight, sizes: tuple[int, int]) -> np.ndarray:
    """Return the diagonal of a product of diagonals."""
    first, second = (np.ones(n) if w is None else w for w, n in zip(weight, sizes, strict=True))
    return np.kron(first, second)


def _applied(weight: Weight, x: Array, sizes: tuple[int, int], xp: Namespace) -> Array:
    """Multiply vectors that are columns by a product of weights."""
    t = xp.reshape(x, (*sizes, x.shape[1]))
    for axis, part in enumerate(weight):
        t = along(part, t, axis, xp)
    return xp.reshape(t, (-1, x.shape[1]))


def _dual(weight: Weight, xp: Namespace) -> Weight:
    """Return the adjoints of a pair of weights."""
    first, second = (
        w if w is None else conj(w, xp) if w.ndim == 1 else adjoint(w, xp) for w in weight
    )
    return first, second
