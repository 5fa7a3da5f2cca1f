r"""Polar factors from the SVD, with derivatives that repeated singular values leave finite.

Libraries differentiate singular vectors, through :math:`1 / (\sigma_i^2 - \sigma_j^2)`: of an
orthogonal matrix, whose polar factor is as smooth as any, the gradient is NaN. The polar factor
itself, :math:`X V^*`, needs sums only: with :math:`M = A V` it solves

.. math:: X^* M = M^* X , \qquad X^* X = I , \qquad (I - X X^*) M = 0 ,

and a step of Newton's method, from the SVD :math:`X = U`, :math:`M = U S` held constant, solves
for :math:`U (E + K) + N` with :math:`E` hermitian, :math:`K` skew and :math:`N` normal to
:math:`U`:

.. math:: E = \tfrac12 (I - X^* X) , \qquad
   K_{ij} = \frac{(X^* M - M^* X)_{ij} + E_{ij} (\sigma_j - \sigma_i)}
   {\sigma_i + \sigma_j} , \qquad N = (I - U U^*) (M - X X^* M) S^{-1} .

Every step makes one more order of derivatives exact. Only changes of the residuals enter: values
stay those of the SVD, and rounding is not amplified by a small :math:`\sigma_n`.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from tdecomp._shim import constant
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, device, differentiated, integers, is_numpy, traced
from tdecomp.linalg._robust import robust_svd
from tdecomp.linalg._smooth import smooth_bases

_SINGLE = 32
# Matrices so much taller than wide, and so wide, are reduced to a triangle first.
_ASPECT, _TRIANGLE = 2, 32
# Gradients and Hessians are exact.
_STEPS = 2


def svd_polar(
    a: Array,
    rank: int | None = None,
    cutoff: float | None = None,
    *,
    with_h: bool = True,
    xp: Namespace,
) -> tuple[Array, Array | None]:
    """Return the polar factors of a stack of tall matrices, of singular values that count.

    All of them count, or the first `rank`, or those above `cutoff` times the largest; where both
    are given, those that pass both.
    """
    rank = None if rank == a.shape[-1] else rank
    if differentiated(a):
        u = _smooth_isometry(a, rank if cutoff is None else _one_rank(a, rank, cutoff, xp), xp)
        return u, hermitian(adjoint(u, xp) @ a, xp) if with_h else None
    if a.ndim == 2 and a.shape[0] >= _ASPECT * a.shape[1] and a.shape[1] >= _TRIANGLE:
        q, r = _qr(a, xp)  # singular vectors of the triangle need no product of their own
        u, h = svd_polar(r, rank, cutoff, with_h=with_h, xp=xp)
        return q @ u, h
    u, s, vh = _svd(a, xp)
    if cutoff is None:
        u, s, vh = u[..., :rank], s[..., :rank], vh[..., :rank, :]
    else:
        kept = xp.astype(_kept(s, rank, cutoff, xp), s.dtype)
        u, s = u * xp.astype(kept, u.dtype)[..., None, :], s * kept
    return u @ vh, _product(s, vh, xp) if with_h else None


def _svd(a: Array, xp: Namespace) -> tuple[Array, Array, Array]:
    """Return the thin SVD, of one matrix of NumPy in its own precision."""
    if _is_single(a, xp):
        from scipy.linalg import svd

        with suppress(np.linalg.LinAlgError):
            u, s, vh = svd(a, full_matrices=False, check_finite=False)
            return u, s, vh
    return robust_svd(a, xp)


def _qr(a: Array, xp: Namespace) -> tuple[Array, Array]:
    """Return the thin QR decomposition, of one matrix of NumPy in its own precision."""
    if _is_single(a, xp):
        from scipy.linalg import qr

        q, r = qr(a, mode="economic", check_finite=False)
        return q, r
    q, r = xp.linalg.qr(a)
    return q, r


def _is_single(a: Array, xp: Namespace) -> bool:
    """Tell of one matrix in single precision, which NumPy decomposes in double, at its price."""
    return is_numpy(a) and a.ndim == 2 and xp.finfo(a.dtype).bits == _SINGLE


def hermitian(x: Array, xp: Namespace) -> Array:
    """Return the hermitian part."""
    return (x + adjoint(x, xp)) / 2


def _product(s: Array, vh: Array, xp: Namespace) -> Array:
    """Return the hermitian matrix of given eigenvalues and adjoint eigenvectors."""
    return hermitian((adjoint(vh, xp) * xp.astype(s, vh.dtype)[..., None, :]) @ vh, xp)


def _kept(s: Array, rank: int | None, cutoff: float, xp: Namespace) -> Array:
    """Tell which singular values count."""
    kept = s > cutoff * s[..., :1]
    if rank is None:
        return kept
    return kept & (xp.arange(s.shape[-1], device=device(s)) < rank)


def _one_rank(a: Array, rank: int | None, cutoff: float, xp: Namespace) -> int | None:
    """Return the rank that a cutoff leaves to all matrices of a stack, for its derivative."""
    if traced(a):
        raise ValueError("under tracing (jit, vmap) the rank must be fixed: pass rank=, no cutoff")
    s = xp.linalg.svdvals(constant(a))
    counts = xp.sum(xp.astype(_kept(s, rank, cutoff, xp), integers(xp)), axis=-1)
    least, most = int(xp.min(counts)), int(xp.max(counts))
    if least != most or most == 0:
        raise ValueError(
            f"cutoff={cutoff} leaves ranks from {least} to {most} to the matrices, and one rank "
            "of at least 1 can be differentiated: pass rank="
        )
    return None if most == a.shape[-1] else most


def _smooth_isometry(a: Array, rank: int | None, xp: Namespace) -> Array:
    """Let the isometric factor, complete or of a rank, follow the matrix."""
    if rank is None:
        u, s, vh = (constant(x) for x in robust_svd(constant(a), xp))
        return follow(a, u, s, vh, xp)
    left, right = smooth_bases(a, rank, xp)
    return left @ _smooth_isometry(adjoint(left, xp) @ a @ right, None, xp) @ adjoint(right, xp)


def follow(a: Array, u: Array, s: Array, vh: Array, xp: Namespace) -> Array:
    """Let the product of singular vectors follow the matrix; singular values may have signs."""
    first, second = s[..., :, None], s[..., None, :]
    sums, inverse = (xp.astype(_inverse(x, xp), a.dtype) for x in (first + second, second))
    gaps = xp.astype(second - first, a.dtype)
    x, m = u, a @ adjoint(vh, xp)
    for _ in range(_STEPS):
        inner = adjoint(x, xp) @ m
        outer = _change(m - x @ inner)
        e = _change(adjoint(x, xp) @ x) / -2
        k = (_change(inner - adjoint(inner, xp)) + e * gaps) * sums
        x = x + u @ (e + k) + (outer - u @ (adjoint(u, xp) @ outer)) * inverse
    return x @ vh


def _change(x: Array) -> Array:
    """Return a zero with the derivatives of `x`."""
    return x - constant(x)


def _inverse(x: Array, xp: Namespace) -> Array:
    """Invert what can be; where singular values vanish, nothing moves."""
    safe = x > xp.finfo(x.dtype).smallest_normal
    return xp.where(safe, 1 / xp.where(safe, x, xp.ones_like(x)), xp.zeros_like(x))
