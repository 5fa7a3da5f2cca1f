r"""Sums of products of functions of one variable each, as Chebyshev-Tucker functions.

In a basis that is orthonormal in :math:`L^2` the factors of a sum of `R` products are
:math:`L_k^T C_k = Q_k R_k`, and the core of the sum is that of the small triangles,

.. math:: G = \sum_{r < R} w_r\, (R_0)_{:r} \circ \cdots \circ (R_{d-1})_{:r} ,

of which a truncation is one of the function. No grid is formed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tdecomp._errors import check_reachable, check_rtol
from tdecomp._precision import full_precision
from tdecomp._shim import constant
from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import adjoint, device, differentiated, eps, equilibrate, namespace, traced
from tdecomp.chebyshev._data._coordinates import Line, as_coordinates, check_differentiable
from tdecomp.chebyshev._data._limits import lowered, missed_by, storage
from tdecomp.chebyshev._data._through import series_through
from tdecomp.chebyshev._format import ChebyshevTucker, boxed
from tdecomp.chebyshev._legendre import to_chebyshev, to_legendre
from tdecomp.chebyshev._transform import coefficients
from tdecomp.cp import CP, normalise
from tdecomp.cp._format import as_cp
from tdecomp.linalg import truncation_rank
from tdecomp.linalg._unfolded import double
from tdecomp.tucker import sthosvd
from tdecomp.tucker._targets import check_ranks, floor_of

# Entries of a core beyond which factors are narrowed first, and of one that is not formed at all.
_LARGE, _TOO_LARGE = 1 << 18, 1 << 28
# The part of the tolerance that narrowing may use.
_PART = 0.1
# What rounding costs for each variable, in units of eps.
_ROUNDING = 4.0


@full_precision
def from_cp(
    cp: Any,
    domain: Any = None,
    /,
    *,
    points: Any = None,
    series: bool = False,
    rtol: float | None = None,
    rank: int | tuple[int, ...] | None = None,
) -> ChebyshevTucker:
    r"""Return the function of which a CP decomposition has the values, compressed.

    Every column of a factor is a function of one variable, known by its values at points or by
    its coefficients; their products are summed and compressed in the norm of L2, within `rtol`.
    No grid is formed.

    Parameters
    ----------
    cp : CP, or pair of weights and factors
        A sum of `R` products, of factors of shape (n_k, R).
    domain : array, shape (d, 2), or pair of float, optional
        The box; by default what coordinates span, and ``[-1, 1]`` where there are none.
    points : None, 'uniform', or tuple with one entry for each variable, optional
        Where the values belong, as in `from_grid`: at Chebyshev points, equispaced, or at
        coordinates.
    series : bool, optional
        The columns are coefficients of Chebyshev series, not values.
    rtol : float, optional
        The relative error; by default what rounding allows.
    rank : int or tuple of int, optional
        Upper limits of the ranks, which may forbid the tolerance.

    Returns
    -------
    ChebyshevTucker
        Factors are orthonormal on the unit box.

    Raises
    ------
    TypeError, ValueError
        If `cp` is something else, coordinates do not ascend or lie outside of the domain, an
        option is out of range, or even the compressed core is too large to form.
    ToleranceError
        If `rtol` is below what rounding allows, which is less the more the products cancel each
        other; or below what is missed of values that are left out, of the columns of a variable.

    See Also
    --------
    from_grid : of all values on a grid.
    tdecomp.convert.to_tucker : the same for tensors.

    Notes
    -----
    QR decompositions of all factors, with coefficients that are scaled to be orthonormal, and a
    sum of `R` outer products of the triangles, :math:`2 R \prod_k \min(m_k, R)` flops, which
    `sthosvd` truncates. Where that is much, factors are first projected onto leading singular
    vectors, by a bound that holds for the sum, at a tenth of the tolerance. Work is done in double
    precision. Memory beside the core is bounded, whatever `R`.

    References
    ----------
    .. [1] B. N. Khoromskij, V. Khoromskaia, "Multigrid accelerated tensor approximation of
       function related multidimensional arrays", SIAM J. Sci. Comput. 31, 2009.
       doi:10.1137/080730408
    .. [2] P. Benner, B. N. Khoromskij, V. Khoromskaia, B. Sun, "A mesh-free hybrid
       Chebyshev-Tucker tensor format with applications to multi-particle modelling", 2025,
       arXiv:2503.01696.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.chebyshev import from_cp
    >>> x = np.linspace(-1, 1, 101)[:, None]
    >>> columns = np.exp(-(np.geomspace(0.1, 4, 20) * x) ** 2)  # of 20 Gaussians
    >>> f = from_cp((np.ones(20), (columns, columns, columns)), points="uniform", rtol=1e-6)
    >>> f.rank
    (5, 5, 5)
    """
    xp, cp = as_cp(cp)
    shape = cp.shape
    if series and points is not None:
        raise ValueError("coefficients have no points: pass points= or series=True, not both")
    lines, box = as_coordinates(points, domain, shape)
    rtol = None if rtol is None else check_rtol(rtol)
    rank = None if rank is None else check_ranks(rank, shape, range(cp.modes))
    dtype = cp.dtype
    if not series:
        work = double(cp.factors[0], xp)
        cp = CP(cp.weights, tuple(xp.astype(v, work, copy=False) for v in cp.factors))
        cp = _as_series(cp, lines, rtol, xp)
    core, factors = canonical(cp.weights, cp.factors, rtol=rtol, rank=rank, dtype=dtype, xp=xp)
    return ChebyshevTucker(core, factors, boxed(box, core, xp))


def _as_series(cp: CP, lines: Sequence[Line | None], rtol: float | None, xp: Namespace) -> CP:
    """Return the same with the series through all columns."""
    if differentiated(cp.weights) or any(map(differentiated, cp.factors)):
        check_differentiable(lines)
    if all(line is None for line in lines):
        return CP(cp.weights, tuple(coefficients(factor, xp) for factor in cp.factors))
    # Of columns of length one, weights say how much each counts.
    cp = normalise(cp)
    scales = xp.where(cp.weights > 0, cp.weights, xp.ones_like(cp.weights))
    scales = xp.astype(scales, cp.dtype)
    found = []
    for k, (factor, line) in enumerate(zip(cp.factors, lines, strict=True)):
        series, missed = series_through(factor * scales, line, xp, small=_PART * (rtol or 0.0))
        if rtol is not None and missed > rtol:
            raise missed_by(missed, rtol, missed, f" of variable {k}")
        found.append(series / scales)
    return CP(cp.weights, tuple(found))


def canonical(
    weights: Array,
    factors: Sequence[Array],
    *,
    rtol: float | None = None,
    rank: int | tuple[int, ...] | None = None,
    dtype: DType | None = None,
    xp: Namespace,
) -> tuple[Array, tuple[Array, ...]]:
    r"""Return core and factors of a sum of products of series, truncated in the norm of L2.

    Weights (R,) and coefficients (m_k, R), one product in each column, give a core and
    coefficients (m_k, r_k) that are orthonormal on the unit box, at an error of at most `rtol`,
    or with neither a tolerance nor a rank, of rounding.

    Work is done in double precision, and stored in `dtype`, by default that of the data. Where
    the core of the triangles would be too large, each factor is first projected onto leading
    singular vectors: with columns of norm one that costs

    .. math:: \|(I - P) R_k W (\cdots \odot R_j \odot \cdots)^T\|_F
              \le \|(I - P) R_k W\|_F \, \min_{j \ne k} \|R_j\|_2

    at most, as entrywise products of Gram matrices with ones on their diagonals have no larger
    norm than any of them.
    """
    common = xp.result_type(weights.dtype, *(factor.dtype for factor in factors))
    dtype = common if dtype is None else dtype
    weights, columns, bases, scales = _orthogonal(weights, factors, common, xp)
    if math.prod(_sizes(columns)) > _LARGE and not traced(weights):
        columns, turns = _narrowed(weights, columns, rtol, xp)
        bases = [basis @ turn for basis, turn in zip(bases, turns, strict=True)]
        rtol = None if rtol is None else rtol * math.sqrt(1 - _PART**2)
    core = CP(weights, tuple(columns)).to_array()
    if rtol is not None or (rank is None and not differentiated(core)):
        rtol = _left_over(rtol, weights, core, dtype, xp)
    if rtol is not None or rank is not None:
        found = sthosvd(core, rtol=rtol, rank=lowered(rank, core))
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
        column = to_legendre(safe, xp)
        if count < m:
            q, column = xp.linalg.qr(column)
        else:
            q = xp.eye(m, dtype=work, device=device(safe))
        lengths = xp.linalg.vector_norm(column, axis=0)
        lengths = xp.astype(xp.where(lengths > 0, lengths, xp.ones_like(lengths)), work)
        weights = weights * lengths
        columns.append(column / lengths)
        bases.append(to_chebyshev(q, xp))
        scales.append(scale[0, 0])
    return weights, columns, bases, scales


def _sizes(columns: Sequence[Array]) -> list[int]:
    return [int(column.shape[0]) for column in columns]


def _narrowed(
    weights: Array, columns: Sequence[Array], rtol: float | None, xp: Namespace
) -> tuple[list[Array], list[Array]]:
    """Project columns onto leading singular vectors of the weighted ones, and return these."""
    d, fixed, loose = len(columns), list(map(constant, columns)), constant(weights)
    bases, spectra = zip(*(_left(c * xp.abs(loose), xp) for c in fixed), strict=True)
    loads = [_largest(column, xp) for column in fixed]
    # Of an orthogonal projection, no larger than that of the sum.
    first = _projected(fixed, bases, [int(_LARGE ** (1 / d))] * d)
    norm = float(xp.linalg.vector_norm(CP(loose, first).to_array()))
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


def _left_over(
    rtol: float | None, weights: Array, core: Array, dtype: DType, xp: Namespace
) -> float:
    """Return what is left of a tolerance when products that cancel are rounded, and stored."""
    core, weights = constant(core), constant(weights)
    d, norm, unit = core.ndim, float(xp.linalg.vector_norm(core)), eps(core.dtype, xp)
    lost = storage(core.dtype, dtype, d, xp)
    if norm > 0:
        lost += _ROUNDING * d * unit * float(xp.sum(xp.abs(weights))) / norm
    if rtol is None:
        return min(lost + floor_of(tuple(map(int, core.shape)), range(d), core.dtype, xp), 0.5)
    check_reachable(rtol, 2 * lost, dtype=dtype)
    return rtol - lost
