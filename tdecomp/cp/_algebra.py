"""The algebra of CP decompositions, at the cost of the factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tdecomp._errors import check_count
from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, namespace
from tdecomp.cp._format import CP, _section, as_cp, as_pair
from tdecomp.ops._operands import along_mode, promoted
from tdecomp.ops._region import indices_of, is_index, parts

_BLOCK_ENTRIES = 1 << 22


@full_precision
def add(*cps: Any) -> CP:
    r"""Return the sum of decompositions: all their components side by side.

    .. math:: \sum_{r < R} w_r\, a_r \otimes b_r \otimes \cdots +
              \sum_{r < S} v_r\, c_r \otimes d_r \otimes \cdots

    has rank :math:`R + S`. To subtract, add one of negative weights.

    Parameters
    ----------
    *cps : CP
        Decompositions of tensors of one shape; at least one.

    Returns
    -------
    CP
        Their sum, exactly, in the common dtype.

    Raises
    ------
    TypeError, ValueError
        If one is no decomposition, or shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import cp
    >>> one = cp.CP(np.ones(1), (np.ones((2, 1)), np.ones((3, 1))))
    >>> cp.add(one, one, one).rank
    3
    """
    if not cps:
        raise ValueError("there is nothing to add: give at least one decomposition")
    checked = [as_cp(x, name=f"cps[{k}]")[1] for k, x in enumerate(cps)]
    for k, x in enumerate(checked[1:], start=1):
        as_pair(checked[0], x, names=("cps[0]", f"cps[{k}]"))
    xp = namespace(*(x.factors[0] for x in checked))
    return as_cp(_add(checked, xp=xp))[1]


def _add(cps: Sequence[CP], *, xp: Namespace) -> CP:
    """Concatenate weights and columns."""
    factors = zip(*(x.factors for x in cps), strict=True)
    return CP(
        _joined([x.weights for x in cps], 0, xp),
        tuple(_joined(matrices, 1, xp) for matrices in factors),
    )


def _joined(arrays: Sequence[Array], axis: int, xp: Namespace) -> Array:
    """Concatenate arrays in their common dtype."""
    return xp.concat(promoted(arrays, xp), axis=axis)


@full_precision
def evaluate(cp: Any, indices: Any, /) -> Array:
    r"""Return entries of the tensor at a list of indices.

    .. math:: y_m = \sum_r w_r\, A^{(0)}_{i_{m0} r} \cdots A^{(d-1)}_{i_{m,d-1} r}

    Parameters
    ----------
    cp : CP
        The decomposition.
    indices : array of int, shape (m, d)
        One index in each row; negative ones count from the end. The coordinates of a
        :class:`~tdecomp.ops.COO` are the transpose.

    Returns
    -------
    array, shape (m,)
        The entries.

    Raises
    ------
    TypeError, ValueError
        If `cp` is no decomposition, or the indices are not of that shape or out of range.

    See Also
    --------
    section : the decomposition of a region.

    Notes
    -----
    :math:`m d R` multiplications, in blocks of rows.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import cp
    >>> squares = cp.CP(np.ones(1), (np.arange(4.0)[:, None], np.arange(4.0)[:, None]))
    >>> cp.evaluate(squares, [[3, 3], [1, -1]])
    array([9., 3.])
    """
    xp, cp = as_cp(cp)
    if not hasattr(indices, "ndim"):
        indices = xp.asarray(np.asarray(indices), device=device(cp.weights))
    if indices.ndim != 2 or indices.shape[1] != cp.modes:
        raise ValueError(
            f"indices must have shape (m, {cp.modes}), one column for each mode, got "
            f"{tuple(indices.shape)}"
        )
    columns = [
        indices_of(indices[:, k], size, cp.weights, xp, name=f"indices[:, {k}]")
        for k, size in enumerate(cp.shape)
    ]
    return _evaluate(cp, columns, xp=xp)


def _evaluate(cp: CP, columns: Sequence[Array], *, xp: Namespace) -> Array:
    """Multiply rows of the factors, and sum; `columns` holds the indices of each mode."""
    count = columns[0].shape[0]
    height = max(1, _BLOCK_ENTRIES // cp.rank)
    out = []
    for start in range(0, max(count, 1), height):
        rows = slice(start, min(start + height, count))
        product = cp.weights[None, :]
        for factor, column in zip(cp.factors, columns, strict=True):
            product = product * xp.take(factor, column[rows], axis=0)
        out.append(xp.sum(product, axis=1))
    return out[0] if len(out) == 1 else xp.concat(out)


@full_precision
def section(cp: Any, region: Any, /) -> CP:
    """Return the decomposition of a region of the tensor, without forming the tensor.

    Parameters
    ----------
    cp : CP
        The decomposition.
    region : slice or tuple
        A slice of the first mode, or one entry for each mode: a slice, a 1-d array of indices,
        or an int, which drops the mode and multiplies the weights.

    Returns
    -------
    CP
        The decomposition of ``cp.to_array(region)``, of the same rank.

    Raises
    ------
    TypeError, ValueError
        If `cp` is no decomposition, or the region does not fit it or keeps no mode.

    See Also
    --------
    evaluate : single entries.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import cp
    >>> squares = cp.CP(np.ones(1), (np.arange(4.0)[:, None], np.arange(4.0)[:, None]))
    >>> row = cp.section(squares, (3, slice(None)))
    >>> row.shape, row.weights
    ((4,), array([3.]))
    """
    xp, cp = as_cp(cp)
    if all(is_index(part) for part in parts(region, cp.modes)):
        raise ValueError("region keeps no mode; evaluate() gives single entries")
    weights, factors = _section(cp, region, xp)
    return CP(weights, tuple(factors))


@full_precision
def mode_product(cp: Any, matrix: Any, mode: int, /) -> CP:
    r"""Multiply every fibre of the tensor along one mode by a matrix.

    Its factor :math:`A^{(n)}` becomes :math:`M A^{(n)}`.

    Parameters
    ----------
    cp : CP
        The decomposition.
    matrix : array, shape (m, n_mode)
        The matrix.
    mode : int
        The mode; negative ones count from the end.

    Returns
    -------
    CP
        The product, of the same rank.

    Raises
    ------
    TypeError, ValueError
        If `cp` is no decomposition, there is no such mode, or the matrix does not fit.

    See Also
    --------
    tdecomp.ops.mode_product : of a tensor in full.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import cp
    >>> squares = cp.CP(np.ones(1), (np.arange(4.0)[:, None], np.arange(4.0)[:, None]))
    >>> cp.mode_product(squares, np.ones((1, 4)), 0).to_array()
    array([[ 0.,  6., 12., 18.]])
    """
    xp, cp = as_cp(cp)
    matrix, mode = along_mode(matrix, mode, cp.shape, like=cp.weights)
    factors = list(cp.factors)
    matrix, factor = promoted((matrix, factors[mode]), xp)
    factors[mode] = matrix @ factor
    return as_cp(CP(cp.weights, tuple(factors)))[1]


@full_precision
def permute(cp: Any, order: Sequence[int], /) -> CP:
    """Return the components in another order, or some of them.

    Parameters
    ----------
    cp : CP
        The decomposition.
    order : sequence of int
        Which components, in which order; negative ones count from the end. Those left out are
        dropped.

    Returns
    -------
    CP
        The decomposition with ``len(order)`` components.

    Raises
    ------
    TypeError, ValueError
        If `cp` is no decomposition, `order` is empty or not of ints, or there is no such
        component.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import cp
    >>> x = cp.CP(np.array([1.0, 2.0]), (np.eye(2), np.eye(2)))
    >>> cp.permute(x, [1, 0]).weights
    array([2., 1.])
    """
    xp, cp = as_cp(cp)
    chosen = indices_of(order, cp.rank, cp.weights, xp, name="order")
    check_count(chosen.shape[0], name="the length of order", least=1)
    return _permute(cp, chosen, xp=xp)


def _permute(cp: CP, order: Array, *, xp: Namespace) -> CP:
    """Take components in an order."""
    factors = tuple(xp.take(factor, order, axis=1) for factor in cp.factors)
    return CP(xp.take(cp.weights, order, axis=0), factors)
