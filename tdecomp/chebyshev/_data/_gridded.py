r"""Chebyshev-Tucker functions from values on grids.

The values are compressed first, and only the few columns of their factors are transformed. In
values at Chebyshev points the inner product of :math:`L^2` is not diagonal, but with the weights

.. math:: w_j = \frac{\pi}{n - 1} \sqrt{1 - t_j^2 + (n - 1)^{-2}}

the map from :math:`w_j^{1/2} f(t_j)` to :math:`f` in :math:`L^2` has a norm :math:`\mu_n` that
grows like a logarithm, from 1.2 at :math:`n = 9` to 2.4 at :math:`n = 1000`. What is left out of
weighted values of `d` variables is at most :math:`\mu_n^d` as much in :math:`L^2`: it may be a
part of the tolerance, and the rest is spent by a truncation in :math:`L^2`.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tdecomp._errors import check_reachable, check_rtol
from tdecomp._measure import relative_error
from tdecomp._precision import full_precision
from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import device, differentiated, equilibrate, namespace, prepare
from tdecomp.chebyshev._compress import orthonormal, recompress
from tdecomp.chebyshev._data._coordinates import Line, as_coordinates, check_differentiable
from tdecomp.chebyshev._data._limits import lowered, missed_by, storage
from tdecomp.chebyshev._data._through import series_through
from tdecomp.chebyshev._format import ChebyshevTucker, boxed
from tdecomp.chebyshev._legendre import root
from tdecomp.chebyshev._points import points as chebyshev_points
from tdecomp.chebyshev._series import polynomials
from tdecomp.chebyshev._transform import coefficients
from tdecomp.linalg._unfolded import double
from tdecomp.tucker import Tucker, sthosvd
from tdecomp.tucker._targets import check_ranks, floor_of

# The part of the tolerance for values before they are transformed.
_PART = 0.1
# Norms are computed up to this many points; beyond they grow by less than that for twice as many.
_EXACT, _PER_DOUBLING = 129, 0.2


@full_precision
def from_grid(
    values: Any,
    domain: Any = None,
    /,
    *,
    points: Any = None,
    rtol: float | None = None,
    rank: int | tuple[int, ...] | None = None,
) -> ChebyshevTucker:
    r"""Return the function through values on a grid, compressed.

    At Chebyshev points it is the polynomial that interpolates them, within `rtol` in the norm of
    L2: the inverse of `ChebyshevTucker.to_array`. At other points it is near the values, within
    `rtol` in the Frobenius norm.

    Parameters
    ----------
    values : array, shape (n_0, ..., n_{d-1})
        Real or complex, one mode for each variable.
    domain : array, shape (d, 2), or pair of float, optional
        The box; by default what coordinates span, and ``[-1, 1]`` where there are none.
    points : None, 'uniform', or tuple with one entry for each variable, optional
        Where the values belong, in each variable in ascending order: at the extrema of a Chebyshev
        polynomial (None); equispaced, both ends included (``'uniform'``); at coordinates, an array
        of shape (n_k,).
    rtol : float, optional
        The relative error; by default what rounding allows, or at other points, a tenth of what is
        missed of values that are left out.
    rank : int or tuple of int, optional
        Upper limits of the ranks, which may forbid the tolerance.

    Returns
    -------
    ChebyshevTucker
        Factors are orthonormal on the unit box. At Chebyshev points there are as many
        coefficients as points; at others as many as values that are left out speak for.

    Raises
    ------
    TypeError, ValueError
        If `values` are empty or not finite, coordinates do not ascend or lie outside of the
        domain, or an option is out of range.
    ToleranceError
        If `rtol` is below what rounding allows; or if values that were left out are missed by
        more: the points are too far apart, or the values are noisy.

    See Also
    --------
    chebyshev_tucker : of a function that can be evaluated, from far fewer values.
    to_tucker : the way back, to any grid.

    Notes
    -----
    The values are compressed by `sthosvd`; what follows costs as much as their few columns. At
    other points than Chebyshev's each column becomes the series of a least-squares fit or of a
    spline, whichever misses less of values in the interior that are left out. What is missed near
    the ends, and between points that are too far apart to show it, no method can tell. This part
    runs on the host, and gives no gradients. With gradients, or under tracing, where `rank` is
    required, the transforms come before the compression.

    References
    ----------
    .. [1] B. Hashemi, L. N. Trefethen, "Chebfun in three dimensions", SIAM J. Sci. Comput. 39,
       2017. doi:10.1137/16M1083803
    .. [2] R. B. Platte, L. N. Trefethen, A. B. J. Kuijlaars, "Impossibility of fast stable
       approximation of analytic functions from equispaced samples", SIAM Review 53, 2011.
       doi:10.1137/090774707

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.chebyshev import evaluate, from_grid
    >>> x, y = np.linspace(0, 2, 60), np.linspace(0, 1, 50)
    >>> f = from_grid(np.sin(x[:, None] + y), points=(x, y), rtol=1e-12)
    >>> f.rank
    (2, 2)
    >>> bool(abs(evaluate(f, [1.234, 0.567]) - np.sin(1.801)) < 1e-12)
    True
    """
    xp, x = prepare(values, ndim=1, batch=True, name="values")
    shape = tuple(map(int, x.shape))
    lines, box = as_coordinates(points, domain, shape)
    wish = _Wish(
        None if rtol is None else check_rtol(rtol),
        None if rank is None else check_ranks(rank, shape, range(x.ndim)),
        x.dtype,
    )
    if differentiated(x):
        return _transformed(x, lines, boxed(box, x, xp), wish, xp)
    safe, scale = equilibrate(x, xp, axis=tuple(range(x.ndim)))
    safe = xp.astype(safe, double(x, xp), copy=False)
    if all(line is None for line in lines):
        core, factors = _interpolated(safe, wish, xp)
    else:
        core, factors = _near(safe, lines, wish, xp)
    core = xp.astype(core, x.dtype) * xp.astype(scale, x.dtype)
    stored = tuple(xp.astype(factor, x.dtype) for factor in factors)
    return ChebyshevTucker(core, stored, boxed(box, x, xp))


class _Wish(NamedTuple):
    """How near, of which ranks, and stored in what."""

    rtol: float | None
    rank: tuple[int, ...] | None
    dtype: DType


def _transformed(
    x: Array, lines: list[Line | None], box: Array, wish: _Wish, xp: Namespace
) -> ChebyshevTucker:
    """Compress all coefficients: for gradients, and for fixed ranks under tracing."""
    check_differentiable(lines)
    if wish.rtol is None and wish.rank is None:
        raise ValueError("with gradients or under tracing (jit, vmap) pass rank=")
    squares = (xp.eye(int(n), dtype=x.dtype, device=device(x)) for n in x.shape)
    f = ChebyshevTucker(x, tuple(coefficients(square, xp) for square in squares), box)
    return recompress(f, rtol=wish.rtol, rank=wish.rank)


def _interpolated(
    x: Array, wish: _Wish, xp: Namespace, *, least: bool = False
) -> tuple[Array, tuple[Array, ...]]:
    """Return the compressed interpolation of values at Chebyshev points.

    With `least` the values are compressed by no more than rounding.
    """
    rtol, rank, dtype = wish
    shape = tuple(map(int, x.shape))
    floor, growth = floor_of(shape, range(x.ndim), x.dtype, xp), math.prod(map(_growth, shape))
    small = floor if least or rtol is None else max(_PART * rtol / growth, floor)
    core, columns, norm = _compressed(x, [None] * x.ndim, small, xp)
    core, bases = orthonormal(core, [coefficients(u, xp) for u in columns], xp)
    total, left = float(xp.linalg.vector_norm(core)), _PART
    if total > 0:
        gone = growth * small * norm / total + storage(x.dtype, dtype, x.ndim, xp)
        target = 3 * gone if rtol is None else rtol
        left = target * (1 - gone) - gone
        if left < target / 2 and small > floor:
            return _interpolated(x, wish, xp, least=True)
        if left < floor:
            check_reachable(target, 3 * gone, dtype=dtype)
    found = sthosvd(core, rtol=left, rank=lowered(rank, core))
    return found.core, tuple(q @ u for q, u in zip(bases, found.factors, strict=True))


def _near(
    x: Array, lines: list[Line | None], wish: _Wish, xp: Namespace
) -> tuple[Array, tuple[Array, ...]]:
    """Return a compressed function near values at any points."""
    rtol, rank, dtype = wish
    floor = 3 * floor_of(tuple(map(int, x.shape)), range(x.ndim), x.dtype, xp)
    stored = storage(x.dtype, dtype, x.ndim, xp)
    core, columns, _ = _compressed(x, lines, max(_PART * (rtol or 0.0), floor), xp)
    series, missed = [], []
    for k, (u, line) in enumerate(zip(columns, lines, strict=True)):
        sizes = _sizes(core, k, xp)
        found, part = series_through(u * sizes, line, xp, small=_PART * (rtol or 0.0))
        series.append(found / sizes)
        missed.append(part)
    f, part = ChebyshevTucker(core, tuple(series), None), math.hypot(*missed)
    if rtol is None:
        found = _truncated(f, max(_PART * part, floor) + stored, rank)
        return found.core, found.factors
    part = max(part, _missed(x, f, lines, xp) + stored)
    if part > rtol / 2:
        raise missed_by(part, rtol, 2 * part)
    small = rtol / 2
    while True:
        found = _truncated(f, small, rank)
        if rank is not None or small < 4 * floor or _missed(x, found, lines, xp) <= rtol - stored:
            return found.core, found.factors
        small = small / 4


def _truncated(f: ChebyshevTucker, rtol: float, rank: tuple[int, ...] | None) -> ChebyshevTucker:
    """Truncate a function in L2, to ranks that may be more than it has."""
    xp = namespace(*f.factors)
    core, bases = orthonormal(f.core, f.factors, xp)
    found = sthosvd(core, rtol=rtol, rank=lowered(rank, core))
    factors = tuple(q @ u for q, u in zip(bases, found.factors, strict=True))
    return ChebyshevTucker(found.core, factors, f.domain)


def _compressed(
    x: Array, lines: list[Line | None], rtol: float, xp: Namespace
) -> tuple[Array, list[Array], float]:
    """Compress values in the weights of Chebyshev points; return their norm in these too."""
    roots = [
        xp.asarray(_weights(int(n)) if line is None else np.ones(int(n)), device=device(x))
        for n, line in zip(x.shape, lines, strict=True)
    ]
    for k, weights in enumerate(roots):
        if lines[k] is None:
            x = x * xp.reshape(weights, tuple(-1 if j == k else 1 for j in range(x.ndim)))
    found = sthosvd(x, rtol=rtol)
    columns = [u / w[:, None] for u, w in zip(found.factors, roots, strict=True)]
    return found.core, columns, float(xp.linalg.vector_norm(x))


@lru_cache(maxsize=64)
def _weights(n: int) -> npt.NDArray[np.float64]:
    """Return square roots of the weights of values at Chebyshev points."""
    if n == 1:
        return np.full(1, math.sqrt(2))
    t = chebyshev_points(n)
    return np.sqrt(np.pi / (n - 1) * np.sqrt(1 - t**2 + (n - 1.0) ** -2))


@lru_cache(maxsize=64)
def _growth(n: int) -> float:
    """Return by how much at most the norm of L2 is above that of weighted values."""
    if n > _EXACT:
        return _growth(_EXACT) + _PER_DOUBLING * math.log2(n / _EXACT)
    square = np.eye(n)
    back = root(n) @ coefficients(square, namespace(square)) / _weights(n)
    return max(1.0, float(np.linalg.norm(back, 2)))


def _sizes(core: Array, k: int, xp: Namespace) -> Array:
    """Return the norms of the slices of a core, one for those that vanish."""
    others = tuple(j for j in range(core.ndim) if j != k)
    sizes = xp.linalg.vector_norm(core, axis=others) if others else xp.abs(core)
    return xp.astype(xp.where(sizes > 0, sizes, xp.ones_like(sizes)), core.dtype)


def _missed(x: Array, f: ChebyshevTucker, lines: list[Line | None], xp: Namespace) -> float:
    """Return the relative error of a function where values are known."""
    rows = []
    for n, factor, line in zip(x.shape, f.factors, lines, strict=True):
        t = chebyshev_points(int(n)) if line is None else line
        at = xp.asarray(polynomials(t, int(factor.shape[0]), namespace(t)), device=device(x))
        rows.append(xp.astype(at, factor.dtype) @ factor)
    return float(relative_error(x, Tucker(f.core, tuple(rows))))
