r"""Sums of products of functions of one variable each, as Chebyshev-Tucker functions.

In a basis that is orthonormal in :math:`L^2` the factors of a sum of `R` products are
:math:`L_k^T C_k = Q_k R_k`, and the core of the sum is that of the small triangles,

.. math:: G = \sum_{r < R} w_r\, (R_0)_{:r} \circ \cdots \circ (R_{d-1})_{:r} ,

of which a truncation is one of the function. No grid is formed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tdecomp._errors import check_reachable
from tdecomp._shim import solve_triangular
from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import adjoint, device, eps, equilibrate, namespace, traced
from tdecomp.chebyshev._compress import _root_like
from tdecomp.cp import CP
from tdecomp.linalg import truncation_rank
from tdecomp.linalg._unfolded import double
from tdecomp.tucker import sthosvd

# Entries of a core beyond which factors are narrowed first, and of one that is not formed at all.
_LARGE, _TOO_LARGE = 1 << 18, 1 << 28
# The part of the tolerance that narrowing may use.
_PART = 0.1
# What rounding costs for each variable, in units of eps.
_ROUNDING = 4.0


def canonical(
    weights: Array,
    factors: Sequence[Array],
    *,
    rtol: float | None = None,
    rank: int | tuple[int, ...] | None = None,
    xp: Namespace,
) -> tuple[Array, tuple[Array, ...]]:
    r"""Return core and factors of a sum of products of series, truncated in the norm of L2.

    Weights (R,) and coefficients (m_k, R), one product in each column, give a core and
    coefficients (m_k, r_k) that are orthonormal on the unit box, at an error of at most `rtol`.
    With neither a tolerance nor a rank nothing is left out but what is linearly dependent.

    Work is done in double precision. Where the core of the triangles would be too large, each
    factor is first projected onto leading singular vectors: with columns of norm one that costs

    .. math:: \|(I - P) R_k W (\cdots \odot R_j \odot \cdots)^T\|_F
              \le \|(I - P) R_k W\|_F \, \min_{j \ne k} \|R_j\|_2

    at most, as entrywise products of Gram matrices with ones on their diagonals have no larger
    norm than any of them.
    """
    dtype = xp.result_type(weights.dtype, *(factor.dtype for factor in factors))
    weights, columns, bases, scales = _orthogonal(weights, factors, dtype, xp)
    if math.prod(_sizes(columns)) > _LARGE and not traced(weights):
        columns, turns = _narrowed(weights, columns, rtol, xp)
        bases = [basis @ turn for basis, turn in zip(bases, turns, strict=True)]
        rtol = None if rtol is None else rtol * math.sqrt(1 - _PART**2)
    core = CP(weights, tuple(columns)).to_array()
    if rtol is not None:
        rtol = _left_over(rtol, weights, core, dtype, xp)
    if rtol is not None or rank is not None:
        found = sthosvd(core, rtol=rtol, rank=rank)
        core = found.core
        bases = [basis @ turn for basis, turn in zip(bases, found.factors, strict=True)]
    for scale in scales:
        core = core * scale
    return xp.astype(core, dtype), tuple(xp.astype(basis, dtype) for basis in bases)


def _orthogonal(
    weights: Array, factors: Sequence[Array], dtype: DType, xp: Namespace
) -> tuple[Array, list[Array], list[Array], list[Array]]:
    """Return weights, columns of norm one in orthonormal bases, those, and powers of two."""
    weights, *factors = (xp.astype(x, dtype, copy=False) for x in (weights, *factors))
    work = double(weights, xp)
    weights, scale = equilibrate(xp.astype(weights, work, copy=False), xp, axis=0)
    columns, bases, scales = [], [], [scale[0]]
    for factor in factors:
        safe, scale = equilibrate(xp.astype(factor, work, copy=False), xp, axis=(0, 1))
        m, count = factor.shape
        upper = _root_like(m, safe, xp)
        column, q = upper @ safe, xp.eye(m, dtype=work, device=device(safe))
        if count < m:
            q, column = xp.linalg.qr(column)
        lengths = xp.linalg.vector_norm(column, axis=0)
        lengths = xp.astype(xp.where(lengths > 0, lengths, xp.ones_like(lengths)), work)
        weights = weights * lengths
        columns.append(column / lengths)
        bases.append(solve_triangular(upper, q, xp, lower=False))
        scales.append(scale[0, 0])
    return weights, columns, bases, scales


def _sizes(columns: Sequence[Array]) -> list[int]:
    return [int(column.shape[0]) for column in columns]


def _narrowed(
    weights: Array, columns: Sequence[Array], rtol: float | None, xp: Namespace
) -> tuple[list[Array], list[Array]]:
    """Project columns onto leading singular vectors of the weighted ones, and return these."""
    d = len(columns)
    bases, spectra = zip(*(_left(c * xp.abs(weights), xp) for c in columns), strict=True)
    loads = [_largest(column, xp) for column in columns]
    # Of an orthogonal projection, no larger than that of the sum.
    side = int(_LARGE ** (1 / d))
    norm = float(
        xp.linalg.vector_norm(CP(weights, _projected(columns, bases, [side] * d)).to_array())
    )
    small = eps(weights.dtype, xp) if rtol is None else _PART * rtol
    ranks = [
        truncation_rank(s, atol=small * norm / math.sqrt(d) / min(loads[:k] + loads[k + 1 :]))
        for k, s in enumerate(spectra)
    ]
    if math.prod(ranks) > _TOO_LARGE:
        raise ValueError(
            f"the sum needs a core of {' x '.join(map(str, ranks))} entries at first, which is "
            "too large; pass a larger rtol="
        )
    return list(_projected(columns, bases, ranks)), [
        u[:, :r] for u, r in zip(bases, ranks, strict=True)
    ]


def _left(columns: Array, xp: Namespace) -> tuple[Array, Array]:
    """Return left singular vectors and singular values."""
    if columns.shape[1] > columns.shape[0]:
        columns = adjoint(xp.linalg.qr(adjoint(columns, xp))[1], xp)
    u, s, _ = xp.linalg.svd(columns, full_matrices=False)
    return u, s


def _largest(columns: Array, xp: Namespace) -> float:
    """Return the largest singular value, to more digits than a bound needs."""
    if columns.shape[1] > columns.shape[0]:
        columns = adjoint(columns, xp)
    return math.sqrt(float(xp.max(xp.linalg.eigvalsh(adjoint(columns, xp) @ columns))))


def _projected(
    columns: Sequence[Array], bases: Sequence[Array], ranks: Sequence[int]
) -> tuple[Array, ...]:
    """Return coefficients of columns in the leading vectors of bases."""
    return tuple(
        adjoint(u[:, :r], namespace(u)) @ column
        for u, column, r in zip(bases, columns, ranks, strict=True)
    )


def _left_over(rtol: float, weights: Array, core: Array, dtype: DType, xp: Namespace) -> float:
    """Return what is left of a tolerance when products that cancel are rounded, and stored."""
    d, norm = core.ndim, float(xp.linalg.vector_norm(core))
    stored = 0.0 if dtype == core.dtype else 2 * (d + 1) * eps(dtype, xp)
    rounded = 0.0
    if norm > 0:
        total = float(xp.sum(xp.abs(weights)))
        rounded = _ROUNDING * d * eps(core.dtype, xp) * total / norm
    check_reachable(rtol, 2 * (stored + rounded), dtype=dtype)
    return rtol - stored - rounded
