"""Activation-aware SVD: columns count by the size of what they multiply."""

from __future__ import annotations

from typing import Any

from tdecomp._precision import full_precision
from tdecomp.compress._calibration import Calibration
from tdecomp.compress._weights import Weights
from tdecomp.linalg import LowRank


@full_precision
def asvd(
    w: Any,
    calibration: Calibration,
    /,
    *,
    alpha: float = 0.5,
    rank: int | None = None,
    rtol: float | None = None,
) -> LowRank:
    r"""Return the minimiser of :math:`\|(W - \hat W) \operatorname{diag}(s)\|_F`.

    :math:`s_i = (\operatorname{mean}_t |x_{ti}|)^\alpha`: columns that meet large inputs are kept
    more faithfully. At ``alpha=0`` this is plain truncation.

    Parameters
    ----------
    w : array, shape (m, n)
        The weights of ``y = w @ x``.
    calibration : Calibration
        Of the inputs ``x``.
    alpha : float
        How much the size of the inputs counts.
    rank : int, optional
        At most ``min(m, n)``.
    rtol : float, optional
        Guarantee this relative error, in the norm above, at the least rank.

    Returns
    -------
    LowRank
        ``left`` (m, r) with orthonormal columns, ``right`` (r, n).

    Raises
    ------
    ValueError
        If a shape does not fit, an option is out of range, or `w` is empty or not finite.

    See Also
    --------
    svd_llm : minimises the error of the outputs themselves, which this only stands for.

    Notes
    -----
    The norm of the method is ``Weights(right=calibration.diagonal(alpha))``. The paper divides by
    `s`, which it therefore keeps away from zero; the projection used here divides by nothing.

    References
    ----------
    .. [1] Z. Yuan et al., "ASVD: activation-aware singular value decomposition for compressing
       large language models", 2023. arXiv:2312.05821, equations 5 to 8.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import compress
    >>> calibration = compress.Calibration.of(np.array([[0.0, 100.0], [0.1, -100.0]]))
    >>> compress.asvd(np.array([[5.0, 0.0], [0.0, 1.0]]), calibration, rank=1).to_array()
    array([[0., 0.],
           [0., 1.]])
    """
    return Weights(right=calibration.diagonal(alpha)).fit(w, rank=rank, rtol=rtol)
