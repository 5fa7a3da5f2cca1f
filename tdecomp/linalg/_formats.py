"""The matrix formats: a singular value decomposition, a product of two thin factors."""

from __future__ import annotations

import math
from typing import NamedTuple

from tdecomp._precision import full_precision
from tdecomp._typing import Array, DType
from tdecomp._xp import adjoint, namespace


def _apply(left: Array, right: Array, x: Array) -> Array:
    """Multiply a vector, or a matrix or batch of them, without forming ``left @ right``."""
    if getattr(x, "ndim", 0) == 1:
        return (left @ (right @ x[:, None]))[..., 0]
    return left @ (right @ x)


class SVD(NamedTuple):
    """A (truncated) singular value decomposition ``U @ diag(S) @ Vh``.

    Attributes
    ----------
    U : array, shape (..., m, r)
        Left singular vectors, orthonormal columns; the entry of largest magnitude of each is
        real and positive.
    S : array, shape (..., r)
        Singular values, real, descending.
    Vh : array, shape (..., r, n)
        Right singular vectors, orthonormal rows, conjugated.

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> svd = td.truncated_svd(np.diag([3.0, 2.0, 1.0]), rank=2)
    >>> svd.shape, svd.rank
    ((3, 3), 2)
    >>> U, S, Vh = svd
    >>> S
    array([3., 2.])
    >>> svd @ np.ones(3)
    array([3., 2., 0.])
    """

    U: Array
    S: Array
    Vh: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape ``(..., m, n)`` of the matrix."""
        return (*self.U.shape[:-1], self.Vh.shape[-1])

    @property
    def modes(self) -> int:
        """Two: a matrix; the axes before are a batch."""
        return 2

    @property
    def rank(self) -> int:
        """Number of singular values kept."""
        return int(self.S.shape[-1])

    @property
    def dtype(self) -> DType:
        """The dtype of the matrix."""
        return self.U.dtype

    @property
    def mH(self) -> SVD:
        """The decomposition of the adjoint, at no cost."""
        xp = namespace(self.U)
        return SVD(adjoint(self.Vh, xp), self.S, adjoint(self.U, xp))

    @full_precision
    def to_array(self, region: slice | None = None) -> Array:
        """Return the matrix, or the rows of it in `region`."""
        rows = self.U if region is None else self.U[..., region, :]
        return (rows * self.S[..., None, :]) @ self.Vh

    @full_precision
    def __matmul__(self, x: Array) -> Array:
        """Multiply by a vector, a matrix or a batch, without forming the matrix."""
        return _apply(self.U * self.S[..., None, :], self.Vh, x)


class LowRank(NamedTuple):
    """A matrix of rank at most ``r``, held as ``left @ right``.

    Attributes
    ----------
    left : array, shape (..., m, r)
        The tall factor.
    right : array, shape (..., r, n)
        The wide factor.

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> lowrank = td.LowRank(np.ones((4, 1)), np.ones((1, 3)))
    >>> lowrank.shape, lowrank.rank
    ((4, 3), 1)
    >>> lowrank @ np.ones(3)
    array([3., 3., 3., 3.])
    """

    left: Array
    right: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape ``(..., m, n)`` of the matrix."""
        return (*self.left.shape[:-1], self.right.shape[-1])

    @property
    def modes(self) -> int:
        """Two: a matrix; the axes before are a batch."""
        return 2

    @property
    def rank(self) -> int:
        """Number of columns of `left`."""
        return int(self.left.shape[-1])

    @property
    def dtype(self) -> DType:
        """The dtype of the matrix."""
        return self.left.dtype

    @property
    def mH(self) -> LowRank:
        """The adjoint, in the same format."""
        xp = namespace(self.left)
        return LowRank(adjoint(self.right, xp), adjoint(self.left, xp))

    @full_precision
    def to_array(self, region: slice | None = None) -> Array:
        """Return the matrix, or the rows of it in `region`."""
        rows = self.left if region is None else self.left[..., region, :]
        return rows @ self.right

    @full_precision
    def __matmul__(self, x: Array) -> Array:
        """Multiply by a vector, a matrix or a batch, without forming the matrix."""
        return _apply(self.left, self.right, x)


# Else NumPy would take the tuple for a stack of matrices in ``array @ format``.
for _format in (SVD, LowRank):
    setattr(_format, "__array_ufunc__", None)  # noqa: B010 - NamedTuple takes no other attribute


def breakeven_rank(m: int, n: int) -> int:
    """Return the largest rank at which two factors hold fewer numbers than an ``m x n`` matrix."""
    return max(0, math.ceil(m * n / (m + n)) - 1)
