"""The partial isometry of a matrix, zero where the matrix is: exact, or by polynomials."""

from __future__ import annotations

from tdecomp._shim import constant
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, differentiated, eps
from tdecomp.linalg._polar._orthogonalize import METHODS as POLYNOMIALS
from tdecomp.linalg._polar._orthogonalize import orthogonalize
from tdecomp.linalg._polar._svd import svd_polar
from tdecomp.linalg._robust import robust_svd

METHODS = ("exact", *POLYNOMIALS)

# Singular values below this many eps of the largest are rounding: measured, zeros come out at 3.
_NOISE = 16.0


def isometry(a: Array, method: str, xp: Namespace, *, steps: int | None = None) -> Array:
    """Return the partial isometry of a stack of matrices by one of `METHODS`."""
    if method == "exact":
        return partial_isometry(a, xp)[0]
    return orthogonalize(a, method=method, steps=steps)


def partial_isometry(a: Array, xp: Namespace) -> tuple[Array, Array]:
    r"""Return :math:`U_r V_r^*` over all singular values that are no rounding, and all of them.

    A step along it leaves alone what the matrix says nothing of. Derivatives are those of the
    complete isometry, and exact at full rank; elsewhere there are none.
    """
    turned = a.shape[-2] < a.shape[-1]
    tall = adjoint(a, xp) if turned else a
    u, s, vh = robust_svd(constant(tall), xp)
    kept = xp.astype(s > _NOISE * eps(s.dtype, xp) * s[..., :1], a.dtype)[..., None, :]
    if differentiated(a):
        complete, _ = svd_polar(tall, with_h=False, xp=xp)
        found = complete @ ((adjoint(vh, xp) * kept) @ vh)
    else:
        found = (u * kept) @ vh
    return (adjoint(found, xp) if turned else found), s
