r"""Where a series of coefficients ends: the rule of Aurentz and Trefethen.

Coefficients of a smooth function fall until they reach the noise of its values, a plateau. The
rule asks whether the envelope

.. math:: m_j = \max_{i \ge j} |c_i| \,/\, \max_i |c_i|

is flat from some `j` on for a quarter of its length, flat meaning the less strict the lower it
is; and then where, before the plateau, the envelope with a slope of a third of the digits added is
least. No plateau: the series is not resolved yet.

References
----------
.. [1] J. L. Aurentz, L. N. Trefethen, "Chopping a Chebyshev series", ACM Trans. Math. Softw. 43,
   2017. doi:10.1145/2998442
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

# Shorter series are not judged.
LEAST = 17
# By how much later an index is compared, and how far below the tolerance counts.
_STRETCH, _MORE = 1.25, 5.0
_BELOW = 7 / 6


def chop(coefficients: npt.NDArray[np.float64], tol: float) -> int | None:
    """Return how many magnitudes are worth keeping, None of a series that has not settled."""
    n = coefficients.size
    if n < LEAST:
        return None
    envelope = np.maximum.accumulate(np.abs(coefficients)[::-1])[::-1]
    if envelope[0] == 0:
        return 1
    envelope = envelope / envelope[0]
    plateau = _plateau(envelope, tol)
    if plateau is None:
        return None
    start, end = plateau
    if envelope[start] == 0:
        return start + 1
    count = int(np.sum(envelope >= tol**_BELOW))
    known = envelope[: end + 1].copy()
    if count < end + 1:
        known = envelope[: count + 1].copy()
        known[count] = tol**_BELOW
    slope = np.linspace(0, -math.log10(tol) / 3, known.size)
    return max(int(np.argmin(np.log10(known) + slope)), 1)


def _plateau(envelope: npt.NDArray[np.float64], tol: float) -> tuple[int, int] | None:
    """Return the index before the first plateau, and the one it was compared with."""
    n = envelope.size
    for j in range(1, n):
        end = math.floor(_STRETCH * (j + 1) + _MORE + 0.5) - 1
        if end >= n:
            return None
        low, high = envelope[end], envelope[j]
        if high == 0 or low / high > 3 * (1 - math.log(high) / math.log(tol)):
            return j - 1, end
    return None
