"""Sums, products and sections of Tucker tensors, at the cost of core and factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device
from tdecomp.ops._mode_products import _mode_product
from tdecomp.ops._operands import along_mode, promoted, with_number
from tdecomp.tucker._format import Tucker, as_tucker, cut, together
from tdecomp.tucker._truncate import truncate


@full_precision
def add(
    *tensors: Any, rank: int | Sequence[int] | None = None, rtol: float | None = None
) -> Tucker:
    r"""Return the sum of Tucker tensors, exactly or recompressed.

    Exactly, the core is block diagonal and the factors stand side by side: ranks add up. With
    `rank` or `rtol` the sum is truncated; its error is measured against the sum itself, so that
    a small difference of large tensors keeps the digits it has.

    Parameters
    ----------
    *tensors : Tucker
        Tensors of one shape; at least one. Modes that are left alone in all of them stay so.
    rank, rtol : optional
        As in `truncate`.

    Returns
    -------
    Tucker
        The sum, in the common dtype.

    Raises
    ------
    TypeError, ValueError
        If there are none, one is no Tucker tensor, or shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tucker
    >>> x = tucker.Tucker(np.ones((1, 1)), (np.ones((4, 1)), np.ones((3, 1))))
    >>> tucker.add(x, x).rank, tucker.add(x, x, rtol=1e-12).rank
    ((2, 2), (1, 1))
    """
    if not tensors:
        raise ValueError("tensors is empty: give at least one")
    names = [f"tensors[{k}]" for k in range(len(tensors))]
    xp, pairs = together(tensors, names=names)
    total = _sum(pairs, xp)
    return total if rank is None and rtol is None else truncate(total, rank=rank, rtol=rtol)


def _sum(pairs: Sequence[tuple[Array, list[Array | None]]], xp: Namespace) -> Tucker:
    """Put factors side by side and cores on the diagonal; add along modes without factors."""
    d = len(pairs[0][1])
    shared = [all(factors[k] is None for _, factors in pairs) for k in range(d)]
    out: list[Array | None] = [None] * d
    for k in range(d):
        if not shared[k]:
            columns = [_factor(core, factors[k], k, xp) for core, factors in pairs]
            out[k] = xp.concat(columns, axis=1)
    padded = []
    ahead = [0] * d
    total = [core.shape[k] if s else 0 for k, s in enumerate(shared) for core in (pairs[0][0],)]
    for core, _ in pairs:
        total = [t if s else t + n for t, n, s in zip(total, core.shape, shared, strict=True)]
    for core, _ in pairs:
        block = core
        for k in range(d):
            if not shared[k]:
                block = _padded(block, k, ahead[k], total[k], xp)
                ahead[k] += core.shape[k]
        padded.append(block)
    return Tucker(sum(padded[1:], padded[0]), tuple(out))


def _factor(core: Array, factor: Array | None, mode: int, xp: Namespace) -> Array:
    """Return a factor, the identity where a mode was left alone."""
    if factor is not None:
        return factor
    return xp.eye(core.shape[mode], dtype=core.dtype, device=device(core))


def _padded(block: Array, mode: int, ahead: int, total: int, xp: Namespace) -> Array:
    """Put a block between zeros along a mode."""
    sides = []
    for width in (ahead, total - ahead - block.shape[mode]):
        shape = (*block.shape[:mode], width, *block.shape[mode + 1 :])
        sides.append(xp.zeros(shape, dtype=block.dtype, device=device(block)))
    return xp.concat([sides[0], block, sides[1]], axis=mode)


@full_precision
def scale(x: Any, factor: Any, /) -> Tucker:
    """Return a Tucker tensor times a number, multiplied into its core.

    Parameters
    ----------
    x : Tucker
        The tensor.
    factor : number or array of shape ()
        A real or complex number.

    Returns
    -------
    Tucker
        The product; complex where one of the two is.

    Raises
    ------
    TypeError, ValueError
        If `x` is no Tucker tensor, or `factor` not one finite number.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tucker
    >>> tucker.scale((np.ones((1, 1)), (np.ones((4, 1)), None)), -2).core
    array([[-2.]])
    """
    xp, core, factors = as_tucker(x, name="x")
    present = [k for k, matrix in enumerate(factors) if matrix is not None]
    number, (core, *cast) = with_number(factor, [core, *(factors[k] for k in present)], xp)
    for k, matrix in zip(present, cast, strict=True):
        factors[k] = matrix
    return Tucker(core * number, tuple(factors))


@full_precision
def mode_product(x: Any, matrix: Any, mode: int, /) -> Tucker:
    """Multiply every fibre along one mode by a matrix: only the factor of the mode changes.

    Parameters
    ----------
    x : Tucker
        The tensor, of shape (n_0, ..., n_{d-1}).
    matrix : array, shape (m, n_mode)
        The matrix.
    mode : int
        The mode; negative ones count from the end.

    Returns
    -------
    Tucker
        The product, of size `m` along `mode` and of the same ranks, in the common dtype.

    Raises
    ------
    TypeError, ValueError
        If `x` is no Tucker tensor, there is no such mode, or the matrix does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tucker
    >>> x = tucker.Tucker(np.ones((1, 1)), (np.ones((4, 1)), np.ones((3, 1))))
    >>> tucker.mode_product(x, np.ones((2, 3)), 1).shape
    (4, 2)
    """
    xp, core, factors = as_tucker(x, name="x")
    matrix, mode = along_mode(matrix, mode, Tucker(core, tuple(factors)).shape, like=core)
    present = [k for k, factor in enumerate(factors) if factor is not None]
    core, matrix, *cast = promoted([core, matrix, *(factors[k] for k in present)], xp)
    for k, factor in zip(present, cast, strict=True):
        factors[k] = factor
    known = factors[mode]
    factors[mode] = matrix if known is None else matrix @ known
    return Tucker(core, tuple(factors))


@full_precision
def section(x: Any, region: Any, /) -> Tucker:
    """Cut a region out of a Tucker tensor without forming its entries.

    Parameters
    ----------
    x : Tucker
        The tensor.
    region : slice or tuple
        A slice of the first mode, or one entry for each mode: a slice, an int (which drops the
        mode), or a 1-d array of indices.

    Returns
    -------
    Tucker
        The region: rows of the factors; a dropped mode is multiplied into the core.

    Raises
    ------
    TypeError, ValueError
        If `x` is no Tucker tensor, or `region` does not fit it, is empty or names a single entry.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tucker
    >>> x = tucker.Tucker(np.ones((1, 2, 2)), (np.ones((4, 1)), None, np.ones((5, 2))))
    >>> tucker.section(x, (slice(0, 3), 0, [1, 2])).shape
    (3, 2)
    """
    xp, core, factors = as_tucker(x, name="x")
    core, cutout, dropped = cut(Tucker(core, tuple(factors)), region, xp)
    if len(dropped) == len(factors):
        raise ValueError("region names a single entry; pass it to to_array")
    for mode in sorted(dropped, reverse=True):
        row = cutout.pop(mode)
        if row is not None:
            core = _mode_product(core, row, mode, xp=xp)
        core = xp.squeeze(core, axis=mode)
    result = Tucker(core, tuple(cutout))
    if 0 in result.shape:
        raise ValueError(f"region keeps no index of a mode: shape {result.shape}")
    return result
