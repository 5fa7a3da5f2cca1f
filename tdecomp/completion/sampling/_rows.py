"""Few rows of a matrix, rescaled: what every sampled factorisation is made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tdecomp._program import one_program
from tdecomp._shim import host
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, conj
from tdecomp.completion.sampling import _stored as store
from tdecomp.completion.sampling._forest import leaves_of
from tdecomp.completion.sampling._matrix import LengthSquaredMatrix
from tdecomp.completion.sampling._trees import shifted, total

_BLOCK_ENTRIES = 1 << 22


class SampledRows(NamedTuple):
    r"""Rows of a matrix, each times a weight: a matrix `R` of shape (r, n) that is never formed.

    Attributes
    ----------
    matrix : LengthSquaredMatrix
        Where the rows are looked up.
    indices : array of int, shape (r,)
        Which rows.
    weights : array, shape (r,)
        What each is multiplied by, after division by ``2 ** unit``.
    unit : int
        The scale of the matrix when the rows were drawn.
    """

    matrix: LengthSquaredMatrix
    indices: Array
    weights: Array
    unit: int

    def columns(self, index: Array) -> Array:
        """Return columns (r, c) of `R` over ``2 ** unit``."""
        xp, stored = self.matrix._xp, self.matrix._stored
        block = store.entries(stored, self.indices[:, None], index[None, :], xp)
        return shifted(block, -self.unit, xp) * self.weights[:, None]

    def _blocks(self) -> Iterator[tuple[slice, Array]]:
        """Yield some whole rows at a time."""
        for part, block in whole_rows(self.matrix, self.indices):
            scaled = shifted(block, -self.unit, self.matrix._xp)
            yield part, scaled * self.weights[part, None]

    def times(self, x: Array) -> Array:
        """Return ``R @ x`` over ``2 ** unit`` for a matrix (n, k)."""
        return self.matrix._xp.concat([block @ x for _, block in self._blocks()])

    def transposed_times(self, x: Array) -> Array:
        """Return ``R.T @ x`` over ``2 ** unit`` for a matrix (r, k), a few rows at a time."""
        xp = self.matrix._xp
        return sum(xp.matrix_transpose(block) @ x[part, :] for part, block in self._blocks())

    def adjoint_times(self, x: Array) -> Array:
        """Return ``R^* @ x`` over ``2 ** unit`` for a matrix (r, k)."""
        xp = self.matrix._xp
        return conj(self.transposed_times(conj(x, xp)), xp)

    def adjoint_entries(self, index: Array, x: Array) -> Array:
        """Return the rows at `index` of ``R^* @ x`` over ``2 ** unit``."""
        return adjoint(self.columns(index), self.matrix._xp) @ x


def whole_rows(matrix: LengthSquaredMatrix, indices: Array) -> Iterator[tuple[slice, Array]]:
    """Yield rows of a matrix, so many at a time that memory does not grow with their number."""
    places, height = host(indices), max(1, _BLOCK_ENTRIES // matrix.shape[1])
    for start in range(0, places.size, height):
        part = slice(start, min(start + height, places.size))
        yield part, store.dense_rows(matrix._stored, places[part], matrix._xp)


def drawn_rows(a: LengthSquaredMatrix, size: int, rng: np.random.Generator) -> SampledRows:
    r"""Draw rows by their squared norms and bring them to one norm, :math:`\|A\|_F / \sqrt r`.

    Then :math:`\mathbb E\, R^* R = A^* A`.
    """
    xp, forest = a._xp, a._trees.top
    indices = a._draw_rows(rng.random(size))
    squares = leaves_of(forest, xp.zeros_like(indices), indices, xp)
    weights = _weights(squares, total(a._trees) / size, xp)
    return SampledRows(a, indices, xp.astype(weights, a.dtype), a._trees.unit)


@one_program
def _weights(squares: Array, wanted: float, xp: Namespace) -> Array:
    """Return what brings rows to the squared norm `wanted`."""
    return xp.sqrt(wanted / squares)
