"""Leading singular values and vectors from few rows and columns, at a cost free of dimensions."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import check_count, check_rank
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._typing import Array, DType, Namespace, Seed
from tdecomp._xp import adjoint, eps, floats
from tdecomp.completion.sampling._combination import Combination
from tdecomp.completion.sampling._forest import moved
from tdecomp.completion.sampling._matrix import structure
from tdecomp.completion.sampling._rows import SampledRows, drawn_rows
from tdecomp.completion.sampling._trees import shifted, total
from tdecomp.linalg._formats import LowRank
from tdecomp.linalg._signs import canonical_signs
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


@full_precision
def sampled_svd(
    a: Any,
    /,
    *,
    rank: int,
    samples: int | tuple[int, int],
    rng: Seed = None,
) -> SampledSVD:
    r"""Find leading singular values and right vectors from few rows and columns.

    Rows are drawn with chances :math:`\|A_{i:}\|^2 / \|A\|_F^2` and brought to the norm
    :math:`\|A\|_F / \sqrt r`; from these rows `R`, columns with chances :math:`q_j = \|R_{:j}\|^2
    / \|R\|_F^2`, rescaled by :math:`1 / \sqrt{c\, q_j}`. The singular values of the small matrix
    `C` that is left approximate those of `A`, and its left vectors `W` give
    :math:`V = R^* W \operatorname{diag}(S)^{-1}`. In the mean over draws

    .. math:: \mathbb E\, \|A^* A - R^* R\|_F^2 \le \frac{\|A\|_F^4}{r}, \qquad
              \mathbb E\, \|R R^* - C C^*\|_F^2 \le \frac{\|A\|_F^4}{c} .

    Parameters
    ----------
    a : LengthSquaredMatrix, or array or sparse matrix of shape (m, n)
        The matrix. Of an array the trees are built first.
    rank : int
        How many singular values, at most. Those of `C` that are zero up to rounding are left out.
    samples : int or tuple of two ints
        Numbers `r` of rows and `c` of columns, drawn with replacement.
    rng : int, numpy.random.Generator or None
        Where numbers come from.

    Returns
    -------
    SampledSVD
        Values, and vectors that are looked up or sampled when needed.

    Raises
    ------
    TypeError, ValueError
        If `a` is not valid or zero, or `rank` is above the number of samples or the shape.

    See Also
    --------
    tdecomp.randomized_svd : accurate to rounding, from a few passes over the matrix.

    Notes
    -----
    Costs the look-up of `r c` entries and an SVD of that size, whatever the shape: but the error
    falls only as :math:`1 / \sqrt r`. This pays where the matrix is held and updated in such a
    structure anyway, is far too large for one pass, and few digits of a low rank are enough.
    ``td.relative_error`` measures the error of what was found.

    References
    ----------
    .. [1] A. Frieze, R. Kannan, S. Vempala, "Fast Monte-Carlo algorithms for finding low-rank
       approximations", J. ACM 51(6), 1025-1041 (2004).
       doi:10.1145/1039488.1039494
    .. [2] J. M. Arrazola, A. Delgado, B. R. Bardhan, S. Lloyd, "Quantum-inspired algorithms in
       practice", Quantum 4, 307 (2020). arXiv:1905.10415

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> from tdecomp.completion import sampling
    >>> rng = np.random.default_rng(0)
    >>> a = rng.standard_normal((500, 3)) @ rng.standard_normal((3, 400))
    >>> found = sampling.sampled_svd(a, rank=3, samples=200, rng=0)
    >>> exact = np.linalg.svd(a, compute_uv=False)[:3]
    >>> bool(np.max(np.abs(found.S / exact - 1)) < 0.2)
    True
    >>> bool(td.relative_error(a, found.lowrank()) < 1e-13)  # the rows span all there is
    True
    """
    a = structure(a)
    r, c = sizes_of(samples)
    rank = check_rank(rank, min(*a.shape, r, c), way="it counts singular values")
    return _sampled_svd(drawn_rows(a, r, rng := generator(rng)), rank, c, rng)


def sizes_of(samples: Any) -> tuple[int, int]:
    """Return the numbers of rows and of columns to draw."""
    pair = samples if isinstance(samples, tuple) else (samples, samples)
    if len(pair) != 2:
        raise ValueError(f"samples must be an int or a pair (rows, columns), got {samples!r}")
    r, c = (check_count(n, name="samples", least=1) for n in pair)
    return r, c


def small_matrix(rows: SampledRows, count: int, rng: np.random.Generator) -> Array:
    """Draw columns of rows of one norm by their squares, and rescale them: (r, c), unit scale."""
    a, xp = rows.matrix, rows.matrix._xp
    chosen = rng.integers(0, int(rows.indices.shape[0]), size=count)
    lines = xp.take(rows.indices, moved(chosen, rows.indices, xp), axis=0)
    columns = a._draw_columns(lines, rng.random(count))
    block = rows.columns(columns)
    norms = xp.linalg.vector_norm(block, axis=0)
    return block * xp.astype(math.sqrt(total(a._trees) / count) / norms, block.dtype)


def _sampled_svd(
    rows: SampledRows, rank: int, columns: int, rng: np.random.Generator
) -> SampledSVD:
    """Decompose the small matrix, and keep what is above rounding."""
    xp = rows.matrix._xp
    small = small_matrix(rows, columns, rng)
    left, values, right = xp.linalg.svd(small, full_matrices=False)
    sizes = floats(values)
    least = eps(values.dtype, xp) * max(small.shape) * sizes[0]
    kept = min(rank, sum(size > least for size in sizes))
    left, _ = canonical_signs(left[:, :kept], right[:kept, :], xp)
    return SampledSVD(rows, shifted(values[:kept], rows.unit, xp), left)
