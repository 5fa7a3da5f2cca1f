r"""Newton's method with scaling, :math:`X \leftarrow (\zeta X + X^{-*} / \zeta) / 2`.

The factor :math:`\zeta`, from norms of the iterate and its inverse, brings large and small
singular values together; without it each step would halve the large ones. Once the iterate moves
by a hundredth, it is one, and convergence is quadratic.

References
----------
.. [1] N. J. Higham, "Computing the polar decomposition - with applications", SIAM J. Sci. Stat.
   Comput. 7, 1986, Algorithm Newton. doi:10.1137/0907079
"""

from __future__ import annotations

import math

from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, differentiated, eps
from tdecomp.linalg._polar._rational import norm_bound, normalised, polished

_NEAR, _MOST = 1e-2, 30


def newton(a: Array, *, xp: Namespace) -> Array:
    """Return the isometric factor of a stack of tall matrices of full rank."""
    if differentiated(a):
        raise ValueError(
            "method='newton' looks at values: for gradients and under tracing use method='svd'"
        )
    if a.shape[-2] > a.shape[-1]:
        q, r = xp.linalg.qr(a)
        return q @ newton(r, xp=xp)
    x, unit, scaled = normalised(a, xp), eps(a.dtype, xp), True
    for _ in range(_MOST):
        inverse = _inverse(x, unit, xp)
        moved = _step(x, inverse, scaled=scaled, xp=xp)
        change = float(xp.max(xp.linalg.matrix_norm(moved - x) / xp.linalg.matrix_norm(moved)))
        x, scaled = moved, scaled and change > _NEAR
        if change <= math.sqrt(2 * unit):
            return polished(x, xp)
    raise _singular()


def _step(x: Array, inverse: Array, *, scaled: bool, xp: Namespace) -> Array:
    """Return the mean of the matrix and its inverse adjoint, of about one size."""
    if not scaled:
        return (x + adjoint(inverse, xp)) / 2
    ratio = xp.sqrt(norm_bound(inverse, xp) / norm_bound(x, xp))
    zeta = xp.astype(ratio, x.dtype)[..., None, None]
    return (zeta * x + adjoint(inverse, xp) / zeta) / 2


def _inverse(x: Array, unit: float, xp: Namespace) -> Array:
    """Invert, and refuse what has no inverse in this precision."""
    try:
        found = xp.linalg.inv(x)
    except Exception as error:  # each library has a class of its own
        if "singular" not in str(error).lower():
            raise
        raise _singular() from None
    condition = xp.max(norm_bound(x, xp) * norm_bound(found, xp))
    if not float(condition) * unit < x.shape[-1]:
        raise _singular()
    return found


def _singular() -> ValueError:
    return ValueError(
        "method='newton' needs inverses, and a is singular, or nearly so in this precision: use "
        "method='svd'"
    )
