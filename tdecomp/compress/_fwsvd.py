"""Fisher-weighted SVD: columns count by what the loss feels of them."""

from __future__ import annotations

from typing import Any

from tdecomp._precision import full_precision
from tdecomp.compress._fisher import Fisher
from tdecomp.compress._weights import Weights
from tdecomp.linalg import LowRank


@full_precision
def fwsvd(
    w: Any, fisher: Fisher, /, *, rank: int | None = None, rtol: float | None = None
) -> LowRank:
    r"""Return the minimiser of :math:`\sum_{ij} \bar F_j (W - \hat W)_{ij}^2`.

    :math:`\bar F_j` is the mean of the diagonal Fisher information over column :math:`j`, that
    of all weights which multiply input :math:`j`. Weighing every entry by its own
    :math:`F_{ij}` has no closed solution; this is the best column-wise surrogate.

    Parameters
    ----------
    w : array, shape (m, n)
        The weights of ``y = w @ x``.
    fisher : Fisher
        Of `w`.
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
    gfwsvd : the same information, with the correlations that the diagonal drops.

    Notes
    -----
    The norm of the method is ``Weights(right=fisher.column_scale(), unit="loss")``. At a
    minimum of the loss all gradients vanish and the weights turn into noise.

    References
    ----------
    .. [1] Y.-C. Hsu et al., "Language model compression with weighted low-rank factorization",
       ICLR 2022. arXiv:2207.00112, equations 5 and 6. The paper lays weights out as (in, out).

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import compress
    >>> fisher = compress.Fisher.of(np.array([[0.0, 100.0], [0.0, 100.0]]))
    >>> compress.fwsvd(np.array([[5.0, 0.0], [0.0, 1.0]]), fisher, rank=1).to_array()
    array([[0., 0.],
           [0., 1.]])
    """
    return Weights(right=fisher.column_scale(), unit="loss").fit(w, rank=rank, rtol=rtol)
