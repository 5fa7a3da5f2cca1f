r"""One variable: series of Gaussians around any centre, in few common functions.

In the unit variable, with :math:`t = \sqrt{p} \cdot` half the length of the interval, a Gaussian
:math:`e^{-t^2 (x - y)^2}` is at most :math:`e^{t^2 \sinh^2 s}` on the ellipse of Bernstein with
the sum :math:`e^s` of its semi-axes, wherever its centre :math:`y` is. So the series is, for every
:math:`s > 0`,

.. math:: |c_n| \le 2 e^{t^2 \sinh^2 s - n s} , \qquad
          \text{least for } \sinh 2 s = n / t^2 ,

about :math:`2 e^{-n^2 / (4 t^2)}` for sharp ones: :math:`2 t \sqrt{\log(1/\epsilon)}` coefficients
do. Of as many centres as there may be, the series lie near a space of smaller dimension, which
does not depend on the particles: singular vectors of the kernel, a function of centres, too.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tdecomp._shim import solve_triangular
from tdecomp._xp import namespace
from tdecomp.chebyshev._legendre import root
from tdecomp.chebyshev._points import points
from tdecomp.chebyshev._transform import coefficients

# A rate whose square is that small is none, and no ellipse need be larger.
_FLAT, _STEEPEST = 1e-30, 20.0

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]


class Scale(NamedTuple):
    """What Gaussians of one exponent are, whatever their centres.

    Values at ``points`` (n,) of the unit interval times ``projection`` (s, n) are coordinates in
    a basis that is orthonormal in L2; times ``embedding`` (r, s) those in the basis of all scales.
    """

    points: Vector
    projection: Matrix
    embedding: Matrix


class Variable(NamedTuple):
    """An interval, with a basis of series ``factor`` (m, r), orthonormal in L2, for all scales."""

    low: float
    high: float
    factor: Matrix
    scales: list[Scale]

    def points(self, j: int) -> Vector:
        """Return the points of a scale in the interval."""
        t = self.scales[j].points
        found: Vector = (self.low * (1 - t) + self.high * (1 + t)) / 2
        return found


def length(rate: float, tol: float) -> int:
    """Return how many coefficients leave less than `tol` of a Gaussian with any centre."""
    n = 1
    while _rest(n, rate) > tol:
        n += 1 + n // 16
    while n > 1 and _rest(n - 1, rate) <= tol:
        n -= 1
    return n


def _rest(n: int, rate: float) -> float:
    """Bound all coefficients from the one of degree `n` on."""
    s = min(math.asinh(n / max(rate * rate, _FLAT)) / 2, _STEEPEST)
    return 2 * math.exp((rate * math.sinh(s)) ** 2 - n * s) / -math.expm1(-s)


def variable(
    interval: tuple[float, float],
    centres: tuple[float, float],
    exponents: Vector,
    sizes: Vector,
    tol: float,
) -> Variable:
    """Return a basis for Gaussians with centres in a range, to errors of `tol`.

    The `sizes` of terms say what counts as little of each.
    """
    low, high = interval
    half, middle = (high - low) / 2, (high + low) / 2
    spread = tuple((c - middle) / half for c in centres)
    rates = [math.sqrt(p) * half for p in exponents.tolist()]
    longest = max(length(rate, tol) for rate in rates)
    upper = root(longest)
    found = [_scale(rate, spread, upper, tol) for rate in rates]
    weighted = [
        np.pad(basis * (s * size / s[0]), [(0, longest - basis.shape[0]), (0, 0)])
        for (*_, basis, s), size in zip(found, sizes.tolist(), strict=True)
    ]
    u, s, _ = np.linalg.svd(np.concatenate(weighted, axis=1), full_matrices=False)
    common = u[:, : _kept(s, tol)]
    scales = [
        Scale(points(basis.shape[0]), projection, common[: basis.shape[0]].T @ basis)
        for projection, basis, _ in found
    ]
    factor = solve_triangular(upper, common, namespace(upper), lower=False)
    return Variable(low, high, factor, scales)


def _scale(
    rate: float, spread: tuple[float, ...], upper: Matrix, tol: float
) -> tuple[Matrix, Matrix, Vector]:
    """Return a projection of Gaussians of one rate, its basis and singular values.

    The basis is in coordinates that are orthonormal in L2: coefficients times `upper`, the root
    of their inner products, of which leading blocks are those of fewer.
    """
    n = length(rate, tol)
    transform = upper[:n, :n] @ coefficients(np.eye(n), namespace(upper))
    # Of centres farther away nothing is left in the interval.
    margin = math.sqrt(-math.log(tol)) / max(rate, _FLAT)
    near, far = (min(max(c, -1 - margin), 1 + margin) for c in spread)
    reach = (far - near) / 2
    centres = (near + far) / 2 + reach * points(length(rate * reach, tol))
    kernel = np.exp(-((rate * (points(n)[:, None] - centres)) ** 2))
    u, s, _ = np.linalg.svd(transform @ kernel, full_matrices=False)
    kept = _kept(s, tol)
    return u[:, :kept].T @ transform, u[:, :kept], s[:kept]


def size(rate: float) -> float:
    """Return the L2 norm of a centred Gaussian on the unit interval."""
    if rate * rate < _FLAT:
        return math.sqrt(2)
    return math.sqrt(math.sqrt(math.pi / 2) * math.erf(math.sqrt(2) * rate) / rate)


def _kept(s: Vector, tol: float) -> int:
    """Return how many singular values are above a part of the largest."""
    return max(1, int(np.sum(s > tol * s[0])))
