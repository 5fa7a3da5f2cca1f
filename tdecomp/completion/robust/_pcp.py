"""Principal component pursuit: low rank and sparse, told apart by convex optimisation."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tdecomp._errors import check_callback, check_count, check_positive, check_size
from tdecomp._iterate import Callback, Fit, Status, Step, iterate
from tdecomp._precision import full_precision
from tdecomp._program import one_program
from tdecomp._typing import Array, Namespace
from tdecomp._weights import elementwise
from tdecomp._xp import equilibrate, finite, floats, prepare
from tdecomp.completion._units import rounding
from tdecomp.completion.robust._formats import LowRankPlusSparse, assembled
from tdecomp.completion.robust._shrink import Shrunk, nothing, shrink

# The penalty grows while the primal residual is above this many times the dual one, and falls
# while it is below that; measured on ranks, densities and sizes of outliers from easy to hard.
_HIGH, _LOW = 0.3, 1 / 3.0
_FACTOR = 1.5
# After this many iterations changes of the penalty are half as large: they have to end for the
# iteration to converge.
_SETTLED = 100
# Triplets are this much more accurate than the iterate.
_INNER = 1e-3
# Entries of a matrix whose spectral norm is one are no larger than that: an outlier of a price
# above it never pays, and no price needs to be higher than this.
_DEAR = 2.0


class _Plan(NamedTuple):
    """The data at unit scale, what one unit of each sparse entry costs, and norms.

    A change of the multiplier below `least` is rounding of the data, however small it is itself.
    """

    x: Array
    levels: Array | float
    norm: float
    tol: float
    least: float
    xp: Namespace


class _State(NamedTuple):
    """Both parts, the multiplier over the penalty, the penalty, and the residuals."""

    low: Shrunk
    sparse: Array
    dual: Array
    penalty: float
    residual: float
    n_steps: int


@full_precision
def principal_component_pursuit(
    x: Any,
    /,
    *,
    sparsity: float | None = None,
    weights: Any = None,
    tol: float = 1e-7,
    max_iter: int = 1000,
    callback: Callback | None = None,
) -> Fit[LowRankPlusSparse]:
    r"""Split a matrix into one of low rank and a sparse one, whatever the size of its outliers.

    .. math:: \min_{L, S} \|L\|_* + \lambda \sum_{ij} w_{ij} |s_{ij}|
              \quad \text{subject to} \quad L + S = X

    A convex problem, solved to its optimum. If the singular vectors of a matrix of rank
    :math:`r \le c\, n / (\mu \log^2 n)` are spread out with coherence :math:`\mu`, and a fraction
    of its entries at random places is replaced by anything, the solution for
    :math:`\lambda = 1 / \sqrt{\max(m, n)}` is exactly that matrix and what was done to it [1]_.

    Parameters
    ----------
    x : array, shape (m, n)
        The data.
    sparsity : float, optional
        The price :math:`\lambda` of outliers; by default :math:`1 / \sqrt{p \max(m, n)}` with
        `p` the fraction that is observed.
    weights : array, broadcastable to (m, n), optional
        Nonnegative prices :math:`w_{ij}`, bool allowed: 0 means missing, and what is missing may
        be NaN; the part of low rank completes it.
    tol : float
        Stop when both residuals, :math:`\|X - L - S\|_F / \|X\|_F` and the change of the
        multipliers that :math:`L` and :math:`S` ask for, relative to their size, are at most
        this, or rounding of the data.
    max_iter : int
        The largest number of iterations.
    callback : callable, optional
        Called with a `Progress` after each iteration; returning True stops.

    Returns
    -------
    Fit
        ``tensor``, a `LowRankPlusSparse` with an `SVD`, of one triplet with the value zero where
        nothing is of low rank, and a `COO`, zero where nothing is observed; ``error``,
        :math:`\|X - L - S\|_F / \|X\|_F` over what is; ``n_iter``; ``status``.

    Raises
    ------
    TypeError, ValueError
        If `x` is empty, no matrix or not finite where it is observed, a weight is negative, none
        is positive, or an option is out of range.

    See Also
    --------
    godec : for given rank and number of outliers, with noise.
    scaled_gd_rpca : for given rank, without any SVD after the first.

    Notes
    -----
    Alternating directions [2]_: the singular values of :math:`X - S + Y / \mu` shrink by
    :math:`1 / \mu`, then the entries of :math:`X - L + Y / \mu` by :math:`\lambda w / \mu`, and
    what is left is the new :math:`Y / \mu`, a matrix of entries no larger than
    :math:`\lambda w`. The published method raises :math:`\mu` by a factor in each iteration and
    stops at what then is feasible, which on hard instances is far from optimal (a duality gap of
    14 per cent on a matrix of rank 20 and side 200, a quarter of it outliers). Here :math:`\mu`
    balances the two residuals, and both have to fall. No multiplier has an entry above one, so
    that prices :math:`\lambda w_{ij}` above two are taken for two: the solution is the same.

    An iteration costs three products of the matrix with as many columns as there are singular
    values above :math:`1 / \mu`, and a few passes over its entries. Subspace iteration finds
    these triplets from those of the iteration before; a whole SVD is taken of small matrices, and
    where more than a quarter of the values is needed.

    References
    ----------
    .. [1] E. J. Candes, X. Li, Y. Ma, J. Wright, "Robust principal component analysis?", J. ACM
       58, 2011, Theorems 1.1 and 1.2. doi:10.1145/1970392.1970395
    .. [2] Z. Lin, M. Chen, Y. Ma, "The augmented Lagrange multiplier method for exact recovery of
       corrupted low-rank matrices", arXiv:1009.5055, Algorithm 5.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion.robust import principal_component_pursuit
    >>> rng = np.random.default_rng(0)
    >>> low = rng.standard_normal((60, 2)) @ rng.standard_normal((2, 50))
    >>> x = low + 100 * rng.choice([-1, 0, 1], (60, 50), p=[0.02, 0.96, 0.02])
    >>> fit = principal_component_pursuit(x)
    >>> low_rank, sparse = fit.tensor
    >>> low_rank.rank, fit.status.name
    (2, 'CONVERGED')
    >>> bool(np.abs(low_rank.to_array() - low).max() < 1e-4)
    True
    """
    options = (
        None if sparsity is None else check_positive(sparsity, name="sparsity"),
        check_size(tol, name="tol"),
        check_count(max_iter, name="max_iter", least=1),
    )
    check_callback(callback)
    plan, scale = _planned(x, weights, options[0], options[1])
    if plan.norm == 0:
        return Fit(_shown(plan, _begun(plan), scale), 0.0, 0, Status.CONVERGED)
    return iterate(
        lambda state: _step(plan, state),
        _begun(plan),
        max_iter=options[2],
        tol=-1.0,  # residuals go up and down on the way: their size alone stops
        callback=callback,
        show=lambda state: _shown(plan, state, scale),
    )


def _planned(x: Any, weights: Any, sparsity: float | None, tol: float) -> tuple[_Plan, Array]:
    """Validate the data and their weights, and bring both to unit scale."""
    xp, x = prepare(x, ndim=2, check_finite=weights is None, name="x")
    prices, observed = None, 1.0
    if weights is not None:
        prices = elementwise(weights, x, x.shape, xp)
        known = prices > 0
        if not bool(xp.any(known)):
            raise ValueError("weights are all zero: nothing is observed")
        observed = float(xp.sum(xp.astype(known, xp.float32))) / math.prod(x.shape)
        x = finite(xp.where(known, x, xp.zeros_like(x)), xp, name="x")
    x, scale = equilibrate(x, xp, axis=(0, 1))
    if sparsity is None:
        sparsity = 1 / math.sqrt(observed * max(x.shape))
    norm = float(xp.linalg.vector_norm(x))
    exact = rounding(x.dtype, xp)
    levels: Array | float = min(sparsity, _DEAR)
    if prices is not None:
        dearest = min(_DEAR / sparsity, float(xp.finfo(prices.dtype).max))
        levels = sparsity * xp.minimum(prices, dearest)
    return _Plan(x, levels, norm, max(tol, exact), exact * norm, xp), scale


def _begun(plan: _Plan) -> _State:
    """Start from nothing, with a penalty that lets no more than 16 triplets through."""
    zeros = plan.xp.zeros_like(plan.x)
    penalty = 4 / plan.norm if plan.norm > 0 else 1.0
    return _State(nothing(plan.x, plan.xp), zeros, zeros, penalty, 1.0, 0)


def _step(plan: _Plan, state: _State) -> Step[_State]:
    """Shrink singular values, then entries; update the multiplier and the penalty."""
    xp, penalty = plan.xp, state.penalty
    target = plan.x - state.sparse
    target += state.dual
    low = shrink(
        target,
        1 / penalty,
        state.low.basis,
        atol=_INNER * max(state.residual, plan.tol) * plan.norm,
        xp=xp,
    )
    bound = plan.levels / penalty
    sparse, dual, sizes = _split(plan.x - low.dense(), state.sparse, state.dual, bound, xp=xp)
    gap, turn, size = floats(sizes)
    primal, other = gap / plan.norm, turn / size if size > 0 else 0.0
    residual = max(primal, other)
    feasible, rests = primal <= plan.tol, turn <= max(plan.tol * size, plan.least)
    up, factor = primal > _HIGH * other, _FACTOR ** (1 / (1 + state.n_steps / _SETTLED))
    # A residual that is small enough, as rounding is, asks for nothing.
    even = feasible if up else rests or primal >= _LOW * other
    factor = 1.0 if even else factor if up else 1 / factor
    dual = dual if factor == 1 else dual / factor
    following = _State(low, sparse, dual, penalty * factor, residual, state.n_steps + 1)
    done = Status.CONVERGED if feasible and rests else None
    return Step(following, primal, None, done)


@one_program
def _split(
    rest: Array, sparse: Array, dual: Array, bound: Array | float, *, xp: Namespace
) -> tuple[Array, Array, Array]:
    """Return the new sparse part and multiplier, and the norms of what changed, and of it.

    What shrinking entries takes away from them is the multiplier. `rest` may be overwritten.
    """
    target = rest
    target += dual
    if xp.isdtype(target.dtype, "complex floating"):
        sizes = xp.abs(target)
        share = xp.minimum(bound / xp.where(sizes > 0, sizes, xp.ones_like(sizes)), 1.0)
        after = target * xp.astype(share, target.dtype)
    else:
        after = xp.clip(target, -bound, bound)
    now = target - after
    parts = (after - dual, now - sparse, after)
    return now, after, xp.stack([xp.linalg.vector_norm(part) for part in parts])


def _shown(plan: _Plan, state: _State, scale: Array) -> LowRankPlusSparse:
    """Return both parts at the scale of the data, nothing sparse where nothing is observed."""
    xp, low, sparse = plan.xp, state.low, state.sparse
    if not isinstance(plan.levels, float):
        sparse = xp.where(plan.levels > 0, sparse, xp.zeros_like(sparse))
    return assembled((low.U, low.S, low.Vh), sparse, scale, xp)
