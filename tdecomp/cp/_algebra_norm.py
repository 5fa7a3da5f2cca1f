"""Norms and inner products of CP decompositions, where components cancel as well."""

from __future__ import annotations

from typing import Any

from tdecomp._precision import full_precision
from tdecomp._program import one_program
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, concrete, conj
from tdecomp.cp._algebra import _add
from tdecomp.cp._format import CP, as_cp, as_pair
from tdecomp.cp._normalise import scaled_by_two, unit_columns

# The part of the squared sum of component norms that must be left for Gram matrices to do:
# they cost the inverse of it in units of eps.
_KEPT = 1e-2
_BLOCK_ENTRIES = 1 << 22


@full_precision
def inner(a: Any, b: Any, /) -> Array:
    r"""Return the inner product of two tensors.

    .. math:: \langle A, B \rangle = \sum_i \overline{A_i}\, B_i
              = \overline{w}^T \bigl(A_0^* B_0 * \cdots * A_{d-1}^* B_{d-1}\bigr)\, v

    with :math:`*` the Hadamard product. As the formula loses what components cancel, it is used
    only where they do not: where :math:`\|A\|^2 \ge 10^{-2} (\sum_r \|A_r\|)^2` for the
    components :math:`A_r` of both. Elsewhere the factors are first brought to a small
    orthonormal basis by QR decompositions, mode after mode, as in the rounding of tensor
    trains [1]_.

    Parameters
    ----------
    a, b : CP
        Decompositions of tensors of one shape.

    Returns
    -------
    array, shape ()
        The inner product, conjugate linear in `a`; in the common dtype. Its error is a modest
        multiple of :math:`\epsilon\,(\sum_r \|A_r\|\, \|B\| + \|A\| \sum_r \|B_r\|)`: what a
        relative change of :math:`\epsilon` in the factors may cause.

    Raises
    ------
    TypeError, ValueError
        If one is no decomposition, or shapes differ.

    See Also
    --------
    norm : the square root of the inner product with itself.

    Notes
    -----
    :math:`\sum_k n_k R S` multiplications for the formula, :math:`d (R + S)^4` for the QR
    decompositions. While a transformation (``jit``, ``grad``) is tracing, which of them would be
    needed is not known, and the formula is used.

    References
    ----------
    .. [1] I. V. Oseledets, "Tensor-train decomposition", SIAM J. Sci. Comput. 33, 2011,
       Section 3. doi:10.1137/090752286

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import cp
    >>> ones = cp.CP(np.ones(1), (np.ones((2, 1)), np.ones((3, 1))))
    >>> float(cp.inner(ones, ones))
    6.0
    """
    xp, a, b = as_pair(a, b, names=("a", "b"))
    return _inner(a, b, xp=xp)


def _inner(a: CP, b: CP, *, xp: Namespace) -> Array:
    """Choose the route by what cancels."""
    (a, shift_a), (b, shift_b) = _unit(a, xp), _unit(b, xp)
    if _cancels(a, xp) or _cancels(b, xp):
        rows = _compressed(_add([a, b], xp=xp), xp)
        left, right = rows[:, : a.rank], rows[:, a.rank :]
        left = (left * a.weights) @ xp.matrix_transpose(a.factors[-1])
        right = (right * b.weights) @ xp.matrix_transpose(b.factors[-1])
        value = xp.sum(conj(left, xp) * right)
    else:
        value = _by_grams(a, b, xp)
    return scaled_by_two(value, shift_a + shift_b, xp)


