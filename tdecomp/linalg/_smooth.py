r"""Leading singular triplets whose derivatives need only the gap behind them.

Libraries differentiate all singular vectors at once, through :math:`1 / (\sigma_i^2 -
\sigma_j^2)` of all pairs: where two of the discarded values are equal, as are zeros of a matrix of
low rank, NaN reaches the gradient. The leading space itself is smooth wherever
:math:`\sigma_r > \sigma_{r+1}`. It is the fixed point of an iteration, whose derivatives are those
of its steps: with the SVD of the matrix held constant, unknowns :math:`U = U_r + X` and
:math:`V = V_r + Y` normal to :math:`U_r` and :math:`V_r`, and residuals

.. math:: F = (I - U_r U_r^*)(A V - U\, U_r^* A V) , \qquad
          G = (I - V_r V_r^*)(A^* U - V\, V_r^* A^* U) ,

that vanish at the start, a step of Newton's method with that Jacobian solves, for coefficients
:math:`i > r` of columns :math:`j \le r`,

.. math:: \sigma_j X_{ij} - \sigma_i Y_{ij} = F_{ij} , \qquad
          \sigma_j Y_{ij} - \sigma_i X_{ij} = G_{ij} ,

and every step makes one more order of derivatives exact. Bases of `U` and `V` then project the
matrix to :math:`r \times r`, whose SVD the library differentiates.
"""

from __future__ import annotations

from typing import NamedTuple

from tdecomp._shim import constant
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, differentiated, quotient
from tdecomp.linalg._robust import robust_svd

# Gradients and Hessians are exact.
_STEPS = 2


def leading_svd(a: Array, rank: int | None, xp: Namespace) -> tuple[Array, Array, Array]:
    """Return the `rank` leading triplets of a stack of matrices, or all that there are."""
    if rank is not None and rank >= min(a.shape[-2:]):
        rank = None
    if rank is not None and differentiated(a):
        return _smooth_svd(a, rank, xp)
    u, s, vh = robust_svd(a, xp)
    return u[..., :rank], s[..., :rank], vh[..., :rank, :]


class _Side(NamedTuple):
    """Singular vectors on one side: the leading ones and the others."""

    first: Array
    others: Array

    def outside(self, basis: Array, image: Array, xp: Namespace) -> Array:
        """Return what of an image lies outside of a `basis`, and of the leading vectors."""
        dual = adjoint(self.first, xp)
        rest = image - basis @ (dual @ image)
        return rest - self.first @ (dual @ rest)


def _smooth_svd(a: Array, rank: int, xp: Namespace) -> tuple[Array, Array, Array]:
    """Let the leading triplets follow the matrix."""
    q, p = smooth_bases(a, rank, xp)
    inner, values, outer = robust_svd(adjoint(q, xp) @ a @ p, xp)
    return q @ inner, values, outer @ adjoint(p, xp)


def smooth_bases(a: Array, rank: int, xp: Namespace) -> tuple[Array, Array]:
    """Let orthonormal bases of both leading singular spaces follow the matrix."""
    u, s, vh = (constant(x) for x in robust_svd(constant(a), xp))
    v = adjoint(vh, xp)
    left, right = (_Side(x[..., :, :rank], x[..., :, rank:]) for x in (u, v))
    x, y = left.first, right.first
    for _ in range(_STEPS):
        f = left.outside(x, a @ y, xp)
        g = right.outside(y, adjoint(a, xp) @ x, xp)
        dx, dy = _solved(f, g, (left, right), s, xp)
        x, y = x + dx, y + dy
    return xp.linalg.qr(x)[0], xp.linalg.qr(y)[0]


def _solved(
    f: Array, g: Array, sides: tuple[_Side, _Side], s: Array, xp: Namespace
) -> tuple[Array, Array]:
    """Solve for the steps of both bases; where nothing tells vectors apart, they stay."""
    (left, right), rank = sides, f.shape[-1]
    kept, others = s[..., None, :rank], s[..., rank:, None]
    gaps = (kept - others) * (kept + others)
    near, far = (xp.astype(quotient(x, gaps, xp), f.dtype) for x in (kept, others))
    inverse = xp.astype(quotient(xp.ones_like(kept), kept, xp), f.dtype)
    f2, g2 = adjoint(left.others, xp) @ f, adjoint(right.others, xp) @ g
    dx = left.others @ (near * f2 + far * g2) + (f - left.others @ f2) * inverse
    dy = right.others @ (far * f2 + near * g2) + (g - right.others @ g2) * inverse
    return dx, dy
