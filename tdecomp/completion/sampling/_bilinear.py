"""Bilinear forms, estimated from sampled entries of their matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._typing import Array, Seed
from tdecomp._xp import conj
from tdecomp.completion.sampling import _stored as store
from tdecomp.completion.sampling._matrix import LengthSquaredMatrix
from tdecomp.completion.sampling._means import counts_for, median_of_means
from tdecomp.completion.sampling._query import Query, any_complex, query_of, quotients
from tdecomp.completion.sampling._trees import shifted, total


@full_precision
def bilinear(
    x: Any,
    a: LengthSquaredMatrix,
    y: Any,
    /,
    *,
    tol: float = 0.1,
    failure: float = 0.01,
    samples: int | None = None,
    groups: int | None = None,
    rng: Seed = None,
) -> Array:
    r"""Estimate a bilinear form from sampled entries of its matrix.

    .. math:: x^* A y = \mathbb E_{(i, j) \sim |a_{ij}|^2}
              \Bigl[ \|A\|_F^2\, \frac{\overline{x_i}\, y_j}{\overline{a_{ij}}} \Bigr]

    with a variance of at most :math:`\|A\|_F^2 \|x\|^2 \|y\|^2`. As with `inner`, the estimate is
    a median of means whose error exceeds :math:`\mathtt{tol}\, \|A\|_F \|x\| \|y\|` with
    probability `failure` at most.

    Parameters
    ----------
    x : array, shape (m,), LengthSquaredVector or Combination
        What rows are multiplied by.
    a : LengthSquaredMatrix, shape (m, n)
        What is sampled.
    y : array, shape (n,), LengthSquaredVector or Combination
        What columns are multiplied by.
    tol, failure, samples, groups, rng
        As in `inner`.

    Returns
    -------
    array, shape ()
        The estimate.

    Raises
    ------
    TypeError, ValueError
        If shapes differ, or an option is not valid.

    See Also
    --------
    inner : of two vectors.

    References
    ----------
    .. [1] A. Gilyen, S. Lloyd, E. Tang, "Quantum-inspired low-rank stochastic regression with
       logarithmic dependence on the dimension" (2018). arXiv:1811.04909

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion import sampling
    >>> a = sampling.LengthSquaredMatrix(np.ones((30, 20)))
    >>> float(sampling.bilinear(np.ones(30), a, np.ones(20), rng=0))
    600.0
    """
    if not isinstance(a, LengthSquaredMatrix):
        raise TypeError(f"a must be a LengthSquaredMatrix, got {type(a).__name__}")
    xp = a._xp
    (left, of_left), (right, of_right) = (
        query_of(v, size, a, name)
        for v, size, name in zip((x, y), a.shape, ("x", "y"), strict=True)
    )
    both = any_complex(xp, a.dtype, of_left, of_right)
    counts = counts_for(tol, failure, samples, groups, both)
    if not a.norm > 0:
        first = xp.zeros(1, dtype=xp.asarray(0).dtype)
        return (left(first) * right(first))[0] * 0
    return estimated(left, a, right, counts, generator(rng), exponent=a._trees.unit)


def estimated(
    left: Query,
    a: LengthSquaredMatrix,
    right: Query,
    counts: tuple[int, int],
    rng: np.random.Generator,
    *,
    exponent: int = 0,
) -> Array:
    """Return the form, or one for each column of what `right` returns.

    It is that of `a` over its unit, times ``2 ** exponent``.
    """
    xp = a._xp

    def ratios(count: int) -> Array:
        rows, columns = a.sample(count, rng=rng)
        entry = shifted(store.entries(a._stored, rows, columns, xp), -a._trees.unit, xp)
        looked = (left(rows), right(columns))
        return quotients(looked, conj(entry, xp), total(a._trees), float(exponent), xp)

    return median_of_means(ratios, counts, xp)