@full_precision
def norm(cp: Any, /) -> Array:
    r"""Return the Frobenius norm of the tensor.

    .. math:: \|X\|^2 = \sum_{rs} \overline{w_r} w_s \prod_k (A_k^* A_k)_{rs}

    where components do not cancel; where they do, the norm of a matrix that QR decompositions
    leave, without a difference of squares (see `inner`).

    Parameters
    ----------
    cp : CP
        The decomposition.

    Returns
    -------
    array, shape ()
        The norm, in the real dtype. Its error is a modest multiple of :math:`\epsilon \sum_r
        \|X_r\|`, with :math:`X_r` the components: when they cancel to a fraction
        :math:`\delta` of themselves, a relative error of :math:`\epsilon / \delta`, where the
        formula alone would have :math:`\epsilon / \delta^2`.

    Raises
    ------
    TypeError, ValueError
        If `cp` is no decomposition.

    See Also
    --------
    inner : of two different ones.

    Notes
    -----
    :math:`\sum_k n_k R^2` multiplications for the formula, :math:`d R^4` for the QR
    decompositions. While a transformation (``jit``, ``grad``) is tracing, which of them would be
    needed is not known, and the formula is used.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import cp
    >>> a = np.array([[3.0], [4.0]])
    >>> float(cp.norm(cp.CP(np.ones(1), (a, a))))
    25.0
    """
    xp, cp = as_cp(cp)
    return _norm(cp, xp=xp)


def _norm(cp: CP, *, xp: Namespace) -> Array:
    """Choose the route by what cancels."""
    cp, shift = _unit(cp, xp)
    if _cancels(cp, xp):
        last = (_compressed(cp, xp) * cp.weights) @ xp.matrix_transpose(cp.factors[-1])
        value = xp.linalg.vector_norm(last)
    else:
        square = _real(_by_grams(cp, cp, xp), xp)
        positive = square > 0
        value = xp.where(
            positive, xp.sqrt(xp.where(positive, square, xp.ones_like(square))), 0.0 * square
        )
    return scaled_by_two(value, shift, xp)


def _unit(cp: CP, xp: Namespace) -> tuple[CP, Array]:
    """Return unit columns, weights of magnitude at most 2, and the exponent of two taken out."""
    mantissas, exponents, columns = unit_columns(cp, xp=xp)
    top = xp.max(xp.where(mantissas != 0, exponents, -xp.inf))
    top = xp.where(xp.isfinite(top), top, xp.zeros_like(top))
    return CP(scaled_by_two(mantissas, exponents - top, xp), tuple(columns)), top


def _cancels(cp: CP, xp: Namespace) -> bool:
    """Tell whether components of unit columns cancel too much for squares; not while tracing."""
    total = xp.sum(xp.abs(cp.weights))
    square = _real(_by_grams(cp, cp, xp), xp)
    return concrete(square < _KEPT * total**2) is True


@one_program
def _by_grams(a: CP, b: CP, xp: Namespace) -> Array:
    """Sum the Hadamard product of the matrices of inner products of columns."""
    grams = conj(a.weights, xp)[:, None] * b.weights[None, :]
    for left, right in zip(a.factors, b.factors, strict=True):
        grams = grams * (adjoint(left, xp) @ right)
    return xp.sum(grams)


def _compressed(cp: CP, xp: Namespace) -> Array:
    """Return an isometric image of the Khatri-Rao product of all factors but the last.

    It has at most as many rows as columns. The QR decompositions are backward stable column by
    column; rows of a product enter them in blocks, which bounds the memory.
    """
    rows = xp.ones_like(cp.factors[0][:1, :])
    for factor in cp.factors[:-1]:
        small = factor if factor.shape[0] <= factor.shape[1] else _triangle(factor, xp)
        height = max(1, _BLOCK_ENTRIES // (small.shape[0] * small.shape[1]))
        out = None
        for start in range(0, rows.shape[0], height):
            block = rows[start : min(start + height, rows.shape[0]), :]
            product = xp.reshape(block[:, None, :] * small[None, :, :], (-1, cp.rank))
            joined = product if out is None else xp.concat([out, product])
            out = joined if joined.shape[0] <= cp.rank else _triangle(joined, xp)
        rows = out
    return rows


def _triangle(x: Array, xp: Namespace) -> Array:
    """Return the triangular factor of a tall matrix."""
    return xp.linalg.qr(x)[1]


def _real(x: Array, xp: Namespace) -> Array:
    return xp.real(x) if xp.isdtype(x.dtype, "complex floating") else x
