"""The whole SVD, by a second route where the first does not converge."""

from __future__ import annotations

import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, all_finite, concrete, is_numpy


def robust_svd(a: Array, xp: Namespace) -> tuple[Array, Array, Array]:
    """Return the thin SVD of finite `a`, by a second route where the first does not converge."""
    try:
        u, s, vh = xp.linalg.svd(a, full_matrices=False)
        if concrete(all_finite(s, xp)) is not False:
            return u, s, vh
    except Exception as error:  # each library has a class of its own
        if "converge" not in str(error):
            raise
    u, s, vh = _second_route(a, xp)
    if concrete(all_finite(s, xp)) is False:
        raise np.linalg.LinAlgError("the SVD converged on neither of two routes")
    return u, s, vh


def _second_route(a: Array, xp: Namespace) -> tuple[Array, Array, Array]:
    """Decompose the triangular factor instead; on NumPy with the slower, sturdier driver."""
    q, r = xp.linalg.qr(adjoint(a, xp))
    if is_numpy(a) and a.ndim == 2:
        from scipy.linalg import svd

        v, s, wh = svd(r, full_matrices=False, check_finite=False, lapack_driver="gesvd")
    else:
        v, s, wh = xp.linalg.svd(r, full_matrices=False)
    return adjoint(wh, xp), s, adjoint(q @ v, xp)
