r"""Series through values at any points of an interval, on the host.

No method finds a polynomial of degree `n` from values at `n` equispaced points and is stable; none
that is stable converges geometrically [1]_. Two are compared here by leaving out values:

- Least squares with few coefficients, stable for up to about :math:`2 \sqrt n` of them at
  equispaced points. With orthonormal columns :math:`Q` of the first `m` polynomials at the points,
  leaving out a value misses it by :math:`r_i / (1 - \|q_i\|^2)`, :math:`r` the residual [2]_: all
  `m` cost one QR decomposition.
- Splines of odd degrees `k`, which reach :math:`h^{k+1}` where polynomials are not resolved. Where
  values far from each other are left out together, each is missed as if it were alone.

References
----------
.. [1] R. B. Platte, L. N. Trefethen, A. B. J. Kuijlaars, "Impossibility of fast stable
   approximation of analytic functions from equispaced samples", SIAM Review 53, 2011.
   doi:10.1137/090774707
.. [2] D. M. Allen, "The relationship between variable selection and data augmentation and a method
   for prediction", Technometrics 16, 1974. doi:10.1080/00401706.1974.10489157
"""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tdecomp._shim import host
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, namespace
from tdecomp.chebyshev._legendre import root
from tdecomp.chebyshev._points import points
from tdecomp.chebyshev._series import polynomials
from tdecomp.chebyshev._transform import coefficients

Columns = npt.NDArray[Any]
Line = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

# As many values as this are interpolated by a polynomial.
_FEW = 4
# Degrees of splines, the distance of values left out together, and how often that is done.
_DEGREES = (1, 3, 5, 7, 9, 11, 13)
_APART, _FOLDS = 16, 4
# Coefficients of least squares that are tried at most.
_MOST = 512
# Pivots and distances, of one, below which nothing is told from rounding.
_FIRM = 1e-7
# By how much noise of values may grow.
_SPREAD = 1e3
# A spline must be better by this, and a part of the error is not worth a term.
_BETTER, _PART = 1.1, 0.1
# What rounding of values is, in units of eps.
_NOISE = 4.0


class Through(NamedTuple):
    """Series (m, r) near columns of values, and the part of their norm that was missed."""

    series: Columns
    missed: float


def series_through(
    columns: Array, line: Line | None, xp: Namespace, *, small: float = 0.0
) -> tuple[Array, float]:
    """Return the series of columns of values, and the part of their norm that was missed.

    Without a line they are values at Chebyshev points, which miss nothing.
    """
    if line is None:
        return coefficients(columns, xp), 0.0
    found = through(line, host(columns), small)
    series = xp.asarray(found.series, dtype=columns.dtype, device=device(columns))
    return series, found.missed


def through(t: Line, values: Columns, small: float = 0.0) -> Through:
    """Return series near columns of values at ascending points of ``[-1, 1]``.

    What is missed is measured at values that were left out, in the norm of all columns: their
    scales say how much each counts. Terms below a `small` part of the norm are left out too.
    """
    real, scale = _real(values)
    n, noise = t.size, _NOISE * float(np.finfo(float).eps) * scale
    if n <= _FEW or scale == 0:
        return Through(_as(values, _fitted(t, real, min(n, _FEW))), 0.0)
    folds = _folds(n)
    count, missed = _least_squares(t, real, np.concatenate(folds), noise)
    degree = None
    for tried in _DEGREES:
        if missed > noise and tried < n - folds[0].size:
            error = _spline_missed(t, real, tried, folds)
            if _BETTER * error < missed:
                degree, missed = tried, error
    if degree is None:
        series = _fitted(t, real, count)
    else:
        series = _sampled(t, real, degree)
    series = _cut(series, max(_PART * missed, small * scale, noise))
    # A spline is no polynomial, and a series of it misses values that it does not.
    rest = _vandermonde(t, series.shape[0]) @ series - real
    missed = max(missed, float(np.linalg.norm(rest)) / math.sqrt(n))
    return Through(_as(values, series), missed / scale)


