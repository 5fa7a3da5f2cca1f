"""Truncation of Chebyshev-Tucker functions in the norm of L2.

In coefficients of orthonormal polynomials, factors whose columns are orthonormal make the norm of
the core that of the function (up to the volume of the box): a truncation of the one is one of the
other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tdecomp._typing import Array, Namespace
from tdecomp._xp import namespace
from tdecomp.chebyshev._core import arrays, mode_product, truncated
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._legendre import to_chebyshev, to_legendre


def orthonormal(
    core: Any, factors: Sequence[Array], xp: Namespace
) -> tuple[Any, tuple[Array, ...]]:
    """Return the same function with factors that are orthonormal on the unit box.

    The norm of the core is then that of the function.
    """
    bases = []
    for k, factor in enumerate(factors):
        q, r = xp.linalg.qr(to_legendre(factor, xp))
        core = mode_product(core, r, k, xp)
        bases.append(to_chebyshev(q, xp))
    return core, tuple(bases)


def recompress(f: ChebyshevTucker, **targets: Any) -> ChebyshevTucker:
    """Return a function of least rank near another one, in the norm of L2.

    The `targets`, ``rank`` and ``rtol``, are those of `sthosvd`. Factors are orthonormal on the
    unit box.
    """
    xp = namespace(*arrays(f.core), *f.factors)
    core, bases = orthonormal(f.core, f.factors, xp)
    core, turns = truncated(core, **targets)
    factors = tuple(q @ u for q, u in zip(bases, turns, strict=True))
    return ChebyshevTucker(core, factors, f.domain)
