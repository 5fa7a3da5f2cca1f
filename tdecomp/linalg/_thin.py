"""Products with a thin result, laid out the way they are computed fastest."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tdecomp._program import one_program
from tdecomp._quiet import multiplications, quiet_runs, wakes
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, is_numpy

# Multiplications from which on threads are worth waking: some milliseconds.
_WORTH = 1 << 26


def thin_product(a: Array, x: Array, xp: Namespace) -> Array:
    """Return ``a @ x`` for an `x` of few columns, column by column in memory where that counts.

    Formed as the transpose of a wide product: for a few dozen columns and a large `a`, OpenBLAS
    was measured 1.3 to 1.7 times as fast that way, and what follows reads columns anyway.
    """
    if not _small(a, x):
        return _turned_product(a, x, xp)
    turned = x.T
    out = np.empty((x.shape[1], a.shape[0]), np.result_type(a, x))
    for rows in _runs(a, x):
        np.matmul(turned, a[rows].T, out=out[:, rows])
    return out.T


@one_program
def _turned_product(a: Array, x: Array, xp: Namespace) -> Array:
    return xp.matrix_transpose(xp.matrix_transpose(x) @ xp.matrix_transpose(a))


def mixed_columns(a: Array, x: Array) -> Array:
    """Return ``a @ x`` for a tall matrix and a small one, row by row in memory."""
    if not _small(a, x):
        return a @ x
    out = np.empty((a.shape[0], x.shape[1]), np.result_type(a, x))
    for rows in _runs(a, x):
        np.matmul(a[rows], x, out=out[rows])
    return out


def inner_product(a: Array, y: Array, xp: Namespace) -> Array:
    """Return ``a^* @ y`` of two tall matrices of few columns."""
    if not _small(a, y):
        return _adjoint_product(a, y, xp)
    dual = adjoint(a, xp)
    parts = (dual[:, rows] @ y[rows] for rows in _runs(a, y))
    return sum(parts, np.zeros((a.shape[1], y.shape[1]), np.result_type(a, y)))


@one_program
def _adjoint_product(a: Array, y: Array, xp: Namespace) -> Array:
    return adjoint(a, xp) @ y


def _small(a: Array, x: Array) -> bool:
    """Tell whether a product is too small for threads, but would wake them."""
    if not (is_numpy(a) and is_numpy(x) and a.ndim == 2):
        return False
    work = _work(a, x)
    return wakes(work) and work < _WORTH


def _work(a: Array, x: Array) -> int:
    """Return what the product of `a` and the columns of `x` counts."""
    return multiplications(a.size * x.shape[-1], a, x)


def _runs(a: Array, x: Array) -> Iterator[slice]:
    """Cut the rows of `a` into runs whose products wake nobody."""
    return quiet_runs(a.shape[0], _work(a[:1], x))