def _real(values: Columns) -> tuple[Columns, float]:
    """Return columns of real numbers, and the root of their mean square in each row."""
    real = np.ascontiguousarray(values)
    if np.iscomplexobj(real):
        real = real.view(real.real.dtype)
    real = real.astype(float, copy=False)
    return real, float(np.linalg.norm(real)) / math.sqrt(real.shape[0])


def _as(values: Columns, series: Columns) -> Columns:
    """Return series as complex where values are."""
    series = np.ascontiguousarray(series)
    return series.view(complex) if np.iscomplexobj(values) else series


def _folds(n: int) -> list[Indices]:
    """Return sets of inner values to leave out, those of a set far from each other."""
    starts = np.unique(np.linspace(1, min(_APART, n - 2), _FOLDS).astype(np.intp))
    return [np.arange(start, n - 1, _APART) for start in starts]


def _vandermonde(t: Line, count: int) -> Columns:
    found: Columns = polynomials(t, count, namespace(t))
    return found


def _fitted(t: Line, values: Columns, count: int) -> Columns:
    """Return the series of least squares."""
    q, r = np.linalg.qr(_vandermonde(t, count))
    series: Columns = np.linalg.solve(r, q.T @ values)
    return series


def _least_squares(t: Line, values: Columns, tested: Indices, noise: float) -> tuple[int, float]:
    """Return the number of coefficients that misses least of what is left out, and how much.

    What is missed counts by as much more as noise of the values grows in the norm of L2.
    """
    q, r = np.linalg.qr(_vandermonde(t, min(t.size, _MOST)))
    heights = np.abs(np.diagonal(r))
    firm = int(np.argmin(np.append(heights > _FIRM * heights[0], False)))
    back = root(firm) @ np.linalg.inv(r[:firm, :firm])
    spread = np.cumsum(np.sum(back**2, axis=0)) * t.size / 2 / np.arange(1, firm + 1)
    c, rows, residual = q.T @ values, q[tested], values[tested].copy()
    gap, errors = np.ones(tested.size), []
    for m in range(firm):
        residual -= rows[:, m, None] * c[m]
        gap = gap - rows[:, m] ** 2
        if gap.min() < _FIRM or spread[m] > _SPREAD**2:
            break
        missed = float(np.linalg.norm(residual / gap[:, None])) / math.sqrt(tested.size)
        errors.append(missed * max(1.0, math.sqrt(spread[m])))
    count = next(m for m, error in enumerate(errors) if error <= max(min(errors), noise))
    return count + 1, errors[count]


def _spline(t: Line, values: Columns, degree: int) -> Any:
    return import_module("scipy.interpolate").make_interp_spline(t, values, k=degree)


def _spline_missed(t: Line, values: Columns, degree: int, folds: list[Indices]) -> float:
    """Return what splines miss of values that are left out."""
    squares, count = 0.0, 0
    for fold in folds:
        kept = np.ones(t.size, bool)
        kept[fold] = False
        found = _spline(t[kept], values[kept], degree)(t[fold])
        squares += float(np.linalg.norm(found - values[fold])) ** 2
        count += fold.size
    return math.sqrt(squares / count)


def _sampled(t: Line, values: Columns, degree: int) -> Columns:
    """Return the series of a spline, by more Chebyshev points than it has pieces anywhere."""
    narrowest = float(np.min(np.abs(np.diff(np.arccos(t)))))
    count = 2 * math.ceil(min(np.pi / narrowest, 4.0 * t.size)) + 1
    found = coefficients(_spline(t, values, degree)(points(count)), namespace(t))
    return np.asarray(found)


def _cut(series: Columns, atol: float) -> Columns:
    """Leave out the last coefficients that add up to no more than a root mean square."""
    squares = np.sum(series**2, axis=1)
    tails = np.sqrt(np.cumsum(squares[::-1])[::-1])
    return series[: max(1, int(np.sum(tails > atol)))]
