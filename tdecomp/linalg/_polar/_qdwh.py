r"""QDWH: Halley's iteration with weights that know how small singular values may be.

.. math:: X_{k+1} = X_k (a I + b X_k^* X_k)(I + c X_k^* X_k)^{-1}
          = \frac{b}{c} X_k + \Bigl(a - \frac{b}{c}\Bigr) X_k (I + c X_k^* X_k)^{-1}

maps singular values by :math:`x (a + b x^2) / (1 + c x^2)`, the best such function on
:math:`[\ell, 1]`; six steps take :math:`\ell = 10^{-16}` to one. With `l` taken from the precision
alone all coefficients are known beforehand, and no value is looked at.

References
----------
.. [1] Y. Nakatsukasa, Z. Bai, F. Gygi, "Optimizing Halley's iteration for computing the matrix
   polar decomposition", SIAM J. Matrix Anal. Appl. 31, 2010, equations 3.8 to 3.11.
   doi:10.1137/090774999
"""

from __future__ import annotations

import math
from functools import lru_cache

from tdecomp._typing import Array, Namespace
from tdecomp._xp import eps
from tdecomp.linalg._polar._rational import normalised, polished, resolvent

# Above this weight the Gram matrix would lose digits.
_HEAVY = 100.0
_MOST = 10


def qdwh(a: Array, *, xp: Namespace) -> Array:
    """Return the isometric factor of a stack of tall matrices.

    Singular values below eps times the norm are left behind, between zero and one.
    """
    x = normalised(a, xp)
    for first, second, weight in coefficients(eps(a.dtype, xp)):
        share = second / weight
        part = resolvent(x, weight, xp, by_qr=weight > _HEAVY)
        x = share * x + ((first - share) / weight) * part
    return polished(x, xp)


@lru_cache(maxsize=8)
def coefficients(unit: float) -> tuple[tuple[float, float, float], ...]:
    """Return `a`, `b` and `c` of every step that leads from `unit` to one."""
    found: list[tuple[float, float, float]] = []
    low = unit
    while low < 1 - 5 * unit and len(found) < _MOST:
        square = low * low
        d = (4 * (1 - square) / square**2) ** (1 / 3)
        root = math.sqrt(1 + d)
        a = root + math.sqrt(8 - 4 * d + 8 * (2 - square) / (square * root)) / 2
        b = (a - 1) ** 2 / 4
        c = a + b - 1
        found.append((a, b, c))
        low = min(low * (a + b * square) / (1 + c * square), 1.0)
    return tuple(found)
