"""Truncation-aware whitening: the outputs on the calibration data are kept best."""

from __future__ import annotations

from typing import Any

from tdecomp._precision import full_precision
from tdecomp.compress._calibration import Calibration
from tdecomp.compress._weights import Weights
from tdecomp.linalg import LowRank


@full_precision
def svd_llm(
    w: Any, calibration: Calibration, /, *, rank: int | None = None, rtol: float | None = None
) -> LowRank:
    r"""Return the matrix of given rank whose outputs are closest: :math:`\min \|(W-\hat W)X\|_F`.

    No matrix of the rank has a smaller error on the inputs :math:`X` that were seen, which is
    :math:`\sqrt N` times the tail of the singular values of :math:`W R` with
    :math:`R R^* = X X^* / N`. The minimiser is :math:`U_r U_r^* W`, with :math:`U_r` the leading
    left singular vectors of :math:`W R`.

    Parameters
    ----------
    w : array, shape (m, n)
        The weights of ``y = w @ x``.
    calibration : Calibration
        Of the inputs ``x``.
    rank : int, optional
        At most ``min(m, n)``.
    rtol : float, optional
        Guarantee :math:`\|(W - \hat W) X\|_F \le \mathtt{rtol}\,\|W X\|_F` at the least rank.

    Returns
    -------
    LowRank
        ``left`` (m, r) with orthonormal columns, ``right`` (r, n). Fewer than `rank` columns if
        the outputs seen have a smaller rank already.

    Raises
    ------
    ValueError
        If a shape does not fit, an option is out of range, or `w` is empty or not finite.

    See Also
    --------
    afm : refits the bias as well.
    gfwsvd : also weighs the outputs by what depends on them.

    Notes
    -----
    The norm of the method is ``Weights(right=calibration.right())``. Versions 1 and 2 of the
    paper and DRONE [3]_ compute the same minimiser from a Cholesky or an eigenvalue decomposition
    of the second moments, which squares the condition number and needs an inverse: at condition
    1e6 in single precision they miss the minimum by factors of 3 to 5 where the triangular factor
    of a QR decomposition attains it.

    References
    ----------
    .. [1] X. Wang, Y. Zheng, Z. Wan, M. Zhang, "SVD-LLM: truncation-aware singular value
       decomposition for large language model compression", 2024. arXiv:2403.07378, algorithm 1.
    .. [2] X. Wang et al., "SVD-LLM V2", 2025. arXiv:2503.12340, algorithm 2.
    .. [3] P. Chen, H.-F. Yu, I. Dhillon, C.-J. Hsieh, "DRONE: data-aware low-rank compression for
       large NLP models", NeurIPS 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import compress
    >>> x = np.array([[1.0, 1.0], [2.0, 2.0]])  # the inputs vary in one direction only
    >>> w = np.array([[5.0, 0.0], [0.0, 1.0]])
    >>> small = compress.svd_llm(w, compress.Calibration.of(x), rank=1)
    >>> np.allclose(small @ x.T, w @ x.T)
    True
    """
    return Weights(right=calibration.right()).fit(w, rank=rank, rtol=rtol)
