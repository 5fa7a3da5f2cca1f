"""The algebra of tensor trains, at the cost of their cores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, device, equilibrate, namespace, times_power
from tdecomp.ops._operands import along_mode, first_array, promoted, with_number
from tdecomp.ops._region import index_of, is_index, parts, restrict
from tdecomp.tt._chain import as_chain, check_same_shape, left_matrix_of
from tdecomp.tt._formats import TensorTrain


@full_precision
def norm(train: Any, /) -> Array:
    r"""Return the Frobenius norm of a train, true to rounding.

    A sweep of QR decompositions moves the norm into the last core: nothing is subtracted after
    squaring, as it is in :math:`\langle X, X \rangle^{1/2}`, where half the digits of a small
    difference of trains are lost. With :math:`X = A - B` the error is about
    :math:`\epsilon (\|A\|_F + \|B\|_F)`.

    Parameters
    ----------
    train : TensorTrain
        The train, or a sequence of its cores.

    Returns
    -------
    array, shape ()
        The norm, real. It is infinite only where the norm itself overflows.

    Raises
    ------
    TypeError, ValueError
        If `train` is none, or not finite.

    Notes
    -----
    About :math:`4 \sum_k n_k r_k r_{k+1}^2` flops.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tt
    >>> ones = tt.TensorTrain((np.ones((1, 3, 1)), np.ones((1, 3, 1))))
    >>> float(tt.norm(ones))
    3.0
    """
    xp, cores = as_chain(train, name="train")
    return _norm(cores, xp=xp)


def _norm(cores: Sequence[Array], *, xp: Namespace) -> Array:
    """Carry the triangular factors from core to core, their powers of two aside."""
    exponent = 0.0
    carry = xp.eye(1, dtype=cores[0].dtype, device=device(cores[0]))
    for core in cores:
        block = carry @ left_matrix_of(core, xp)
        block, scale = equilibrate(block, xp, axis=(0, 1))
        exponent = exponent + xp.log2(scale[0, 0])
        carry = xp.linalg.qr(xp.reshape(block, (-1, core.shape[-1])))[1]
    return times_power(xp.linalg.vector_norm(carry), exponent, xp)


@full_precision
def inner(a: Any, b: Any, /) -> Array:
    r"""Return the inner product :math:`\langle A, B \rangle = \sum_i \overline{A_i}\, B_i`.

    Parameters
    ----------
    a, b : TensorTrain
        Trains of one shape; the first is conjugated.

    Returns
    -------
    array, shape ()
        The inner product, with an error of about :math:`\epsilon\, \|A\|_F \|B\|_F`. It
        overflows only where its value does.

    Raises
    ------
    TypeError, ValueError
        If one is no train, shapes differ, or entries are not finite.

    See Also
    --------
    norm : more accurate than the root of ``inner(a, a)`` where a train is a small difference.

    Notes
    -----
    About :math:`2 \sum_k n_k r_k s_{k+1} (r_{k+1} + s_k)` flops for ranks `r` and `s`.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tt
    >>> ones = tt.TensorTrain((np.ones((1, 3, 1)), np.ones((1, 3, 1))))
    >>> float(tt.inner(ones, tt.scale(ones, 2)))
    18.0
    """
    xp, one, other = _pair(a, b)
    return _inner(one, other, xp=xp)


def _inner(a: Sequence[Array], b: Sequence[Array], *, xp: Namespace) -> Array:
    """Contract both trains core by core, the powers of two of the products aside."""
    exponent = 0.0
    carry = xp.ones_like(a[0][:, 0, :1])
    for left, right in zip(a, b, strict=True):
        r, n, p = left.shape
        s, _, q = right.shape
        block = xp.reshape(carry @ xp.reshape(right, (s, n * q)), (r * n, q))
        block, first = equilibrate(block, xp, axis=(0, 1))
        carry = adjoint(xp.reshape(left, (r * n, p)), xp) @ block
        carry, second = equilibrate(carry, xp, axis=(0, 1))
        exponent = exponent + xp.log2(first[0, 0]) + xp.log2(second[0, 0])
    return times_power(carry[0, 0], exponent, xp)


@full_precision
def add(*trains: Any) -> TensorTrain:
    r"""Return the sum of trains, exactly: their cores as blocks of larger ones.

    Ranks add up; `round` finds the smallest ones. To subtract, add ``scale(train, -1)``.

    Parameters
    ----------
    *trains : TensorTrain
        Trains of one shape; at least one.

    Returns
    -------
    TensorTrain
        The sum, in the common dtype.

    Raises
    ------
    TypeError, ValueError
        If there are none, one is no train, or shapes differ.

    See Also
    --------
    round : recompress the sum.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tt
    >>> ones = tt.TensorTrain((np.ones((1, 3, 1)), np.ones((1, 3, 1))))
    >>> tt.add(ones, ones, ones).rank
    (3,)
    """
    if not trains:
        raise ValueError("there is nothing to add: give at least one train")
    like = next((x for x in map(_first, trains) if x is not None), None)
    checked = [as_chain(x, name=f"trains[{k}]", like=like)[1] for k, x in enumerate(trains)]
    for k, cores in enumerate(checked[1:], start=1):
        check_same_shape(checked[0], cores, names=("trains[0]", f"trains[{k}]"))
    xp = namespace(*(cores[0] for cores in checked))
    flat = promoted([core for cores in checked for core in cores], xp)
    d = len(checked[0])
    return TensorTrain(_add([flat[k : k + d] for k in range(0, len(flat), d)], xp=xp))


def _add(trains: Sequence[Sequence[Array]], *, xp: Namespace) -> tuple[Array, ...]:
    """Put first cores side by side, last ones one below the other, the others on a diagonal."""
    d = len(trains[0])
    if d == 1:
        return (sum((cores[0] for cores in trains[1:]), start=trains[0][0]),)
    out = [xp.concat([cores[0] for cores in trains], axis=2)]
    for k in range(1, d - 1):
        width = sum(cores[k].shape[2] for cores in trains)
        rows, ahead = [], 0
        for cores in trains:
            core = cores[k]
            r, n, q = core.shape
            sides = [
                xp.zeros((r, n, w), dtype=core.dtype, device=device(core))
                for w in (ahead, width - ahead - q)
            ]
            rows.append(xp.concat([sides[0], core, sides[1]], axis=2))
            ahead += q
        out.append(xp.concat(rows, axis=0))
    return (*out, xp.concat([cores[-1] for cores in trains], axis=0))


@full_precision
def hadamard(a: Any, b: Any, /) -> TensorTrain:
    r"""Return the product of trains entry by entry, exactly: slices multiply as Kronecker's do.

    .. math:: (A \odot B)_{i_0 \ldots i_{d-1}} = \prod_k \left( G^{(k)}_{i_k} \otimes
              H^{(k)}_{i_k} \right)

    Parameters
    ----------
    a, b : TensorTrain
        Trains of one shape.

    Returns
    -------
    TensorTrain
        The product, in the common dtype. Ranks multiply; `round` finds the smallest ones.

    Raises
    ------
    TypeError, ValueError
        If one is no train, or shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tt
    >>> twos = tt.TensorTrain((np.ones((1, 3, 2)), np.ones((2, 3, 1))))
    >>> tt.hadamard(twos, twos).rank
    (4,)
    """
    xp, one, other = _pair(a, b)
    return TensorTrain(_hadamard(one, other, xp=xp))


def _hadamard(a: Sequence[Array], b: Sequence[Array], *, xp: Namespace) -> tuple[Array, ...]:
    """Multiply slices as Kronecker products."""
    out = []
    for left, right in zip(a, b, strict=True):
        (r, n, p), (s, _, q) = left.shape, right.shape
        product = left[:, None, :, :, None] * right[None, :, :, None, :]
        out.append(xp.reshape(product, (r * s, n, p * q)))
    return tuple(out)


@full_precision
def scale(train: Any, factor: Any, /) -> TensorTrain:
    """Return a train times a number, multiplied into its first core.

    Parameters
    ----------
    train : TensorTrain
        The train.
    factor : number or array of shape ()
        A real or complex number.

    Returns
    -------
    TensorTrain
        The product; complex where one of the two is.

    Raises
    ------
    TypeError, ValueError
        If `train` is no train, or `factor` not one finite number.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tt
    >>> ones = tt.TensorTrain((np.ones((1, 3, 1)), np.ones((1, 3, 1))))
    >>> float(tt.scale(ones, -2).to_array()[0, 0])
    -2.0
    """
    xp, cores = as_chain(train, name="train")
    number, (first, *rest) = with_number(factor, cores, xp)
    return TensorTrain((first * number, *rest))


@full_precision
def mode_product(train: Any, matrix: Any, mode: int, /) -> TensorTrain:
    r"""Multiply every fibre of a train along one mode by a matrix; no other core changes.

    Parameters
    ----------
    train : TensorTrain
        The train, of shape (n_0, ..., n_{d-1}).
    matrix : array, shape (m, n_mode)
        The matrix.
    mode : int
        The mode; negative ones count from the end.

    Returns
    -------
    TensorTrain
        The product, of size `m` along `mode` and of the same ranks, in the common dtype.

    Raises
    ------
    TypeError, ValueError
        If `train` is no train, there is no such mode, or the matrix does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tt
    >>> ones = tt.TensorTrain((np.ones((1, 3, 1)), np.ones((1, 4, 1))))
    >>> tt.mode_product(ones, np.ones((2, 4)), 1).shape
    (3, 2)
    """
    xp, cores = as_chain(train, name="train")
    shape = [int(core.shape[1]) for core in cores]
    matrix, mode = along_mode(matrix, mode, shape, like=cores[0])
    matrix, *aligned = promoted([matrix, *cores], xp)
    aligned[mode] = matrix @ aligned[mode]
    return TensorTrain(tuple(aligned))


@full_precision
def section(train: Any, region: Any, /) -> TensorTrain:
    """Cut a region out of a train without forming its entries.

    Parameters
    ----------
    train : TensorTrain
        The train.
    region : slice or tuple
        A slice of the first mode, or one entry for each mode: a slice, an int (which drops the
        mode), or a 1-d array of indices.

    Returns
    -------
    TensorTrain
        The region, as a train of the modes that are left.

    Raises
    ------
    TypeError, ValueError
        If `train` is no train, or `region` does not fit it, is empty or names a single entry.

    See Also
    --------
    evaluate : single entries, many at a time.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tt
    >>> ones = tt.TensorTrain((np.ones((1, 3, 2)), np.ones((2, 4, 2)), np.ones((2, 5, 1))))
    >>> tt.section(ones, (slice(0, 2), 0, [1, 3, 4])).shape
    (2, 3)
    """
    xp, cores = as_chain(train, name="train")
    kept: list[Array] = []
    carry = None
    for mode, (core, part) in enumerate(zip(cores, parts(region, len(cores)), strict=True)):
        if is_index(part):
            slab = core[:, index_of(part, int(core.shape[1]), mode), :]
            carry = slab if carry is None else carry @ slab
            continue
        cut = restrict(core, part, -2, xp, mode=mode)
        if cut.shape[1] == 0:
            raise ValueError(f"region[{mode}] keeps no index of mode {mode}")
        kept.append(cut if carry is None else _before(carry, cut, xp))
        carry = None
    if not kept:
        raise ValueError("region names a single entry; pass it to evaluate or to_array")
    if carry is not None:
        kept[-1] = kept[-1] @ carry
    return TensorTrain(tuple(kept))


def _before(carry: Array, core: Array, xp: Namespace) -> Array:
    """Multiply a core by a matrix from the left."""
    product = carry @ left_matrix_of(core, xp)
    return xp.reshape(product, (carry.shape[0], *core.shape[1:]))


def _pair(a: Any, b: Any) -> tuple[Namespace, list[Array], list[Array]]:
    """Validate two trains of one shape and bring them to their common dtype."""
    like = _first(a) if _first(a) is not None else _first(b)
    _, one = as_chain(a, name="a", like=like)
    _, other = as_chain(b, name="b", like=like)
    check_same_shape(one, other, names=("a", "b"))
    xp = namespace(one[0], other[0])
    both = promoted([*one, *other], xp)
    return xp, both[: len(one)], both[len(one) :]


def _first(train: Any) -> Array | None:
    """Return the first array of what may be a train."""
    cores = getattr(train, "cores", train)
    return first_array(cores) if isinstance(cores, list | tuple) else None
