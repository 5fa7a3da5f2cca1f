r"""All singular triplets of a matrix with a short side, read a few rows at a time.

Of a tall matrix with rows in strips, :math:`B = Q T`, the triangular factor `T` has the singular
values and right singular vectors, to rounding. Left ones come from one more reading: those of
:math:`B V_r`, orthonormal whatever `V_r` is, and optimal in its span.
"""

from __future__ import annotations

from functools import reduce

from tdecomp._iterate import Fit, Status
from tdecomp._typing import Array
from tdecomp._xp import adjoint, eps
from tdecomp.kronecker._operands import strips
from tdecomp.linalg._formats import SVD
from tdecomp.linalg._gram import keeps_digits
from tdecomp.linalg._left_triangle import triangle_of
from tdecomp.linalg._operand import Operand
from tdecomp.linalg._orth import orthonormalize
from tdecomp.linalg._robust import robust_svd
from tdecomp.linalg._search import projection_error
from tdecomp.linalg._thin import thin_product
from tdecomp.linalg._truncation import reachable_rtol, tail_norms, truncation_rank


def short_svd(op: Operand, rank: int | None, rtol: float | None) -> Fit[SVD]:
    """Return the leading triplets of a matrix whose shorter side is short; never formed."""
    xp, wide = op.xp, op.shape[0] < op.shape[1]
    short = _by_gram(op, rank) if rtol is None and rank is not None else None
    if short is None:
        short = _by_triangle(op, rank, rtol)
    q, t = orthonormalize(op.rmatmat(short) if wide else op.matmat(short), xp)
    x, s, wh = robust_svd(t, xp)
    long, short = thin_product(q, x, xp), short @ adjoint(wh, xp)
    u, v = (short, long) if wide else (long, short)
    svd = SVD(u, s, adjoint(v, xp))
    error = projection_error(op, svd) if op.total else 0.0
    return Fit(svd._replace(S=s * op.scale), error, 1, Status.CONVERGED)


def _by_triangle(op: Operand, rank: int | None, rtol: float | None) -> Array:
    """Return the leading singular vectors on the short side, backward stable."""
    xp = op.xp
    _, s, vh = robust_svd(triangle_of(strips(op), xp), xp)
    if rtol is not None:
        floor = reachable_rtol(*op.shape, eps(op.like.dtype, xp))
        rank = truncation_rank(s, rank=rank, atol=(rtol - floor / 4) * tail_norms(s)[0])
    return adjoint(vh[:rank, :], xp)


def _by_gram(op: Operand, rank: int) -> Array | None:
    """Return them from the Gram matrix, where that loses no digit."""
    xp = op.xp
    gram = reduce(lambda total, part: total + adjoint(part, xp) @ part, strips(op), 0.0)
    values, vectors = xp.linalg.eigh(gram)
    first = values.shape[0] - rank
    if not keeps_digits(values, first, xp):
        return None
    return xp.flip(vectors[:, first:], axis=1)
