"""The least-squares problem of one factor, when all the others are known."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

from tdecomp._shim import cholesky, lstsq
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, device, eps
from tdecomp.ops._factor_products import _khatri_rao
from tdecomp.ops._mode_products import _mode_products
from tdecomp.ops._unfold import _unfold

# Squared pivots of a scaled Gram matrix below this many eps are rounding.
_PIVOT = 8.0


def gram(factor: Array, xp: Namespace) -> Array:
    r"""Return :math:`A^T \bar A`; entrywise products of such are those of Khatri-Rao products."""
    turned = xp.matrix_transpose(factor)
    return turned @ (xp.conj(factor) if xp.isdtype(factor.dtype, "complex floating") else factor)


def joint_gram(grams: Sequence[Array], mode: int) -> Array:
    """Multiply the Gram matrices of all modes but one entry by entry."""
    others = [*grams[:mode], *grams[mode + 1 :]]
    if not others:
        return grams[mode] * 0 + 1
    return reduce(lambda a, b: a * b, others)


class Solution(NamedTuple):
    """A factor, and the reciprocal condition number of the scaled Gram matrix it comes from."""

    factor: Array
    rcond: float


def solve_normal(mttkrp: Array, joint: Array, xp: Namespace) -> Solution:
    r"""Solve :math:`A H = M` for a semidefinite :math:`H`: Cholesky, or the pseudo-inverse.

    Columns are scaled so that :math:`H` has a unit diagonal, which is within a factor `R` of the
    scaling with the least condition number [1]_. Where a pivot is rounding, eigenvalues below
    ``eps * R`` times the largest count as zero: rank-deficient problems have an answer, the one
    of smallest norm in scaled columns.

    References
    ----------
    .. [1] A. van der Sluis, "Condition numbers and equilibration of matrices", Numer. Math. 14,
       1969. doi:10.1007/BF02165096
    """
    scaled, inverse = _scaled(joint, xp)
    right = mttkrp * inverse
    lower = cholesky(scaled, xp)
    floor = _PIVOT * eps(joint.dtype, xp) * joint.shape[-1]
    if lower is not None:
        pivots = xp.abs(xp.linalg.diagonal(lower))
        rcond = (float(xp.min(pivots)) / float(xp.max(pivots))) ** 2
        if rcond > floor:
            dual = xp.linalg.inv(lower)
            return Solution((right @ adjoint(dual, xp)) @ dual * inverse, rcond)
    values, vectors = xp.linalg.eigh(scaled)
    kept = values > floor * xp.max(values)
    reciprocal = xp.where(kept, 1 / xp.where(kept, values, xp.ones_like(values)), 0 * values)
    weights = xp.astype(reciprocal, joint.dtype)
    return Solution(((right @ vectors) * weights) @ adjoint(vectors, xp) * inverse, 0.0)


def solve_shifted(mttkrp: Array, joint: Array, xp: Namespace) -> Array:
    """Solve the same with a shift of a few eps, which needs no decision: for batches and `jit`."""
    scaled, inverse = _scaled(joint, xp)
    rank = joint.shape[-1]
    shift = _PIVOT * eps(joint.dtype, xp) * rank
    shifted = scaled + shift * xp.eye(rank, dtype=joint.dtype, device=device(joint))
    right = xp.matrix_transpose(mttkrp * inverse[..., None, :])
    solution = xp.linalg.solve(xp.matrix_transpose(shifted), right)
    return xp.matrix_transpose(solution) * inverse[..., None, :]


def solve_orthogonal(
    x: Array, factors: Sequence[Array], mode: int, ridge: float, xp: Namespace
) -> Array:
    r"""Solve the problem of `mode` by orthogonal transformations, which square no condition.

    With :math:`A_k = Q_k R_k` the Khatri-Rao product is :math:`(\bigotimes Q_k)(\bigodot R_k)`, so
    the tensor projected onto all :math:`Q_k` but that of `mode`, and the small matrix
    :math:`\bigodot R_k`, pose the same problem [1]_. A `ridge` adds rows to that matrix.

    References
    ----------
    .. [1] R. Minster, I. Viviano, X. Liu, G. Ballard, "CP decomposition for tensors via
       alternating least squares with QR decomposition", Numer. Linear Algebra Appl. 30, 2023,
       Algorithm 4. doi:10.1002/nla.2511
    """
    others = [k for k in range(x.ndim) if k != mode]
    pairs = [xp.linalg.qr(factors[k]) for k in others]
    bases = [adjoint(q, xp) for q, _ in pairs]
    small = _mode_products(x, bases, others, xp=xp)
    triangles = [r for _, r in pairs] or [xp.ones_like(factors[mode][:1, :])]
    product = _khatri_rao(triangles, xp=xp)
    lengths = xp.linalg.vector_norm(product, axis=0)
    lengths = xp.astype(xp.where(lengths > 0, lengths, xp.ones_like(lengths)), x.dtype)
    q, r = xp.linalg.qr(product / lengths)
    right = adjoint(q, xp) @ xp.matrix_transpose(_unfold(small, mode, xp=xp))
    if ridge:
        penalty = xp.eye(r.shape[1], dtype=r.dtype, device=device(r)) * (ridge**0.5 / lengths)
        r = xp.concat([r, penalty])
        right = xp.concat([right, xp.zeros_like(right[:1, :] + penalty[:, :1])])
    return xp.matrix_transpose(lstsq(r, right, xp) / lengths[:, None])


def _scaled(joint: Array, xp: Namespace) -> tuple[Array, Array]:
    """Scale a Gram matrix to a unit diagonal; return it with the inverse lengths of columns."""
    squares = xp.linalg.diagonal(joint)
    if xp.isdtype(joint.dtype, "complex floating"):
        squares = xp.real(squares)
    safe = squares > float(xp.finfo(joint.dtype).smallest_normal)
    lengths = xp.sqrt(xp.where(safe, squares, xp.ones_like(squares)))
    inverse = xp.astype(xp.where(safe, 1 / lengths, xp.zeros_like(lengths)), joint.dtype)
    return joint * inverse[..., :, None] * inverse[..., None, :], inverse
