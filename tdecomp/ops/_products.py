"""Products of tensors with matrices, and of matrices with each other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint as conjugated
from tdecomp._xp import namespace, prepare
from tdecomp.ops._unfold import check_mode


def mode_product(x: Any, matrix: Any, mode: int, /) -> Array:
    r"""Multiply every fibre of a tensor along one mode by a matrix.

    .. math:: (X \times_n A)_{\ldots j \ldots} = \sum_i A_{ji}\, X_{\ldots i \ldots}

    Parameters
    ----------
    x : array, shape (..., n_mode, ...)
        The tensor.
    matrix : array, shape (m, n_mode)
        The matrix.
    mode : int
        The mode; negative ones count from the end.

    Returns
    -------
    array, shape (..., m, ...)
        The product.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, there is no such mode, libraries are mixed, or an input is empty or
        not finite.

    Notes
    -----
    :math:`2 m \prod n_k` flops, in one matrix product.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.ops import mode_product
    >>> mode_product(np.ones((2, 3, 4)), np.ones((5, 3)), 1).shape
    (2, 5, 4)
    """
    return mode_products(x, [matrix], modes=[mode])


def mode_products(
    x: Any,
    matrices: Sequence[Any],
    /,
    *,
    modes: Sequence[int] | None = None,
    adjoint: bool = False,
) -> Array:
    r"""Multiply a tensor by a matrix along each of several modes.

    The result does not depend on the order, :math:`X \times_n A \times_k B = X \times_k B
    \times_n A` for different modes; the mode that shrinks most goes first.

    Parameters
    ----------
    x : array, shape (n_0, ..., n_{d-1})
        The tensor.
    matrices : sequence of array, shape (m_k, n_k)
        One for each of `modes`.
    modes : sequence of int, optional
        The modes, all different; by default all, or as many as there are matrices, from the first.
    adjoint : bool, default False
        Multiply by the conjugate transposes, of matrices of shape (n_k, m_k).

    Returns
    -------
    array
        The product, with :math:`m_k` in place of :math:`n_k`.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, a mode is missing or comes twice, libraries are mixed, or an input is
        empty or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.ops import mode_products
    >>> core, factors = np.ones((1, 1, 1)), [np.ones((n, 1)) for n in (4, 5, 6)]
    >>> mode_products(core, factors).shape
    (4, 5, 6)
    """
    xp = namespace(x, *matrices)
    like = next((a for a in (x, *matrices) if hasattr(a, "dtype")), None)
    _, x = prepare(x, ndim=1, batch=True, like=like, name="x")
    factors = [
        prepare(matrix, ndim=2, like=like, name=f"matrices[{k}]")[1]
        for k, matrix in enumerate(matrices)
    ]
    chosen = range(len(factors)) if modes is None else modes
    if len(chosen) != len(factors):
        raise ValueError(f"got {len(factors)} matrices for {len(chosen)} modes")
    targets = [check_mode(mode, x.ndim) for mode in chosen]
    if len(set(targets)) < len(targets):
        raise ValueError(f"modes must all be different, got {tuple(chosen)}")
    if adjoint:
        factors = [conjugated(factor, xp) for factor in factors]
    for mode, factor in zip(targets, factors, strict=True):
        if factor.shape[1] != x.shape[mode]:
            raise ValueError(
                f"the matrix for mode {mode} must have {x.shape[mode]} "
                f"{'rows' if adjoint else 'columns'}, got {factor.shape[1]}"
            )
    return _mode_products(x, factors, targets, xp=xp)


def _mode_products(
    x: Array, factors: Sequence[Array], modes: Sequence[int], *, xp: Namespace
) -> Array:
    """Multiply along distinct modes, those that shrink most first."""
    order = sorted(
        zip(modes, factors, strict=True), key=lambda pair: pair[1].shape[0] / pair[1].shape[1]
    )
    for mode, factor in order:
        x = xp.moveaxis(xp.tensordot(factor, x, axes=((1,), (mode,))), 0, mode)
    return x


def khatri_rao(matrices: Sequence[Any], /) -> Array:
    r"""Return the matrix whose columns are the Kronecker products of columns.

    .. math:: (A \odot B)_{(ij), r} = A_{ir} B_{jr}

    with the last row index running fastest, as in `unfold` and in TensorLy.

    Parameters
    ----------
    matrices : sequence of array, shape (n_k, r)
        At least one.

    Returns
    -------
    array, shape (product of n_k, r)
        The product.

    Raises
    ------
    TypeError, ValueError
        If there is none, numbers of columns differ, libraries are mixed, or an input is empty or
        not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.ops import khatri_rao
    >>> khatri_rao([np.array([[1.0], [2.0]]), np.array([[1.0], [10.0]])])[:, 0]
    array([ 1., 10.,  2., 20.])
    """
    xp, factors = _factors(matrices)
    if len({factor.shape[1] for factor in factors}) > 1:
        raise ValueError(
            f"all matrices must have one number of columns, got {[f.shape[1] for f in factors]}"
        )
    return _khatri_rao(factors, xp=xp)


def _khatri_rao(factors: Sequence[Array], *, xp: Namespace) -> Array:
    """Multiply columns by broadcasting."""

    def pair(a: Array, b: Array) -> Array:
        return xp.reshape(a[:, None, :] * b[None, :, :], (-1, a.shape[1]))

    return reduce(pair, factors)


def kronecker(matrices: Sequence[Any], /) -> Array:
    r"""Return the Kronecker product :math:`A \otimes B \otimes \cdots`.

    Parameters
    ----------
    matrices : sequence of array, shape (m_k, n_k)
        At least one.

    Returns
    -------
    array, shape (product of m_k, product of n_k)
        The product, as ``numpy.kron`` defines it.

    Raises
    ------
    TypeError, ValueError
        If there is none, libraries are mixed, or an input is empty or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.ops import kronecker
    >>> kronecker([np.array([[1.0, 2.0]]), np.array([[1.0], [10.0]])])
    array([[ 1.,  2.],
           [10., 20.]])
    """
    xp, factors = _factors(matrices)
    return _kronecker(factors, xp=xp)


def _kronecker(factors: Sequence[Array], *, xp: Namespace) -> Array:
    """Multiply entries by broadcasting."""

    def pair(a: Array, b: Array) -> Array:
        (m, n), (p, q) = a.shape, b.shape
        return xp.reshape(a[:, None, :, None] * b[None, :, None, :], (m * p, n * q))

    return reduce(pair, factors)


def _factors(matrices: Sequence[Any]) -> tuple[Namespace, list[Array]]:
    """Validate a nonempty sequence of matrices of one library."""
    if not matrices:
        raise ValueError("matrices is empty: give at least one")
    xp = namespace(*matrices)
    like = next((a for a in matrices if hasattr(a, "dtype")), None)
    return xp, [
        prepare(matrix, ndim=2, like=like, name=f"matrices[{k}]")[1]
        for k, matrix in enumerate(matrices)
    ]
