"""The format of singular values with right vectors that are combinations of sampled rows."""

from __future__ import annotations

from typing import Any, NamedTuple

from tdecomp._precision import full_precision
from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import adjoint
from tdecomp.completion.sampling._combination import Combination
from tdecomp.completion.sampling._rows import SampledRows
from tdecomp.completion.sampling._trees import shifted
from tdecomp.linalg._formats import LowRank
from tdecomp.ops._region import index_of, indices_of, is_index, parts


class SampledSVD(NamedTuple):
    r"""Singular values and implicit right singular vectors of a matrix, from sampled rows.

    .. math:: A \approx A V V^*, \qquad V = R^* W \operatorname{diag}(S)^{-1}

    `R` holds rescaled rows of `A` that are looked up when they are needed. The columns of `V` are
    nearly orthonormal, up to the error of sampling; `lowrank` makes them so.

    Attributes
    ----------
    rows : SampledRows
        The matrix `R`, of shape (r, n).
    S : array, shape (k,)
        Approximate singular values, descending.
    W : array, shape (r, k)
        Left singular vectors of sampled columns of `R`, orthonormal.

    See Also
    --------
    sampled_svd : finds one.

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> from tdecomp.completion import sampling
    >>> a = np.outer(np.arange(1.0, 40.0), np.ones(30))
    >>> found = sampling.sampled_svd(a, rank=1, samples=20, rng=0)
    >>> found.shape, found.rank
    ((39, 30), 1)
    >>> bool(td.relative_error(a, found) < 1e-14)
    True
    """

    rows: SampledRows
    S: Array
    W: Array

    @property
    def shape(self) -> tuple[int, int]:
        """Shape ``(m, n)`` of the matrix."""
        return self.rows.matrix.shape

    @property
    def modes(self) -> int:
        """Two: a matrix."""
        return 2

    @property
    def rank(self) -> int:
        """Number of singular values."""
        return int(self.S.shape[0])

    @property
    def dtype(self) -> DType:
        """The dtype of the matrix."""
        return self.W.dtype

    @property
    def _xp(self) -> Namespace:
        return self.rows.matrix._xp

    def _coefficients(self) -> Array:
        """Return what rows over their unit are combined with: W over S at unit scale."""
        xp = self._xp
        return self.W / xp.astype(shifted(self.S, -self.rows.unit, xp), self.dtype)

    @full_precision
    def right(self, columns: Any = None, /) -> Array:
        """Return entries of the right singular vectors.

        Parameters
        ----------
        columns : int or array of int, shape (s,), optional
            Which entries of each, at a cost of one look-up for each sampled row. By default all.

        Returns
        -------
        array, shape (s, k)
            Rows of `V`; of shape (k,) for an int.
        """
        if columns is None:
            return self.rows.adjoint_times(self._coefficients())
        single = is_index(columns)
        chosen = [index_of(columns, self.shape[1], "columns")] if single else columns
        index = indices_of(chosen, self.shape[1], self.W, self._xp, name="columns")
        out = self.rows.adjoint_entries(index, self._coefficients())
        return out[0, :] if single else out

    def vector(self, index: int, /) -> Combination:
        """Return a right singular vector, to be looked up and sampled without forming it.

        Parameters
        ----------
        index : int
            Which, counted from the largest singular value.

        Returns
        -------
        Combination
            The vector.
        """
        k = index_of(index, self.rank, "index")
        return implicit(self.rows, self._coefficients()[:, k], 0)

    @full_precision
    def to_array(self, region: Any = None) -> Array:
        """Return :math:`A V V^*`, or a region of it.

        Parameters
        ----------
        region : slice or tuple, optional
            A slice of the rows, or one entry for each mode: a slice, an int, which drops the
            mode, or a 1-d array of indices.

        Returns
        -------
        array
            The region.
        """
        return _region(self.rows.matrix, self.right(), region)

    @full_precision
    def __matmul__(self, x: Array) -> Array:
        """Multiply by a vector or a matrix, at the cost of all entries of the matrix."""
        right = self.right()
        return self.rows.matrix @ (right @ (adjoint(right, self._xp) @ x))

    @full_precision
    def lowrank(self) -> LowRank:
        r"""Return the projection on the span of `V`, with orthonormal vectors.

        Returns
        -------
        LowRank
            :math:`(A Q)\, Q^*` for an orthonormal basis `Q` of the columns of `V`.

        Notes
        -----
        Of all matrices whose rows lie in that span, this is the nearest to `A`. Forms all of `V`
        and multiplies by the matrix once: :math:`O(r n k + m n k)` for a dense one.
        """
        basis, _ = self._xp.linalg.qr(self.right())
        return LowRank(self.rows.matrix @ basis, adjoint(basis, self._xp))


# Else NumPy would take the tuple for a stack of matrices in ``array @ format``.
setattr(SampledSVD, "__array_ufunc__", None)  # noqa: B010 - NamedTuple takes no other attribute


def _region(matrix: Any, right: Array, region: Any) -> Array:
    """Return a region of ``A @ right @ right^*``."""
    xp, (lines, across) = matrix._xp, parts(region, 2)
    rows = matrix.to_array((lines, slice(None)))
    if isinstance(across, slice):
        columns = right[across, :]
    else:
        columns = xp.take(right, xp.reshape(matrix._index(across, 1, "region[1]"), (-1,)), axis=0)
    out = (rows if rows.ndim == 2 else rows[None, :]) @ right @ adjoint(columns, xp)
    out = out[:, 0] if is_index(across) else out
    return out[0, ...] if is_index(lines) else out


def implicit(rows: SampledRows, coefficients: Array, exponent: int) -> Combination:
    """Return ``2 ** exponent * R^* w`` for `R` over its unit."""
    xp = rows.matrix._xp
    weights = xp.conj(coefficients) if _complex(coefficients, xp) else coefficients
    return Combination((rows._replace(weights=rows.weights * weights),), (exponent,), True)


def _complex(x: Array, xp: Namespace) -> bool:
    return bool(xp.isdtype(x.dtype, "complex floating"))
