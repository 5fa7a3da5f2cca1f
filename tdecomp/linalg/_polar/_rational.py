"""Steps that rational functions of a matrix are made of, in QR decompositions or solutions."""

from __future__ import annotations

import math

from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, device


def norm_bound(a: Array, xp: Namespace) -> Array:
    """Return the root of the largest row sum times the largest column sum."""
    sizes = xp.abs(a)
    rows, columns = (xp.max(xp.sum(sizes, axis=axis), axis=-1) for axis in (-1, -2))
    return xp.sqrt(rows) * xp.sqrt(columns)


def normalised(a: Array, xp: Namespace) -> Array:
    """Divide by a bound of the norm."""
    bound = norm_bound(a, xp)
    bound = xp.where(bound > 0, bound, xp.ones_like(bound))
    return a / xp.astype(bound, a.dtype)[..., None, None]


def resolvent(x: Array, weight: float, xp: Namespace, *, by_qr: bool) -> Array:
    r"""Return :math:`w X (I + w X^* X)^{-1}` for a positive weight.

    By the QR decomposition of :math:`[\sqrt{w} X; I] = [Q_1; Q_2] R`, as
    :math:`\sqrt{w} Q_1 Q_2^*`, which is stable for every weight; or by solving, for weights up to
    some hundreds, the condition of :math:`I + w X^* X`.
    """
    m, n = x.shape[-2:]
    unit = xp.eye(n, dtype=x.dtype, device=device(x))
    if by_qr:
        root = math.sqrt(weight)
        below = xp.broadcast_to(unit, (*x.shape[:-2], n, n))
        q = xp.linalg.qr(xp.concat([root * x, below], axis=-2))[0]
        return root * (q[..., :m, :] @ adjoint(q[..., m:, :], xp))
    gram = unit + weight * (adjoint(x, xp) @ x)
    return weight * adjoint(xp.linalg.solve(gram, adjoint(x, xp)), xp)


def polished(x: Array, xp: Namespace) -> Array:
    """Return the result of a Newton-Schulz step: what is orthonormal to half the digits is now."""
    return 1.5 * x - 0.5 * (x @ (adjoint(x, xp) @ x))
