"""Functions of ``A^* A`` from few rows and columns, and rows of ``A f(A^* A)``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import check_callable, check_number
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._typing import Array, DType, Namespace, Seed
from tdecomp._xp import adjoint, all_finite, as_array, conj, namespace
from tdecomp.completion.sampling import _stored as store
from tdecomp.completion.sampling._combination import Combination
from tdecomp.completion.sampling._estimate import counts_of, median_of_means
from tdecomp.completion.sampling._forest import moved
from tdecomp.completion.sampling._matrix import structure
from tdecomp.completion.sampling._rows import SampledRows
from tdecomp.completion.sampling._svd import SampledSVD, sampled_svd, sizes_of
from tdecomp.completion.sampling._trees import row_total, shifted
from tdecomp.ops._region import index_of, is_index, parts

Function = Callable[[Array], Array]


class SampledTransform(NamedTuple):
    r"""A function of ``A^* A``, held by sampled rows of `A`.

    .. math:: f(A^* A) \approx R^* U R + f(0)\, I, \qquad
              U = W \operatorname{diag}(\mathtt{gains})\, W^*

    with `R` over its unit, a power of two.

    Attributes
    ----------
    rows : SampledRows
        The matrix `R`, of shape (r, n), never formed.
    W : array, shape (r, k)
        Orthonormal columns.
    gains : array, shape (k,)
        :math:`(f(\sigma^2) - f(0)) / \sigma^2`, with :math:`\sigma` over the unit in the
        denominator.
    at_zero : array, shape ()
        :math:`f(0)`.

    See Also
    --------
    transform : finds one.
    recommend : a row of :math:`A f(A^* A)`.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion import sampling
    >>> a = np.diag([3.0, 0.0, 0.0])
    >>> found = sampling.transform(a, lambda t: t + 1.0, samples=4, rng=0)
    >>> np.round(found.to_array(), 12).tolist()
    [[10.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """

    rows: SampledRows
    W: Array
    gains: Array
    at_zero: Array

    @property
    def shape(self) -> tuple[int, int]:
        """Shape ``(n, n)`` of the function."""
        n = self.rows.matrix.shape[1]
        return (n, n)

    @property
    def modes(self) -> int:
        """Two: a matrix."""
        return 2

    @property
    def rank(self) -> int:
        """Number of singular values in which it differs from a multiple of the identity."""
        return int(self.gains.shape[0])

    @property
    def dtype(self) -> DType:
        """The dtype of the matrix."""
        return self.W.dtype

    @property
    def _xp(self) -> Namespace:
        return self.rows.matrix._xp

    @full_precision
    def to_array(self, region: Any = None) -> Array:
        """Return the function, or a region of it, from look-ups in its rows and columns alone.

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
        xp, (lines, across) = self._xp, parts(region, 2)
        matrix = self.rows.matrix
        left, right = (
            xp.reshape(matrix._index(part, 1, f"region[{mode}]"), (-1,))
            for mode, part in enumerate((lines, across))
        )
        high, wide = (self.rows.adjoint_entries(index, self.W) for index in (left, right))
        same = xp.astype(left[:, None] == right[None, :], self.dtype)
        out = (high * self.gains) @ adjoint(wide, xp) + self.at_zero * same
        out = out[:, 0] if is_index(across) else out
        return out[0, ...] if is_index(lines) else out

    @full_precision
    def __matmul__(self, x: Array) -> Array:
        """Multiply by a vector (n,) or a matrix (n, k), at the cost of all sampled rows."""
        block = x[:, None] if x.ndim == 1 else x
        inner = adjoint(self.W, self._xp) @ self.rows.times(block)
        out = self.rows.adjoint_times(self.W @ (self.gains[:, None] * inner))
        out = out + self.at_zero * block
        return out[:, 0] if x.ndim == 1 else out


# Else NumPy would take the tuple for a stack of matrices in ``array @ format``.
setattr(SampledTransform, "__array_ufunc__", None)  # noqa: B010 - NamedTuple takes no other


@full_precision
def transform(
    a: Any,
    f: Function,
    /,
    *,
    samples: int | tuple[int, int],
    rank: int | None = None,
    at_zero: float | None = None,
    rng: Seed = None,
) -> SampledTransform:
    r"""Approximate a function of ``A^* A``, a transformation of its singular values.

    With sampled rows `R` and columns `C` of these as in `sampled_svd`,

    .. math:: f(A^* A) \approx R^* g(C C^*)\, R + f(0)\, I, \qquad g(t) = \frac{f(t) - f(0)}{t} .

    Parameters
    ----------
    a : LengthSquaredMatrix, or array or sparse matrix of shape (m, n)
        The matrix. Of an array the trees are built first.
    f : callable
        Maps an array of squared singular values, in the units of the data, to one of as many
        numbers.
    samples : int or tuple of two ints
        Numbers `r` of rows and `c` of columns, drawn with replacement.
    rank : int, optional
        Take this many leading singular values, and all others for zero: a threshold. By default
        all those of `C`.
    at_zero : float, optional
        What stands for :math:`f(0)`; by default the function says. With ``at_zero=0.0`` and
        ``f = lambda t: 1 / t`` the result is a pseudo-inverse of :math:`A^* A`.
    rng : int, numpy.random.Generator or None
        Where numbers come from.

    Returns
    -------
    SampledTransform
        The function, whose entries are looked up when needed.

    Raises
    ------
    TypeError, ValueError
        If an argument is not valid, `a` is zero, or `f` is not finite at zero or at a squared
        singular value.

    Notes
    -----
    Costs what `sampled_svd` does. For `f` with a Lipschitz constant `L`, an error of
    :math:`\epsilon` in the spectral norm takes :math:`r = \tilde O(L^2 \|A\|^2 \|A\|_F^2 /
    \epsilon^2)` rows.

    References
    ----------
    .. [1] N.-H. Chia, A. Gilyen, T. Li, H.-H. Lin, E. Tang, C. Wang, "Sampling-based sublinear
       low-rank matrix arithmetic framework for dequantizing quantum machine learning", J. ACM
       69(5), 33 (2022). arXiv:1910.06151

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion import sampling
    >>> rng = np.random.default_rng(0)
    >>> a = rng.standard_normal((300, 2)) @ rng.standard_normal((2, 200))
    >>> found = sampling.transform(a, lambda t: t, samples=250, rng=0)
    >>> bool(abs(found.to_array((3, 5)) / (a.T @ a)[3, 5] - 1) < 0.1)
    True
    """
    check_callable(f, name="f")
    a = structure(a)
    limit = min(*a.shape, *sizes_of(samples))
    rank = limit if rank is None else rank
    found = sampled_svd(a, rank=rank, samples=samples, rng=rng)
    with np.errstate(over="ignore", under="ignore"):
        squares, zero = found.S**2, found.S[:1] * 0
    if at_zero is None:
        base = _values(f, zero)[0]
    else:
        base = zero[0] + check_number(at_zero, name="at_zero")
    return _transformed(found, _values(f, squares), base)


def _values(f: Function, squares: Array) -> Array:
    """Return what the function makes of squared singular values, or refuse it."""
    xp = namespace(squares)
    with np.errstate(all="ignore"):
        values = as_array(f(squares), xp, squares, "f(t)")
    if xp.isdtype(values.dtype, "complex floating"):
        raise TypeError("f must return real numbers, got complex ones")
    if tuple(values.shape) != tuple(squares.shape):
        raise ValueError(
            f"f must return as many numbers as it is given, {tuple(squares.shape)}, got "
            f"{tuple(values.shape)}"
        )
    if not bool(all_finite(values, xp)):
        raise ValueError(
            "f is not finite at zero or at a squared singular value; give at_zero=, the value "
            "that stands for f(0), or scale the data"
        )
    return xp.astype(values, squares.dtype)


def _transformed(found: SampledSVD, values: Array, base: Array) -> SampledTransform:
    """Put the gains together at the scale of the rows."""
    xp = found._xp
    gains = (values - base) / shifted(found.S, -found.rows.unit, xp) ** 2
    gains, base = (xp.astype(x, found.dtype) for x in (gains, base))
    return SampledTransform(found.rows, found.W, gains, base)


@full_precision
def recommend(
    f: SampledTransform,
    i: int,
    /,
    *,
    samples: int | None = None,
    groups: int | None = None,
    rng: Seed = None,
) -> Combination:
    r"""Return a row of :math:`A f(A^* A)`, to be looked up and sampled without forming it.

    .. math:: A_{i:} f(A^* A) \approx (A_{i:} R^*)\, U R + f(0) A_{i:}

    With a threshold for `f` this is a row of a low-rank approximation of `A`: its samples are
    recommendations for user `i`.

    Parameters
    ----------
    f : SampledTransform
        What `transform` has found.
    i : int
        Which row.
    samples : int, optional
        Estimate the inner products of the row with sampled rows from `groups` groups of so many
        of its entries. By default they are computed, at the cost of all entries of the row.
    groups : int, optional
        Number of groups, of whose means the median is taken; 9 by default. Only with `samples`.
    rng : int, numpy.random.Generator or None
        Where numbers come from.

    Returns
    -------
    Combination
        The row.

    Raises
    ------
    TypeError, ValueError
        If an argument is not valid.

    Notes
    -----
    With `samples` the cost does not depend on the shape of `A`. The errors of the inner products
    are those of `inner`.

    References
    ----------
    .. [1] E. Tang, "A quantum-inspired classical algorithm for recommendation systems", STOC,
       217-228 (2019). arXiv:1807.04271

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion import sampling
    >>> taste = np.repeat(np.eye(2), 50, axis=0) @ np.repeat(np.eye(2), 30, axis=1)
    >>> f = sampling.transform(taste, np.ones_like, samples=40, rank=2, at_zero=0.0, rng=0)
    >>> bool(np.all(sampling.recommend(f, 70).sample(10, rng=0) >= 30))
    True
    """
    if not isinstance(f, SampledTransform):
        raise TypeError(f"f must be a SampledTransform, got {type(f).__name__}")
    rows, xp, a = f.rows, f._xp, f.rows.matrix
    i = index_of(i, a.shape[0], "i")
    counts = counts_of(groups, samples, 9, name="samples")
    if counts is None:
        products = _exact_products(rows, i)
    else:
        products = _estimated_products(rows, i, counts, generator(rng))
    pulled = (products[None, :] @ f.W) * f.gains @ adjoint(f.W, xp)
    # The coefficients act on rows over their unit, and what was multiplied is over it as well.
    mixed = rows._replace(weights=rows.weights * pulled[0, :])
    one = moved(np.asarray([i]), rows.weights, xp)
    itself = SampledRows(a, one, f.at_zero * xp.ones_like(rows.weights[:1]), rows.unit)
    return Combination((mixed, itself), (rows.unit, rows.unit), False)


def _exact_products(rows: SampledRows, i: int) -> Array:
    """Return ``A[i] R^*`` over the units of both."""
    xp, stored = rows.matrix._xp, rows.matrix._stored
    part = store.row(stored, i)
    entries = shifted(stored.values[part], -rows.unit, xp)
    width = part.stop - part.start
    columns = (
        moved(np.arange(width), entries, xp) if stored.columns is None else (stored.columns[part])
    )
    return conj(rows.columns(columns), xp) @ entries


def _estimated_products(
    rows: SampledRows, i: int, counts: tuple[int, int], rng: np.random.Generator
) -> Array:
    """Return the same from samples of the row: all products from one set of draws."""
    a, xp = rows.matrix, rows.matrix._xp
    square, exponent = row_total(a._trees, i)
    if not square > 0:
        return rows.weights * 0
    scale = math.ldexp(square, 2 * (exponent - rows.unit))

    def ratios(count: int) -> Array:
        lines = moved(np.full(count, i), rows.weights, xp)
        columns = a._draw_columns(lines, rng.random(count))
        entries = shifted(store.entries(a._stored, lines, columns, xp), -rows.unit, xp)
        return xp.matrix_transpose(scale * conj(rows.columns(columns) / entries, xp))

    return median_of_means(ratios, counts, xp)
