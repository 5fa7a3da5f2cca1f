"""The truncated singular value decomposition, exact and batched."""

from __future__ import annotations

from typing import Any

from tdecomp._errors import check_reachable, check_target
from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import differentiated, eps, equilibrate, prepare, traced
from tdecomp.linalg import _gram
from tdecomp.linalg._formats import SVD
from tdecomp.linalg._signs import canonical_signs
from tdecomp.linalg._smooth import leading_svd
from tdecomp.linalg._truncation import reachable_rtol, tail_norms, truncation_rank


@full_precision
def truncated_svd(a: Any, /, *, rank: int | None = None, rtol: float | None = None) -> SVD:
    r"""Return the best approximation of a matrix of given rank, or of least rank for an error.

    The Eckart-Young theorem: among all matrices of rank at most :math:`r`, the leading
    :math:`r` singular triplets come closest, in the Frobenius and the spectral norm, and

    .. math:: \|A - U_r S_r V_r^*\|_F^2 = \sum_{i > r} \sigma_i^2 .

    Parameters
    ----------
    a : array, shape (..., m, n)
        The matrix, or a batch of them.
    rank : int, optional
        How many triplets to keep, at most ``min(m, n)``.
    rtol : float, optional
        Guarantee :math:`\|A - \hat A\|_F \le \mathtt{rtol}\, \|A\|_F` with the fewest triplets
        that do; a batch shares the largest of their numbers. With `rank` too, the smaller rank
        wins.

    Returns
    -------
    SVD
        ``U`` (..., m, r), ``S`` (..., r) real and descending, ``Vh`` (..., r, n), with
        canonical signs.

    Raises
    ------
    ValueError
        If neither `rank` nor `rtol` is given, one is out of range, or `a` is empty, not finite
        or has fewer than two axes.
    ToleranceError
        If `rtol` is below what rounding allows in this precision.

    See Also
    --------
    randomized_svd : much faster for a few triplets of a large matrix.
    weighted_svd : optimal in a weighted norm.

    Notes
    -----
    About :math:`4 m n^2 + 22 n^3` flops for :math:`m \ge n`, by LAPACK's divide and conquer. When
    that fails to converge, the triangular factor of a QR decomposition is tried instead, which
    perturbs the problem by rounding only. A few triplets of a large matrix with one side at least
    four times the other come from the Gram matrix of the shorter side, in :math:`m n^2` flops,
    where that loses no digit: :math:`\epsilon \|A\|_F^2 < 10^{-9} \sigma_r^2`. Under tracing
    (``jax.jit``, ``vmap``) `rank` is required, and a matrix that is not finite yields NaN.
    Gradients need only :math:`\sigma_r > \sigma_{r+1}`, and different leading values where single
    vectors are differentiated.

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> a = np.array([[2.0, 2.0], [1.0, 1.0], [0.0, 0.0]])
    >>> td.truncated_svd(a, rtol=1e-6).rank
    1
    """
    xp, a = prepare(a, ndim=2, batch=True)
    m, n = a.shape[-2:]
    rank, rtol = check_target(rank, rtol, min(m, n))
    if rtol is not None and traced(a):
        raise ValueError("under tracing (jit, vmap) the rank must be fixed: pass rank= alone")
    a, scale = equilibrate(a, xp, axis=(-2, -1))
    if rtol is None:
        svd = _few(a, rank, xp) or _truncated_svd(a, rank, xp=xp)
    else:
        floor = reachable_rtol(m, n, eps(a.dtype, xp))
        check_reachable(rtol, floor, dtype=a.dtype)
        svd = _truncated_svd(a, min(m, n), xp=xp)
        r = truncation_rank(svd.S, rank=rank, atol=(rtol - floor / 4) * tail_norms(svd.S)[..., 0])
        svd = SVD(svd.U[..., :r], svd.S[..., :r], svd.Vh[..., :r, :])
    return svd._replace(S=svd.S * scale[..., 0])


def _few(a: Array, rank: int | None, xp: Namespace) -> SVD | None:
    """Take the short way to a few triplets of a large tall matrix, where it is as accurate."""
    if rank is None or not _gram.pays(tuple(a.shape), rank) or differentiated(a):
        return None
    triplets = _gram.leading_triplets(a, rank, xp)
    if triplets is None:
        return None
    u, s, vh = triplets
    u, vh = canonical_signs(u, vh, xp)
    return SVD(u, s, vh)


def _truncated_svd(a: Array, rank: int | None, *, xp: Namespace) -> SVD:
    """Compute the leading `rank` triplets of finite `a`, canonical signs included."""
    u, s, vh = leading_svd(a, rank, xp)
    u, vh = canonical_signs(u, vh, xp)
    return SVD(u, s, vh)
