"""Inner products and bilinear forms, estimated from samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tdecomp._errors import check_count, check_rtol
from tdecomp._precision import full_precision
from tdecomp._program import one_program
from tdecomp._random import generator
from tdecomp._typing import Array, DType, Namespace, Seed
from tdecomp._xp import conj, prepare
from tdecomp.completion.sampling import _stored as store
from tdecomp.completion.sampling._combination import Combination
from tdecomp.completion.sampling._matrix import LengthSquaredMatrix
from tdecomp.completion.sampling._trees import row_total, shifted, total
from tdecomp.completion.sampling._vector import LengthSquaredVector

Query = Callable[[Array], Array]

# So many draws are looked at together: memory does not grow with the accuracy that is asked for.
_TOGETHER = 1 << 16


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
    look_up, dtype = _query(y, x.shape[0], matrix, "y")
    counts = _counts(tol, failure, samples, groups, _complex(xp, x.dtype, dtype))
    if not x.norm > 0:
        return look_up(xp.zeros(1, dtype=xp.asarray(0).dtype))[0] * 0
    (square, exponent), rng = row_total(matrix._trees, x._row), generator(rng)

    def ratios(count: int) -> Array:
        index = x.sample(count, rng=rng)
        return square * (look_up(index) / shifted(x[index], -exponent, xp))

    return shifted(median_of_means(ratios, counts, xp), exponent, xp)


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
        _query(v, size, a, name) for v, size, name in zip((x, y), a.shape, ("x", "y"), strict=True)
    )
    counts = _counts(tol, failure, samples, groups, _complex(xp, a.dtype, of_left, of_right))
    if not a.norm > 0:
        first = xp.zeros(1, dtype=xp.asarray(0).dtype)
        return (left(first) * right(first))[0] * 0
    return shifted(_bilinear(left, a, right, counts, generator(rng)), a._trees.unit, xp)


def _bilinear(
    left: Query,
    a: LengthSquaredMatrix,
    right: Query,
    counts: tuple[int, int],
    rng: np.random.Generator,
) -> Array:
    """Return the form, or one for each column of what `right` returns, over the unit of `a`."""
    xp = a._xp

    def ratios(count: int) -> Array:
        rows, columns = a.sample(count, rng=rng)
        entry = shifted(store.entries(a._stored, rows, columns, xp), -a._trees.unit, xp)
        factor = total(a._trees) * conj(left(rows) / entry, xp)
        looked = right(columns)
        return factor * looked if looked.ndim == 1 else factor[:, None] * looked

    return median_of_means(ratios, counts, xp)


def _complex(xp: Namespace, *dtypes: DType) -> bool:
    """Tell whether one of the dtypes is complex, and so the estimate."""
    return any(xp.isdtype(dtype, "complex floating") for dtype in dtypes)


def _query(x: Any, size: int, like: LengthSquaredMatrix, name: str) -> tuple[Query, DType]:
    """Return what looks up entries of a vector, and their dtype."""
    xp = like._xp
    look_up: Query
    found: tuple[int, ...]
    if isinstance(x, Combination):
        found, look_up = x.shape, x._entries
    elif isinstance(x, LengthSquaredVector):
        found, look_up = x.shape, x.__getitem__
    else:
        x = prepare(x, ndim=1, like=like._stored.values, name=name)[1]
        found, look_up = tuple(x.shape), lambda index: xp.take(x, index, axis=0)
    if found != (size,):
        raise ValueError(f"{name} must have shape ({size},), got {found}")
    return look_up, x.dtype


def _counts(
    tol: float, failure: float, samples: int | None, groups: int | None, both: bool
) -> tuple[int, int]:
    """Return the numbers of groups and of draws in each; `both` parts each have half the error."""
    tol, failure = check_rtol(tol, name="tol"), check_rtol(failure, name="failure")
    parts = 2 if both else 1
    if groups is None:
        groups = math.ceil(6 * math.log(2 * parts / failure))
    if samples is None:
        samples = math.ceil(9 * parts / (2 * tol**2))
    return (
        check_count(groups, name="groups", least=1),
        check_count(samples, name="samples", least=1),
    )


def counts_of(
    groups: int | None, samples: int | None, usual: int, *, name: str
) -> tuple[int, int] | None:
    """Return the numbers of groups and of draws in each, or None where nothing is drawn.

    A number of groups of nothing is refused, by the `name` of the draws.
    """
    if samples is None:
        if groups is not None:
            raise ValueError(f"groups counts means of draws: give {name}= too, or leave it out")
        return None
    return (
        check_count(usual if groups is None else groups, name="groups", least=1),
        check_count(samples, name=name, least=1),
    )


def median_of_means(
    ratios: Callable[[int], Array], counts: tuple[int, int], xp: Namespace
) -> Array:
    """Return the median over groups of the means in groups, of either part of complex numbers.

    ``ratios(n)`` makes `n` draws, whole groups or a piece of one at a time.
    """
    groups, samples = counts
    side, piece = max(1, _TOGETHER // samples), min(samples, _TOGETHER)
    parts = []
    for first in range(0, groups, side):
        number = min(side, groups - first)
        pieces = (min(piece, samples - start) for start in range(0, samples, piece))
        parts.append(sum(_sums(ratios(number * size), number, samples, xp) for size in pieces))
    means = parts[0] if len(parts) == 1 else xp.concat(parts)
    if not xp.isdtype(means.dtype, "complex floating"):
        return _median(means, xp)
    return _median(xp.real(means), xp) + 1j * _median(xp.imag(means), xp)


@one_program
def _sums(x: Array, groups: int, samples: int, xp: Namespace) -> Array:
    """Return what draws add to the means of their groups: divided first, they do not overflow."""
    return xp.sum(xp.reshape(x / samples, (groups, -1, *x.shape[1:])), axis=1)


@one_program
def _median(x: Array, xp: Namespace) -> Array:
    """Return the median along the first axis."""
    ordered, n = xp.sort(x, axis=0), x.shape[0]
    return ordered[(n - 1) // 2, ...] / 2 + ordered[n // 2, ...] / 2
