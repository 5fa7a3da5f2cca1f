"""A matrix of any kind, seen through its rearrangement."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp._xp import device
from tdecomp.kronecker._columnwise import Columnwise, columnwise
from tdecomp.kronecker._rearranged import Pair, Rearranged, rearranged, rearranged_places
from tdecomp.kronecker._targets import check_fit
from tdecomp.linalg._operand import Dense, MatrixFree, Operand, Sparse, operand

# Entries of the rows of a sparse matrix that are filled in at a time.
_BLOCK = 1 << 20


def of_matrix(a: Any, shapes: Pair, *, pad: bool, rng: np.random.Generator) -> Operand:
    """Return the rearrangement of an array, a ``scipy.sparse`` matrix or an operator."""
    return rearrangement(source_of(a, shapes, pad=pad, rng=rng), shapes)


def source_of(a: Any, shapes: Pair, *, pad: bool, rng: np.random.Generator) -> Operand:
    """Validate a matrix of any kind, and fill it up with zeros to the size of a product."""
    op = operand(a, rng)
    shape = check_fit(shapes, op.shape, pad=pad)
    if shape == op.shape:
        return op
    if isinstance(op, Dense):
        return op._replace(array=padded(op.array, shape, op.xp))
    if isinstance(op, Sparse):
        matrix = op.matrix.copy()
        matrix.resize(shape)
        return op._replace(matrix=matrix, adjoint=matrix.conj().T.tocsr())
    assert isinstance(op, MatrixFree)
    return operand(_padded_operator(op, shape), rng)


def rearrangement(op: Operand, shapes: Pair) -> Operand:
    """Return what a matrix looks like through its rearrangement."""
    if isinstance(op, Dense):
        return rearranged(op, shapes)
    if isinstance(op, Sparse):
        return _of_coordinates(op, shapes)
    assert isinstance(op, MatrixFree)
    return columnwise(op, shapes)


def padded(a: Array, shape: tuple[int, int], xp: Namespace) -> Array:
    """Fill a matrix up with zeros, at the bottom and on the right."""
    for axis in (0, 1):
        missing = shape[axis] - a.shape[axis]
        if missing:
            sizes = (missing, a.shape[1]) if axis == 0 else (a.shape[0], missing)
            zeros = xp.zeros(sizes, dtype=a.dtype, device=device(a))
            a = xp.concat([a, zeros], axis=axis)
    return a


def _padded_operator(op: MatrixFree, shape: tuple[int, int]) -> Any:
    """Return an operator with rows and columns of zeros at the ends."""
    (m, n), xp = op.shape, op.xp

    def forward(x: Array) -> Array:
        return padded(op.forward @ x[:n], (shape[0], x.shape[1]), xp)

    def backward(y: Array) -> Array:
        return padded(op.backward @ y[:m], (shape[1], y.shape[1]), xp)

    return operator_of(forward, backward, shape, op.like)


def operator_of(forward: Any, backward: Any, shape: tuple[int, int], like: Array) -> Any:
    """Make an operator of two products with blocks of vectors."""
    from scipy.sparse.linalg import LinearOperator

    return LinearOperator(
        shape,
        matvec=lambda x: forward(x.reshape(-1, 1)),
        matmat=forward,
        rmatmat=backward,
        dtype=like.dtype,
    )


def _of_coordinates(op: Sparse, shapes: Pair) -> Sparse:
    """Move the stored entries of a sparse matrix to where the rearrangement has them."""
    (m1, n1), (m2, n2) = shapes
    entries = op.matrix.tocoo()
    i, j = entries.row.astype(np.int64), entries.col.astype(np.int64)
    places = rearranged_places(i, j, shapes)
    kind = type(entries)
    turned = kind((entries.data, places), shape=(m1 * n1, m2 * n2)).tocsr()
    return op._replace(matrix=turned, adjoint=turned.conj().T.tocsr())


def strips(op: Operand) -> Iterator[Array]:
    """Yield the rearrangement, or if it is wide its adjoint, a few rows at a time."""
    if isinstance(op, Rearranged | Columnwise):
        yield from op.strips()
        return
    assert isinstance(op, Sparse)
    m, n = op.shape
    matrix = op.matrix if m >= n else op.adjoint
    step = max(1, _BLOCK // min(m, n))
    for start in range(0, max(m, n), step):
        yield matrix[start : start + step].toarray()
