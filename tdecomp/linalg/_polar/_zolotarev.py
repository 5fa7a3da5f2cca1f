r"""Zolotarev's rational functions: the best odd approximations of one on an interval.

.. math:: Z(x) = M x \prod_{j=1}^{r} \frac{x^2 + c_{2j}}{x^2 + c_{2j-1}} , \qquad
          c_i = \ell^2 \operatorname{sc}^2\Bigl(\frac{i K'}{2 r + 1} ; \sqrt{1 - \ell^2}\Bigr) .

With :math:`1 - \ell^2` in double precision the digits of a small :math:`\ell` would be gone.
Landen's descending transformations are made of the complementary modulus, :math:`\ell` itself:
:math:`\ell \to 2 \sqrt{\ell} / (1 + \ell)` leads to one in a few steps, where elliptic functions
are trigonometric.

In terms of the argument of :math:`x = i \ell \operatorname{sc} u`, all poles of :math:`Z` have one
residue, the pole at infinity too: in partial fractions they have weights :math:`|dx / du|`, and
no product of differences loses digits:

.. math:: Z(x) = M x \Bigl(1 + \sum_{j=1}^{r} \frac{w_j}{x^2 + c_{2j-1}}\Bigr) , \qquad
          w_j = 2 \sqrt{(1 + c_{2j-1}) (\ell^2 + c_{2j-1})} .

References
----------
.. [1] Y. Nakatsukasa, R. W. Freund, "Computing fundamental matrix decompositions accurately via
   the matrix sign function in two iterations: the power of Zolotarev's functions", SIAM Review 58,
   2016. doi:10.1137/140990334
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

# All is computed in extended precision, where a machine has it: so are functions one, to the bit.
_wide = np.longdouble


class Zolotarev(NamedTuple):
    """Poles :math:`c_{2j-1}`, weights of partial fractions, factor `M`, and what `lower` becomes.

    The function is ``factor * x * (1 + sum(w / (x**2 + c)))``, at most one on [lower, 1].
    """

    poles: tuple[float, ...]
    weights: tuple[float, ...]
    factor: float
    lower: float


def zolotarev(lower: float, order: int) -> Zolotarev:
    """Return the function of type ``(2 order + 1, 2 order)`` that is best on ``[lower, 1]``."""
    low = _wide(lower)
    moduli = [low]
    while moduli[-1] < 1:
        following = 2 * np.sqrt(moduli[-1]) / (1 + moduli[-1])
        if following <= moduli[-1]:
            break
        moduli.append(following)
    poles = (low * _tangents(order, moduli)) ** 2
    weights = 2 * np.sqrt((1 + poles) * (low * low + poles))
    top = 1 + np.sum(weights / (1 + poles))
    bottom = low * (1 + np.sum(weights / (low * low + poles)))
    factor, value = float(1 / top), min(float(bottom / top), 1.0)
    return Zolotarev(tuple(map(float, poles)), tuple(map(float, weights)), factor, value)


def order_for(lower: float, unit: float) -> int:
    r"""Return an order whose function stays within `unit` of one on ``[lower, 1]``.

    By the bound :math:`8 \exp(-(2 r + 1) \pi^2 / (2 \log(4 / \ell)))`, asymptotically sharp.
    """
    terms = 2 * math.log(8 / unit) * math.log(4 / lower) / math.pi**2
    return max(1, math.ceil((terms - 1) / 2))


def _tangents(order: int, moduli: list[Any]) -> Any:
    """Return ``sn / cn`` at the odd parts of the quarter period, from the last modulus up.

    Every transformation stretches the quarter period and its parts alike.
    """
    odd, whole = np.arange(1, 2 * order, 2, dtype=_wide), 2 * order + 1
    unit = 2 * np.arctan(_wide(1)) / whole
    # Near the pole, where the rounding of an angle would count, from the other side.
    t = np.where(2 * odd < whole, np.tan(unit * odd), 1 / np.tan(unit * (whole - odd)))
    for here, following in zip(reversed(moduli[:-1]), reversed(moduli[1:]), strict=True):
        t = 2 * t / (1 + here) / np.sqrt((1 + (following * t) ** 2) / (1 + t * t))
    return t
