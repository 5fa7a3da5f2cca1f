r"""Zolo-pd: two steps of a rational function of high degree, whose terms are independent.

Two compositions of Zolotarev's functions of type :math:`(2r + 1, 2r)` bring
:math:`[10^{-16}, 1]` to one with :math:`r = 8`. Each step is a sum of `r` terms that QDWH would
make one after the other: more work, and all of it can be done at once.

References
----------
.. [1] Y. Nakatsukasa, R. W. Freund, "Computing fundamental matrix decompositions accurately via
   the matrix sign function in two iterations: the power of Zolotarev's functions", SIAM Review 58,
   2016, Algorithm 1 and Table 3.1. doi:10.1137/140990334
"""

from __future__ import annotations

from functools import lru_cache

from tdecomp._typing import Array, Namespace
from tdecomp._xp import eps
from tdecomp.linalg._polar._rational import normalised, polished, resolvent
from tdecomp.linalg._polar._zolotarev import Zolotarev, zolotarev

# The largest condition numbers that two steps of these orders make one; eight for all others.
_ORDERS = ((6.5, 2), (180.0, 3), (1.5e4, 4), (2e6, 5), (1e9, 6), (3e12, 7))
_LARGEST, _HEAVY, _STEPS = 8, 100.0, 2


def zolo(a: Array, *, xp: Namespace) -> Array:
    """Return the isometric factor of a stack of tall matrices.

    Singular values below eps times the norm are left behind, between zero and one.
    """
    x = normalised(a, xp)
    for step in steps(eps(a.dtype, xp)):
        by_qr = max(1 / pole for pole in step.poles) > _HEAVY
        total = x
        for pole, weight in zip(step.poles, step.weights, strict=True):
            total = total + weight * resolvent(x, 1 / pole, xp, by_qr=by_qr)
        x = step.factor * total
    return polished(x, xp)


@lru_cache(maxsize=8)
def steps(unit: float) -> tuple[Zolotarev, ...]:
    """Return the functions that lead from `unit` to one."""
    order = next((r for most, r in _ORDERS if 1 / unit <= most), _LARGEST)
    found = [zolotarev(unit, order)]
    while len(found) < _STEPS:
        found.append(zolotarev(found[-1].lower, order))
    return tuple(found)
