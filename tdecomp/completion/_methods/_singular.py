r"""A model by its singular values, ``left @ right.T = u @ diag(s) @ v.T`` without conjugates.

Both bases are orthonormal, :math:`U^* U = V^* V = I`; the second holds the conjugates of the right
singular vectors, so that rows and columns are treated alike.
"""

from __future__ import annotations

from typing import NamedTuple

from tdecomp._typing import Array, Namespace
from tdecomp._xp import conj
from tdecomp.linalg._orth import orthonormalize
from tdecomp.linalg._thin import inner_product, mixed_columns


class Singular(NamedTuple):
    """Bases of orthonormal columns, (m, k) and (n, k), and singular values (k,)."""

    u: Array
    s: Array
    v: Array

    def balanced(self, rank: int, xp: Namespace) -> tuple[Array, Array]:
        """Return factors of `rank` columns that share the singular values evenly."""
        root = xp.astype(xp.sqrt(self.s[:rank]), self.u.dtype)
        return self.u[:, :rank] * root, self.v[:, :rank] * root


def singular(left: Array, right: Array, xp: Namespace) -> Singular:
    """Return the singular values of ``left @ right.T``."""
    (p, a), (q, b) = _basis(left, xp), _basis(right, xp)
    u, s, vh = xp.linalg.svd(a @ xp.matrix_transpose(b), full_matrices=False)
    return Singular(mixed_columns(p, u), s, mixed_columns(q, xp.matrix_transpose(vh)))


def of_columns(basis: Array, tall: Array, xp: Namespace) -> Singular:
    """Return the singular values of ``basis @ tall.T`` for an orthonormal basis."""
    q, r = _basis(tall, xp)
    u, s, vh = xp.linalg.svd(r, full_matrices=False)
    return Singular(mixed_columns(basis, xp.matrix_transpose(vh)), s, mixed_columns(q, u))


def orthonormal(y: Array, xp: Namespace) -> Array:
    """Return an orthonormal basis of what the columns span."""
    return _basis(y, xp)[0]


def _basis(y: Array, xp: Namespace) -> tuple[Array, Array]:
    """Factor into orthonormal columns and a square, or of a wide matrix any, rest."""
    if y.shape[0] < y.shape[1]:
        q, r = xp.linalg.qr(y)
        return q, r
    return orthonormalize(y, xp)


def across(left: Array, right: Array, factor: Array, xp: Namespace) -> Array:
    """Return ``(left @ right.T) @ conj(factor)``."""
    return mixed_columns(left, conj(inner_product(right, factor, xp), xp))
