r"""Symmetry that the factors of a Kronecker-product SVD inherit from the matrix.

Transposing both factors of every term transposes the matrix. If it is symmetric, the rearranged
matrix therefore commutes with that exchange, and has a singular basis whose members are symmetric
or skew, both factors alike. Any leading basis `U` is split into its two parts; in the space that
they span, one more product finds the leading triplets of either kind.
"""

from __future__ import annotations

import math

import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp._xp import eps, floats
from tdecomp.kronecker._rearranged import Pair
from tdecomp.linalg._formats import SVD
from tdecomp.linalg._operand import Operand
from tdecomp.linalg._svd import robust_svd

# Rows that are compared with columns at a time.
_ROWS = 64


def symmetric(a: Array, shapes: Pair, xp: Namespace) -> bool:
    """Tell whether a real matrix and both its factors are square, and the matrix symmetric."""
    if any(m != n for m, n in shapes) or xp.isdtype(a.dtype, "complex floating"):
        return False
    start, step = 0, 1
    while start < a.shape[0]:
        chosen = slice(start, min(start + step, a.shape[0]))
        if not bool(xp.all(a[chosen, :] == xp.matrix_transpose(a[:, chosen]))):
            return False
        # A matrix that is not symmetric mostly shows it in its first row.
        start, step = chosen.stop, min(2 * step, _ROWS)
    return True


def symmetrised(op: Operand, svd: SVD, shapes: Pair) -> SVD:
    """Return the leading triplets whose factors are symmetric or skew."""
    xp, (first, second) = op.xp, shapes
    found = []
    for sign in (1.0, -1.0):
        q = _basis(_part(svd.U, first, sign, xp), xp)
        if q is None:
            continue
        b = _part(op.rmatmat(q), second, sign, xp)
        v, s, wh = robust_svd(b, xp)
        found.append(SVD(q @ xp.matrix_transpose(wh), s, xp.matrix_transpose(v)))
    u, s, vh = (
        xp.concat(list(parts), axis=axis)
        for parts, axis in zip(zip(*found, strict=True), (1, 0, 0), strict=True)
    )
    values = np.asarray(floats(s))
    order = xp.asarray(np.argsort(-values, kind="stable")[: svd.rank])
    return SVD(xp.take(u, order, axis=1), xp.take(s, order), xp.take(vh, order, axis=0))


def _part(columns: Array, shape: tuple[int, int], sign: float, xp: Namespace) -> Array:
    """Return the symmetric or the skew part of matrices that are columns."""
    stack = xp.reshape(columns, (*shape, columns.shape[1]))
    part = (stack + sign * xp.permute_dims(stack, (1, 0, 2))) / 2
    return xp.reshape(part, columns.shape)


def _basis(columns: Array, xp: Namespace) -> Array | None:
    """Return an orthonormal basis of what is more than rounding of some columns."""
    u, s, _ = robust_svd(columns, xp)
    count = sum(value > math.sqrt(eps(columns.dtype, xp)) for value in floats(s))
    return u[:, :count] if count else None
