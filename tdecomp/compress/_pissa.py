"""Adapters of low rank that start at the principal part of a weight."""

from __future__ import annotations

from typing import Any

from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace, Seed
from tdecomp._xp import differentiated, equilibrate, prepare
from tdecomp.compress._adapted import Adapted, Size, split
from tdecomp.linalg import SVD, LowRank, randomized_svd, truncated_svd


@full_precision
def pissa(
    w: Any,
    /,
    *,
    rank: int | None = None,
    n_parameters: int | None = None,
    energy: float | None = None,
    elbow: bool = False,
    min_rank: int = 1,
    rng: Seed = 0,
) -> Adapted:
    r"""Split a weight into its principal part of low rank, to be trained, and a frozen rest.

    .. math:: W = W_{\mathrm{res}} + L R , \qquad
              L = U_r S_r^{1/2} , \quad R = S_r^{1/2} V_r^* ,

    with the leading :math:`r` singular triplets of :math:`W`. Nothing has changed at the start,
    and of all factors of this rank these hold the most of :math:`\|W\|_F^2`.

    Parameters
    ----------
    w : array, shape (m, n)
        The weights.
    rank : int, optional
        At most ``min(m, n)``.
    n_parameters : int, optional
        At most so many numbers to train: ``rank * (m + n)``.
    energy : float, optional
        The part of :math:`\|W\|_F^2` that the adapter shall hold, between 0 and 1; see
        `tdecomp.linalg.energy_rank`.
    elbow : bool
        Stop where the spectrum turns; see `tdecomp.linalg.elbow_rank`. Of all that is asked for,
        the smallest rank wins.
    min_rank : int
        However early `energy` and `elbow` would stop.
    rng : int, numpy.random.Generator or None
        Draws the starting block of `tdecomp.randomized_svd`.

    Returns
    -------
    Adapted
        ``residual`` (m, n), in the dtype of `w`, and ``adapter``, a `LowRank`.

    Raises
    ------
    TypeError, ValueError
        If no size is asked for or one is out of range, or `w` is empty or not finite.

    See Also
    --------
    soka : Kronecker products in place of outer products.
    svd : leaves the rest away.

    Notes
    -----
    With `energy` or `elbow` all singular values are computed first. Of float16 and bfloat16 only
    the residual is rounded back; the factors are float32, for an optimiser to change.

    References
    ----------
    .. [1] F. Meng, Z. Wang, M. Zhang, "PiSSA: principal singular values and singular vectors
       adaptation of large language models", NeurIPS 2024, equations 2 to 4. arXiv:2404.02948

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import compress
    >>> adapted = compress.pissa(np.array([[4.0, 0.0], [0.0, 1.0]]), rank=1)
    >>> adapted.adapter.left.ravel(), adapted.residual
    (array([2., 0.]), array([[0., 0.],
           [0., 1.]]))
    """
    dtype = getattr(w, "dtype", None)
    xp, w = prepare(w, ndim=2, name="w")
    m, n = w.shape
    size = Size(rank, n_parameters, energy, elbow, min_rank)
    rank = size.choose(min(m, n), m + n, lambda: _singular_values(w, xp))
    u, s, vh = _leading(w, rank, rng)
    root = xp.astype(xp.sqrt(s), u.dtype)
    return split(w, LowRank(u * root, root[:, None] * vh), dtype)


def _singular_values(a: Array, xp: Namespace) -> Array:
    """Return them at a safe scale: ratios are all that is asked of them."""
    return xp.linalg.svdvals(equilibrate(a, xp, axis=(0, 1))[0])


def _leading(w: Array, rank: int, rng: Seed) -> SVD:
    """Search for the leading triplets, but decompose what is differentiated."""
    if differentiated(w):
        return truncated_svd(w, rank=rank)
    return randomized_svd(w, rank=rank, rng=rng).tensor
