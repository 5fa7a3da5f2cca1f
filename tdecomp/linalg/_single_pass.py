"""A low-rank approximation from sketches taken in one reading of the matrix."""

from __future__ import annotations

import math

import numpy as np

from tdecomp._iterate import Fit, Status
from tdecomp._shim import lstsq
from tdecomp._xp import adjoint
from tdecomp.linalg._formats import SVD
from tdecomp.linalg._operand import Operand
from tdecomp.linalg._orth import orthonormalize
from tdecomp.linalg._robust import robust_svd
from tdecomp.linalg._search import exact
from tdecomp.linalg._signs import canonical_signs
from tdecomp.linalg._sketch import matrix_of


def single_pass(op: Operand, rank: int, *, sketch: str, rng: np.random.Generator) -> Fit[SVD]:
    r"""Recover `rank` triplets from the sketches :math:`A\Omega`, :math:`\Psi^* A` and a core.

    The range sketch has :math:`k = 4r + 1` columns and the core sketch
    :math:`\Phi^* A \Psi` is :math:`s \times s` with :math:`s = 2k + 1`. With
    :math:`Q` and :math:`P` the bases of range and co-range,
    :math:`C = (\Phi^* Q)^+ (\Phi^* A \Psi) (P^* \Psi)^+` is the core of the approximation
    :math:`Q C P^*`, truncated afterwards.

    References
    ----------
    .. [1] J. A. Tropp, A. Yurtsever, M. Udell, V. Cevher, "Streaming low-rank matrix
       approximation with an application to scientific simulation", SIAM J. Sci. Comput. 41, 2019,
       Algorithm 4.3 and section 5. arXiv:1902.08651
    """
    m, n = op.shape
    xp, like = op.xp, op.like
    k = 4 * rank + 1
    s = 2 * k + 1
    if s > min(m, n) or op.total == 0:
        return exact(op, rank, None)
    omega, psi = (matrix_of(sketch, rng, (n, size), like, xp) for size in (k, s))
    upsilon, phi = (matrix_of(sketch, rng, (m, size), like, xp) for size in (k, s))
    images = op.matmat(xp.concat([omega, psi], axis=1))
    q = orthonormalize(images[:, :k], xp).Q
    p = orthonormalize(op.rmatmat(upsilon), xp).Q
    core = lstsq(adjoint(phi, xp) @ q, adjoint(phi, xp) @ images[:, k:], xp)
    core = adjoint(lstsq(adjoint(psi, xp) @ p, adjoint(core, xp), xp), xp)
    u, values, vh = robust_svd(core, xp)
    left, right = q @ u[:, :rank], vh[:rank, :] @ adjoint(p, xp)
    left, right = canonical_signs(left, right, xp)
    misfit = op.misfit(left * values[:rank], right)
    error = math.sqrt(misfit / op.total)
    return Fit(SVD(left, values[:rank] * op.scale, right), error, 2, Status.CONVERGED)
