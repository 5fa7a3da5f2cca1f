r"""Structure that the factors of a Kronecker-product SVD inherit from the matrix, exactly.

*Symmetry.* Taking adjoints of both factors of every term takes that of the matrix. If it is its
own, the rearranged matrix :math:`\mathcal{R}` commutes with that exchange, and has a singular
basis whose members are symmetric or skew, both factors alike; complex ones are all Hermitian,
since a skew one is `i` times a Hermitian one. So any leading basis is split into its parts, and in
the space that they span one more product finds the leading triplets of each kind. Hermitian
matrices form a real vector space: their singular vectors are found in real arithmetic.

*Positivity.* If :math:`A \ge 0` entry by entry, so is :math:`\mathcal{R}`, and

.. math:: |u|^T \mathcal{R}\, |v| \ge u^T \mathcal{R}\, v ,

so that :math:`|u_1|` captures no less than :math:`u_1`, and its partner
:math:`\mathcal{R}^T |u_1|` is nonnegative, too. If `A` is positive semidefinite, the same holds
of the absolute values :math:`|U| = (U^* U)^{1/2}` of Hermitian matrices: with
:math:`U = U_+ - U_-` all four :math:`\langle U_\pm \otimes V_\pm, A \rangle` are nonnegative.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, eps, floats
from tdecomp.kronecker._facts import Facts
from tdecomp.kronecker._rearranged import Pair
from tdecomp.linalg._formats import SVD
from tdecomp.linalg._operand import Operand
from tdecomp.linalg._robust import robust_svd
from tdecomp.linalg._signs import canonical_signs

# Squares that agree within so many eps times the length of a vector are equal.
_ROUNDINGS = 16
Part = Callable[[Array, tuple[int, int]], Array]


class _Kind(NamedTuple):
    """A class of vectorised matrices: columns that span some, and the projection onto it."""

    columns: Array
    part: Part
    hermitian: bool = False


def structured(op: Operand, svd: SVD, facts: Facts, shapes: Pair) -> SVD:
    """Return triplets that keep the structure, no fewer; `svd` is any leading basis.

    They are orthogonal on the left, their right vectors are what the matrix makes of them.
    """
    xp = op.xp
    first = _absolute(svd.U[:, :1], facts, shapes[0], xp)
    enough = float(svd.S[0] / op.scale) ** 2
    enough *= 1 - _ROUNDINGS * eps(svd.S.dtype, xp) * math.sqrt(max(op.shape))
    found = []
    for k, kind in enumerate(_kinds(svd.U, facts, shapes[0], xp)):
        found += _triplets(op, kind, first if k == 0 else None, enough, shapes)
    u, s, vh = (
        xp.concat(list(parts), axis=axis)
        for parts, axis in zip(zip(*found, strict=True), (1, 0, 0), strict=True)
    )
    order = xp.asarray(np.argsort(-np.asarray(floats(s)), kind="stable"))
    return SVD(xp.take(u, order, axis=1), xp.take(s, order), xp.take(vh, order, axis=0))


def with_signs(svd: SVD, facts: Facts, shapes: Pair, xp: Namespace) -> SVD:
    """Turn each pair: the largest entry of a left factor is positive, if that keeps it Hermitian.

    Of complex Hermitian ones it is the largest entry of the diagonal, which is real.
    """
    if not facts.hermitian or not xp.isdtype(svd.U.dtype, "complex floating"):
        u, vh = canonical_signs(svd.U, svd.Vh, xp)
        return SVD(u, svd.S, vh)
    n = shapes[0][0]
    diagonal = xp.real(svd.U[:: n + 1, :])
    place = xp.argmax(xp.abs(diagonal), axis=0, keepdims=True)
    largest = xp.take_along_axis(diagonal, place, axis=0)[0, :]
    ones = xp.ones_like(largest)
    sign = xp.astype(xp.where(largest < 0, -ones, ones), svd.U.dtype)
    return SVD(svd.U * sign, svd.S, svd.Vh * sign[:, None])


def _kinds(u: Array, facts: Facts, shape: tuple[int, int], xp: Namespace) -> list[_Kind]:
    """Split a basis; a nonnegative matrix, or a definite one, is of the first kind."""
    if not facts.hermitian:
        return [_Kind(u, lambda x, _: x)]

    def symmetric(x: Array, shape: tuple[int, int]) -> Array:
        return (x + _exchanged(x, shape, xp)) / 2

    def skew(x: Array, shape: tuple[int, int]) -> Array:
        return (x - _exchanged(x, shape, xp)) / 2

    if not xp.isdtype(u.dtype, "complex floating"):
        return [_Kind(symmetric(u, shape), symmetric), _Kind(skew(u, shape), skew)]
    both = xp.concat([u, -1j * u], axis=1)
    return [_Kind(symmetric(both, shape), symmetric, hermitian=True)]


def _exchanged(x: Array, shape: tuple[int, int], xp: Namespace) -> Array:
    """Return the adjoints of matrices that are columns."""
    stack = xp.reshape(x, (*shape, x.shape[1]))
    turned = xp.reshape(xp.permute_dims(stack, (1, 0, 2)), x.shape)
    return xp.conj(turned) if xp.isdtype(x.dtype, "complex floating") else turned


def _absolute(u: Array, facts: Facts, shape: tuple[int, int], xp: Namespace) -> Array | None:
    """Return the absolute value of a vectorised matrix, or those of its entries, of norm one."""
    if facts.definite:
        _, s, vh = robust_svd(xp.reshape(u, shape), xp)
        root = adjoint(vh, xp) * xp.astype(xp.sqrt(s), u.dtype)
        size = root @ adjoint(root, xp)
        return _unit(xp.reshape(size + adjoint(size, xp), (-1, 1)), xp)
    return _unit(xp.abs(u), xp) if facts.nonnegative else None


def _triplets(
    op: Operand, kind: _Kind, first: Array | None, enough: float, shapes: Pair
) -> list[tuple[Array, Array, Array]]:
    """Return the triplet of a `first` vector, if it captures enough, and leading ones beside."""
    xp = op.xp
    columns = kind.columns
    if first is not None:
        columns = columns - first @ _inner(first, columns, kind, xp)
    q = _basis(columns, kind, xp)
    if first is not None:
        q = first if q is None else xp.concat([first, q], axis=1)
    if q is None:
        return []
    b = kind.part(op.rmatmat(q), shapes[1])
    found = []
    if first is not None and float(xp.linalg.vector_norm(b[:, 0])) ** 2 >= enough:
        size = xp.linalg.vector_norm(b[:, :1], axis=0)
        found.append((q[:, :1], size, adjoint(b[:, :1] / xp.astype(size, b.dtype), xp)))
        q, b = q[:, 1:], b[:, 1:]
    if q.shape[1]:
        v, s, wh = robust_svd(_reals(b, kind, xp), xp)
        w = xp.astype(adjoint(wh, xp), q.dtype)
        found.append((q @ w, s, adjoint(_matrices(v, kind, b, xp), xp)))
    return found


def _basis(columns: Array, kind: _Kind, xp: Namespace) -> Array | None:
    """Return an orthonormal basis of what is more than rounding of some columns."""
    u, s, _ = robust_svd(_reals(columns, kind, xp), xp)
    count = sum(value > math.sqrt(eps(columns.dtype, xp)) for value in floats(s))
    return _matrices(u[:, :count], kind, columns, xp) if count else None


def _inner(first: Array, columns: Array, kind: _Kind, xp: Namespace) -> Array:
    """Return inner products, real ones of Hermitian matrices."""
    product = adjoint(first, xp) @ columns
    return xp.astype(xp.real(product), columns.dtype) if kind.hermitian else product


def _reals(columns: Array, kind: _Kind, xp: Namespace) -> Array:
    """Return Hermitian matrices as real vectors with the same inner products."""
    if not kind.hermitian:
        return columns
    return xp.concat([xp.real(columns), xp.imag(columns)], axis=0)


def _matrices(vectors: Array, kind: _Kind, like: Array, xp: Namespace) -> Array:
    """Return the matrices that such vectors stand for."""
    if not kind.hermitian:
        return vectors
    n = vectors.shape[0] // 2
    return xp.astype(vectors[:n, :], like.dtype) + 1j * xp.astype(vectors[n:, :], like.dtype)


def _unit(x: Array, xp: Namespace) -> Array:
    return x / xp.astype(xp.linalg.vector_norm(x), x.dtype)
