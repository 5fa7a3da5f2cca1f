"""The matricised tensor times Khatri-Rao product: the work horse of every CP algorithm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tdecomp._precision import full_precision
from tdecomp._program import one_program
from tdecomp._typing import Array, Namespace
from tdecomp._xp import namespace, prepare
from tdecomp.ops._coo import COO, check_coo
from tdecomp.ops._factor_products import _khatri_rao
from tdecomp.ops._operands import as_matrix, first_array, promoted
from tdecomp.ops._sparse_mttkrp import _sparse_mttkrp, check_factors
from tdecomp.ops._unfold import check_mode


@full_precision
def mttkrp(x: Any, factors: Sequence[Any], mode: int, /) -> Array:
    r"""Multiply an unfolding of a tensor by the Khatri-Rao product of all other factors.

    .. math:: M = X_{(n)} (A_0 \odot \cdots \odot A_{n-1} \odot A_{n+1} \odot \cdots \odot
        A_{d-1})

    without conjugation: for the gradient of a complex CP approximation pass conjugated factors.

    Parameters
    ----------
    x : array or COO, shape (n_0, ..., n_{d-1})
        The tensor.
    factors : sequence of array, shape (n_k, r)
        One for each mode; that of `mode` is not looked at and may be None.
    mode : int
        The mode :math:`n`; negative ones count from the end.

    Returns
    -------
    array, shape (n_mode, r)
        The product, in the common dtype.

    Raises
    ------
    TypeError
        If `mode` is not an int, libraries are mixed, or an input is not an array.
    ValueError
        If shapes do not fit, there is no such mode, or an input is empty or not finite.

    See Also
    --------
    khatri_rao : the second factor, formed.
    SparseLayout : prepares a sparse tensor for many products.

    Notes
    -----
    :math:`2 r \prod_k n_k` flops in one matrix product that reads the tensor where it lies, and
    little more. The modes are split in two groups of consecutive ones, near
    :math:`\sqrt{\prod_k n_k}` each [1]_: the product with the Khatri-Rao product of the group
    without `mode` leaves an array of the other group's shape and `r` columns, of which the rest
    is contracted column by column. Neither a copy of the tensor nor the whole Khatri-Rao product
    is formed. Of a sparse tensor only entries are touched: :math:`d \, r` multiplications each.

    References
    ----------
    .. [1] A.-H. Phan, P. Tichavsky, A. Cichocki, "Fast alternating LS algorithms for high order
       CANDECOMP/PARAFAC tensor factorizations", IEEE Trans. Signal Process. 61, 2013, Section
       III. doi:10.1109/TSP.2013.2269903

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.ops import khatri_rao, mttkrp, unfold
    >>> x, rng = np.arange(24.0).reshape(2, 3, 4), np.random.default_rng(0)
    >>> factors = [rng.standard_normal((n, 2)) for n in x.shape]
    >>> slow = unfold(x, 1) @ khatri_rao([factors[0], factors[2]])
    >>> np.allclose(mttkrp(x, factors, 1), slow)
    True
    """
    if isinstance(x, COO):
        xp, x = check_coo(x)
        mode = check_mode(mode, x.modes)
        return _sparse_mttkrp(*check_factors(x, factors, mode), mode, xp=xp)
    factors = list(factors)
    like = first_array((x, *factors))
    xp, x = prepare(x, ndim=1, batch=True, like=like, name="x")
    mode = check_mode(mode, x.ndim)
    if len(factors) != x.ndim:
        raise ValueError(f"got {len(factors)} factors for {x.ndim} modes; give one for each")
    namespace(x, *(factor for k, factor in enumerate(factors) if k != mode))
    others = {k: as_matrix(a, like, k) for k, a in enumerate(factors) if k != mode}
    if not others:
        raise ValueError("x has one mode: the product of no factors has no number of columns")
    width = next(iter(others.values())).shape[1]
    for k, factor in others.items():
        if tuple(factor.shape) != (x.shape[k], width):
            raise ValueError(
                f"factors[{k}] must have shape {(x.shape[k], width)} for x of shape "
                f"{tuple(x.shape)}, got {tuple(factor.shape)}"
            )
    x, *aligned = promoted((x, *others.values()), xp)
    chosen: list[Any] = [None] * x.ndim
    for k, factor in zip(others, aligned, strict=True):
        chosen[k] = factor
    return _mttkrp(x, chosen, mode, xp=xp)


def _mttkrp(x: Array, factors: Sequence[Array], mode: int, *, xp: Namespace) -> Array:
    """Contract the group of modes without `mode` at once, then the rest of the other group."""
    split = even_split(tuple(x.shape))
    if mode < split:
        partial = contract_right(x, factors[split:], xp=xp)
        return contract_others(partial, factors[:split], mode, xp=xp)
    partial = contract_left(x, factors[:split], xp=xp)
    return contract_others(partial, factors[split:], mode - split, xp=xp)


def even_split(shape: tuple[int, ...]) -> int:
    """Return how many leading modes make a group whose size is nearest to that of the others."""

    def larger(split: int) -> int:
        return max(math.prod(shape[:split]), math.prod(shape[split:]))

    return min(range(1, len(shape)), key=larger, default=0)


@one_program
def contract_right(x: Array, factors: Sequence[Array], *, xp: Namespace) -> Array:
    """Contract the last modes with their factors: an array (n_0, ..., n_{s-1}, r) remains."""
    kept = tuple(x.shape[: x.ndim - len(factors)])
    product = _khatri_rao(factors, xp=xp)
    partial = xp.reshape(x, (math.prod(kept), product.shape[0])) @ product
    return xp.reshape(partial, (*kept, product.shape[1]))


@one_program
def contract_left(x: Array, factors: Sequence[Array], *, xp: Namespace) -> Array:
    """Contract the first modes with their factors: an array (n_s, ..., n_{d-1}, r) remains."""
    kept = tuple(x.shape[len(factors) :])
    product = _khatri_rao(factors, xp=xp)
    partial = xp.matrix_transpose(xp.reshape(x, (product.shape[0], math.prod(kept)))) @ product
    return xp.reshape(partial, (*kept, product.shape[1]))


@one_program
def contract_others(
    partial: Array, factors: Sequence[Array], mode: int, *, xp: Namespace
) -> Array:
    """Contract all modes but one of an array (..., r) with their factors, column by column."""
    for factor in reversed(factors[mode + 1 :]):
        partial = xp.sum(partial * factor, axis=-2)
    for factor in factors[:mode]:
        spread = xp.reshape(factor, (factor.shape[0], *(1,) * (partial.ndim - 2), -1))
        partial = xp.sum(partial * spread, axis=0)
    return partial
