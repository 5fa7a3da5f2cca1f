"""Functions of ``A^* A`` from few rows and columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tdecomp._errors import check_callable, check_number
from tdecomp._precision import full_precision
from tdecomp._typing import Array, Seed
from tdecomp._xp import all_finite, as_array, namespace
from tdecomp.completion.sampling._matrix import structure
from tdecomp.completion.sampling._singular import SampledSVD
from tdecomp.completion.sampling._svd import sampled_svd, sizes_of
from tdecomp.completion.sampling._transformed import SampledTransform
from tdecomp.completion.sampling._trees import shifted

Function = Callable[[Array], Array]


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
