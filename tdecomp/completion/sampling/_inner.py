"""Inner products, estimated from samples of one of the vectors."""

from __future__ import annotations

from typing import Any

from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._typing import Array, Seed
from tdecomp.completion.sampling._means import counts_for, median_of_means
from tdecomp.completion.sampling._query import any_complex, query_of, quotients
from tdecomp.completion.sampling._trees import row_total, shifted
from tdecomp.completion.sampling._vector import LengthSquaredVector


@full_precision
def inner(
    x: LengthSquaredVector,
    y: Any,
    /,
    *,
    tol: float = 0.1,
    failure: float = 0.01,
    samples: int | None = None,
    groups: int | None = None,
    rng: Seed = None,
) -> Array:
    r"""Estimate an inner product from samples of one vector and entries of the other.

    .. math:: \langle x, y \rangle = \sum_j \overline{x_j}\, y_j
              = \mathbb E_{j \sim |x_j|^2} \Bigl[ \|x\|^2 \frac{y_j}{x_j} \Bigr]

    The variance of one draw is at most :math:`\|x\|^2 \|y\|^2`. Draws are averaged in groups, and
    the median of their means is the estimate: its error exceeds
    :math:`\mathtt{tol}\, \|x\| \|y\|` with probability `failure` at most.

    Parameters
    ----------
    x : LengthSquaredVector
        What is sampled.
    y : array, shape (n,), LengthSquaredVector or Combination
        What is looked up.
    tol : float, optional
        The error, relative to the product of the norms.
    failure : float, optional
        How likely a larger error may be.
    samples : int, optional
        Draws in each group; by default :math:`\lceil 9 / (2\, \mathtt{tol}^2) \rceil`.
    groups : int, optional
        Number of groups; by default :math:`\lceil 6 \log (2 / \mathtt{failure}) \rceil`.
    rng : int, numpy.random.Generator or None
        Where numbers come from.

    Returns
    -------
    array, shape ()
        The estimate; real and imaginary parts have medians of their own, and twice the draws.

    Raises
    ------
    TypeError, ValueError
        If one is no vector, lengths differ, or an option is not valid.

    Notes
    -----
    By Chebyshev's inequality a mean of ``samples`` draws is wrong with probability 2/9 at most, by
    Chernoff's more than half of the groups with probability
    :math:`(\mathtt{failure} / 2)^{1.1}`. The number of draws does not depend on the length.

    References
    ----------
    .. [1] E. Tang, "A quantum-inspired classical algorithm for recommendation systems", STOC,
       217-228 (2019). arXiv:1807.04271

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion import sampling
    >>> x = np.arange(1000.0)
    >>> found = sampling.inner(sampling.LengthSquaredVector(x), np.ones(1000), rng=0)
    >>> bool(abs(found - x.sum()) <= 0.1 * np.linalg.norm(x) * np.sqrt(1000))
    True
    """
    if not isinstance(x, LengthSquaredVector):
        raise TypeError(f"x must be a LengthSquaredVector, got {type(x).__name__}")
    xp, matrix = x._xp, x._matrix
    look_up, dtype = query_of(y, x.shape[0], matrix, "y")
    counts = counts_for(tol, failure, samples, groups, any_complex(xp, x.dtype, dtype))
    if not x.norm > 0:
        return look_up(xp.zeros(1, dtype=xp.asarray(0).dtype))[0] * 0
    (square, exponent), rng = row_total(matrix._trees, x._row), generator(rng)

    def ratios(count: int) -> Array:
        index = x.sample(count, rng=rng)
        entry, looked = shifted(x[index], -exponent, xp), look_up(index)
        return quotients((xp.ones_like(looked), looked), entry, square, float(exponent), xp)

    return median_of_means(ratios, counts, xp)
