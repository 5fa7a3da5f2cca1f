r"""Zolotarev's rational functions: the best odd approximations of one on an interval.

.. math:: Z(x) = M x \prod_{j=1}^{r} \frac{x^2 + c_{2j}}{x^2 + c_{2j-1}} , \qquad
          c_i = \ell^2 \operatorname{sc}^2\Bigl(\frac{i K'}{2 r + 1} ; \sqrt{1 - \ell^2}\Bigr) .

With :math:`1 - \ell^2` in double precision the digits of a small :math:`\ell` would be gone.
Landen's descending transformations are made of the complementary modulus, :math:`\ell` itself:
:math:`\ell \to 2 \sqrt{\ell} / (1 + \ell)` leads to one in a few steps, where elliptic functions
are trigonometric.

References
----------
.. [1] Y. Nakatsukasa, R. W. Freund, "Computing fundamental matrix decompositions accurately via
   the matrix sign function in two iterations: the power of Zolotarev's functions", SIAM Review 58,
   2016. doi:10.1137/140990334
"""

from __future__ import annotations

import math
from typing import NamedTuple


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
    moduli = [lower]
    while moduli[-1] < 1.0:
        following = 2 * math.sqrt(moduli[-1]) / (1 + moduli[-1])
        if following <= moduli[-1]:
            break
        moduli.append(following)
    # In units of the quarter period, which every transformation stretches alike.
    angles = [i * math.pi / (2 * (2 * order + 1)) for i in range(1, 2 * order + 1)]
    c = [(lower * _tangent(angle, moduli)) ** 2 for angle in angles]
    poles, zeros = c[::2], c[1::2]
    weights = [_weight(j, poles, zeros) for j in range(order)]

    def plain(x: float) -> float:
        return x * math.prod((x * x + z) / (x * x + p) for p, z in zip(poles, zeros, strict=True))

    top = plain(1.0)
    return Zolotarev(tuple(poles), tuple(weights), 1 / top, min(plain(lower) / top, 1.0))


def _tangent(angle: float, moduli: list[float]) -> float:
    """Return ``sn / cn`` at a part of the quarter period, from that of the last modulus up."""
    t = math.tan(angle)
    for here, following in zip(reversed(moduli[:-1]), reversed(moduli[1:]), strict=True):
        t = 2 * t / (1 + here) / math.sqrt((1 + (following * t) ** 2) / (1 + t * t))
    return t


def _weight(j: int, poles: list[float], zeros: list[float]) -> float:
    """Return the weight of a pole in the partial fractions of the product less one."""
    others = [p for k, p in enumerate(poles) if k != j]
    value = -math.prod(
        (poles[j] - z) / (poles[j] - p) for p, z in zip(others, zeros[: len(others)], strict=True)
    )
    return value * (poles[j] - zeros[-1])
