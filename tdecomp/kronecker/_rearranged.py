r"""The rearrangement of a matrix whose low-rank approximations are sums of Kronecker products.

Van Loan and Pitsianis: with :math:`A_{(i_1 i_2), (j_1 j_2)}` and
:math:`\mathcal{R}(A)_{(i_1 j_1), (i_2 j_2)}` the same numbers,

.. math:: \Bigl\|A - \sum_k L_k \otimes R_k\Bigr\|_F
          = \Bigl\|\mathcal{R}(A) - \sum_k \operatorname{vec}(L_k) \operatorname{vec}(R_k)^T
            \Bigr\|_F .

Here :math:`\mathcal{R}(A)` is a view: its products read `A` where it lies.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from functools import reduce
from typing import NamedTuple

import numpy as np

from tdecomp import _kernels
from tdecomp._typing import Array, Namespace
from tdecomp._xp import conj, squared_norm
from tdecomp.linalg._operand import Dense
from tdecomp.linalg._unfolded import spans

Pair = tuple[tuple[int, int], tuple[int, int]]

# Entries from which on loading the kernel is soon made up for; columns that are no longer few.
_ENTRIES, _COLUMNS = 1 << 23, 64
# Entries of the pieces that are turned one at a time elsewhere.
_BLOCK = 1 << 20


class Rearranged(NamedTuple):
    """A matrix in memory, finite and of safe scale, seen through its rearrangement."""

    array: Array
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
        """The matrix itself."""
        return self.array

    @property
    def blocks(self) -> Array:
        """The matrix as ``(m_1, m_2, n_1, n_2)``."""
        (m1, n1), (m2, n2) = self.shapes
        return self.xp.reshape(self.array, (m1, m2, n1, n2))

    def matmat(self, x: Array) -> Array:
        """Return the product with ``x``, of shape (m_2 n_2, b)."""
        if self._compiled(x):
            return self._by_kernel(x, adjoint=False)
        down, across = self._cuts()
        products = (
            reduce(operator.add, (self._piece(i, j) @ x[self._columns(j), :] for j in across))
            for i in down
        )
        return self.xp.concat(list(products))

    def rmatmat(self, y: Array) -> Array:
        """Return the product of the adjoint with ``y``, of shape (m_1 n_1, b)."""
        if self._compiled(y):
            return self._by_kernel(y, adjoint=True)
        xp, (down, across) = self.xp, self._cuts()
        y, turned = conj(y, xp), xp.matrix_transpose
        products = (
            reduce(operator.add, (turned(self._piece(i, j)) @ y[self._rows(i), :] for i in down))
            for j in across
        )
        return conj(xp.concat(list(products)), xp)

    def misfit(self, left: Array, right: Array) -> float:
        """Form the difference of the rearrangement from ``left @ right``, piece by piece."""
        down, across = self._cuts()
        return math.fsum(
            squared_norm(
                self._piece(i, j) - left[self._rows(i), :] @ right[:, self._columns(j)], self.xp
            )
            for i in down
            for j in across
        )

    def to_array(self) -> Array:
        """Return the rearrangement."""
        everything = slice(None)
        return self._piece(everything, everything)

    def strips(self) -> Iterator[Array]:
        """Yield the rearrangement, or if it is wide its adjoint, a few rows at a time."""
        xp, ((m1, n1), (m2, n2)) = self.xp, self.shapes
        m, n = self.shape
        tall = m >= n
        outer, inner = (m1, n1) if tall else (m2, n2)
        for i, j in spans((outer, min(m, n), inner), entries=_BLOCK):
            if tall:
                rows = xp.permute_dims(self.blocks[i, :, j, :], (0, 2, 1, 3))
                yield xp.reshape(rows, (-1, n))
            else:
                columns = xp.permute_dims(self.blocks[:, i, :, j], (1, 3, 0, 2))
                yield conj(xp.reshape(columns, (-1, m)), xp)

    def draft(self) -> None:
        """Offer no draft: converting would copy the matrix."""

    def _cuts(self) -> tuple[list[slice], list[slice]]:
        """Cut blocks of the matrix, down and across the rearrangement, into pieces of a size."""
        (m1, n1), (m2, n2) = self.shapes
        wide = min(m2, max(1, _BLOCK // (n1 * n2)))
        deep = max(1, _BLOCK // (n1 * n2 * wide))
        return _runs(m1, deep), _runs(m2, wide)

    def _rows(self, i: slice) -> slice:
        """Return the rows of the rearrangement that some i1 have."""
        n1 = self.shapes[0][1]
        return slice(i.start * n1, i.stop * n1)

    def _columns(self, i: slice) -> slice:
        """Return the columns of the rearrangement that some i2 have."""
        n2 = self.shapes[1][1]
        return slice(i.start * n2, i.stop * n2)

    def _piece(self, i: slice, j: slice) -> Array:
        """Return the rows of some i1, in the columns of some i2."""
        part = self.xp.permute_dims(self.blocks[i, j, ...], (0, 2, 1, 3))
        (_, n1), (_, n2) = self.shapes
        return self.xp.reshape(part, (part.shape[0] * n1, part.shape[2] * n2))

    def _compiled(self, x: Array) -> bool:
        """Tell whether the kernel takes these arrays and repays its loading."""
        if not _kernels.accepts(self.array, x) or self.array.dtype.kind + x.dtype.kind != "ff":
            return False
        few = x.shape[1] <= _COLUMNS and x.dtype == self.array.dtype
        flags = self.array.flags
        whole = flags.c_contiguous or flags.f_contiguous
        return bool(few and self.array.size >= _ENTRIES and whole)

    def _by_kernel(self, x: np.ndarray, *, adjoint: bool) -> np.ndarray:
        """Multiply in compiled loops; of a matrix in Fortran order its transpose is read.

        That exchanges the two indices in the rows and in the columns of the rearrangement.
        """
        from tdecomp._kernels._rearranged import rearranged_adjoint, rearranged_product
        from tdecomp._kernels._tile import lanes

        turned = not self.array.flags.c_contiguous
        (m1, n1), (m2, n2) = self.shapes
        array, sizes = self.array, (m1, m2, n1, n2)
        given, wanted = self.shapes if adjoint else self.shapes[::-1]
        if turned:
            array, sizes, x = array.T, (n1, n2, m1, m2), _exchanged(x, given)
        count = lanes(x.dtype.itemsize)
        padded = np.zeros((x.shape[0], -(-x.shape[1] // count) * count), x.dtype)
        padded[:, : x.shape[1]] = x
        out = np.empty((math.prod(wanted), padded.shape[1]), x.dtype)
        run = rearranged_adjoint if adjoint else rearranged_product
        run(array.reshape(-1), *sizes, padded, count, out)
        kept = out[:, : x.shape[1]]
        return _exchanged(kept, wanted[::-1]) if turned else kept


def _runs(length: int, step: int) -> list[slice]:
    """Cut a range into runs."""
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]


def _exchanged(x: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Exchange the two indices that the rows stand for."""
    turned = x.reshape(*shape, x.shape[1]).transpose(1, 0, 2)
    return np.ascontiguousarray(turned).reshape(x.shape)


def rearranged_places(i: np.ndarray, j: np.ndarray, shapes: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Return where the rearrangement has the entries of a matrix in some rows and columns."""
    (_, n1), (m2, n2) = shapes
    return i // m2 * n1 + j // n2, i % m2 * n2 + j % n2


def rearranged(a: Dense, shapes: Pair) -> Rearranged:
    """View a validated matrix through its rearrangement."""
    return Rearranged(a.array, shapes, a.xp, a.total, a.scale)
