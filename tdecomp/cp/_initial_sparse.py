"""Leading left singular vectors of the unfoldings of a sparse tensor, nothing densified."""

from __future__ import annotations

from typing import Any

import numpy as np

from tdecomp._random import like
from tdecomp._shim import host
from tdecomp._typing import Array, Namespace
from tdecomp.linalg._randomized import randomized_svd
from tdecomp.ops._coo import COO

_BLOCK_ENTRIES = 1 << 22


class _Gram:
    """The matrix ``X X^*`` of a sparse `X` of far more columns than rows, by its products."""

    def __init__(self, matrix: Any) -> None:
        self._matrix = matrix
        self.shape = (matrix.shape[0], matrix.shape[0])
        self.dtype = matrix.dtype

    @property
    def mH(self) -> _Gram:
        """The matrix itself: it is Hermitian."""
        return self

    def __matmul__(self, x: np.ndarray) -> np.ndarray:
        """Multiply block by block of columns, whose images would not all fit."""
        out = np.zeros((self.shape[0], x.shape[1]), np.result_type(self.dtype, x.dtype))
        width = max(1, _BLOCK_ENTRIES // x.shape[1])
        for start in range(0, self._matrix.shape[1], width):
            block = self._matrix[:, start : start + width]
            out += block @ (block.conj().T @ x)
        return out


def sparse_left_vectors(
    x: COO, mode: int, rank: int, rng: np.random.Generator, *, xp: Namespace
) -> Array:
    """Return the leading eigenvectors of the Gram matrix of an unfolding, at most `rank`."""
    values, indices = host(x.values), host(x.indices)
    n = x.shape[mode]
    if values.size == 0 or not np.any(values):
        return like(np.zeros((n, 0), values.dtype), x.values, xp)
    matrix = _unfolded(values, indices, mode, n)
    count = min(rank, *matrix.shape)
    fit = randomized_svd(_Gram(matrix), rank=count, power=2, rng=rng)
    # Of a tensor of lower rank only what it has.
    known = int(np.sum(fit.tensor.S > np.finfo(fit.tensor.S.dtype).eps * n * fit.tensor.S[0]))
    return like(fit.tensor.U[:, :known], x.values, xp)


def _unfolded(values: np.ndarray, indices: np.ndarray, mode: int, n: int) -> Any:
    """Return the unfolding without its empty columns, in compressed columns."""
    from scipy.sparse import coo_array

    others = np.delete(indices, mode, axis=0)
    order = np.lexsort(others[::-1]) if others.shape[0] else np.arange(values.size)
    others = others[:, order]
    fresh = np.any(others[:, 1:] != others[:, :-1], axis=0)
    columns = np.concatenate([[0], np.cumsum(fresh)])
    shape = (n, int(columns[-1]) + 1)
    return coo_array((values[order], (indices[mode, order], columns)), shape=shape).tocsc()
