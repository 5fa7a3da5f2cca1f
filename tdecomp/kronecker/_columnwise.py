"""An operator seen through its rearrangement: what it makes of columns of the identity."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp._xp import squared_norm
from tdecomp.kronecker._rearranged import Pair
from tdecomp.linalg._operand import MatrixFree
from tdecomp.linalg._unfolded import spans

# Entries of the columns that are asked for at a time.
_BLOCK = 1 << 20


class Columnwise(NamedTuple):
    """An operator seen through its rearrangement, a few of its columns at a time.

    Each product costs one of the operator with the identity; norms and differences are exact, and
    they hold nothing larger than a group of columns. `least` is the smallest entry, NaN where they
    are complex.
    """

    op: MatrixFree
    shapes: Pair
    xp: Namespace
    total: float
    least: float
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
        (m1, n1), (m2, n2) = self.shapes
        given = x.reshape(m2, n2, -1)
        out = np.zeros((m1, n1, x.shape[1]), np.result_type(self.like, x))
        for j1, j2, piece in self._pieces():
            part = piece @ given[:, j2, :].reshape(piece.shape[1], -1)
            out[:, j1, :] += part.reshape(m1, -1, x.shape[1])
        return out.reshape(m1 * n1, -1)

    def rmatmat(self, y: Array) -> Array:
        """Return the product of the adjoint with ``y``, of shape (m_1 n_1, b)."""
        (m1, n1), (m2, n2) = self.shapes
        given = y.reshape(m1, n1, -1)
        out = np.zeros((m2, n2, y.shape[1]), np.result_type(self.like, y))
        for j1, j2, piece in self._pieces():
            part = piece.conj().T @ given[:, j1, :].reshape(piece.shape[0], -1)
            out[:, j2, :] += part.reshape(m2, -1, y.shape[1])
        return out.reshape(m2 * n2, -1)

    def misfit(self, left: Array, right: Array) -> float:
        """Form the difference of the rearrangement from ``left @ right``, group by group."""
        (m1, n1), (m2, n2) = self.shapes
        thin, wide = left.reshape(m1, n1, -1), right.reshape(-1, m2, n2)
        return math.fsum(
            squared_norm(
                piece
                - thin[:, j1, :].reshape(piece.shape[0], -1)
                @ wide[:, :, j2].reshape(-1, piece.shape[1]),
                self.xp,
            )
            for j1, j2, piece in self._pieces()
        )

    def to_array(self) -> Array:
        """Return the rearrangement."""
        (m1, n1), (m2, n2) = self.shapes
        out = np.empty((m1, n1, m2, n2), self.like.dtype)
        for j1, j2, piece in self._pieces():
            groups = j1.stop - j1.start, j2.stop - j2.start
            out[:, j1, :, j2] = piece.reshape(m1, groups[0], m2, groups[1])
        return out.reshape(self.shape)

    def strips(self) -> Iterator[Array]:
        """Yield the rearrangement, or if it is wide its adjoint, a few rows at a time."""
        (m1, n1), (m2, n2) = self.shapes
        m, n = self.shape
        if m >= n:
            for j1, _ in spans((n1, m1 * m2 * n2, 1), entries=_BLOCK):
                yield self._piece(j1, slice(0, n2))
        else:
            for j2, _ in spans((n2, m1 * m2 * n1, 1), entries=_BLOCK):
                yield self._piece(slice(0, n1), j2).conj().T

    def draft(self) -> None:
        """Offer no draft."""

    def _pieces(self) -> Iterator[tuple[slice, slice, Array]]:
        """Yield for groups of j1 and of j2 the rows (i1, j1) in the columns (i2, j2)."""
        (m1, n1), (m2, n2) = self.shapes
        for j1, j2 in spans((n1, m1 * m2, n2), entries=_BLOCK):
            yield j1, j2, self._piece(j1, j2)

    def _piece(self, j1: slice, j2: slice) -> Array:
        (m1, n1), (m2, n2) = self.shapes
        p, q = j1.stop - j1.start, j2.stop - j2.start
        unit = np.zeros((n1, n2, p * q), self.like.dtype)
        unit[j1, j2, :] = np.eye(p * q).reshape(p, q, -1)
        block = self.op.matmat(unit.reshape(n1 * n2, -1)).reshape(m1, m2, p, q)
        return block.transpose(0, 2, 1, 3).reshape(m1 * p, m2 * q)


def columnwise(op: MatrixFree, shapes: Pair) -> Columnwise:
    """View an operator through its rearrangement, whose norm takes one product."""
    found = Columnwise(op, shapes, op.xp, 0.0, math.nan, op.scale)
    squares, least = [], []
    for _, _, piece in found._pieces():
        squares.append(squared_norm(piece, op.xp))
        least.append(math.nan if piece.dtype.kind == "c" else float(piece.min()))
    return found._replace(total=math.fsum(squares), least=min(least))
