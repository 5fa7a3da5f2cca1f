"""What completes a matrix: two thin factors, and biases of its rows and columns."""

from __future__ import annotations

from typing import NamedTuple

from tdecomp._precision import full_precision
from tdecomp._typing import Array, DType
from tdecomp._xp import device, namespace
from tdecomp.linalg._formats import LowRank


class Completion(NamedTuple):
    r"""A matrix of low rank with an offset for each row and column.

    .. math:: z_{ij} = \mu + b_i + c_j + \sum_r u_{ir} v_{rj}

    Attributes
    ----------
    left : array, shape (m, k)
        The tall factor `U`.
    right : array, shape (k, n)
        The wide factor `V`.
    mean : array, shape ()
        The offset of all entries, zero where no biases were asked for, as those are:
    row_bias : array, shape (m,)
        The offsets of the rows.
    column_bias : array, shape (n,)
        The offsets of the columns.

    See Also
    --------
    complete : makes one from the entries that are known.
    predict : looks entries up without forming the matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion import Completion
    >>> zeros = np.zeros(3)
    >>> z = Completion(np.ones((2, 1)), np.ones((1, 3)), np.array(3.0), np.array([0, 1.0]), zeros)
    >>> z.to_array()
    array([[4., 4., 4.],
           [5., 5., 5.]])
    >>> z.lowrank.rank
    3
    """

    left: Array
    right: Array
    mean: Array
    row_bias: Array
    column_bias: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape ``(m, n)`` of the matrix."""
        return (self.left.shape[0], self.right.shape[1])

    @property
    def modes(self) -> int:
        """Two: a matrix."""
        return 2

    @property
    def rank(self) -> int:
        """Number of columns of `left`; biases, which add up to two, are not counted."""
        return int(self.left.shape[1])

    @property
    def dtype(self) -> DType:
        """The dtype of the matrix."""
        return self.left.dtype

    @property
    def lowrank(self) -> LowRank:
        """The same matrix as a product of two factors, biases in two columns more."""
        xp = namespace(self.left)
        where = {"dtype": self.dtype, "device": device(self.left)}
        m, n = self.shape
        tall = [self.left, (self.mean + self.row_bias)[:, None], xp.ones((m, 1), **where)]
        wide = [self.right, xp.ones((1, n), **where), self.column_bias[None, :]]
        return LowRank(xp.concat(tall, axis=1), xp.concat(wide, axis=0))

    @full_precision
    def to_array(self, region: slice | None = None) -> Array:
        """Return the matrix, or the rows of it in `region`."""
        rows = slice(None) if region is None else region
        offsets = (self.mean + self.row_bias[rows])[:, None] + self.column_bias[None, :]
        return offsets + self.left[rows, :] @ self.right

    @full_precision
    def __matmul__(self, x: Array) -> Array:
        """Multiply by a vector or a matrix, without forming the matrix."""
        return self.lowrank @ x


# Else NumPy would take the tuple for a stack of arrays in ``array @ format``.
setattr(Completion, "__array_ufunc__", None)  # noqa: B010 - NamedTuple takes no other attribute
