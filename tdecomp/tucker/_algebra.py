"""The algebra of Tucker tensors, at the cost of core and factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, device, differentiated, equilibrate, namespace, times_power
from tdecomp.ops._mode_products import _mode_product
from tdecomp.ops._operands import along_mode, promoted, with_number
from tdecomp.tucker._format import Tucker, as_tucker, cut
from tdecomp.tucker._hosvd import Plan, _sthosvd, decompose
from tdecomp.tucker._targets import check_tucker_target, precision_for


@full_precision
def norm(x: Any, /) -> Array:
    r"""Return the Frobenius norm of a Tucker tensor, true to rounding.

    With :math:`A_k = Q_k R_k`, :math:`\|G \times_k A_k\|_F = \|G \times_k R_k\|_F`: nothing is
    subtracted after squaring, and powers of two are set aside, so that the norm overflows only
    where its value does.

    Parameters
    ----------
    x : Tucker
        The tensor, or a pair of core and factors.

    Returns
    -------
    array, shape ()
        The norm, real.

    Raises
    ------
    TypeError, ValueError
        If `x` is none, or not finite.

    Notes
    -----
    :math:`\sum_k 2 n_k r_k^2 + 2 \prod_k r_k \sum_k r_k` flops.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tucker
    >>> float(tucker.norm(tucker.Tucker(np.ones((1, 1)), (np.ones((4, 1)), np.ones((9, 1))))))
    6.0
    """
    xp, core, factors = as_tucker(x, name="x")
    core, _, exponent = _orthonormal(core, factors, xp)
    return times_power(xp.linalg.vector_norm(core), exponent, xp)


@full_precision
def inner(a: Any, b: Any, /) -> Array:
    r"""Return the inner product :math:`\langle A, B \rangle = \sum_i \overline{A_i}\, B_i`.

    Both are brought to orthonormal factors first, so that the error is about
    :math:`\epsilon\, \|A\|_F \|B\|_F` however ill-conditioned the factors are.

    Parameters
    ----------
    a, b : Tucker
        Tensors of one shape; the first is conjugated.

    Returns
    -------
    array, shape ()
        The inner product.

    Raises
    ------
    TypeError, ValueError
        If one is no Tucker tensor, shapes differ, or entries are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tucker
    >>> x = tucker.Tucker(np.ones((1, 1)), (np.ones((4, 1)), np.ones((9, 1))))
    >>> float(tucker.inner(x, tucker.scale(x, 2)))
    72.0
    """
    xp, (one, other) = _together([a, b], names=("a", "b"))
    left, q, first = _orthonormal(*one, xp)
    right, p, second = _orthonormal(*other, xp)
    for mode, (u, v) in enumerate(zip(q, p, strict=True)):
        if v is not None:
            product = v if u is None else adjoint(u, xp) @ v
            right = _mode_product(right, product, mode, xp=xp)
        elif u is not None:
            right = _mode_product(right, adjoint(u, xp), mode, xp=xp)
    value = xp.vecdot(xp.reshape(left, (-1,)), xp.reshape(right, (-1,)))
    return times_power(value, first + second, xp)


@full_precision
def orthogonalise(x: Any, /) -> Tucker:
    """Return the same tensor with orthonormal columns in every factor.

    Parameters
    ----------
    x : Tucker
        The tensor.

    Returns
    -------
    Tucker
        The tensor; a rank above the size of its mode becomes that size. Factors that are None
        stay so.

    Raises
    ------
    TypeError, ValueError
        If `x` is no Tucker tensor, or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tucker
    >>> x = tucker.orthogonalise((np.ones((1, 1)), (np.ones((4, 1)), np.ones((9, 1)))))
    >>> float(abs(x.core[0, 0]))
    6.0
    """
    xp, core, factors = as_tucker(x, name="x")
    core, factors, exponent = _orthonormal(core, factors, xp)
    return Tucker(times_power(core, exponent, xp), tuple(factors))


@full_precision
def truncate(
    x: Any, /, *, rank: int | Sequence[int] | None = None, rtol: float | None = None
) -> Tucker:
    r"""Lower the ranks of a Tucker tensor: `sthosvd`, at the cost of the core.

    Parameters
    ----------
    x : Tucker
        The tensor. Modes whose factor is None are left alone.
    rank : int or tuple of int, optional
        The rank of each mode that has a factor.
    rtol : float, optional
        Guarantee :math:`\|X - \hat X\|_F \le \mathtt{rtol}\, \|X\|_F`. With `rank` too, the
        smaller ranks win.

    Returns
    -------
    Tucker
        Of orthonormal factors.

    Raises
    ------
    TypeError, ValueError
        If neither `rank` nor `rtol` is given, or one is out of range.
    ToleranceError
        If `rtol` is below what rounding allows in this precision.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tucker
    >>> x = tucker.Tucker(np.ones((2, 2)), (np.eye(4)[:, :2], np.eye(3)[:, :2]))
    >>> tucker.truncate(x, rtol=1e-12).rank
    (1, 1)
    """
    xp, core, factors = as_tucker(x, name="x")
    modes = tuple(k for k, factor in enumerate(factors) if factor is not None)
    core, factors, exponent = _orthonormal(core, factors, xp)
    small = _compressed(core, modes, rank, rtol, xp)
    merged = [
        small.factors[k] if factor is None else factor @ small.factors[k]
        for k, factor in enumerate(factors)
    ]
    return Tucker(times_power(small.core, exponent, xp), tuple(merged))


def _compressed(
    core: Array, modes: tuple[int, ...], rank: Any, rtol: Any, xp: Namespace
) -> Tucker:
    """Decompose a core of orthonormal factors; its accurate route is cheap enough."""
    shape = tuple(map(int, core.shape))
    if not modes:
        return Tucker(core, (None,) * len(shape))
    ranks, rtol = check_tucker_target(rank, rtol, shape, modes)
    if differentiated(core):
        if ranks is None or rtol is not None:
            raise ValueError("under tracing or grad the rank must be fixed: pass rank= alone")
        return Tucker(*_sthosvd(core, ranks, modes, xp=xp))
    atol = None
    if rtol is not None:
        _, floor = precision_for(rtol, shape, modes, dtype=core.dtype, wide=core.dtype, xp=xp)
        atol = (rtol - floor) * float(xp.linalg.vector_norm(core))
    return decompose(core, Plan(modes, ranks, atol, "qr", 0, nested=True), xp)[0]


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
    xp, pairs = _together(tensors, names=names)
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


def _orthonormal(
    core: Array, factors: Sequence[Array | None], xp: Namespace
) -> tuple[Array, list[Array | None], Array]:
    """Return core and orthonormal factors, and the exponent of two that was taken out."""
    core, scale = equilibrate(core, xp, axis=tuple(range(core.ndim)))
    exponent = xp.log2(xp.reshape(scale, ()))
    out: list[Array | None] = []
    for mode, factor in enumerate(factors):
        if factor is None:
            out.append(None)
            continue
        safe, scale = equilibrate(factor, xp, axis=(0, 1))
        q, r = xp.linalg.qr(safe)
        core, further = equilibrate(
            _mode_product(core, r, mode, xp=xp), xp, axis=tuple(range(core.ndim))
        )
        exponent = exponent + xp.log2(xp.reshape(scale, ())) + xp.log2(xp.reshape(further, ()))
        out.append(q)
    return core, out, exponent


def _together(
    tensors: Sequence[Any], *, names: Sequence[str]
) -> tuple[Namespace, list[tuple[Array, list[Array | None]]]]:
    """Validate Tucker tensors of one shape and bring them to their common dtype."""
    read = [as_tucker(x, name=name) for x, name in zip(tensors, names, strict=True)]
    xp = namespace(*(core for _, core, _ in read))
    shapes = [Tucker(core, tuple(factors)).shape for _, core, factors in read]
    if len(set(shapes)) > 1:
        raise ValueError(f"{' and '.join(names)} must have one shape, got {shapes}")
    dtype = xp.result_type(*(core.dtype for _, core, _ in read))
    return xp, [
        (
            xp.astype(core, dtype, copy=False),
            [None if u is None else xp.astype(u, dtype, copy=False) for u in factors],
        )
        for _, core, factors in read
    ]
