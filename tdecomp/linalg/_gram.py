"""Leading triplets of a tall matrix through its Gram matrix, where that keeps the digits."""

from __future__ import annotations

import math

from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, eps
from tdecomp.linalg._orth import orthonormalize
from tdecomp.linalg._thin import thin_product

# Below these sizes LAPACK's SVD is as fast.
ENTRIES = 1 << 20
_ASPECT = 4
# Squares that may be lost: the projection then misses 1e-18 of the energy of a triplet.
_LOSS = 1e-9


def pays(shape: tuple[int, ...], rank: int) -> bool:
    """Tell whether a single matrix is large, tall or wide, and the rank low enough to gain."""
    if len(shape) != 2 or math.prod(shape) < ENTRIES:
        return False
    return _ASPECT * min(shape) <= max(shape) and _ASPECT * rank <= min(shape)


def leading_triplets(a: Array, rank: int, xp: Namespace) -> tuple[Array, Array, Array] | None:
    r"""Return the `rank` leading triplets of a tall or wide `a`, None where digits would be lost.

    The eigenvectors of the computed :math:`A^* A` span the leading right singular space up to
    angles of about :math:`\delta = \epsilon \|A\|_F^2 / \sigma_r^2`. Projecting the matrix itself
    onto that space, by a QR decomposition of :math:`A V`, makes singular vectors orthonormal to
    rounding and loses energy only in second order, :math:`\delta^2 \sigma_i^2`. With
    :math:`\delta \le 10^{-9}` that is below rounding; otherwise the answer is None.
    """
    m, n = a.shape
    if m < n:
        triplets = leading_triplets(adjoint(a, xp), rank, xp)
        return None if triplets is None else _turned(*triplets, xp)
    values, vectors = xp.linalg.eigh(adjoint(a, xp) @ a)
    if not keeps_digits(values, n - rank, xp):
        return None
    v = xp.flip(vectors[:, n - rank :], axis=1)
    q, r = orthonormalize(thin_product(a, v, xp), xp)
    u, s, wh = xp.linalg.svd(r, full_matrices=False)
    return thin_product(q, u, xp), s, wh @ adjoint(v, xp)


def keeps_digits(values: Array, first: int, xp: Namespace) -> bool:
    """Tell whether eigenvectors from `first` on, of ascending eigenvalues, are good enough."""
    return eps(values.dtype, xp) * float(xp.sum(values)) < _LOSS * float(values[first])


def _turned(u: Array, s: Array, vh: Array, xp: Namespace) -> tuple[Array, Array, Array]:
    """Return the triplets of the adjoint."""
    return adjoint(vh, xp), s, adjoint(u, xp)
