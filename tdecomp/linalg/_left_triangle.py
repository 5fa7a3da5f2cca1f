"""The triangular factor of an unfolding's columns: orthogonal transformations, every digit."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp._xp import is_numpy
from tdecomp.linalg._robust import robust_svd
from tdecomp.linalg._unfolded import blocks, columns

# A block has this many times more columns than rows: stacking costs a tenth of the flops. Blocks
# of so many entries fit the cache, and BLAS wakes no threads for them.
_TALL, _BLOCK = 10, 1 << 13


def left_singular(t: Array, xp: Namespace) -> tuple[Array, Array]:
    """Return left singular vectors and singular values of the unfolding of ``(before, n, after)``.

    They are those of the transposed triangular factor: backward stable.
    """
    u, s, _ = robust_svd(xp.matrix_transpose(triangle(t, xp)), xp)
    return u, s


def triangle(t: Array, xp: Namespace) -> Array:
    """Return `R` with :math:`X_{(n)}^T = Q R`."""
    n = t.shape[1]
    if t.shape[0] * t.shape[2] <= n:
        return xp.matrix_transpose(columns(t, xp))
    parts = blocks(t, entries=max(_TALL * n * n, _BLOCK))
    return triangle_of((xp.matrix_transpose(columns(part, xp)) for part in parts), xp)


def triangle_of(parts: Iterable[Array], xp: Namespace) -> Array:
    """Return `R` of a tall matrix whose rows come in parts: TSQR on a flat tree [1]_.

    References
    ----------
    .. [1] J. Demmel, L. Grigori, M. Hoemmen, J. Langou, "Communication-optimal parallel and
       sequential QR and LU factorizations", SIAM J. Sci. Comput. 34, 2012.
       doi:10.1137/080731992
    """
    r = None
    for rows in parts:
        r = _factor(rows if r is None else xp.concat([r, rows]), xp)
    return r


def _factor(a: Array, xp: Namespace) -> Array:
    """Return the triangular factor alone, where the library saves the other."""
    return np.linalg.qr(a, mode="r") if is_numpy(a) else xp.linalg.qr(a)[1]
