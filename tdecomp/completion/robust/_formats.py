"""A matrix of low rank plus a sparse one: what robust decompositions return."""

from __future__ import annotations

from typing import NamedTuple

from tdecomp._precision import full_precision
from tdecomp._shim import index_add
from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import as_array, device, namespace
from tdecomp.linalg._formats import SVD, LowRank
from tdecomp.linalg._signs import canonical_signs
from tdecomp.ops._coo import COO
from tdecomp.ops._sparse_convert import from_dense


class LowRankPlusSparse(NamedTuple):
    r"""A matrix :math:`L + S` of two parts that are small in different ways.

    Attributes
    ----------
    low_rank : SVD or LowRank, shape (m, n)
        The part :math:`L` of low rank.
    sparse : COO, shape (m, n)
        The part :math:`S` with few entries: outliers, corruption, what moves before a scene.

    See Also
    --------
    principal_component_pursuit, godec, scaled_gd_rpca : make one.

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> from tdecomp.completion.robust import LowRankPlusSparse
    >>> ones = td.LowRank(np.ones((2, 1)), np.ones((1, 3)))
    >>> x = LowRankPlusSparse(ones, td.ops.coo([[1], [2]], [4.0], (2, 3)))
    >>> x.to_array()
    array([[1., 1., 1.],
           [1., 1., 5.]])
    >>> x @ np.ones(3)
    array([3., 7.])
    """

    low_rank: SVD | LowRank
    sparse: COO

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape ``(m, n)`` of the matrix."""
        return self.low_rank.shape

    @property
    def modes(self) -> int:
        """Two: a matrix."""
        return 2

    @property
    def rank(self) -> int:
        """Rank of the part of low rank."""
        return self.low_rank.rank

    @property
    def dtype(self) -> DType:
        """The dtype of the matrix."""
        return self.low_rank.dtype

    @full_precision
    def to_array(self, region: slice | None = None) -> Array:
        """Return the matrix, or the rows of it in `region`."""
        return self.low_rank.to_array(region) + self.sparse.to_array(region)

    @full_precision
    def __matmul__(self, x: Array) -> Array:
        """Multiply by a vector, a matrix or a batch, without forming the matrix."""
        values = self.sparse.values
        xp = namespace(values, x)
        x = as_array(x, xp, values, "x")
        product = self.low_rank @ x
        if not self.sparse.nnz:
            return product
        rows, columns = self.sparse.indices[0, ...], self.sparse.indices[1, ...]
        across = x[:, None] if x.ndim == 1 else xp.moveaxis(x, -2, 0)
        terms = xp.reshape(xp.take(across, columns, axis=0), (self.sparse.nnz, -1))
        terms = values[:, None] * terms
        zeros = xp.zeros((self.shape[0], terms.shape[1]), dtype=terms.dtype, device=device(terms))
        added = xp.reshape(index_add(zeros, rows, terms, xp), (-1, *across.shape[1:]))
        return product + (added[:, 0] if x.ndim == 1 else xp.moveaxis(added, 0, -2))


# Else NumPy would take the tuple for a stack of arrays in ``array @ format``.
setattr(LowRankPlusSparse, "__array_ufunc__", None)  # noqa: B010 - a NamedTuple


def assembled(
    triplets: tuple[Array, Array, Array], sparse: Array, scale: Array, xp: Namespace
) -> LowRankPlusSparse:
    """Return both parts at the scale of the data."""
    u, s, vh = triplets
    u, vh = canonical_signs(u, vh, xp)
    real = xp.real(scale) if xp.isdtype(scale.dtype, "complex floating") else scale
    return LowRankPlusSparse(SVD(u, s * real[0, :], vh), from_dense(sparse * scale))
