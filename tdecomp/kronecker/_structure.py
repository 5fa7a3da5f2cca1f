r"""Symmetry that the factors of a Kronecker-product SVD inherit from the matrix.

*Real symmetric.* Transposing both factors of every term transposes the matrix. If it is
symmetric, the rearranged matrix therefore commutes with that exchange, and has a singular basis
whose members are symmetric or skew, both factors alike. Any leading basis `U` is split into its
two parts; in the space that they span, one more product finds the leading triplets of either kind.

*Complex Hermitian.* A skew factor is `i` times a Hermitian one, so all may be Hermitian: where
singular values are distinct, only phases are to be found.
"""

from __future__ import annotations

import math

import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, eps, floats
from tdecomp.kronecker._rearranged import Pair
from tdecomp.linalg._formats import SVD
from tdecomp.linalg._operand import Operand
from tdecomp.linalg._svd import robust_svd

# Rows that are compared with columns at a time.
_ROWS = 64


def hermitian(a: Array, shapes: Pair, xp: Namespace) -> bool:
    """Tell whether a matrix and both its factors are square, and the matrix its own adjoint."""
    if any(m != n for m, n in shapes):
        return False
    start, step = 0, 1
    while start < a.shape[0]:
        chosen = slice(start, min(start + step, a.shape[0]))
        if not bool(xp.all(a[chosen, :] == adjoint(a[:, chosen], xp))):
            return False
        # A matrix that is not Hermitian mostly shows it in its first row.
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


def turned(u: Array, vh: Array, shapes: Pair, xp: Namespace) -> tuple[Array, Array]:
    r"""Turn complex pairs so that both matrices are Hermitian, where they are but for a phase.

    With a Hermitian `H` and :math:`U = e^{i \varphi} H`, :math:`\operatorname{tr} U^2` is
    :math:`e^{2 i \varphi} \|H\|_F^2`.
    """
    n = shapes[0][0]
    stack = xp.reshape(u, (n, n, u.shape[1]))
    squares = xp.sum(xp.sum(stack * xp.permute_dims(stack, (1, 0, 2)), axis=0), axis=0)
    size = xp.abs(squares)
    safe = xp.astype(xp.where(size > 0, size, xp.ones_like(size)), u.dtype)
    phase = xp.sqrt(xp.where(size > 0, squares / safe, xp.ones_like(squares)))
    # The diagonal of a Hermitian matrix is real: its largest entry says the sign.
    diagonal = xp.real(xp.linalg.diagonal(xp.permute_dims(stack * xp.conj(phase), (2, 0, 1))))
    place = xp.argmax(xp.abs(diagonal), axis=1, keepdims=True)
    largest = xp.take_along_axis(diagonal, place, axis=1)[:, 0]
    phase = phase * xp.astype(
        xp.where(largest < 0, -xp.ones_like(largest), xp.ones_like(largest)), u.dtype
    )
    return u * xp.conj(phase), vh * phase[:, None]


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
