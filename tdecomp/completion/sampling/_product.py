"""The format of sampled products: picked rows of two matrices, sparse where these are."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tdecomp._precision import full_precision
from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import as_array, namespace
from tdecomp.completion.sampling._rejection import BLOCK_ENTRIES
from tdecomp.linalg._formats import LowRank
from tdecomp.ops._coo import COO
from tdecomp.ops._region import index_of, indices_of, is_index, parts, restrict
from tdecomp.ops._sparse_convert import to_scipy


class SampledProduct(NamedTuple):
    r"""An estimate of a product from picked rows of both, with the error to expect.

    .. math:: A^* B \approx F^\mathsf{T} G = \sum_{t=1}^{s} F_{t:}^\mathsf{T} G_{t:}

    The rows are rescaled, and sparse where their matrix is: the product is never formed unless it
    is asked for.

    Attributes
    ----------
    first : array or COO, shape (s, n)
        Rows of the first matrix, conjugated.
    second : array or COO, shape (s, p)
        The same rows of the second.
    bound : float
        The root mean square of the error is at most this, in the Frobenius norm.

    See Also
    --------
    sampled_matmul : finds one.

    Notes
    -----
    The rows are copies: what changes in the matrices later does not change the product.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion import sampling
    >>> product = sampling.sampled_matmul(np.eye(4), np.eye(4), samples=16, rng=0)
    >>> product.shape, product.bound
    ((4, 4), 1.0)
    >>> bool(product.query(2, 2) == product.to_array()[2, 2])
    True
    """

    first: Array | COO
    second: Array | COO
    bound: float

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the product."""
        return (int(self.first.shape[1]), int(self.second.shape[1]))

    @property
    def modes(self) -> int:
        """Two: a matrix."""
        return 2

    @property
    def rank(self) -> int:
        """Number of samples."""
        return int(self.first.shape[0])

    @property
    def dtype(self) -> DType:
        """The dtype of the product."""
        return self.first.dtype

    @property
    def left(self) -> Array:
        """The left factor, an array (n, s) with all its zeros: adjoint rows of the first."""
        return self._xp.matrix_transpose(_whole(self.first))

    @property
    def right(self) -> Array:
        """The right factor, an array (s, p) with all its zeros."""
        return _whole(self.second)

    @property
    def lowrank(self) -> LowRank:
        """Both factors as arrays, without the bound."""
        return LowRank(self.left, self.right)

    @property
    def _xp(self) -> Namespace:
        return namespace(self._like)

    @property
    def _like(self) -> Array:
        return self.first.values if isinstance(self.first, COO) else self.first

    @full_precision
    def to_array(self, region: Any = None) -> Array:
        """Return the estimate, or a region of it, at the cost of the region alone.

        Parameters
        ----------
        region : slice or tuple, optional
            A slice of the rows, or one entry for each mode: a slice, an int, which drops the
            mode, or a 1-d array of indices.

        Returns
        -------
        array
            The region. Of sparse rows all entries are looked at, too.
        """
        if region is None:
            return self.left @ self.right
        xp, (lines, across) = self._xp, parts(region, 2)
        left = xp.matrix_transpose(_columns(self.first, lines, 0, xp))
        out = left @ _columns(self.second, across, 1, xp)
        out = out[:, 0] if is_index(across) else out
        return out[0, ...] if is_index(lines) else out

    @full_precision
    def query(self, rows: Any, columns: Any, /) -> Array:
        """Return some entries, each at the cost of the samples, without forming the product.

        Parameters
        ----------
        rows, columns : int or array of int, shape (q,)
            Where.

        Returns
        -------
        array
            The entries: of shape () for two ints.

        Raises
        ------
        TypeError, ValueError
            If indices are not valid, or not equally many.
        """
        xp, pair = self._xp, ((rows, "rows"), (columns, "columns"))
        single = [is_index(part) for part, _ in pair]
        lines, across = (
            indices_of([index_of(part, n, name)] if one else part, n, self._like, xp, name=name)
            for (part, name), n, one in zip(pair, self.shape, single, strict=True)
        )
        count = int(lines.shape[0])
        if single[0] != single[1] or count != across.shape[0]:
            raise ValueError(f"indices must be equally many, got {count} and {across.shape[0]}")
        width, blocks = max(1, BLOCK_ENTRIES // self.rank), []
        for start in range(0, max(1, count), width):
            block = slice(start, min(start + width, count))
            left = _columns(self.first, lines[block], 0, xp)
            right = _columns(self.second, across[block], 1, xp)
            blocks.append(xp.sum(left * right, axis=0))
        out = blocks[0] if len(blocks) == 1 else xp.concat(blocks)
        return out[0] if single[0] else out

    @full_precision
    def __matmul__(self, x: Array) -> Array:
        """Multiply by a vector, a matrix or a batch, without forming the product."""
        xp = self._xp
        x = as_array(x, xp, self._like, "x")
        flat = x.ndim == 1
        inner = _times(self.second, x[:, None] if flat else x, xp)
        out = _times(_transposed(self.first, xp), inner, xp)
        return out[..., 0] if flat else out


# Else NumPy would take the tuple for a stack of matrices in ``array @ format``.
setattr(SampledProduct, "__array_ufunc__", None)  # noqa: B010 - NamedTuple takes no other


def _whole(rows: Array | COO) -> Array:
    """Return the rows with all their zeros."""
    return rows.to_array() if isinstance(rows, COO) else rows


def _columns(rows: Array | COO, part: Any, mode: int, xp: Namespace) -> Array:
    """Return columns (s, c) of the rows, which are mode `mode` of the product."""
    if is_index(part):
        place = index_of(part, rows.shape[1], mode)
        part = slice(place, place + 1)
    if not isinstance(rows, COO):
        return restrict(rows, part, -1, xp, mode=mode)
    if not isinstance(part, slice):
        part = indices_of(part, rows.shape[1], rows.values, xp, name=f"region[{mode}]")
    return rows.to_array((slice(None), part))


def _transposed(rows: Array | COO, xp: Namespace) -> Any:
    """Return what multiplies by the transpose."""
    return to_scipy(rows).T if isinstance(rows, COO) else xp.matrix_transpose(rows)


def _times(rows: Any, x: Array, xp: Namespace) -> Array:
    """Multiply a matrix or a batch (..., n, k) by rows: an array, or a sparse matrix."""
    rows = to_scipy(rows) if isinstance(rows, COO) else rows
    if not hasattr(rows, "tocsr"):
        return rows @ x
    front = xp.moveaxis(x, -2, 0)
    product = rows @ xp.reshape(front, (front.shape[0], math.prod(front.shape[1:])))
    return xp.moveaxis(xp.reshape(product, (rows.shape[0], *front.shape[1:])), 0, -2)
