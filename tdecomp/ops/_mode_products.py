"""Products of a tensor with matrices along its modes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tdecomp._precision import full_precision
from tdecomp._program import one_program
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint as adjoint_of
from tdecomp._xp import namespace, prepare
from tdecomp.ops._coo import COO, check_coo
from tdecomp.ops._operands import as_matrix, first_array, promoted
from tdecomp.ops._sparse_ttm import _sparse_mode_product, _sparse_mode_products
from tdecomp.ops._unfold import check_mode


@full_precision
def mode_product(x: Any, matrix: Any, mode: int, /) -> Any:
    r"""Multiply every fibre of a tensor along one mode by a matrix.

    .. math:: (X \times_n A)_{\ldots j \ldots} = \sum_i A_{ji}\, X_{\ldots i \ldots}

    Parameters
    ----------
    x : array or COO, shape (n_0, ..., n_{d-1})
        The tensor.
    matrix : array, shape (m, n_mode)
        The matrix.
    mode : int
        The mode; negative ones count from the end.

    Returns
    -------
    array or COO, shape (n_0, ..., m, ..., n_{d-1})
        The product, in the common dtype; of a sparse tensor a sparse one, in which the fibres
        that had an entry are full.

    Raises
    ------
    TypeError
        If `mode` is not an int, libraries are mixed, or an input is not an array.
    ValueError
        If shapes do not fit, there is no such mode, or an input is empty or not finite.

    See Also
    --------
    mode_products : several modes, in the cheapest order.

    Notes
    -----
    :math:`2 m \prod_k n_k` flops, in matrix products that read the tensor where it lies: no
    transposed copy is made, which was measured to take as long as the products.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.ops import mode_product
    >>> mode_product(np.ones((2, 3, 4)), np.ones((5, 3)), 1).shape
    (2, 5, 4)
    """
    like = first_array((_entries(x), matrix))
    xp, x = _tensor(x, like)
    _, matrix = prepare(matrix, ndim=2, like=like, name="matrix")
    namespace(_entries(x), matrix)
    mode = check_mode(mode, len(x.shape))
    _check_columns(matrix, x, mode, name="matrix", axis=1)
    entries, matrix = promoted((_entries(x), matrix), xp)
    if isinstance(x, COO):
        return _sparse_mode_product(x._replace(values=entries), matrix, mode, xp=xp)
    return _mode_product(entries, matrix, mode, xp=xp)


@one_program
def _mode_product(x: Array, matrix: Array, mode: int, *, xp: Namespace) -> Array:
    """Multiply along a valid mode: one product at the first and last, a batch of them between."""
    shape = x.shape
    before, n, after = math.prod(shape[:mode]), shape[mode], math.prod(shape[mode + 1 :])
    if after == 1:
        product = xp.reshape(x, (before, n)) @ xp.matrix_transpose(matrix)
    elif before == 1:
        product = matrix @ xp.reshape(x, (n, after))
    else:
        product = matrix @ xp.reshape(x, (before, n, after))
    return xp.reshape(product, (*shape[:mode], matrix.shape[0], *shape[mode + 1 :]))


@full_precision
def mode_products(
    x: Any,
    matrices: Sequence[Any],
    /,
    *,
    modes: Sequence[int] | None = None,
    skip: int | None = None,
    adjoint: bool = False,
) -> Array:
    r"""Multiply a tensor by a matrix along each of several modes, in the cheapest order.

    Products along different modes commute, :math:`X \times_n A \times_k B = X \times_k B
    \times_n A`, so the order is free. Taking the modes by descending
    :math:`1 / m_k - 1 / n_k`, where :math:`n_k` becomes :math:`m_k`, needs the fewest flops of
    all orders.

    Parameters
    ----------
    x : array or COO, shape (n_0, ..., n_{d-1})
        The tensor.
    matrices : sequence of array, shape (m_k, n_k)
        One for each of `modes`.
    modes : sequence of int, optional
        The modes, all different; by default as many as there are matrices, from the first.
    skip : int, optional
        A mode to leave as it is; its matrix is not looked at.
    adjoint : bool
        Multiply by the conjugate transposes of matrices of shape (n_k, m_k): projects onto
        factors with orthonormal columns.

    Returns
    -------
    array
        The product, with :math:`m_k` in place of :math:`n_k`, in the common dtype; an array also
        for a sparse tensor, which is multiplied entry by entry along all modes at once.

    Raises
    ------
    TypeError
        If a mode is not an int, libraries are mixed, or an input is not an array.
    ValueError
        If shapes do not fit, a mode does not exist or comes twice, or an input is empty or not
        finite.

    See Also
    --------
    mode_product : one mode.

    Notes
    -----
    With the tensor's current number of entries :math:`P`, a product costs :math:`2 m_k P` flops
    and leaves :math:`P m_k / n_k` entries. Swapping neighbours in an order shows that `k` should
    come before `l` when :math:`1/m_k - 1/n_k > 1/m_l - 1/n_l`; as this ranks the modes one by
    one, sorting by it is optimal.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.ops import mode_products
    >>> core, factors = np.ones((1, 1, 1)), [np.ones((n, 1)) for n in (4, 5, 6)]
    >>> x = mode_products(core, factors)
    >>> x.shape
    (4, 5, 6)
    >>> mode_products(x, factors, skip=1, adjoint=True).shape
    (1, 5, 1)
    """
    matrices = list(matrices)
    like = first_array((_entries(x), *matrices))
    xp, x = _tensor(x, like)
    namespace(_entries(x), *matrices)
    chosen = list(range(len(matrices)) if modes is None else modes)
    if len(chosen) != len(matrices):
        raise ValueError(f"got {len(matrices)} matrices for {len(chosen)} modes")
    ndim = len(x.shape)
    chosen = [check_mode(mode, ndim, name=f"modes[{k}]") for k, mode in enumerate(chosen)]
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"modes must all be different, got {tuple(chosen)}")
    left_out = None if skip is None else check_mode(skip, ndim, name="skip")
    factors = {
        mode: as_matrix(matrix, like, k)
        for k, (mode, matrix) in enumerate(zip(chosen, matrices, strict=True))
        if mode != left_out
    }
    for k, mode in enumerate(chosen):
        if mode in factors:
            name = f"matrices[{k}]"
            _check_columns(factors[mode], x, mode, name=name, axis=0 if adjoint else 1)
    if adjoint:
        factors = {mode: adjoint_of(factor, xp) for mode, factor in factors.items()}
    entries, *aligned = promoted((_entries(x), *factors.values()), xp)
    if isinstance(x, COO):
        sparse = x._replace(values=entries)
        return _sparse_mode_products(sparse, aligned, tuple(factors), xp=xp)
    return _mode_products(entries, aligned, tuple(factors), xp=xp)


def _entries(x: Any) -> Any:
    """Return the array of a tensor: that of its entries, if it is sparse."""
    return x.values if isinstance(x, COO) else x


def _tensor(x: Any, like: Array | None) -> tuple[Namespace, Any]:
    """Validate a tensor, dense or sparse."""
    if isinstance(x, COO):
        return check_coo(x)
    return prepare(x, ndim=1, batch=True, like=like, name="x")


def _mode_products(
    x: Array, matrices: Sequence[Array], modes: Sequence[int], *, xp: Namespace
) -> Array:
    """Multiply along distinct modes, in the order that needs the fewest flops."""
    steps = [(1 / a.shape[1] - 1 / a.shape[0], k) for k, a in enumerate(matrices)]
    for _, k in sorted(steps):
        x = _mode_product(x, matrices[k], modes[k], xp=xp)
    return x


def _check_columns(matrix: Array, x: Array, mode: int, *, name: str, axis: int) -> None:
    """Refuse a matrix that does not fit the mode it is meant for."""
    if matrix.shape[axis] != x.shape[mode]:
        raise ValueError(
            f"{name} must have {x.shape[mode]} {'columns' if axis else 'rows'} for mode {mode} of "
            f"x, which has shape {tuple(x.shape)}; got shape {tuple(matrix.shape)}"
        )
