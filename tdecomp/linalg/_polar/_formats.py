"""A matrix as an isometry times a semidefinite one, in either order."""

from __future__ import annotations

from typing import NamedTuple

from tdecomp._precision import full_precision
from tdecomp._typing import Array, DType
from tdecomp._xp import adjoint, namespace


class Polar(NamedTuple):
    """A polar decomposition ``U @ H``.

    Attributes
    ----------
    U : array, shape (..., m, n)
        Orthonormal columns, or rows if there are fewer of them; a partial isometry where a rank
        was asked for.
    H : array, shape (..., n, n)
        Hermitian and positive semidefinite, with the singular values of the matrix as its
        eigenvalues.

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> U, H = td.polar(np.array([[0.0, -2.0], [3.0, 0.0]]))
    >>> U.round(12)
    array([[ 0., -1.],
           [ 1.,  0.]])
    >>> H.round(12)
    array([[3., 0.],
           [0., 2.]])
    """

    U: Array
    H: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape ``(..., m, n)`` of the matrix."""
        return tuple(self.U.shape)

    @property
    def modes(self) -> int:
        """Two: a matrix; the axes before are a batch."""
        return 2

    @property
    def rank(self) -> int:
        """The largest rank that the matrix may have: its shorter side."""
        return min(self.shape[-2:])

    @property
    def dtype(self) -> DType:
        """The dtype of the matrix."""
        return self.U.dtype

    @property
    def mH(self) -> LeftPolar:
        """The decomposition of the adjoint, whose factors come in the other order."""
        return LeftPolar(self.H, adjoint(self.U, namespace(self.U)))

    @full_precision
    def to_array(self, region: slice | None = None) -> Array:
        """Return the matrix, or the rows of it in `region`."""
        rows = self.U if region is None else self.U[..., region, :]
        return rows @ self.H

    @full_precision
    def __matmul__(self, x: Array) -> Array:
        """Multiply by a vector, a matrix or a batch."""
        return _product(self.U, self.H, x)


class LeftPolar(NamedTuple):
    """A polar decomposition ``H @ U``.

    Attributes
    ----------
    H : array, shape (..., m, m)
        Hermitian and positive semidefinite, with the singular values of the matrix as its
        eigenvalues.
    U : array, shape (..., m, n)
        Orthonormal columns, or rows if there are fewer of them; a partial isometry where a rank
        was asked for.

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> H, U = td.polar(np.array([[0.0, -2.0], [3.0, 0.0]]), side="left")
    >>> H.round(12)
    array([[2., 0.],
           [0., 3.]])
    """

    H: Array
    U: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape ``(..., m, n)`` of the matrix."""
        return tuple(self.U.shape)

    @property
    def modes(self) -> int:
        """Two: a matrix; the axes before are a batch."""
        return 2

    @property
    def rank(self) -> int:
        """The largest rank that the matrix may have: its shorter side."""
        return min(self.shape[-2:])

    @property
    def dtype(self) -> DType:
        """The dtype of the matrix."""
        return self.U.dtype

    @property
    def mH(self) -> Polar:
        """The decomposition of the adjoint, whose factors come in the other order."""
        return Polar(adjoint(self.U, namespace(self.U)), self.H)

    @full_precision
    def to_array(self, region: slice | None = None) -> Array:
        """Return the matrix, or the rows of it in `region`."""
        rows = self.H if region is None else self.H[..., region, :]
        return rows @ self.U

    @full_precision
    def __matmul__(self, x: Array) -> Array:
        """Multiply by a vector, a matrix or a batch."""
        return _product(self.H, self.U, x)


def _product(first: Array, second: Array, x: Array) -> Array:
    """Multiply by one factor after the other."""
    if getattr(x, "ndim", 0) == 1:
        return (first @ (second @ x[:, None]))[..., 0]
    return first @ (second @ x)


# Else NumPy would take the tuple for a stack of matrices in ``array @ format``.
for _format in (Polar, LeftPolar):
    setattr(_format, "__array_ufunc__", None)  # noqa: B010 - NamedTuple takes no other attribute
