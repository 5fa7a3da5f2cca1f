"""A vector that can be sampled by its squares and changed entry by entry."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tdecomp._errors import check_count
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._typing import Array, DType, Namespace, Seed
from tdecomp._xp import prepare
from tdecomp.completion.sampling import _stored as store
from tdecomp.completion.sampling._forest import moved
from tdecomp.completion.sampling._matrix import LengthSquaredMatrix
from tdecomp.completion.sampling._trees import row_total, scaled


class LengthSquaredVector:
    r"""A vector that is sampled by the squares of its entries, and changed one by one.

    .. math:: \Pr[j] = |x_j|^2 / \|x\|^2

    Parameters
    ----------
    x : array, shape (n,)
        The vector, of which a copy is kept.

    Attributes
    ----------
    shape : tuple of int
        Its length.
    dtype : dtype
        The dtype of the entries.

    Raises
    ------
    TypeError, ValueError
        If `x` is no vector, is empty, or not finite.

    See Also
    --------
    LengthSquaredMatrix : the same of all rows at once.

    Notes
    -----
    A draw and a change cost :math:`O(\log n)`; the tree holds two to four double precision
    numbers for each entry. For many draws between two changes the cumulative sums of NumPy are as
    fast: the tree is for vectors that change.

    The object is changed in place by `update`: it is no format, and no array.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion import sampling
    >>> x = sampling.LengthSquaredVector([0.0, 3.0, 0.0, 4.0])
    >>> x.norm, x.sample(6, rng=0).tolist()
    (5.0, [3, 1, 1, 1, 3, 3])
    >>> x.update(3, 0.0)
    >>> x.sample(6, rng=0).tolist()
    [1, 1, 1, 1, 1, 1]
    """

    __array_ufunc__ = None
    __iter__ = None  # else Python would count indices up until one is refused

    def __init__(self, x: Any, /) -> None:
        xp, x = prepare(x, ndim=1, name="x")
        self._matrix, self._row = LengthSquaredMatrix(xp.reshape(x, (1, -1))), 0

    @property
    def shape(self) -> tuple[int]:
        """Its length."""
        return (self._matrix.shape[1],)

    @property
    def dtype(self) -> DType:
        """The dtype of the entries."""
        return self._matrix.dtype

    @property
    def norm(self) -> float:
        """The Euclidean norm."""
        square, exponent = row_total(self._matrix._trees, self._row)
        return scaled(math.sqrt(square), exponent)

    def __getitem__(self, index: Any) -> Array:
        """Return the entry at an int, or those at a slice or a list of indices."""
        columns = self._matrix._index(index, 1, "index")
        rows = self._xp.full_like(columns, self._row)
        return store.entries(self._matrix._stored, rows, columns, self._xp)

    @property
    def _xp(self) -> Namespace:
        return self._matrix._xp

    @full_precision
    def to_array(self) -> Array:
        """Return a copy of the entries.

        Returns
        -------
        array, shape (n,)
            The vector.
        """
        return self._matrix.to_array((self._row, slice(None)))

    def sample(self, size: int, /, *, rng: Seed = None) -> Array:
        """Draw indices with chances proportional to squared entries.

        Parameters
        ----------
        size : int
            How many.
        rng : int, numpy.random.Generator or None
            Where numbers come from.

        Returns
        -------
        array of int, shape (size,)
            Indices, with replacement.

        Raises
        ------
        ValueError
            If the vector is zero: then there is nothing to draw.
        """
        size = check_count(size, name="size")
        if size and not row_total(self._matrix._trees, self._row)[0] > 0:
            raise ValueError("all entries are zero: there is nothing to draw")
        rows = np.full(size, self._row)
        where = moved(rows, self._matrix._stored.values, self._xp)
        return self._matrix._draw_columns(where, generator(rng).random(size))

    def update(self, index: Any, values: Any, /) -> None:
        """Replace entries, and the sums on the paths to the root.

        Parameters
        ----------
        index : int or array of int, shape (k,)
            Where. Of a place that comes more than once the last value stays.
        values : number or array, shape (k,)
            The new entries, in the dtype of the vector.

        Raises
        ------
        ValueError
            If indices or values are not valid.
        """
        self._matrix.update(self._row, index, values)


def row_of(matrix: LengthSquaredMatrix, i: int) -> LengthSquaredVector:
    """Return row `i` as a vector that shares the storage of its matrix."""
    vector = LengthSquaredVector.__new__(LengthSquaredVector)
    vector._matrix, vector._row = matrix, i
    return vector
