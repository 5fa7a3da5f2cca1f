"""A product of matrices from few of the rows that are summed over."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tdecomp._errors import check_count
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._shim import host
from tdecomp._typing import Array, Namespace, Seed
from tdecomp._xp import conj, device, equilibrate, floats, namespace, prepare, squared_norm
from tdecomp.completion.sampling import _stored as store
from tdecomp.completion.sampling._forest import moved
from tdecomp.completion.sampling._matrix import LengthSquaredMatrix, structure
from tdecomp.completion.sampling._product import SampledProduct
from tdecomp.completion.sampling._rows import SampledRows, drawn_rows
from tdecomp.completion.sampling._trees import scaled, shifted, total
from tdecomp.ops._coo import COO


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
        The picked rows of both, rescaled, and the root of the bound. Rows of a sparse matrix
        stay sparse.

    Raises
    ------
    TypeError, ValueError
        If matrices differ in their number of rows, are not valid, or come from two libraries.

    Notes
    -----
    Where both are LengthSquaredMatrix, the cost is that of the entries of the picked rows and does
    not depend on `m`; if they are sparse, not on `n` and `p` either. The norm of an array is
    measured. A zero matrix gives zero.

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

    Of a sparse matrix nothing is formed but what is asked for:

    >>> import scipy.sparse
    >>> held = sampling.LengthSquaredMatrix(scipy.sparse.eye_array(100_000))
    >>> product = sampling.sampled_matmul(held, held, samples=50, rng=0)
    >>> product.shape, product.first.nnz
    ((100000, 100000), 50)
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
    if total(a._trees) > 0:
        rows = drawn_rows(a, samples, generator(rng))
        bound = a.norm / math.sqrt(samples) * _norm(b, xp)
    else:
        rows, bound = _nothing(a), 0.0
    index, unit, weights = rows.indices, rows.unit, rows.weights
    dtype = xp.result_type(a.dtype, b.dtype)
    first = _weighed(
        _rows_of(a, index, xp),
        lambda x, w: conj(xp.astype(shifted(shifted(x, -unit, xp) * w, unit, xp), dtype), xp),
        weights,
    )
    second = _weighed(
        _rows_of(b, index, xp),
        lambda x, w: xp.astype(x, dtype) * w,
        xp.astype(weights, dtype),
    )
    return SampledProduct(first, second, bound)


def _nothing(a: LengthSquaredMatrix) -> SampledRows:
    """Return a row that counts zero times, where there is none to draw."""
    values, xp = a._stored.values, a._xp
    weights = xp.zeros(1, dtype=a.dtype, device=device(values))
    return SampledRows(a, moved(np.zeros(1, np.int64), values, xp), weights, 0)


def _rows_of(b: Any, index: Array, xp: Namespace) -> Array | COO:
    """Return rows of a matrix that can be sampled, or of an array; of a sparse one sparse."""
    if not isinstance(b, LengthSquaredMatrix):
        return xp.take(b, index, axis=0)
    if b._stored.columns is None:
        return store.dense_rows(b._stored, host(index), xp)
    return store.sparse_rows(b._stored, host(index))


def _weighed(
    rows: Array | COO, product: Callable[[Array, Array], Array], weights: Array
) -> Array | COO:
    """Return rows times weights, as `product` multiplies entries by those of their rows."""
    if isinstance(rows, COO):
        return rows._replace(values=product(rows.values, weights[rows.indices[0, ...]]))
    return product(rows, weights[:, None])


def _norm(b: Any, xp: Any) -> float:
    """Return a Frobenius norm at any scale."""
    if isinstance(b, LengthSquaredMatrix):
        return b.norm
    b, scale = equilibrate(b, xp, axis=(0, 1))
    exponent = math.frexp(floats(xp.reshape(xp.abs(xp.asarray(scale)), (-1,)))[0])[1] - 1
    return scaled(math.sqrt(squared_norm(b, xp)), exponent)
