"""Linear measurements of a matrix: dense, of entries, of rank one, or any two functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from tdecomp._precision import full_precision
from tdecomp._shim import index_add
from tdecomp._typing import Array
from tdecomp._xp import conj, device, namespace


class Measurements(Protocol):
    r"""A linear map :math:`\mathcal A` of matrices to vectors, with its adjoint."""

    @property
    def shape(self) -> tuple[int, int]:
        """Shape ``(m, n)`` of the matrices that are measured."""

    @property
    def size(self) -> int:
        """The number `p` of measurements."""

    def measure(self, left: Array, right: Array, /) -> Array:
        r"""Return :math:`\mathcal A(L R)`, shape (p,)."""

    def adjoint(self, values: Array, /) -> Array:
        r"""Return :math:`\mathcal A^*(v)`, shape (m, n)."""


class MatrixMeasurements(NamedTuple):
    r"""Inner products with given matrices, :math:`y_i = \langle A_i, X \rangle`.

    Attributes
    ----------
    matrices : array, shape (p, m, n)
        The matrices, conjugated in the inner product.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion.robust import MatrixMeasurements
    >>> a = MatrixMeasurements(np.ones((1, 2, 3)))
    >>> a.measure(np.array([[1.0], [2.0]]), np.array([[1.0, 1.0, 1.0]]))
    array([9.])
    """

    matrices: Array

    @property
    def shape(self) -> tuple[int, int]:
        """Shape ``(m, n)`` of the matrices that are measured."""
        return (int(self.matrices.shape[1]), int(self.matrices.shape[2]))

    @property
    def size(self) -> int:
        """The number `p` of measurements."""
        return int(self.matrices.shape[0])

    @full_precision
    def measure(self, left: Array, right: Array, /) -> Array:
        r"""Return :math:`\langle A_i, L R \rangle`, in :math:`2 p m n` flops."""
        xp = namespace(self.matrices, left)
        flat = xp.reshape(conj(left @ right, xp), (-1,))
        return conj(xp.reshape(self.matrices, (self.size, -1)) @ flat, xp)

    @full_precision
    def adjoint(self, values: Array, /) -> Array:
        r"""Return :math:`\sum_i v_i A_i`."""
        xp = namespace(self.matrices, values)
        return xp.reshape(values @ xp.reshape(self.matrices, (self.size, -1)), self.shape)


class EntryMeasurements(NamedTuple):
    """Entries of a matrix: completion, as a problem of sensing.

    Attributes
    ----------
    indices : array of int, shape (2, p)
        Rows and columns.
    shape : tuple of int
        Shape ``(m, n)`` of the matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion.robust import EntryMeasurements
    >>> a = EntryMeasurements(np.array([[0, 1], [2, 0]]), (2, 3))
    >>> a.measure(np.array([[1.0], [2.0]]), np.array([[1.0, 1.0, 4.0]]))
    array([4., 2.])
    """

    indices: Array
    shape: tuple[int, int]

    @property
    def size(self) -> int:
        """The number `p` of measurements."""
        return int(self.indices.shape[1])

    @full_precision
    def measure(self, left: Array, right: Array, /) -> Array:
        """Return the entries of the product, in ``2 p r`` flops."""
        xp = namespace(self.indices, left)
        rows = xp.take(left, self.indices[0, ...], axis=0)
        columns = xp.take(xp.matrix_transpose(right), self.indices[1, ...], axis=0)
        return xp.sum(rows * columns, axis=1)

    @full_precision
    def adjoint(self, values: Array, /) -> Array:
        """Return the matrix of these entries, with zeros elsewhere; repeats are summed."""
        xp = namespace(self.indices, values)
        m, n = self.shape
        zeros = xp.zeros(m * n, dtype=values.dtype, device=device(values))
        places = self.indices[0, ...] * n + self.indices[1, ...]
        return xp.reshape(index_add(zeros, places, values, xp), (m, n))


class RankOneMeasurements(NamedTuple):
    r"""Bilinear forms :math:`y_i = a_i^* X b_i`.

    Attributes
    ----------
    left : array, shape (p, m)
        The vectors :math:`a_i`.
    right : array, shape (p, n)
        The vectors :math:`b_i`.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion.robust import RankOneMeasurements
    >>> a = RankOneMeasurements(np.array([[1.0, 0.0]]), np.array([[1.0, 1.0, 0.0]]))
    >>> a.measure(np.array([[1.0], [2.0]]), np.array([[1.0, 1.0, 4.0]]))
    array([2.])
    """

    left: Array
    right: Array

    @property
    def shape(self) -> tuple[int, int]:
        """Shape ``(m, n)`` of the matrices that are measured."""
        return (int(self.left.shape[1]), int(self.right.shape[1]))

    @property
    def size(self) -> int:
        """The number `p` of measurements."""
        return int(self.left.shape[0])

    @full_precision
    def measure(self, left: Array, right: Array, /) -> Array:
        """Return the forms of the product, in ``2 p (m + n) r`` flops."""
        xp = namespace(self.left, left)
        inner = self.right @ xp.matrix_transpose(right)
        return xp.sum((conj(self.left, xp) @ left) * inner, axis=1)

    @full_precision
    def adjoint(self, values: Array, /) -> Array:
        r"""Return :math:`\sum_i v_i\, a_i b_i^*`."""
        xp = namespace(self.left, values)
        return xp.matrix_transpose(values[:, None] * self.left) @ conj(self.right, xp)


class LinearMeasurements(NamedTuple):
    """Any linear map, by two functions.

    A solver refuses a pair that is not adjoint: one whose inner products <forward(x), y> and
    <x, backward(y)> differ for random `x` and the data `y`.

    Attributes
    ----------
    forward : callable
        Maps a matrix (m, n) to a vector (p,).
    backward : callable
        Its adjoint: maps a vector (p,) to a matrix (m, n).
    shape : tuple of int
        Shape ``(m, n)`` of the matrices.
    size : int
        The number `p` of measurements.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion.robust import LinearMeasurements
    >>> a = LinearMeasurements(lambda x: x.sum(axis=0), lambda v: np.tile(v, (2, 1)), (2, 3), 3)
    >>> a.measure(np.array([[1.0], [2.0]]), np.array([[1.0, 1.0, 4.0]]))
    array([ 3.,  3., 12.])
    """

    forward: Callable[[Array], Array]
    backward: Callable[[Array], Array]
    shape: tuple[int, int]
    size: int

    @full_precision
    def measure(self, left: Array, right: Array, /) -> Array:
        """Return what the function makes of the product."""
        return self.forward(left @ right)

    @full_precision
    def adjoint(self, values: Array, /) -> Array:
        """Return what the adjoint makes of a vector."""
        return self.backward(values)
