"""A matrix that can be sampled by its squares and changed entry by entry."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tdecomp._errors import check_count
from tdecomp._kernels import accepts
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._shim import host
from tdecomp._typing import Array, DType, Namespace, Seed
from tdecomp._xp import namespace, real_dtype, times_power
from tdecomp.completion.sampling import _stored as store
from tdecomp.completion.sampling._changes import changed_entries, changed_entry, checked_values
from tdecomp.completion.sampling._forest import drawn, moved, roots, sums_of
from tdecomp.completion.sampling._trees import grown, scaled, total
from tdecomp.ops._region import index_of, indices_of, is_index, parts

if TYPE_CHECKING:
    from tdecomp.completion.sampling._vector import LengthSquaredVector


class LengthSquaredMatrix:
    r"""A matrix that is sampled by the squares of its entries, and changed one by one.

    Each row has a binary tree whose leaves are :math:`|a_{ij}|^2` and whose inner nodes are the
    sums of their children; one more tree has the squared norms of the rows as leaves. Then

    .. math:: \Pr[i] = \frac{\|A_{i:}\|^2}{\|A\|_F^2}, \qquad
              \Pr[j \mid i] = \frac{|a_{ij}|^2}{\|A_{i:}\|^2}

    are drawn by descending a tree each, and a new entry costs the sums on two paths to the roots,
    which are formed anew and do not drift. An entry of zero is never drawn.

    Parameters
    ----------
    x : array, shape (m, n), or sparse matrix
        The matrix, of which a copy is kept. A sparse one, of SciPy or a
        :class:`tdecomp.ops.COO` of NumPy arrays, is kept in compressed rows.

    Attributes
    ----------
    shape : tuple of int
        Number of rows and columns.
    dtype : dtype
        The dtype of the entries.
    modes : int
        Two.

    Raises
    ------
    TypeError, ValueError
        If `x` is no matrix, is empty, or not finite.

    See Also
    --------
    sampled_svd, sampled_matmul, solve : what such a matrix is good for.

    Notes
    -----
    Building costs one pass over the entries; the trees hold two to four double precision numbers
    for each. A draw and a change cost :math:`O(\log m + \log n)`. Sums are kept at scales that are
    powers of two, one for each row: they neither overflow nor vanish where the entries do not.
    Only a change that takes the norm of a row by more than :math:`2^{256}` away from its scale,
    but not to zero, costs a pass over that row; one that does so to the norm of the matrix, a pass
    over the norms of rows. Without double precision, as in JAX by default, that is
    :math:`2^{32}`, and chances are true to some :math:`10^{-7}` of the whole.
    Where arrays cannot be changed (JAX), an update copies the trees.

    The object is changed in place by `update`: it is no format, and no array.

    References
    ----------
    .. [1] E. Tang, "A quantum-inspired classical algorithm for recommendation systems", STOC,
       217-228 (2019). arXiv:1807.04271

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion import sampling
    >>> a = sampling.LengthSquaredMatrix(np.array([[3.0, 0.0], [0.0, 4.0]]))
    >>> a.norm
    5.0
    >>> rows, columns = a.sample(1000, rng=0)
    >>> bool(0.58 < np.mean(rows) < 0.7)  # 16 / 25 of them are 1
    True
    >>> a.update(0, 1, 12.0)
    >>> a.norm
    13.0
    """

    __array_ufunc__ = None
    __iter__ = None
    modes = 2

    def __init__(self, x: Any, /) -> None:
        self._read(x, "x")

    def _read(self, x: Any, name: str) -> None:
        """Copy the entries and build all trees."""
        _, self._stored = store.stored(x, name=name)
        self._trees = grown(self._stored, self._xp)

    def __copy__(self) -> LengthSquaredMatrix:
        """Return a copy with trees of its own: shared ones would change without its scales."""
        return copy.deepcopy(self)

    @property
    def _xp(self) -> Namespace:
        return namespace(self._stored.values)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        return self._stored.shape

    @property
    def dtype(self) -> DType:
        """The dtype of the entries."""
        return self._stored.values.dtype

    @property
    def norm(self) -> float:
        """The Frobenius norm."""
        return scaled(math.sqrt(total(self._trees)), self._trees.unit)

    @property
    def row_norms(self) -> Array:
        """The norms of the rows, an array (m,) of the real dtype of the entries."""
        xp = self._xp
        norms = times_power(xp.sqrt(roots(self._trees.rows, xp)), self._trees.exponents, xp)
        with np.errstate(over="ignore"):
            return xp.astype(norms, real_dtype(self.dtype, xp))

    def __getitem__(self, index: tuple[Any, Any]) -> Array:
        """Return entries: one for two ints, one for each pair of two lists of indices."""
        if not isinstance(index, tuple) or len(index) != 2:
            raise TypeError("a matrix takes two indices, a[i, j]; of a region pass to_array")
        rows, columns = (self._index(p, mode, f"index[{mode}]") for mode, p in enumerate(index))
        if len({*rows.shape, *columns.shape}) > 1:
            raise ValueError(
                f"indices must be equally many, got shapes {rows.shape} and {columns.shape}"
            )
        return store.entries(self._stored, rows, columns, self._xp)

    def _index(self, part: Any, mode: int, name: str) -> Array:
        """Return an int, or a vector of them, as nonnegative indices on the device."""
        if is_index(part):
            found = np.asarray(index_of(part, self.shape[mode], name))
            return moved(found, self._stored.values, self._xp)
        if isinstance(part, slice):
            part = np.arange(self.shape[mode])[part]
        return indices_of(part, self.shape[mode], self._stored.values, self._xp, name=name)

    def row(self, i: int, /) -> LengthSquaredVector:
        """Return a row, which shares the trees of the matrix: a change of either is one of both.

        Parameters
        ----------
        i : int
            Which row.

        Returns
        -------
        LengthSquaredVector
            The row.
        """
        from tdecomp.completion.sampling._vector import row_of

        return row_of(self, index_of(i, self.shape[0], "i"))

    @full_precision
    def to_array(self, region: Any = None) -> Array:
        """Return the matrix, or a region of it.

        Parameters
        ----------
        region : slice or tuple, optional
            A slice of the rows, or one entry for each mode: a slice, an int, which drops the
            mode, or a 1-d array of indices.

        Returns
        -------
        array
            A copy of the entries.
        """
        rows, columns = parts(region, 2)
        lines, across = (
            self._index(part, mode, f"region[{mode}]") for mode, part in enumerate((rows, columns))
        )
        chosen = store.dense_rows(self._stored, host(lines).reshape(-1), self._xp)
        out = chosen[0, :] if is_index(rows) else chosen
        if isinstance(columns, slice) and columns == slice(None):
            return out
        return out[..., int(across)] if is_index(columns) else self._xp.take(out, across, axis=-1)

    @full_precision
    def __matmul__(self, x: Array) -> Array:
        """Multiply by a vector (n,) or a matrix (n, k), at the cost of all entries."""
        flat = x.ndim == 1
        out = store.product(self._stored, x[:, None] if flat else x, self._xp)
        return out[:, 0] if flat else out

    def sample_rows(self, size: int, /, *, rng: Seed = None) -> Array:
        """Draw rows with chances proportional to their squared norms.

        Parameters
        ----------
        size : int
            How many.
        rng : int, numpy.random.Generator or None
            Where numbers come from.

        Returns
        -------
        array of int, shape (size,)
            Indices of rows, with replacement.

        Raises
        ------
        ValueError
            If the matrix is zero: then there is nothing to draw.
        """
        size = check_count(size, name="size")
        return self._draw_rows(generator(rng).random(size))

    def _draw_rows(self, uniforms: np.ndarray) -> Array:
        if uniforms.size and not total(self._trees) > 0:
            raise ValueError("all entries are zero: there is nothing to draw")
        first = np.zeros(uniforms.size, dtype=np.int64)
        where = moved(first, self._stored.values, self._xp)
        return drawn(self._trees.top, where, uniforms, self._xp)

    def sample_columns(self, rows: Any, /, *, rng: Seed = None) -> Array:
        """Draw one column for each of `rows`, with chances proportional to squared entries.

        Parameters
        ----------
        rows : array of int, shape (s,)
            Indices of rows, repeated as often as columns are wanted of them.
        rng : int, numpy.random.Generator or None
            Where numbers come from.

        Returns
        -------
        array of int, shape (s,)
            Indices of columns.

        Raises
        ------
        ValueError
            If one of the rows is zero.
        """
        rows = self._index(rows, 0, "rows")
        if rows.ndim == 0:
            raise TypeError("rows must be a vector of indices; repeat one to draw more from it")
        return self._draw_columns(rows, generator(rng).random(rows.shape[0]))

    def _draw_columns(self, rows: Array, uniforms: np.ndarray) -> Array:
        xp = self._xp
        sums = sums_of(self._trees.rows, rows, xp)
        if rows.shape[0] and not bool(xp.all(sums > 0)):
            i = int(rows[int(xp.argmin(sums))])
            raise ValueError(f"row {i} is zero: there is nothing to draw")
        leaf = drawn(self._trees.rows, rows, uniforms, xp)
        if self._stored.columns is None:
            return leaf
        return self._stored.columns[self._stored.starts[rows] + leaf]

    def sample(self, size: int, /, *, rng: Seed = None) -> tuple[Array, Array]:
        """Draw entries with chances proportional to their squares.

        Parameters
        ----------
        size : int
            How many.
        rng : int, numpy.random.Generator or None
            Where numbers come from.

        Returns
        -------
        rows, columns : array of int, shape (size,)
            Where the entries lie, with replacement.

        Raises
        ------
        ValueError
            If the matrix is zero.
        """
        size, rng = check_count(size, name="size"), generator(rng)
        rows = self._draw_rows(rng.random(size))
        return rows, self._draw_columns(rows, rng.random(size))

    def update(self, rows: Any, columns: Any, values: Any, /) -> None:
        """Replace entries, and the sums on the paths to the roots.

        Parameters
        ----------
        rows, columns : int or array of int, shape (k,)
            Where. Of a place that comes more than once the last value stays.
        values : number or array, shape (k,)
            The new entries, in the dtype of the matrix.

        Raises
        ------
        ValueError
            If indices or values are not valid, or a place of a sparse matrix is not stored:
            then another matrix has to be built.
        """
        if is_index(rows) and is_index(columns) and self._update_one(rows, columns, values):
            return
        xp = self._xp
        lines, across = self._index(rows, 0, "rows"), self._index(columns, 1, "columns")
        lines, across = xp.broadcast_arrays(lines, across)
        lines, across = xp.reshape(lines, (-1,)), xp.reshape(across, (-1,))
        new = checked_values(values, self._stored, lines.shape[0], xp)
        if lines.shape[0]:
            held = changed_entries(self._stored, self._trees, (lines, across), new, xp)
            self._stored, self._trees = held

    def _update_one(self, row: Any, column: Any, value: Any) -> bool:
        """Replace an entry of NumPy by a plain number, ten times as fast, if nothing is wrong."""
        if not accepts(self._stored.values):
            return False
        i = index_of(row, self.shape[0], "rows")
        j = index_of(column, self.shape[1], "columns")
        found = changed_entry(self._stored, self._trees, (i, j), value)
        if found is None:
            return False
        self._trees = found
        return True


def structure(a: Any, *, name: str = "a") -> LengthSquaredMatrix:
    """Return `a` if it can be sampled already, and build what can be if not."""
    if isinstance(a, LengthSquaredMatrix):
        return a
    matrix = LengthSquaredMatrix.__new__(LengthSquaredMatrix)
    matrix._read(a, name)
    return matrix
