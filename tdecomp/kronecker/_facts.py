"""What a matrix shows of itself before it is decomposed: symmetry, and signs of its entries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, eps, squared_norm
from tdecomp.kronecker._columnwise import Columnwise
from tdecomp.kronecker._rearranged import Pair, Rearranged
from tdecomp.linalg._operand import MatrixFree, Operand, Sparse

# Rows that are looked at together.
_ROWS = 64


class Facts(NamedTuple):
    """Structure that the leading factors inherit.

    `hermitian`: the matrix is its own adjoint, and both factors are square. `definite`: it is
    Hermitian with a nonnegative diagonal, so it may be positive semidefinite. `nonnegative`: its
    entries are.
    """

    hermitian: bool
    definite: bool
    nonnegative: bool


def facts_of(op: Operand, shapes: Pair) -> Facts:
    """Look at a matrix through its rearrangement."""
    if op.total == 0:
        return Facts(False, False, False)
    square = all(m == n for m, n in shapes)
    if isinstance(op, Rearranged):
        hermitian = square and _equals_adjoint(op.array, op.xp)
        nonnegative = _no_negative(op.array, op.xp)
    elif isinstance(op, Columnwise):
        hermitian = square and _seems_hermitian(op.op)
        nonnegative = op.least >= 0
    else:
        assert isinstance(op, Sparse)
        hermitian = square and _equals_turned(op, shapes)
        nonnegative = op.matrix.dtype.kind != "c" and float(op.matrix.min()) >= 0
    return Facts(hermitian, hermitian and _least_diagonal(op, shapes) >= 0, nonnegative)


def _equals_adjoint(a: Array, xp: Namespace) -> bool:
    """Compare rows with columns; the first of them mostly tell."""
    rows = _growing(a.shape[0])
    return all(bool(xp.all(a[i, :] == adjoint(a[:, i], xp))) for i in rows)


def _no_negative(a: Array, xp: Namespace) -> bool:
    """Look for a negative entry; the first row mostly has one."""
    if xp.isdtype(a.dtype, "complex floating"):
        return False
    return all(bool(xp.min(a[i, :]) >= 0) for i in _growing(a.shape[0]))


def _equals_turned(op: Sparse, shapes: Pair) -> bool:
    """Exchange rows and columns in both factors, and compare the stored entries."""
    rows, columns = (np.arange(n * n).reshape(n, n).T.reshape(-1) for n, _ in shapes)
    return int((op.matrix[rows][:, columns].conj() != op.matrix).nnz) == 0


def _seems_hermitian(op: MatrixFree) -> bool:
    """Compare what the operator and its adjoint make of the probes, to rounding."""
    gap = op.images - op.rmatmat(op.probes)
    bound = op.shape[0] * eps(op.images.dtype, op.xp)
    return squared_norm(gap, op.xp) <= bound**2 * squared_norm(op.images, op.xp)


def _least_diagonal(op: Operand, shapes: Pair) -> float:
    """Return the smallest entry of the diagonal, read through the rearrangement."""
    xp = op.xp
    if isinstance(op, Rearranged):
        return float(xp.min(xp.real(xp.linalg.diagonal(op.array))))
    first, second = (np.arange(n) * (n + 1) for n, _ in shapes)
    if isinstance(op, Sparse):
        return float(op.matrix[first][:, second].min().real)
    unit = np.zeros((op.shape[1], second.size), op.like.dtype)
    unit[second, np.arange(second.size)] = 1
    return float(op.matmat(unit)[first].real.min())


def _growing(count: int) -> Iterator[slice]:
    """Cut rows into runs that grow."""
    start, step = 0, 1
    while start < count:
        stop = min(start + step, count)
        yield slice(start, stop)
        start, step = stop, min(2 * step, _ROWS)
