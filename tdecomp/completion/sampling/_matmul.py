"""A product of matrices from few of the rows that are summed over."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import check_count
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._shim import host
from tdecomp._typing import Array, DType, Seed
from tdecomp._xp import adjoint, equilibrate, floats, namespace, prepare, squared_norm
from tdecomp.completion.sampling import _stored as store
from tdecomp.completion.sampling._forest import moved
from tdecomp.completion.sampling._matrix import LengthSquaredMatrix, structure
from tdecomp.completion.sampling._rows import drawn_rows
from tdecomp.completion.sampling._trees import scaled, shifted, total
from tdecomp.linalg._formats import LowRank


class SampledProduct(NamedTuple):
    r"""An estimate ``left @ right`` of a product, with the error to expect.

    Attributes
    ----------
    left : array, shape (n, s)
        Columns, each an adjoint row of the first matrix.
    right : array, shape (s, p)
        Rows of the second.
    bound : float
        The root mean square of the error is at most this, in the Frobenius norm.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion import sampling
    >>> product = sampling.sampled_matmul(np.eye(4), np.eye(4), samples=16, rng=0)
    >>> product.shape, product.bound
    ((4, 4), 1.0)
    """

    left: Array
    right: Array
    bound: float

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the product."""
        return (int(self.left.shape[0]), int(self.right.shape[1]))

    @property
    def modes(self) -> int:
        """Two: a matrix."""
        return 2

    @property
    def rank(self) -> int:
        """Number of samples."""
        return int(self.left.shape[1])

    @property
    def dtype(self) -> DType:
        """The dtype of the product."""
        return self.left.dtype

    @full_precision
    def to_array(self, region: slice | None = None) -> Array:
        """Return the estimate, or the rows of it in `region`."""
        return self.lowrank.to_array(region)

    @full_precision
    def __matmul__(self, x: Array) -> Array:
        """Multiply by a vector or a matrix, without forming the product."""
        return self.lowrank @ x

    @property
    def lowrank(self) -> LowRank:
        """The factors without the bound."""
        return LowRank(self.left, self.right)


# Else NumPy would take the tuple for a stack of matrices in ``array @ format``.
setattr(SampledProduct, "__array_ufunc__", None)  # noqa: B010 - NamedTuple takes no other


@full_precision
def sampled_matmul(a: Any, b: Any, /, *, samples: int, rng: Seed = None) -> SampledProduct:
    r"""Estimate a product :math:`A^* B` from few rows of both.

    Rows are drawn with chances :math:`p_i = \|A_{i:}\|^2 / \|A\|_F^2` and rescaled to

    .. math:: A^* B \approx \sum_{t=1}^{s} \frac{1}{s\, p_{i_t}} A_{i_t:}^* B_{i_t:}, \qquad
              \mathbb E\, \|A^* B - \hat X\|_F^2 \le \frac{\|A\|_F^2 \|B\|_F^2}{s} .

    The estimate is unbiased.

    Parameters
    ----------
    a : LengthSquaredMatrix or array, shape (m, n)
        What is sampled. Of an array the trees are built first.
    b : LengthSquaredMatrix or array, shape (m, p)
        What is looked up.
    samples : int
        Number of rows, drawn with replacement.
    rng : int, numpy.random.Generator or None
        Where numbers come from.

    Returns
    -------
    SampledProduct
        Two factors of `samples` columns and rows, and the root of the bound.

    Raises
    ------
    TypeError, ValueError
        If matrices differ in their number of rows, are not valid, or come from two libraries.

    Notes
    -----
    Beyond the look-up of `samples` rows the cost does not depend on `m`, where both are
    LengthSquaredMatrix; the norm of an array is measured. A zero matrix gives zero.

    References
    ----------
    .. [1] P. Drineas, R. Kannan, M. W. Mahoney, "Fast Monte Carlo algorithms for matrices I",
       SIAM J. Comput. 36(1), 132-157 (2006), BasicMatrixMultiplication, lemma 4.
       doi:10.1137/S0097539704442684

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion import sampling
    >>> a = np.random.default_rng(0).standard_normal((2000, 3))
    >>> product = sampling.sampled_matmul(a, a, samples=500, rng=0)
    >>> bool(np.linalg.norm(a.T @ a - product.to_array()) < 2 * product.bound)
    True
    """
    samples = check_count(samples, name="samples", least=1)
    a = structure(a)
    xp = a._xp
    if not isinstance(b, LengthSquaredMatrix):
        b = prepare(b, ndim=2, like=a._stored.values, name="b")[1]
    namespace(a._stored.values, b._stored.values if isinstance(b, LengthSquaredMatrix) else b)
    if b.shape[0] != a.shape[0]:
        raise ValueError(
            f"a and b must have as many rows as each other, got {a.shape[0]} and {b.shape[0]}"
        )
    if not total(a._trees) > 0:
        zeros = a.to_array(slice(0, 1))
        return SampledProduct(
            adjoint(zeros, xp), _rows_of(b, moved(np.zeros(1, np.int64), zeros, xp), xp), 0.0
        )
    rows = drawn_rows(a, samples, generator(rng))
    index = rows.indices
    left = shifted(_rows_of(a, index, xp), -rows.unit, xp) * rows.weights[:, None]
    right = _rows_of(b, index, xp)
    dtype = xp.result_type(left.dtype, right.dtype)
    left = xp.astype(shifted(left, rows.unit, xp), dtype)
    right = xp.astype(right, dtype) * xp.astype(rows.weights, dtype)[:, None]
    bound = a.norm / math.sqrt(samples) * _norm(b, xp)
    return SampledProduct(adjoint(left, xp), right, bound)


def _rows_of(b: Any, index: Array, xp: Any) -> Array:
    """Return whole rows of a matrix that can be sampled, or of an array."""
    if isinstance(b, LengthSquaredMatrix):
        return store.dense_rows(b._stored, host(index), xp)
    return xp.take(b, index, axis=0)


def _norm(b: Any, xp: Any) -> float:
    """Return a Frobenius norm at any scale."""
    if isinstance(b, LengthSquaredMatrix):
        return b.norm
    b, scale = equilibrate(b, xp, axis=(0, 1))
    exponent = math.frexp(floats(xp.reshape(xp.abs(xp.asarray(scale)), (-1,)))[0])[1] - 1
    return scaled(math.sqrt(squared_norm(b, xp)), exponent)
