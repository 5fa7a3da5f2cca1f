"""Linear systems and determinants of Kronecker products, shifted ones and sums of two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import concrete, equilibrate
from tdecomp.cp._normalise import scaled_by_two
from tdecomp.kronecker._algebra import scalar
from tdecomp.kronecker._eigh import eigh
from tdecomp.kronecker._eigh_format import KroneckerEigh
from tdecomp.kronecker._format import KroneckerSum, as_sum
from tdecomp.kronecker._square import (
    hermitian_factors,
    products,
    right_hand_side,
    shifted,
    sign_and_log,
    square_factors,
    unsigned_zero,
)
from tdecomp.ops._operands import promoted


@full_precision
def solve(k: Any, b: Any, /, *, shift: Any = 0.0) -> Array:
    r"""Solve a linear system whose matrix is a Kronecker product, a shifted one or a sum of two.

    One term is solved factor by factor,

    .. math:: (A \otimes B)^{-1} \operatorname{vec}(Z) = \operatorname{vec}(A^{-1} Z B^{-T}) ,

    by Gaussian elimination with pivoting, whatever the factors. With a shift, :math:`A \otimes B
    \otimes \cdots + sI` of Hermitian factors is solved in the basis of their eigenvectors, and so
    is a sum of two terms of Hermitian factors, of which one term has positive definite ones, in
    the basis that the better conditioned of them defines,

    .. math:: A_1 \otimes B_1 + A_2 \otimes B_2 .

    Parameters
    ----------
    k : KroneckerSum
        A sum of one or two terms with square factors, any number of them.
    b : array, shape (N,) or (..., N, c)
        Right-hand sides.
    shift : number or array of shape (), optional
        The multiple of the identity to add; for one term.

    Returns
    -------
    array, shape of `b`
        The solution, in the common dtype.

    Raises
    ------
    TypeError, ValueError
        If `k` is no such sum, a factor is not square, or, where that is needed, not Hermitian,
        `b` has another number of rows, or something is not finite.
    numpy.linalg.LinAlgError
        If a factor is singular, which is named; an eigenvalue plus the shift is zero to rounding;
        or neither of two terms is positive definite.

    See Also
    --------
    eigh : for several shifts or right-hand sides one after the other; with `metric` for two terms.
    to_linear_operator : iterative solvers, for more terms.

    Notes
    -----
    :math:`\tfrac23 \sum_k n_k^3 + 2 N \sum_k n_k` flops without a shift, :math:`9 \sum_k n_k^3 +
    4 N \sum_k n_k` with one; backward stable in each factor. Condition numbers of factors
    multiply; of a sum of two terms, that of the positive definite one enters too. Under tracing
    (``jit``, ``vmap``) the second of two terms must be that one, and a singular factor yields NaN
    or infinity.

    References
    ----------
    .. [1] C. F. Van Loan, "The ubiquitous Kronecker product", J. Comput. Appl. Math. 123, 2000.
       doi:10.1016/S0377-0427(00)00393-9

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import kronecker
    >>> k = kronecker.KroneckerSum(np.diag([1.0, 2.0])[None], np.diag([1.0, 4.0])[None])
    >>> kronecker.solve(k, np.ones(4))
    array([1. , 0.25 , 0.5 , 0.125])
    >>> kronecker.solve(k, np.ones(4), shift=1.0) * 90
    array([45., 18., 30., 10.])
    """
    xp, k = as_sum(k)
    b = right_hand_side(b, k.shape[0], k.left)
    if not _is_shifted(k, shift, xp):
        b, *stacks = promoted([b, *k.factors], xp)
        k = KroneckerSum(stacks[0], stacks[1], tuple(stacks[2:]))
        return _solve(square_factors(k), b, xp=xp)
    if k.rank == 2:
        return _of_two(k, xp).solve(b, shift=1.0)
    return eigh(k).solve(b, shift=shift)


def _solve(factors: Sequence[Array], b: Array, *, xp: Namespace) -> Array:
    """Solve along one axis after the other, the scales of the factors aside."""
    before, after = (
        (1, b.shape[0]) if b.ndim == 1 else (math.prod(b.shape[:-2]), math.prod(b.shape[-2:]))
    )
    x, exponent = b, 0.0
    for j, f in enumerate(factors):
        n = int(f.shape[0])
        after //= n
        scaled, scale = equilibrate(f, xp, axis=(0, 1))
        exponent = exponent + xp.log2(scale[0, 0])
        x = xp.permute_dims(xp.reshape(x, (before, n, after)), (1, 0, 2))
        x = _solve_factor(scaled, xp.reshape(x, (n, before * after)), xp, name=f"k.factors[{j}]")
        x = xp.permute_dims(xp.reshape(x, (n, before, after)), (1, 0, 2))
        before *= n
    return scaled_by_two(xp.reshape(x, b.shape), -exponent, xp)


def _solve_factor(f: Array, b: Array, xp: Namespace, *, name: str) -> Array:
    """Solve a dense system, or name the matrix that is singular."""
    try:
        x = xp.linalg.solve(f, b)
    except Exception as error:  # each library has a class of its own
        if "ingular" not in str(error):
            raise
        raise np.linalg.LinAlgError(f"{name} is singular") from None
    if concrete(xp.all(xp.isfinite(x))) is False:
        raise np.linalg.LinAlgError(
            f"{name} is singular, or so nearly that the solution overflows"
        )
    return x


@full_precision
def logdet(k: Any, /, *, shift: Any = 0.0) -> tuple[Array, Array]:
    r"""Return sign and logarithm of the magnitude of a determinant.

    .. math:: \det(A \otimes B) = \det(A)^{n_B} \det(B)^{n_A}

    and, with a shift or two terms, the product of the eigenvalues; see `solve` for what each
    takes.

    Parameters
    ----------
    k : KroneckerSum
        A sum of one or two terms with square factors, any number of them.
    shift : number or array of shape (), optional
        The multiple of the identity to add; for one term.

    Returns
    -------
    sign : array, shape ()
        -1, 0 or 1; a phase if complex.
    logabsdet : array, shape ()
        The logarithm; minus infinity where the sign is 0. As in ``numpy.linalg.slogdet``.

    Raises
    ------
    TypeError, ValueError
        If `k` is no such sum, a factor is not square, or, where that is needed, not Hermitian.
    numpy.linalg.LinAlgError
        If neither of two terms is positive definite.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import kronecker
    >>> k = kronecker.KroneckerSum(np.diag([1.0, 2.0])[None], np.diag([1.0, 4.0])[None])
    >>> sign, size = kronecker.logdet(k, shift=1.0)
    >>> float(sign * np.exp(size))
    270.0
    """
    xp, k = as_sum(k)
    if not _is_shifted(k, shift, xp):
        return _logdet(square_factors(k), xp=xp)
    if k.rank == 2:
        return _of_two(k, xp).logdet(shift=1.0)
    # Without the vectors, gradients exist where eigenvalues coincide, too.
    values = tuple(xp.linalg.eigvalsh(f) for f in hermitian_factors(k, xp))
    return sign_and_log(shifted(products(values, xp), shift, xp), xp)


def _logdet(factors: Sequence[Array], *, xp: Namespace) -> tuple[Array, Array]:
    """Add logarithms, as often as each determinant occurs."""
    n = math.prod(f.shape[0] for f in factors)
    signs, logs = [], []
    for f in factors:
        scaled, scale = equilibrate(f, xp, axis=(0, 1))
        sign, size = xp.linalg.slogdet(scaled)
        times = n // f.shape[0]
        signs.append(sign**times)
        logs.append(times * size + n * xp.log(scale[0, 0]))
    sign = math.prod(signs[1:], start=signs[0])
    return unsigned_zero(sign, xp), sum(logs[1:], start=logs[0])


def _is_shifted(k: KroneckerSum, shift: Any, xp: Namespace) -> bool:
    """Tell whether eigenvectors are needed: for two terms, or for a shift that may not be zero."""
    # Of a plain number it is known while others are traced.
    plain = isinstance(shift, int | float | complex)
    number = shift if plain and shift == 0 else scalar(shift, k.left, xp, name="shift")
    nonzero = concrete(number == 0) is not True
    if k.rank > 2 or (k.rank == 2 and nonzero):
        raise ValueError(
            f"k must have one term, or two and no shift, got {k.rank}; an iterative solver takes "
            "to_linear_operator(k)"
        )
    return k.rank == 2 or nonzero


def _of_two(k: KroneckerSum, xp: Namespace) -> KroneckerEigh:
    """Diagonalise two terms together; the metric, which is inverted, is the better conditioned."""
    one, other = (
        KroneckerSum(left, right, tuple(rest))
        for left, right, *rest in ([f[j : j + 1, :, :] for f in k.factors] for j in (0, 1))
    )
    if concrete(_roundness(one, xp) > _roundness(other, xp)):
        one, other = other, one
    try:
        return eigh(one, metric=other)
    except np.linalg.LinAlgError:
        raise np.linalg.LinAlgError(
            "all factors of one of the two terms must be positive definite"
        ) from None


def _roundness(k: KroneckerSum, xp: Namespace) -> Array:
    """Return the inverse condition number of a product of definite factors, else zero."""
    values = [xp.linalg.eigvalsh(f) for f in hermitian_factors(k, xp)]
    parts = [w[0] / xp.where(w[0] > 0, w[-1], xp.ones_like(w[0])) for w in values]
    return math.prod(xp.where(part > 0, part, 0 * part) for part in parts)
