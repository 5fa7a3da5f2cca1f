"""Polynomials to apply to a matrix one after the other: known ones, and the best ones."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

from tdecomp._errors import check_count, check_number
from tdecomp.linalg._polar._minimax import TAYLOR, critical_points, evaluate, minimax, stretched

# Of Muon as it was published: fast upwards from small values, not convergent.
MUON = (3.4445, -4.7750, 2.0315)
# What the other methods of `orthogonalize` are.
CUBIC, QUINTIC = TAYLOR[3], TAYLOR[5]
_BISECTIONS = 200
# The logarithm of a value that no number of steps in use can raise to one.
_SMALLEST = -80.0


class Composition(NamedTuple):
    """Odd polynomials to be applied one after the other.

    Attributes
    ----------
    coefficients : tuple of tuple of float
        For each step those of ``x``, ``x**3`` and, of degree five, ``x**5``.
    lower : float
        The lower end of the interval that they are made for; the upper one is 1.
    error : float
        The largest distance from one of what they make of that interval.
    """

    coefficients: tuple[tuple[float, ...], ...]
    lower: float
    error: float


def minimax_coefficients(
    lower: float, /, *, steps: int, degree: int = 5, cushion: float = 0.0, safety: float = 1.0
) -> Composition:
    r"""Return the polynomials that bring an interval as near to one as so many steps can.

    The greedy choice is the best one: if each polynomial :math:`p_t` is the odd one nearest to one
    on the interval :math:`[\ell_t, u_t]` that those before have left, their composition is nearest
    to one on :math:`[\ell, 1]` among all compositions of as many polynomials of that degree [1]_.
    The next interval is :math:`\ell_{t+1} = p_t(\ell_t)`, :math:`u_{t+1} = 2 - \ell_{t+1}`.

    Parameters
    ----------
    lower : float
        The smallest value that matters, above 0 and below 1.
    steps : int
        The number of polynomials.
    degree : {3, 5}, optional
        Their degree; a step takes two or three products of matrices.
    cushion : float, optional
        Make a polynomial for values above this part of its upper end only, and stretch it: it then
        never shrinks large values much in comparison with small ones, which costs digits where
        products are rounded. The published tables have 0.024 and 0.02.
    safety : float, optional
        Let all polynomials but the last allow values that rounding has made larger by this factor.
        The published tables have 1.01.

    Returns
    -------
    Composition
        ``coefficients``; ``lower``; ``error``, the distance from one of the image of
        :math:`[\ell, 1]`, the products exact.

    Raises
    ------
    TypeError, ValueError
        If an option is out of range.

    See Also
    --------
    cans_coefficients : the largest interval for a given error.
    tdecomp.orthogonalize : applies them.

    Notes
    -----
    All in double precision, by the exchange of Remez, a millisecond for each polynomial; results
    are kept.

    References
    ----------
    .. [1] N. Amsel, D. Persson, C. Musco, R. M. Gower, "The Polar Express: optimal matrix sign
       methods and their application to the Muon algorithm", 2025, arXiv:2505.16932, Theorem 3.1
       and Algorithm 1.

    Examples
    --------
    >>> from tdecomp.linalg import minimax_coefficients
    >>> for steps in (3, 5, 7):
    ...     print(f"{minimax_coefficients(1e-2, steps=steps).error:.1e}")
    2.7e-01
    1.2e-06
    0.0e+00
    """
    lower = _between(lower, 0.0, 1.0, name="lower")
    steps = check_count(steps, name="steps", least=1)
    degree = _degree(degree)
    cushion = check_number(cushion, name="cushion")
    safety = check_number(safety, name="safety")
    if not 0.0 <= cushion < 1.0 or not safety >= 1.0:
        raise ValueError(
            "cushion must be at least 0 and below 1, and safety at least 1, got "
            f"{cushion} and {safety}"
        )
    return _greedy(lower, steps, degree, cushion, safety)


def cans_coefficients(delta: float, /, *, steps: int, degree: int = 3) -> Composition:
    r"""Return the polynomials that bring the largest interval within a distance of one.

    Of all intervals :math:`[\ell, 1]` that so many steps can bring into
    :math:`[1 - \delta, 1 + \delta]`, the longest is found by bisection: values as small as can be
    are raised, and those below rise the fastest, by the product of the slopes at zero.

    Parameters
    ----------
    delta : float
        The distance from one, above 0 and below 1.
    steps : int
        The number of polynomials.
    degree : {3, 5}, optional
        Their degree.

    Returns
    -------
    Composition
        ``coefficients``; ``lower``, the smallest value that arrives; ``error``, just below
        `delta`.

    Raises
    ------
    TypeError, ValueError
        If an option is out of range.

    See Also
    --------
    minimax_coefficients : the least error on a given interval.

    Notes
    -----
    Some fifty greedy compositions.

    References
    ----------
    .. [1] E. Grishina, M. Smirnov, M. Rakhuba, "Accelerating Newton-Schulz iteration for
       orthogonalization via Chebyshev-type polynomials", 2025, arXiv:2506.10935, Algorithm 1.

    Examples
    --------
    >>> from tdecomp.linalg import cans_coefficients
    >>> f"{cans_coefficients(0.3, steps=5, degree=5).lower:.1e}"
    '5.0e-04'
    """
    delta = _between(delta, 0.0, 1.0, name="delta")
    steps = check_count(steps, name="steps", least=1)
    degree = _degree(degree)
    return _longest(delta, steps, degree)


@lru_cache(maxsize=256)
def _greedy(lower: float, steps: int, degree: int, cushion: float, safety: float) -> Composition:
    """Choose the best polynomial for what those before have left."""
    found, low, high = [], lower, 1.0
    for k in range(steps):
        p = _cushioned(low, high, degree, cushion)
        if k < steps - 1:
            p = stretched(p, safety)
        found.append(p)
        low = evaluate(p, low)
        high = 2.0 - low
    return Composition(tuple(found), lower, distance(tuple(found), lower))


@lru_cache(maxsize=64)
def _longest(delta: float, steps: int, degree: int) -> Composition:
    """Bisect the logarithm of the lower end: too small at first, and large enough."""
    low, high = _SMALLEST, math.log1p(-delta / 2)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        arrives = _greedy(math.exp(middle), steps, degree, 0.0, 1.0).error <= delta
        low, high = (low, middle) if arrives else (middle, high)
    return _greedy(math.exp(high), steps, degree, 0.0, 1.0)


def distance(coefficients: tuple[tuple[float, ...], ...], lower: float) -> float:
    """Return how far from one a composition brings ``[lower, 1]`` at most."""
    low, high = image(coefficients, lower, 1.0)
    return max(abs(1.0 - low), abs(1.0 - high))


def image(
    coefficients: tuple[tuple[float, ...], ...], lower: float, upper: float
) -> tuple[float, float]:
    """Return the interval that a composition makes of ``[lower, upper]``, negative values too.

    A polynomial has its extremes at the ends and at critical points between.
    """
    low, high = lower, upper
    for p in coefficients:
        inner = [x for c in critical_points(p) for x in (-c, c) if low < x < high]
        values = [evaluate(p, x) for x in (low, high, *inner)]
        low, high = min(values), max(values)
    return low, high


def _cushioned(low: float, high: float, degree: int, cushion: float) -> tuple[float, ...]:
    """Return the best polynomial on the upper part of an interval, its whole image around one."""
    start = max(low, cushion * high)
    p, error = minimax(start, high, degree)
    if start == low:
        return p
    centre = (evaluate(p, low) + 1 + error) / 2
    return tuple(c / centre for c in p)


def _degree(degree: int) -> int:
    if degree not in (3, 5):
        raise ValueError(f"degree must be 3 or 5, got {degree!r}")
    return int(degree)


def _between(value: float, low: float, high: float, *, name: str) -> float:
    number = check_number(value, name=name)
    if not low < number < high:
        raise ValueError(f"{name} must lie between {low:g} and {high:g}, got {value}")
    return number
