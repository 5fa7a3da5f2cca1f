"""Norms, inner products and orthonormal factors of Tucker tensors, safe from cancellation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, equilibrate, times_power
from tdecomp.ops._mode_products import _mode_product
from tdecomp.tucker._format import Tucker, as_tucker, together


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
    core, _, exponent = orthonormal(core, factors, xp)
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
    xp, (one, other) = together([a, b], names=("a", "b"))
    left, q, first = orthonormal(*one, xp)
    right, p, second = orthonormal(*other, xp)
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
    core, factors, exponent = orthonormal(core, factors, xp)
    return Tucker(times_power(core, exponent, xp), tuple(factors))


def orthonormal(
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
