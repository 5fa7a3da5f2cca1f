"""How far from a polar decomposition two factors are: what a backward stable one keeps small."""

from __future__ import annotations

from typing import Any, NamedTuple

from tdecomp._precision import full_precision
from tdecomp._typing import Array
from tdecomp._xp import adjoint, device, equilibrate, prepare
from tdecomp.linalg._polar._formats import LeftPolar, Polar


class PolarCertificate(NamedTuple):
    r"""Distances from a polar decomposition, each relative, one number for each matrix.

    Attributes
    ----------
    orthogonality : array
        :math:`\|U^* U - I\|_F`, or :math:`\|U U^* - I\|_F` of a wide one.
    residual : array
        :math:`\|A - U H\|_F / \|A\|_F`, or of the factors in the other order; zero for a zero
        matrix that is reproduced.
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
    values = xp.linalg.eigvalsh((h + adjoint(h, xp)) / 2)
    least = -xp.min(values, axis=-1)
    return PolarCertificate(
        _norm(gram - unit, xp),
        _ratio(_norm(a - product, xp), _norm(a, xp), xp),
        _ratio(_norm(h - adjoint(h, xp), xp), _norm(h, xp), xp),
        _ratio(xp.where(least > 0, least, 0 * least), xp.max(xp.abs(values), axis=-1), xp),
    )


def _norm(x: Array, xp: Any) -> Array:
    return xp.linalg.matrix_norm(x)


def _ratio(part: Array, whole: Array, xp: Any) -> Array:
    """Divide; nothing of nothing is nothing."""
    return xp.where(part > 0, part / xp.where(whole > 0, whole, xp.ones_like(whole)), 0 * part)
