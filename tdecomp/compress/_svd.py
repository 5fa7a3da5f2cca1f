"""Plain truncation: every weight counts alike."""

from __future__ import annotations

from typing import Any

from tdecomp._precision import full_precision
from tdecomp.compress._weights import Weights
from tdecomp.linalg import LowRank


@full_precision
def svd(w: Any, /, *, rank: int | None = None, rtol: float | None = None) -> LowRank:
    r"""Return the matrix of given rank closest to `w`: :math:`\min \|W - \hat W\|_F`.

    Parameters
    ----------
    w : array, shape (m, n)
        The weights.
    rank : int, optional
        At most ``min(m, n)``.
    rtol : float, optional
        Guarantee :math:`\|W - \hat W\|_F \le \mathtt{rtol}\,\|W\|_F` at the least rank.

    Returns
    -------
    LowRank
        ``left`` (m, r) with orthonormal columns, ``right`` (r, n).

    Raises
    ------
    ValueError
        If neither `rank` nor `rtol` is given or one is out of range, or `w` is empty or not
        finite.
    ToleranceError
        If `rtol` is below what rounding allows.

    See Also
    --------
    svd_llm : looks at the inputs of the layer.
    gfwsvd : looks at the loss.

    Notes
    -----
    The norm of the method is ``Weights(unit="entries")``.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import compress
    >>> compress.svd(np.array([[5.0, 0.0], [0.0, 1.0]]), rank=1).to_array()
    array([[5., 0.],
           [0., 0.]])
    """
    return Weights(unit="entries").fit(w, rank=rank, rtol=rtol)
