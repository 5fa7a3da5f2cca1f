"""The algebra of sums of Kronecker products, at the cost of the factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import namespace, prepare
from tdecomp.cp._algebra_norm import _inner, _norm
from tdecomp.cp._format import CP
from tdecomp.kronecker._balance import balanced, is_moderate
from tdecomp.kronecker._format import KroneckerSum, as_sum, as_sums, of_factors, product
from tdecomp.kronecker._round import _rounded, vectors_of
from tdecomp.ops._operands import promoted


@full_precision
def norm(k: Any, /) -> Array:
    r"""Return the Frobenius norm of the matrix, from its factors.

    .. math:: \|A\|_F^2 = \sum_{kl} \langle L_k, L_l \rangle \langle R_k, R_l \rangle \cdots

    where terms do not cancel; where they do, the norm of what QR decompositions of the vectorised
    factors leave, without a difference of squares.

    Parameters
    ----------
    k : KroneckerSum
        The sum.

    Returns
    -------
    array, shape ()
        The norm, real. Its error is a modest multiple of :math:`\epsilon \sum_k \|L_k\| \|R_k\|
        \cdots`: when terms cancel to a fraction :math:`\delta` of themselves, a relative error
        of :math:`\epsilon / \delta`, where the formula alone would have :math:`\epsilon /
        \delta^2`. It is infinite only where the norm itself overflows.

    Raises
    ------
    TypeError, ValueError
        If `k` is no such sum, or is not finite.

    See Also
    --------
    inner : of two different ones.

    Notes
    -----
    :math:`\sum_k m_k n_k r^2` multiplications. While a transformation (``jit``, ``vmap``) is
    tracing, whether terms cancel is not known, and the formula is used.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import kronecker
    >>> float(kronecker.norm(kronecker.KroneckerSum(np.ones((1, 2, 2)), np.ones((1, 3, 3)))))
    6.0
    """
    xp, k = as_sum(k)
    return _norm(_components(k, xp), xp=xp)


@full_precision
def inner(a: Any, b: Any, /) -> Array:
    r"""Return the inner product :math:`\langle A, B \rangle = \operatorname{tr}(A^* B)`.

    .. math:: \langle A, B \rangle = \sum_{kl} \langle L_k, L'_l \rangle \langle R_k, R'_l
              \rangle \cdots

    Parameters
    ----------
    a, b : KroneckerSum
        Sums whose factors have the same shapes; the first is conjugated.

    Returns
    -------
    array, shape ()
        The inner product, with an error that is a modest multiple of what a relative change of
        :math:`\epsilon` in the factors may cause, where terms cancel too.

    Raises
    ------
    TypeError, ValueError
        If one is no such sum, shapes differ, or entries are not finite.

    See Also
    --------
    norm : the square root of the inner product with itself.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import kronecker
    >>> ones = kronecker.KroneckerSum(np.ones((1, 2, 2)), np.ones((1, 3, 3)))
    >>> float(kronecker.inner(ones, kronecker.scale(ones, 2)))
    72.0
    """
    xp, (a, b) = as_sums([a, b], names=("a", "b"))
    _check_same_shapes([a, b], names=("a", "b"))
    return _inner(_components(a, xp), _components(b, xp), xp=xp)


@full_precision
def scale(k: Any, factor: Any, /) -> KroneckerSum:
    """Return a sum times a number, which goes into the first factors.

    Parameters
    ----------
    k : KroneckerSum
        The sum.
    factor : number or array of shape ()
        A real or complex number.

    Returns
    -------
    KroneckerSum
        The product; complex where one of the two is.

    Raises
    ------
    TypeError, ValueError
        If `k` is no such sum, or `factor` not one finite number.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import kronecker
    >>> ones = kronecker.KroneckerSum(np.ones((1, 2, 2)), np.ones((1, 3, 3)))
    >>> float(kronecker.scale(ones, -2).to_array((0, 0)))
    -2.0
    """
    xp, k = as_sum(k)
    number = scalar(factor, k.left, xp, name="factor")
    if not is_moderate((*k.factors, number)):
        k = of_factors(balanced(k.factors, xp))
    left, right, *rest = promoted([*k.factors, xp.reshape(number, (1,))], xp)[:-1]
    return KroneckerSum(left * number, right, tuple(rest))


@full_precision
def add(*sums: Any, rank: int | None = None, rtol: float | None = None) -> KroneckerSum:
    r"""Return the sum of sums: all their terms, or with `rank` or `rtol` the best fewer ones.

    To subtract, add ``scale(k, -1)``.

    Parameters
    ----------
    *sums : KroneckerSum
        Sums whose factors have the same shapes; at least one.
    rank, rtol : optional
        Recompress the result, as `round` does; two factors only.

    Returns
    -------
    KroneckerSum
        The sum, in the common dtype; without `rank` and `rtol` exactly.

    Raises
    ------
    TypeError, ValueError
        If there are none, one is no such sum, or shapes differ; and what `round` raises.

    See Also
    --------
    round : recompress a sum.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import kronecker
    >>> ones = kronecker.KroneckerSum(np.ones((1, 2, 2)), np.ones((1, 3, 3)))
    >>> kronecker.add(ones, ones).rank, kronecker.add(ones, ones, rtol=1e-6).rank
    (2, 1)
    """
    if not sums:
        raise ValueError("there is nothing to add: give at least one sum")
    names = [f"sums[{j}]" for j in range(len(sums))]
    xp, checked = as_sums(sums, names=names)
    _check_same_shapes(checked, names=names)
    stacks = zip(*(k.factors for k in checked), strict=True)
    k = of_factors([xp.concat(list(stack), axis=0) for stack in stacks])
    return k if rank is None and rtol is None else _rounded(k, rank, rtol, xp)


@full_precision
def matmul(
    a: Any, b: Any, /, *, rank: int | None = None, rtol: float | None = None
) -> KroneckerSum:
    r"""Return the product of two matrices, term by term.

    .. math:: (L \otimes R)(L' \otimes R') = L L' \otimes R R'

    Parameters
    ----------
    a, b : KroneckerSum
        Sums of terms of as many factors; those of `a` have as many columns as those of `b` have
        rows.
    rank, rtol : optional
        Recompress the result, as `round` does; two factors only.

    Returns
    -------
    KroneckerSum
        The product, of ``a.rank * b.rank`` terms unless recompressed.

    Raises
    ------
    TypeError, ValueError
        If one is no such sum, or shapes do not match; and what `round` raises.

    Notes
    -----
    :math:`r s \sum_k m_k n_k p_k` multiplications for ranks `r` and `s`.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import kronecker
    >>> ones = kronecker.KroneckerSum(np.ones((2, 2, 2)), np.ones((2, 3, 3)))
    >>> kronecker.matmul(ones, ones).rank, kronecker.matmul(ones, ones, rank=1).rank
    (4, 1)
    """
    xp, (a, b) = as_sums([a, b], names=("a", "b"))
    k = product(a, b, xp)
    return k if rank is None and rtol is None else _rounded(k, rank, rtol, xp)


def scalar(value: Any, like: Array, xp: Namespace, *, name: str) -> Array:
    """Validate one finite number, and return it in the precision of an array."""
    _, number = prepare(value, ndim=0, like=like, name=name)
    namespace(number, like)
    single = like.dtype in (xp.float32, xp.complex64)
    if xp.isdtype(number.dtype, "complex floating"):
        return xp.astype(number, xp.complex64 if single else xp.complex128)
    return xp.astype(number, xp.float32 if single else xp.float64)


def _components(k: KroneckerSum, xp: Namespace) -> CP:
    """Return the rearranged matrix, or tensor, whose components are the terms."""
    columns = vectors_of(k, xp)
    return CP(xp.ones_like(columns[0][0, :]), tuple(columns))


def _check_same_shapes(sums: Sequence[KroneckerSum], *, names: Sequence[str]) -> None:
    """Refuse sums whose factors have other shapes than those of the first."""
    for k, name in zip(sums[1:], names[1:], strict=True):
        if k.shapes != sums[0].shapes:
            raise ValueError(
                f"{names[0]} and {name} must have factors of the same shapes, got "
                f"{sums[0].shapes} and {k.shapes}"
            )
