"""A matrix of any kind, seen through its rearrangement."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, squared_norm
from tdecomp.kronecker._rearranged import Pair, rearranged
from tdecomp.kronecker._targets import check_fit
from tdecomp.linalg._operand import Dense, Operand, Sparse, operand


def of_matrix(a: Any, shapes: Pair, *, pad: bool, rng: np.random.Generator) -> Operand:
    """Return the rearrangement of an array, a ``scipy.sparse`` matrix or an operator."""
    op = operand(a, rng)
    shape = check_fit(shapes, op.shape, pad=pad)
    if isinstance(op, Dense):
        return rearranged(op._replace(array=padded(op.array, shape, op.xp)), shapes)
    if isinstance(op, Sparse):
        return _of_coordinates(op, shapes)
    if shape != op.shape:
        raise ValueError(f"an operator cannot be padded: its shape is {op.shape}, not {shape}")
    return _columnwise(op, shapes)


def padded(a: Array, shape: tuple[int, int], xp: Namespace) -> Array:
    """Fill a matrix up with zeros, at the bottom and on the right."""
    for axis in (0, 1):
        missing = shape[axis] - a.shape[axis]
        if missing:
            sizes = (missing, a.shape[1]) if axis == 0 else (a.shape[0], missing)
            zeros = xp.zeros(sizes, dtype=a.dtype, device=device(a))
            a = xp.concat([a, zeros], axis=axis)
    return a


def _of_coordinates(op: Sparse, shapes: Pair) -> Sparse:
    """Move the stored entries of a sparse matrix to where the rearrangement has them."""
    (m1, n1), (m2, n2) = shapes
    entries = op.matrix.tocoo()
    i, j = entries.row.astype(np.int64), entries.col.astype(np.int64)
    places = (i // m2 * n1 + j // n2, i % m2 * n2 + j % n2)
    kind = type(entries)
    turned = kind((entries.data, places), shape=(m1 * n1, m2 * n2)).tocsr()
    return op._replace(matrix=turned, adjoint=turned.conj().T.tocsr())


class Columnwise(NamedTuple):
    """An operator seen through its rearrangement, a few of its columns at a time.

    Each product costs one of the operator with the identity, whose columns come in groups of
    `n_2`; norms and differences are exact, and they hold nothing larger than such a group.
    """

    op: Operand
    shapes: Pair
    xp: Namespace
    total: float
    scale: float
    margin: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows ``m_1 n_1`` and columns ``m_2 n_2``."""
        (m1, n1), (m2, n2) = self.shapes
        return m1 * n1, m2 * n2

    @property
    def like(self) -> Array:
        """An array of the same dtype."""
        return self.op.like

    def matmat(self, x: Array) -> Array:
        """Return the product with ``x``, of shape (m_2 n_2, b)."""
        parts = [rows @ x for rows in self._groups()]
        return np.reshape(np.stack(parts, axis=1), (self.shape[0], x.shape[1]))

    def rmatmat(self, y: Array) -> Array:
        """Return the product of the adjoint with ``y``, of shape (m_1 n_1, b)."""
        thin = np.reshape(y, (self.shapes[0][0], self.shapes[0][1], y.shape[1]))
        parts = (rows.conj().T @ thin[:, j1, :] for j1, rows in enumerate(self._groups()))
        return sum(parts, np.zeros((self.shape[1], y.shape[1]), dtype=y.dtype))

    def misfit(self, left: Array, right: Array) -> float:
        """Form the difference of the rearrangement from ``left @ right``, group by group."""
        m1, n1 = self.shapes[0]
        thin = np.reshape(left, (m1, n1, left.shape[1]))
        gaps = (rows - thin[:, j1, :] @ right for j1, rows in enumerate(self._groups()))
        return math.fsum(squared_norm(gap, self.xp) for gap in gaps)

    def to_array(self) -> Array:
        """Return the rearrangement."""
        return np.reshape(np.stack(list(self._groups()), axis=1), self.shape)

    def draft(self) -> None:
        """Offer no draft."""

    def _groups(self) -> Iterator[np.ndarray]:
        """Yield for each j1 the rows (i1, j1) of the rearrangement."""
        (m1, n1), (m2, n2) = self.shapes
        for j1 in range(n1):
            unit = np.zeros((n1 * n2, n2), dtype=self.like.dtype)
            unit[j1 * n2 : (j1 + 1) * n2] = np.eye(n2)
            yield np.reshape(self.op.matmat(unit), (m1, m2 * n2))


def _columnwise(op: Operand, shapes: Pair) -> Columnwise:
    found = Columnwise(op, shapes, op.xp, 0.0, op.scale)
    total = math.fsum(squared_norm(rows, op.xp) for rows in found._groups())
    return found._replace(total=total)
