r"""The odd polynomial of degree three or five that is nearest to one on an interval.

By Chebyshev's theorem the best one,

.. math:: \min_p \max_{\ell \le x \le u} |1 - p(x)| , \qquad p(x) = a x + b x^3 (+ c x^5) ,

is the one whose error alternates in sign, with equal size `E`, at three or four points: the ends,
and the critical points of `p` between them. For degree three they have a closed form [1]_, [2]_.
For degree five they are exchanged for the critical points of the polynomial that they determine,
until nothing moves (Remez).

References
----------
.. [1] N. Amsel, D. Persson, C. Musco, R. M. Gower, "The Polar Express: optimal matrix sign
   methods and their application to the Muon algorithm", 2025, arXiv:2505.16932.
.. [2] E. Grishina, M. Smirnov, M. Rakhuba, "Accelerating Newton-Schulz iteration for
   orthogonalization via Chebyshev-type polynomials", 2025, arXiv:2506.10935.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

# Taylor polynomials at one, whose error is of order two, and three, in the length of an interval.
TAYLOR = {3: (1.5, -0.5), 5: (1.875, -1.25, 0.375)}
# A relative length below which they are as good as the best.
_SHORT = 5e-6
_EXCHANGES = 100


class Odd(NamedTuple):
    """An odd polynomial, ``c[0] x + c[1] x**3 + ...``, and its largest distance from one."""

    coefficients: tuple[float, ...]
    error: float


def minimax(lower: float, upper: float, degree: int) -> Odd:
    """Return the best polynomial of degree 3 or 5 on ``[lower, upper]``."""
    ratio = lower / upper
    if ratio >= 1 - _SHORT:
        centre = (lower + upper) / 2
        error = abs(1 - evaluate(TAYLOR[degree], lower / centre))
        return Odd(stretched(TAYLOR[degree], centre), error)
    found = _cubic(ratio) if degree == 3 else _quintic(ratio)
    return Odd(stretched(found.coefficients, upper), found.error)


def evaluate(coefficients: tuple[float, ...], x: float) -> float:
    """Evaluate an odd polynomial."""
    y = 0.0
    for c in reversed(coefficients):
        y = y * x * x + c
    return x * y


def stretched(coefficients: tuple[float, ...], by: float) -> tuple[float, ...]:
    """Return the polynomial ``p(x / by)``."""
    return tuple(c / by ** (2 * k + 1) for k, c in enumerate(coefficients))


def critical_points(coefficients: tuple[float, ...]) -> list[float]:
    """Return the positive zeros of the derivative, ascending, of a polynomial of degree 5 at most.

    With ``t = x**2`` it is a quadratic, solved without cancellation.
    """
    a, b, c = (*coefficients, 0.0, 0.0)[:3]
    b, c = 3 * b, 5 * c
    if c == 0:
        squares = [-a / b] if b else []
    elif b * b < 4 * a * c:
        squares = []
    else:
        q = -(b + math.copysign(math.sqrt(b * b - 4 * a * c), b)) / 2
        squares = [q / c, *([a / q] if q else [])]
    return sorted(math.sqrt(t) for t in squares if t > 0)


def _cubic(lower: float) -> Odd:
    """Return the cubic on ``[lower, 1]``, in closed form."""
    s = lower * lower + lower + 1
    peak, ends = 2 * (s / 3) ** 1.5, lower * (1 + lower)
    total = peak + ends
    return Odd((2 * s / total, -2 / total), (peak - ends) / total)


def _quintic(lower: float) -> Odd:
    """Return the quintic on ``[lower, 1]``, by exchanging the inner points of alternation."""
    inner, error = [(3 * lower + 1) / 4, (lower + 3) / 4], math.inf
    signs = np.array([1.0, -1.0, 1.0, -1.0])
    for _ in range(_EXCHANGES):
        x = np.array([lower, *inner, 1.0])
        *c, new = np.linalg.solve(np.stack([x, x**3, x**5, signs], axis=1), np.ones(4)).tolist()
        if abs(new - error) <= np.finfo(float).eps:
            break
        error, inner = new, critical_points(tuple(c))
    return Odd(tuple(c), abs(new))
