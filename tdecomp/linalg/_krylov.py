r"""Block Krylov and subspace iteration, one product with the matrix at a time.

Both keep an orthonormal left basis :math:`Q`, an orthonormal right basis :math:`P` and a small
core :math:`M` with :math:`A \approx Q M P^*`. They alternate two half-steps,

.. math:: A^* Q = P M^* \quad\text{(then } Q M P^* = Q Q^* A\text{)}, \qquad
          A P = Q M \quad\text{(then } Q M P^* = A P P^*\text{)},

so after *every* product the approximation is an orthogonal projection of :math:`A`, and
:math:`\|A - Q M P^*\|_F^2 = \|A\|_F^2 - \|M\|_F^2` holds exactly. Block Krylov keeps all blocks
(the Golub-Kahan process with full reorthogonalisation [1]_, [2]_), subspace iteration only the
newest.

References
----------
.. [1] G. H. Golub, F. T. Luk, M. L. Overton, "A block Lanczos method for computing the singular
   values and corresponding singular vectors of a matrix", ACM TOMS 7, 1981.
.. [2] C. Musco, C. Musco, "Randomized block Krylov methods for stronger and faster approximate
   singular value decomposition", NeurIPS 2015, arXiv:1504.05477.
"""

from __future__ import annotations

from typing import NamedTuple

from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, device
from tdecomp.linalg._operand import Operand
from tdecomp.linalg._orth import extend, orthonormalize
from tdecomp.linalg._robust import robust_svd
from tdecomp.linalg._thin import thin_product


class Projection(NamedTuple):
    """An orthogonal projection of the matrix, ``left @ core @ adjoint(right)``, as it grows.

    `lower` is the core of ``A^* @ left = right @ lower``, `upper` that of
    ``A @ right = left @ upper``; `fresh` is the block to multiply next, a left one when
    `from_left`. What a search has not reached yet is None.
    """

    left: Array
    right: Array
    lower: Array
    upper: Array
    fresh: Array
    from_left: bool

    def core(self, xp: Namespace) -> Array:
        """Return the core of the newest projection."""
        return self.upper if self.from_left else adjoint(self.lower, xp)

    def svd(self, xp: Namespace, rank: int | None = None) -> tuple[Array, Array, Array]:
        """Return the thin SVD of the projection, or its leading `rank` triplets."""
        u, s, vh = robust_svd(self.core(xp), xp)
        left = thin_product(self.left, u[:, :rank], xp)
        right = thin_product(self.right, adjoint(vh[:rank, :], xp), xp)
        return left, s[:rank], adjoint(right, xp)


def residual(old: Projection, new: Projection, rank: int, xp: Namespace) -> float:
    r"""Return the squared norm of what one more product found outside the leading triplets.

    With :math:`U, S, V` the leading triplets of `old`, :math:`A V = U S` holds (or its adjoint)
    and the product shows :math:`R = A^* U - V S`, normal to :math:`V`. The triplets gain at least
    :math:`\|R\|_F^2` of energy, to first order just that, and no cancellation hides it.
    """
    u, s, vh = robust_svd(old.core(xp), xp)
    u, v, s = u[:, :rank], adjoint(vh[:rank, :], xp), s[:rank]
    if old.from_left:
        gap = _gap(new.right, new.lower @ u, old.right, v * s, xp)
    else:
        gap = _gap(new.left, new.upper @ v, old.left, u * s, xp)
    return float(xp.linalg.vector_norm(gap)) ** 2


def _gap(basis: Array, x: Array, older: Array, y: Array, xp: Namespace) -> Array:
    """Return ``basis @ x - older @ y``, in coordinates where `basis` extends the older one."""
    added = basis.shape[1] - older.shape[1]
    if not added:
        return thin_product(basis, x, xp) - thin_product(older, y, xp)
    below = xp.zeros((added, y.shape[1]), dtype=y.dtype, device=device(y))
    return x - xp.concat([y, below], axis=0)


def share(p: Projection, rank: int, xp: Namespace) -> float:
    r"""Return how much of the leading singular vectors lies in the block to multiply next.

    The matrix has multiplied all other blocks, so with :math:`E` its part outside the projection
    :math:`\|E V\|_F^2 \le \|E\|_2^2 \|V_{\text{fresh}}\|_F^2`: what the next product can add.
    """
    u, _, vh = robust_svd(p.core(xp), xp)
    width = p.fresh.shape[1]
    part = u[-width:, :rank] if p.from_left else vh[:rank, -width:]
    return float(xp.linalg.vector_norm(part)) ** 2


def start(a: Operand, test: Array) -> Projection:
    """Span the range of ``A @ test``: one product, not yet a projection."""
    return restart(a.matmat(test), a.xp, from_left=True)


def restart(block: Array, xp: Namespace, *, from_left: bool) -> Projection:
    """Span the same space as `block`, on the left or on the right: not yet a projection."""
    q = orthonormalize(block, xp).Q
    return Projection(q if from_left else None, None if from_left else q, None, None, q, from_left)


def advance(a: Operand, p: Projection, *, keep: bool) -> Projection:
    """Make one product with the newest block; `keep` the older ones, or replace them."""
    xp = a.xp
    if p.from_left:
        right, lower = _append(p.right, p.lower, a.rmatmat(p.fresh), xp, keep=keep)
        return p._replace(right=right, lower=lower, fresh=_newest(right, p.fresh), from_left=False)
    left, upper = _append(p.left, p.upper, a.matmat(p.fresh), xp, keep=keep)
    return p._replace(left=left, upper=upper, fresh=_newest(left, p.fresh), from_left=True)


def _newest(basis: Array, block: Array) -> Array:
    """Return the last columns of `basis`, as many as `block` has."""
    return basis[:, basis.shape[1] - block.shape[1] :]


def _append(
    basis: Array | None, core: Array | None, block: Array, xp: Namespace, *, keep: bool
) -> tuple[Array, Array]:
    """Extend `basis` by what `block` adds, and `core` by the coefficients of `block` in it."""
    if basis is None or not keep:
        return tuple(orthonormalize(block, xp))
    q, h, r = extend(basis, block, xp)
    column = xp.concat([h, r], axis=0)
    if core is not None:
        shape = (column.shape[0] - core.shape[0], core.shape[1])
        below = xp.zeros(shape, dtype=core.dtype, device=device(core))
        column = xp.concat([xp.concat([core, below], axis=0), column], axis=1)
    return xp.concat([basis, q], axis=1), column
