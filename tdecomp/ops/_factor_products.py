"""Products of factor matrices: how the unfoldings of structured tensors look."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from tdecomp._precision import full_precision
from tdecomp._program import one_program
from tdecomp._typing import Array, Namespace
from tdecomp._xp import namespace
from tdecomp.ops._operands import as_matrix, first_array, promoted


@full_precision
def khatri_rao(matrices: Sequence[Any], /) -> Array:
    r"""Return the matrix whose columns are the Kronecker products of columns.

    .. math:: (A \odot B)_{(ij), r} = A_{ir} B_{jr}

    with the last row index running fastest, as in `unfold` and in TensorLy: a CP tensor of
    factors :math:`A_0, \ldots, A_{d-1}` has :math:`X_{(0)} = A_0 (A_1 \odot \cdots \odot
    A_{d-1})^T`.

    Parameters
    ----------
    matrices : sequence of array, shape (n_k, r)
        At least one.

    Returns
    -------
    array, shape (product of n_k, r)
        The product, in the common dtype.

    Raises
    ------
    TypeError
        If libraries are mixed, or an entry is not an array.
    ValueError
        If there is none, numbers of columns differ, or a matrix is empty or not finite.

    See Also
    --------
    kronecker : of whole matrices.

    Notes
    -----
    As many multiplications as the result has entries, plus those of the shorter products.
    Entries beyond the range of the dtype become infinite, as in any product.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.ops import khatri_rao
    >>> khatri_rao([np.array([[1.0], [2.0]]), np.array([[1.0], [10.0]])])[:, 0]
    array([ 1., 10.,  2., 20.])
    """
    xp, factors = _factors(matrices)
    widths = [factor.shape[1] for factor in factors]
    if len(set(widths)) > 1:
        raise ValueError(f"all matrices must have one number of columns, got {widths}")
    return _khatri_rao(factors, xp=xp)


@one_program
def _khatri_rao(matrices: Sequence[Array], *, xp: Namespace) -> Array:
    """Multiply columns by broadcasting, of batches of matrices too."""

    def pair(a: Array, b: Array) -> Array:
        product = a[..., :, None, :] * b[..., None, :, :]
        rows = a.shape[-2] * b.shape[-2]
        return xp.reshape(product, (*product.shape[:-3], rows, a.shape[-1]))

    return reduce(pair, matrices)


@full_precision
def kronecker(matrices: Sequence[Any], /) -> Array:
    r"""Return the Kronecker product of matrices.

    .. math:: (A \otimes B)_{(ij), (kl)} = A_{ik} B_{jl}

    with the last index of each pair running fastest, as ``numpy.kron`` has it: a Tucker tensor of
    core :math:`G` and factors :math:`A_0, \ldots, A_{d-1}` has :math:`X_{(0)} = A_0 G_{(0)}
    (A_1 \otimes \cdots \otimes A_{d-1})^T`.

    Parameters
    ----------
    matrices : sequence of array, shape (m_k, n_k)
        At least one.

    Returns
    -------
    array, shape (product of m_k, product of n_k)
        The product, in the common dtype.

    Raises
    ------
    TypeError
        If libraries are mixed, or an entry is not an array.
    ValueError
        If there is none, or a matrix is empty or not finite.

    See Also
    --------
    khatri_rao : column by column.
    mode_products : multiplies by a Kronecker product without forming it.

    Notes
    -----
    As many multiplications as the result has entries, plus those of the shorter products.
    Entries beyond the range of the dtype become infinite, as in any product.

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


def _kronecker(matrices: Sequence[Array], *, xp: Namespace) -> Array:
    """Multiply entries by broadcasting."""

    def pair(a: Array, b: Array) -> Array:
        (m, n), (p, q) = a.shape, b.shape
        return xp.reshape(a[:, None, :, None] * b[None, :, None, :], (m * p, n * q))

    return reduce(pair, matrices)


def _factors(matrices: Sequence[Any]) -> tuple[Namespace, list[Array]]:
    """Validate a nonempty sequence of matrices of one library, and promote them."""
    matrices = list(matrices)
    if not matrices:
        raise ValueError("matrices is empty: give at least one")
    xp, like = namespace(*matrices), first_array(matrices)
    return xp, promoted([as_matrix(a, like, k) for k, a in enumerate(matrices)], xp)
