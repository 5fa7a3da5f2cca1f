r"""Radial kernels as short sums of Gaussians, each of which is a product over the variables.

.. math:: g(r) \approx \sum_k a_k e^{-p_k r^2} , \qquad
          e^{-p |x|^2} = \prod_j e^{-p x_j^2} .

Completely monotone functions of :math:`r^2` are integrals of Gaussians, as

.. math:: \frac{1}{r} = \frac{2}{\sqrt{\pi}} \int_0^\infty e^{-r^2 t^2}\, dt , \qquad
          \frac{e^{-\lambda r}}{r} = \frac{2}{\sqrt{\pi}} \int_0^\infty
          e^{-r^2 t^2 - \lambda^2 / (4 t^2)}\, dt ,

and quadratures are sums of them. With the nodes :math:`t_k = \sqrt{p_k}` of a quadrature, in
geometric progression, but weights that minimise the relative error instead, fewer terms do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tdecomp._errors import (
    ToleranceError,
    check_callable,
    check_count,
    check_number,
    check_rtol,
    check_size,
)
from tdecomp._iterate import Fit, Status
from tdecomp._precision import full_precision
from tdecomp._typing import Array
from tdecomp._xp import prepare

# Nodes go from LOW / rmax to HIGH * sqrt(log(1 / rtol)) / rmin: measured to need the fewest terms
# for 1/r, over tolerances from 1e-4 to 1e-10 and four decades of rmin / rmax.
_LOW, _HIGH = (0.5, 0.3), (0.66, 0.75, 0.84)
# Positive weights ask for wider Gaussians.
_LOW_POSITIVE = (0.4, 0.3, 0.2)
# Points of the fit for each term, and points of the check for each of those.
_DENSE, _FINER = 12, 10
# Singular values below that part of the largest are noise.
_NOISE = 1e-14
# The least distance whose square, and that of its inverse, are numbers with room to spare.
_LEAST = 1e-150

Vector = npt.NDArray[np.float64]


class GaussianSum(NamedTuple):
    r"""A radial function :math:`g(r) = \sum_k a_k e^{-p_k r^2}`, of distances in an interval.

    Attributes
    ----------
    weights : numpy.ndarray, shape (R,)
        The weights :math:`a_k`, some of which may be negative.
    exponents : numpy.ndarray, shape (R,)
        The exponents :math:`p_k`, ascending: from the widest Gaussian to the sharpest.
    interval : tuple of float
        The least and the largest distance at which it stands for the kernel it was made for.
    """

    weights: Vector
    exponents: Vector
    interval: tuple[float, float]

    @property
    def rank(self) -> int:
        """How many terms there are."""
        return int(self.weights.shape[0])

    @full_precision
    def __call__(self, r: Any, /) -> Array:
        """Return the values at distances of any shape, in their library."""
        xp, r = prepare(r, ndim=0, batch=True, name="r")
        return gaussians(self, r * r, self.weights, xp)


def gaussians(g: GaussianSum, squares: Array, weights: Vector, xp: Any) -> Array:
    """Return sums of the Gaussians with other weights, at squared distances, term by term."""
    limits, exponents = xp.finfo(squares.dtype), g.exponents[g.exponents > 0]
    if not np.all((exponents >= limits.smallest_normal) & (exponents <= limits.max)):
        raise ValueError(
            f"exponents from {exponents[0]:.3g} to {exponents[-1]:.3g} are no numbers of "
            f"{squares.dtype}: choose another unit of length, or a higher precision"
        )
    total = xp.zeros_like(squares)
    for weight, exponent in zip(weights.tolist(), g.exponents.tolist(), strict=True):
        total = total + weight * xp.exp(-exponent * squares)
    return total


def gaussian_sum(
    kernel: Callable[[Vector], Any],
    rmin: float,
    rmax: float,
    /,
    *,
    rtol: float = 1e-8,
    floor: float = 0.0,
    positive: bool = False,
    max_terms: int = 200,
) -> Fit[GaussianSum]:
    r"""Approximate a radial kernel by the shortest sum of Gaussians of a family.

    Parameters
    ----------
    kernel : callable
        Takes an array of distances and returns the values, real ones.
    rmin, rmax : float
        The distances to cover, ``0 < rmin < rmax``.
    rtol : float, optional
        The largest relative error at any of them.
    floor : float, optional
        Where the magnitude of the kernel is less, errors are relative to this number, which takes
        fewer terms. It has to be positive for a kernel that has a zero.
    positive : bool, optional
        Ask for positive weights, which takes more terms; the kernel must be one that has them.
    max_terms : int, optional
        How many terms there may be.

    Returns
    -------
    Fit
        The sum. `error` is its largest relative error, measured at points ten times as dense as
        those of the fit, and denser where it is largest; `n_iter` counts the fits that were made
        to find the number of terms.

    Raises
    ------
    TypeError, ValueError
        If `kernel` cannot be called, or returns values of another shape, not finite, or zero
        without a `floor`; if the distances are no interval, or an option is out of range.
    ToleranceError
        If `max_terms` Gaussians do not reach `rtol`.

    Notes
    -----
    For :math:`1/r` the number of terms is about :math:`\log(1/\epsilon)
    \log(r_{\max} / r_{\min}) / 4`. It is found by bisection, in fits of some milliseconds. Errors
    below :math:`10^{-13}` are out of reach.

    References
    ----------
    .. [1] G. Beylkin, L. Monzon, "Approximation by exponential sums revisited", Appl. Comput.
       Harmon. Anal. 28, 2010. doi:10.1016/j.acha.2009.08.011
    .. [2] W. Hackbusch, B. N. Khoromskij, "Low-rank Kronecker-product approximation to
       multi-dimensional nonlocal operators. Part I", Computing 76, 2006.
       doi:10.1007/s00607-005-0144-0

    Examples
    --------
    >>> from tdecomp.chebyshev.potentials import gaussian_sum
    >>> fit = gaussian_sum(lambda r: 1 / r, 0.1, 10.0, rtol=1e-6)
    >>> fit.tensor.rank <= 22, fit.error <= 1e-6
    (True, True)
    >>> print(f"{float(fit.tensor(2.0)):.5f}")
    0.50000
    """
    check_callable(kernel, name="kernel")
    interval = distances(rmin, rmax)
    rtol = check_rtol(rtol)
    most = check_count(max_terms, name="max_terms", least=1)
    floor = check_size(floor, name="floor")
    family = _Family(kernel, interval, floor, math.sqrt(-math.log(rtol)), positive=positive)
    low, high = 0, 0
    while high < most:
        low, high = high, min(max(8, 2 * high), most)
        if family.fit(high).error <= rtol:
            break
    else:
        best = min(family.fits.values(), key=lambda fit: fit.error)
        raise ToleranceError(
            f"rtol={rtol:.3g} takes more than {most} Gaussians, or more digits than there are: "
            f"{best.error:.3g} was reached",
            reachable=best.error,
        )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if family.fit(middle).error <= rtol else (middle, high)
    g, error = family.fits[high]
    return Fit(g, error, len(family.fits), Status.CONVERGED)


def newton(rmin: float, rmax: float, /, **options: Any) -> Fit[GaussianSum]:
    """Return a sum of Gaussians for ``1 / r``, the potential of a charge.

    Parameters and errors are those of `gaussian_sum`, of which this is a case.

    Examples
    --------
    >>> from tdecomp.chebyshev.potentials import newton
    >>> g = newton(0.1, 10.0, rtol=1e-4).tensor
    >>> g.rank <= 15, abs(float(g(3.0)) - 1 / 3) < 1e-4 / 3
    (True, True)
    """
    return gaussian_sum(lambda r: 1 / r, rmin, rmax, **options)


def yukawa(rate: float, rmin: float, rmax: float, /, **options: Any) -> Fit[GaussianSum]:
    """Return a sum of Gaussians for ``exp(-rate * r) / r``, that of a charge among ions.

    The other parameters, and errors, are those of `gaussian_sum`; the rate may be zero. Over many
    lengths ``1 / rate`` the kernel vanishes, and a `floor` saves most of the terms.

    Examples
    --------
    >>> from tdecomp.chebyshev.potentials import yukawa
    >>> g = yukawa(0.3, 0.1, 10.0).tensor
    >>> print(f"{float(g(1.0)):.6f}")  # exp(-0.3)
    0.740818
    """
    rate = check_size(rate, name="rate")
    return gaussian_sum(lambda r: np.exp(-rate * r) / r, rmin, rmax, **options)


def slater(rate: float, rmin: float, rmax: float, /, **options: Any) -> Fit[GaussianSum]:
    """Return a sum of Gaussians for ``exp(-rate * r)``, an orbital of an atom.

    The other parameters, and errors, are those of `gaussian_sum`.

    Examples
    --------
    >>> from tdecomp.chebyshev.potentials import slater
    >>> g = slater(1.0, 0.1, 10.0).tensor
    >>> print(f"{float(g(1.0)):.6f}")  # exp(-1)
    0.367879
    """
    rate = check_size(rate, name="rate")
    return gaussian_sum(lambda r: np.exp(-rate * r), rmin, rmax, **options)


class _Found(NamedTuple):
    """A sum and its largest relative error."""

    sum: GaussianSum
    error: float


class _Samples(NamedTuple):
    """Values of a kernel at distances, and inverses of what errors are relative to."""

    r: Vector
    values: Vector
    inverse: Vector

    def errors(self, g: GaussianSum) -> Vector:
        """Return the relative errors of a sum."""
        found: Vector = np.abs(g(self.r) - self.values) * self.inverse
        return found


class _Family:
    """The best sums of any number of Gaussians with nodes in geometric progression."""

    def __init__(
        self,
        kernel: Callable[[Vector], Any],
        interval: tuple[float, float],
        floor: float,
        sharpest: float,
        *,
        positive: bool,
    ) -> None:
        self.kernel = kernel
        self.interval = interval
        self.floor = floor
        self.top = sharpest / interval[0]
        self.positive = positive
        self.fits: dict[int, _Found] = {}

    def fit(self, count: int) -> _Found:
        """Return the best sum of `count` terms, or fewer where weights are zero."""
        if count not in self.fits:
            known = self._sampled(np.geomspace(*self.interval, _DENSE * count + 100))
            finer = self._sampled(np.geomspace(*self.interval, _FINER * known.r.size))
            bottom = _flattest(known)
            found = []
            for low, high in product(_LOW_POSITIVE if self.positive else _LOW, _HIGH):
                nodes = np.geomspace(low * bottom, high * self.top, count)
                g = self._fitted(nodes, known)
                found.append(_Found(g, self._largest(g, finer)))
            self.fits[count] = min(found, key=lambda one: one.error)
        return self.fits[count]

    def _largest(self, g: GaussianSum, known: _Samples) -> float:
        """Return the largest error at distances, and around where it is."""
        with np.errstate(over="ignore", invalid="ignore"):
            k, r = int(np.argmax(known.errors(g))), known.r
            near = np.append(np.linspace(r[max(k - 1, 0)], r[min(k + 1, r.size - 1)], 64), r[k])
            error = float(np.max(self._sampled(near).errors(g)))
        return error if math.isfinite(error) else math.inf

    def _sampled(self, r: Vector) -> _Samples:
        """Return values of the kernel at distances, and what errors are relative to."""
        values = np.asarray(self.kernel(r.copy()))
        if values.shape != r.shape or values.dtype.kind not in "fiub":
            raise ValueError(
                f"kernel must return one real number for each of {r.size} distances, got "
                f"shape {values.shape} and dtype {values.dtype}"
            )
        with np.errstate(divide="ignore", over="ignore"):
            inverse = 1 / np.maximum(np.abs(values.astype(float)), self.floor)
        bad = ~(np.isfinite(values) & np.isfinite(inverse))
        if np.any(bad):
            k = int(np.argmax(bad))
            raise ValueError(
                f"kernel({r[k]:.6g}) is {values[k]}: it must be finite, and not zero, as errors "
                "are relative to it, unless floor= is positive"
            )
        return _Samples(r, values, inverse)

    def _fitted(self, nodes: Vector, known: _Samples) -> GaussianSum:
        """Return the sum of least squares; of positive weights, once all negative ones are out."""
        # Where the kernel is tiny its inverse is not: largest entries of columns are made one.
        logs = np.log(known.inverse)[:, None] - (known.r[:, None] * nodes) ** 2
        tops = np.max(logs, axis=0)
        columns = np.exp(logs - tops)
        norms = np.linalg.norm(columns, axis=0)
        columns /= norms
        kept, wanted = np.arange(nodes.size), known.values * known.inverse
        while True:
            weights = np.linalg.lstsq(columns[:, kept], wanted, rcond=_NOISE)[0]
            good = weights > 0
            if not self.positive or np.all(good):
                weights = weights / norms[kept] * np.exp(-tops[kept])
                return GaussianSum(weights, nodes[kept] ** 2, self.interval)
            kept = kept[good]


def _flattest(known: _Samples) -> float:
    """Return the node of the Gaussian that falls as the kernel does at the largest distance."""
    (near, far), (less, more) = known.r[-2:], np.log(known.inverse[-2:])
    falls = float(more - less) / math.log(far / near)
    return math.sqrt(max(1.0, falls)) / float(far)


def distances(rmin: object, rmax: object) -> tuple[float, float]:
    """Validate the distances."""
    low, high = check_number(rmin, name="rmin"), check_number(rmax, name="rmax")
    if not 0 < low < high < math.inf:
        raise ValueError(f"distances must be finite with 0 < rmin < rmax, got {low} and {high}")
    if low < _LEAST or high > 1 / _LEAST:
        raise ValueError(
            f"distances from {low:.3g} to {high:.3g} have squares that are no numbers: choose "
            f"another unit of length, so that they are from {_LEAST:.0e} to {1 / _LEAST:.0e}"
        )
    return low, high
