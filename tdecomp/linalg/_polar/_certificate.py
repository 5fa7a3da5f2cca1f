"""How far from a polar decomposition two factors are: what a backward stable one keeps small."""

from __future__ import annotations

from typing import Any, NamedTuple

from tdecomp._precision import full_precision
from tdecomp._typing import Array
from tdecomp._xp import adjoint, device, equilibrate, prepare, quotient
from tdecomp.linalg._polar._formats import LeftPolar, Polar
from tdecomp.linalg._polar._svd import hermitian


class PolarCertificate(NamedTuple):
    r"""Distances from a polar decomposition, each relative, one number for each matrix.

    Attributes
    ----------
    orthogonality : array
        :math:`\|U^* U - I\|_F`, or :math:`\|U U^* - I\|_F` of a wide one.
    residual : array
        :math:`\|A - U H\|_F / \|A\|_F`, or of the factors in the other order; of a zero matrix
        zero where it is reproduced, and infinite where not.
    symmetry : array
        :math:`\|H - H^*\|_F / \|H\|_F`.
    indefiniteness : array
        :math:`\max(0, -\lambda_{\min}(H)) / \|H\|_2`.
    """

    orthogonality: Array
    residual: Array
    symmetry: Array
    indefiniteness: Array


@full_precision
def polar_certificate(a: Any, factors: Polar | LeftPolar, /) -> PolarCertificate:
    r"""Measure how well two factors are a polar decomposition of a matrix.

    A method is backward stable if and only if :math:`U` is near an isometry, :math:`H` near a
    semidefinite matrix, and their product near :math:`A`: all of these are a modest multiple of
    eps then, whatever the condition of :math:`A`. The forward error of :math:`U` is not: it grows
    like :math:`\epsilon \kappa(A)` for every method.

    Parameters
    ----------
    a : array, shape (..., m, n)
        The matrix.
    factors : Polar or LeftPolar
        Its decomposition.

    Returns
    -------
    PolarCertificate
        Four measures, arrays of shape (...).

    Raises
    ------
    TypeError, ValueError
        If `factors` are something else, or of another shape, or `a` is empty or not finite.

    Notes
    -----
    Two products and the eigenvalues of `H`.

    References
    ----------
    .. [1] Y. Nakatsukasa, N. J. Higham, "Backward stability of iterations for computing the polar
       decomposition", SIAM J. Matrix Anal. Appl. 33, 2012. doi:10.1137/110857544

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> from tdecomp.linalg import polar_certificate
    >>> a = np.vander(np.linspace(0, 1, 12), 8)
    >>> certificate = polar_certificate(a, td.polar(a))
    >>> bool(max(certificate) < 1e-14)
    True
    """
    if not isinstance(factors, Polar | LeftPolar):
        raise TypeError(f"factors must be a Polar or a LeftPolar, got {type(factors).__name__}")
    xp, a = prepare(a, ndim=2, batch=True)
    if tuple(a.shape) != factors.shape:
        raise ValueError(f"factors make a matrix of shape {factors.shape}, got a of {a.shape}")
    u, h = factors.U, factors.H
    tall = u.shape[-2] >= u.shape[-1]
    gram = adjoint(u, xp) @ u if tall else u @ adjoint(u, xp)
    unit = xp.eye(gram.shape[-1], dtype=u.dtype, device=device(u))
    a, scale = equilibrate(a, xp, axis=(-2, -1))
    h = h / xp.astype(scale, h.dtype)
    product = u @ h if isinstance(factors, Polar) else h @ u
    values = xp.linalg.eigvalsh(hermitian(h, xp))
    least, norm = -xp.min(values, axis=-1), xp.linalg.matrix_norm
    residual, size = norm(a - product), norm(a)
    # Of a zero matrix nothing may be left.
    missed = xp.where((size == 0) & (residual > 0), xp.inf, quotient(residual, size, xp))
    return PolarCertificate(
        norm(gram - unit),
        missed,
        quotient(norm(h - adjoint(h, xp)), norm(h), xp),
        quotient(xp.where(least > 0, least, 0 * least), xp.max(xp.abs(values), axis=-1), xp),
    )
