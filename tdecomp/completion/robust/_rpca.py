"""Robust PCA by scaled gradient descent: one SVD, then products with thin matrices."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tdecomp._errors import check_callback, check_count, check_number, check_rank, check_size
from tdecomp._iterate import Callback, Fit, Status, Step, iterate
from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, equilibrate, prepare, squared_norm
from tdecomp.completion._units import rounding
from tdecomp.completion.robust._formats import LowRankPlusSparse
from tdecomp.completion.robust._largest import outstanding
from tdecomp.completion.robust._precondition import preconditioned
from tdecomp.linalg._formats import LowRank
from tdecomp.linalg._svd import _truncated_svd
from tdecomp.ops._sparse_convert import from_dense

# How many times the fraction of outliers entries are taken for some while the iterate is not
# yet the truth.
_MARGIN = 2.0


class _State(NamedTuple):
    """Both factors, what is taken for outliers beside them, and what neither explains."""

    left: Array
    right: Array
    sparse: Array
    gap: Array


@full_precision
def scaled_gd_rpca(
    x: Any,
    /,
    *,
    rank: int,
    outliers: float = 0.1,
    step: float = 0.5,
    tol: float = 1e-10,
    max_iter: int = 1000,
    callback: Callback | None = None,
) -> Fit[LowRankPlusSparse]:
    r"""Find a matrix of given rank of whose rows and columns a small fraction is wrong.

    .. math:: \min_{L, R, S} \tfrac12 \|L R + S - X\|_F^2

    over sparse :math:`S`, by gradient steps that are preconditioned by the Gram matrix of the
    other factor. From the spectral start the error falls like :math:`(1 - 0.6\, \eta)^t`,
    whatever the condition number of the matrix, if no row and no column has more than a fraction
    :math:`\alpha \lesssim 1 / (\mu r^{3/2} \kappa)` of outliers [1]_.

    Parameters
    ----------
    x : array, shape (m, n)
        The data.
    rank : int
        Between 1 and ``min(m, n)``.
    outliers : float
        The largest fraction :math:`\alpha` of outliers in a row or column, at least 0 and below
        a half.
    step : float
        The step size :math:`\eta`, above 0 and at most 1.
    tol : float
        Stop when the error is at most this, or a step changes it by at most this, relatively.
    max_iter : int
        The largest number of steps.
    callback : callable, optional
        Called with a `Progress` after each step; returning True stops.

    Returns
    -------
    Fit
        ``tensor``, a `LowRankPlusSparse` with a `LowRank` and a `COO`; ``error``,
        :math:`\|X - L R - S\|_F / \|X\|_F`; ``n_iter``; ``status``.

    Raises
    ------
    TypeError, ValueError
        If `x` is empty, no matrix or not finite, or an option is out of range.

    See Also
    --------
    principal_component_pursuit : finds the rank itself, and is convex.
    godec : for outliers that are not spread over rows and columns.

    Notes
    -----
    Entries of :math:`X - L R` are taken for outliers that are among the largest fraction
    :math:`2 \alpha` of their row and of their column, at least one of each unless
    :math:`\alpha = 0`; of equals the first. A step is a partial sort of all rows and all
    columns, and three products of the matrix with `r` columns.

    References
    ----------
    .. [1] T. Tong, C. Ma, Y. Chi, "Accelerating ill-conditioned low-rank matrix estimation via
       scaled gradient descent", JMLR 22(150), 2021, Algorithm 2. arXiv:2005.08898

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion.robust import scaled_gd_rpca
    >>> rng = np.random.default_rng(0)
    >>> low = rng.standard_normal((60, 2)) @ rng.standard_normal((2, 50))
    >>> x = low + 100 * (rng.random((60, 50)) < 0.05)
    >>> fit = scaled_gd_rpca(x, rank=2, outliers=0.15)
    >>> bool(np.abs(fit.tensor.low_rank.to_array() - low).max() < 1e-6)
    True
    """
    xp, x = prepare(x, ndim=2, name="x")
    rank = check_rank(rank, min(x.shape), way="try principal_component_pursuit, which finds it")
    fraction, eta = check_number(outliers, name="outliers"), check_number(step, name="step")
    if not 0 <= fraction < 1 / _MARGIN:
        raise ValueError(
            f"outliers must be a fraction of at least 0 and below 0.5, got {outliers}"
        )
    if not 0 < eta <= 1:
        raise ValueError(f"step must lie above 0 and be at most 1, got {step}")
    tol, max_iter = check_size(tol, name="tol"), check_count(max_iter, name="max_iter", least=1)
    check_callback(callback)
    x, scale = equilibrate(x, xp, axis=(0, 1))
    norm = math.sqrt(squared_norm(x, xp))
    u, s, vh = _truncated_svd(x - outstanding(x, fraction, xp), rank, xp=xp)
    root = xp.astype(xp.sqrt(s), x.dtype)
    limit = max(tol, rounding(x.dtype, xp))

    def state_of(left: Array, right: Array) -> _State:
        rest = x - left @ adjoint(right, xp)
        sparse = outstanding(rest, _MARGIN * fraction, xp)
        return _State(left, right, sparse, rest - sparse)

    def advance(state: _State) -> Step[_State]:
        following = state_of(*_stepped(state.left, state.right, -state.gap, eta, xp))
        gap = math.sqrt(squared_norm(following.gap, xp))
        error = gap / norm if norm > 0 else 0.0
        return Step(following, error, None, Status.CONVERGED if error <= limit else None)

    def show(state: _State) -> LowRankPlusSparse:
        low = LowRank(state.left, adjoint(state.right, xp) * scale)
        return LowRankPlusSparse(low, from_dense(state.sparse * scale))

    begun = state_of(u * root, adjoint(vh, xp) * root)
    return iterate(advance, begun, max_iter=max_iter, tol=tol, callback=callback, show=show)


def _stepped(
    left: Array, right: Array, gradient: Array, eta: float, xp: Namespace
) -> tuple[Array, Array]:
    """Move both factors down the gradient, each in the metric of the other."""
    return (
        left - eta * preconditioned(gradient @ right, right, xp),
        right - eta * preconditioned(adjoint(gradient, xp) @ left, left, xp),
    )
