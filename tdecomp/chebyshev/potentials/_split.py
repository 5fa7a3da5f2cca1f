r"""Range separation: wide Gaussians make a smooth function, sharp ones vanish soon."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tdecomp._errors import check_number, check_rtol
from tdecomp.chebyshev.potentials._gaussians import GaussianSum, distances

# Distances that are looked at for each factor of e.
_DENSE = 200


def split(g: GaussianSum, /, *, sigma: float) -> tuple[GaussianSum, GaussianSum]:
    r"""Split a sum of Gaussians by range: the long-range part, then the short-range one.

    Parameters
    ----------
    g : GaussianSum
        The sum.
    sigma : float
        The length that separates them: Gaussians :math:`e^{-r^2/s^2}` with :math:`s \ge \sigma`
        are long-range.

    Returns
    -------
    long, short : GaussianSum
        Together they are `g`. The long-range part is smooth on the scale of `sigma`; the
        short-range one vanishes beyond a few times `sigma`, and may have no terms.

    Raises
    ------
    TypeError, ValueError
        If `g` is something else, or `sigma` is not positive, or above all widths.

    References
    ----------
    .. [1] P. Benner, V. Khoromskaia, B. N. Khoromskij, "Range-separated tensor format for
       many-particle modeling", SIAM J. Sci. Comput. 40, 2018. doi:10.1137/16M1098930

    Examples
    --------
    >>> from tdecomp.chebyshev.potentials import newton, split
    >>> long, short = split(newton(0.1, 10.0, rtol=1e-6).tensor, sigma=1.0)
    >>> print(f"{float(long(4.0)):.5f} {float(short(4.0)):.5f}")
    0.25000 0.00000
    >>> print(f"{float(long(0.3) + short(0.3)):.5f}")
    3.33333
    """
    g, sigma = as_sum(g), check_number(sigma, name="sigma")
    widest = float(g.exponents[0]) ** -0.5 if g.exponents[0] else math.inf
    if not 0 < sigma <= widest:
        raise ValueError(
            f"sigma must be a length between 0 and the width {widest:.3g} of the widest Gaussian, "
            f"got {sigma}"
        )
    count = int(np.sum(np.sqrt(g.exponents) * sigma <= 1))
    return (
        GaussianSum(g.weights[:count], g.exponents[:count], g.interval),
        GaussianSum(g.weights[count:], g.exponents[count:], g.interval),
    )


def cutoff(g: GaussianSum, short: GaussianSum, rtol: float) -> float:
    """Return the distance from which on a short-range part is below `rtol` times the whole."""
    if short.rank == 0:
        return 0.0
    r = sampled(g)
    # Weights of both signs might cancel here and there: magnitudes do not.
    bound = GaussianSum(np.abs(short.weights), short.exponents, g.interval)(r)
    large = np.flatnonzero(bound > check_rtol(rtol) * np.abs(g(r)))
    return float(r[min(int(large[-1]) + 1, r.size - 1)]) if large.size else 0.0


def sampled(g: GaussianSum) -> npt.NDArray[np.float64]:
    """Return distances, dense enough to tell a sum of Gaussians by its values."""
    low, high = g.interval
    return np.geomspace(low, high, 2 + round(_DENSE * math.log(high / low)))


def as_sum(g: object, *, name: str = "g") -> GaussianSum:
    """Return a sum of Gaussians, or refuse what is none."""
    if not isinstance(g, GaussianSum):
        way = "; take the tensor of what was returned" if hasattr(g, "tensor") else ""
        raise TypeError(f"{name} must be a GaussianSum, got {type(g).__name__}{way}")
    weights, exponents = (np.asarray(part, dtype=float) for part in g[:2])
    if weights.ndim != 1 or weights.shape != exponents.shape or weights.size == 0:
        raise ValueError(
            f"{name} must have as many weights as exponents, at least one, got shapes "
            f"{weights.shape} and {exponents.shape}"
        )
    if not np.all(np.isfinite(weights) & (exponents >= 0) & (exponents < np.inf)):
        raise ValueError(f"{name} must have finite weights, and exponents that are not negative")
    order = np.argsort(exponents, kind="stable")
    return GaussianSum(weights[order], exponents[order], distances(*_pair(g.interval)))


def _pair(interval: Any) -> tuple[Any, Any]:
    if not isinstance(interval, tuple | list) or len(interval) != 2:
        raise TypeError(f"interval must be a tuple: rmin, rmax; got {interval!r}")
    return interval[0], interval[1]
