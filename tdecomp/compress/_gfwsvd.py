"""Generalised Fisher-weighted SVD: a Kronecker factor of the information on either side."""

from __future__ import annotations

from typing import Any

from tdecomp._precision import full_precision
from tdecomp.compress._fisher import Fisher
from tdecomp.compress._weights import Weights
from tdecomp.linalg import LowRank


@full_precision
def gfwsvd(
    w: Any, fisher: Fisher, /, *, rank: int | None = None, rtol: float | None = None
) -> LowRank:
    r"""Return the minimiser of the Fisher form :math:`\|L (W - \hat W) R\|_F`.

    :math:`L` and :math:`R` are the factors of the Kronecker-factored Fisher information, so the
    squared error estimates by how much the loss changes in the mean square. Because errors of
    different matrices share that unit, `allocate` may add them as they are.

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
        ``left`` (m, r), ``right`` (r, n).

    Raises
    ------
    ValueError
        If a shape does not fit, an option is out of range, or `w` is empty or not finite.

    See Also
    --------
    fwsvd : uses the diagonal only.
    svd_llm : needs no gradients.

    Notes
    -----
    The norm of the method is ``Weights(fisher.left(), fisher.right(), unit="loss")``. No
    labels are needed: with the model's own output projected on random signs for a loss, the form
    is the mean squared change of the output; see :func:`tdecomp.torch.calibrate`.

    References
    ----------
    .. [1] V. Chekalina et al., "Generalized Fisher-weighted SVD: scalable Kronecker-factored
       Fisher approximation for compressing large language models", 2025. arXiv:2505.17974.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import compress
    >>> fisher = compress.Fisher.of(np.array([[0.0, 0.0], [0.0, 100.0]]))
    >>> compress.gfwsvd(np.array([[5.0, 0.0], [0.0, 1.0]]), fisher, rank=1).to_array()
    array([[0., 0.],
           [0., 1.]])
    """
    weights = Weights(fisher.left(), fisher.right(), unit="loss")
    return weights.fit(w, rank=rank, rtol=rtol)
