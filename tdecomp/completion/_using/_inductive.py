"""A matrix of low rank between features of its rows and features of its columns."""

from __future__ import annotations

from typing import NamedTuple

from tdecomp._precision import full_precision
from tdecomp._typing import Array, DType
from tdecomp._xp import namespace
from tdecomp.linalg._formats import LowRank


class Inductive(NamedTuple):
    r"""A matrix of low rank between features of rows and features of columns, and what is left.

    .. math:: Z = X A B Y^T + U V

    Attributes
    ----------
    row_features : array, shape (m, d)
        What is known of each row: `X`.
    left : array, shape (d, k)
        The tall factor `A`.
    right : array, shape (k, e)
        The wide factor `B`.
    column_features : array, shape (n, e)
        What is known of each column: `Y`.
    residual_left, residual_right : array of shape (m, r) and (r, n), or None
        What the features do not explain: `U` and `V`, None where nothing of that was fitted.

    See Also
    --------
    inductive : makes one from the entries that are known.
    predict, top_n : entries and best columns of it.

    Notes
    -----
    New rows need no fit: ``z.explained._replace(row_features=new)`` holds what is said of them.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion import Inductive
    >>> z = Inductive(np.ones((3, 1)), np.ones((1, 1)), np.ones((1, 2)), np.eye(2))
    >>> z.lowrank.shape
    (3, 2)
    >>> z.explained._replace(row_features=np.array([[5.0]])).to_array()
    array([[5., 5.]])
    """

    row_features: Array
    left: Array
    right: Array
    column_features: Array
    residual_left: Array | None = None
    residual_right: Array | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape ``(m, n)`` of the matrix."""
        return (self.row_features.shape[0], self.column_features.shape[0])

    @property
    def modes(self) -> int:
        """Two: a matrix."""
        return 2

    @property
    def rank(self) -> int:
        """Number of columns of `left`, and of `residual_left`."""
        residual = _both(self)
        return int(self.left.shape[1] + (0 if residual is None else residual[0].shape[1]))

    @property
    def dtype(self) -> DType:
        """The dtype of the matrix."""
        return self.left.dtype

    @property
    def explained(self) -> Inductive:
        """What the features alone say, which is all there is to say of new rows and columns."""
        return self._replace(residual_left=None, residual_right=None)

    @property
    def lowrank(self) -> LowRank:
        """The same matrix as a product of two factors."""
        xp = namespace(self.left)
        tall = self.row_features @ self.left
        wide = self.right @ xp.matrix_transpose(self.column_features)
        residual = _both(self)
        if residual is not None:
            tall = xp.concat([tall, residual[0]], axis=1)
            wide = xp.concat([wide, residual[1]], axis=0)
        return LowRank(tall, wide)

    @full_precision
    def to_array(self, region: slice | None = None) -> Array:
        """Return the matrix, or the rows of it in `region`."""
        part = slice(None) if region is None else region
        residual = _both(self)
        own = None if residual is None else residual[0][part, :]
        some = self._replace(row_features=self.row_features[part, :], residual_left=own)
        return some.lowrank.to_array()

    @full_precision
    def __matmul__(self, x: Array) -> Array:
        """Multiply by a vector or a matrix, without forming the matrix."""
        return self.lowrank @ x


def _both(z: Inductive) -> tuple[Array, Array] | None:
    """Return both factors of what features leave, None where there are none, or refuse one."""
    pair = {name: getattr(z, name) for name in ("residual_left", "residual_right")}
    missing = [name for name, factor in pair.items() if factor is None]
    if len(missing) == 1:
        raise ValueError(
            f"{missing[0]} is None and the other residual is not: an Inductive has both or neither"
        )
    return None if missing else (z.residual_left, z.residual_right)


# Else NumPy would take the tuple for a stack of arrays in ``array @ format``.
setattr(Inductive, "__array_ufunc__", None)  # noqa: B010 - NamedTuple takes no other attribute
