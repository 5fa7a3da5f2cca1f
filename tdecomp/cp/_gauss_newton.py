"""CP decompositions by damped Gauss-Newton steps on all factors together."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

from tdecomp._errors import check_count, check_size
from tdecomp._iterate import Callback, Fit, Status, Step, iterate
from tdecomp._measure import relative_error
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._typing import Array, Namespace, Seed
from tdecomp._xp import device, differentiated, eps, equilibrate, real_dtype
from tdecomp.cp._degeneracy import Watch
from tdecomp.cp._format import CP
from tdecomp.cp._gauss_newton_start import start
from tdecomp.cp._gauss_newton_state import Problem, State, evaluated, real_dot, rebalanced
from tdecomp.cp._gauss_newton_system import System, curvature
from tdecomp.cp._initial import as_data, check_components, check_init, nearby
from tdecomp.cp._normalise import _normalise
from tdecomp.ops._coo import COO

# How often the damping may be raised in one step, and how often by 2 only.
_TRIALS, _SMALL_RAISES = 18, 5
# A step bends if its second derivative is shorter than this, in units of the first.
_BEND = 0.75
# A misfit below this many eps of the norm is rounding.
_ROUNDING = 8.0


@full_precision
def cp_gauss_newton(
    x: Any,
    /,
    *,
    rank: int,
    init: Any = "gevd",
    ridge: float = 0.0,
    compress: bool = True,
    tol: float = 1e-9,
    max_iter: int = 500,
    rng: Seed = None,
    callback: Callback | None = None,
) -> Fit[CP]:
    r"""Approximate a tensor by a sum of rank-one tensors, all factors in one step.

    .. math:: \min_{A_0, \ldots, A_{d-1}} \tfrac12 \Bigl\| X - \sum_r a^{(0)}_r \otimes \cdots
              \otimes a^{(d-1)}_r \Bigr\|_F^2 + \tfrac{\lambda}{2} \sum_k \|A_k\|_F^2

    by the Levenberg-Marquardt method: with :math:`E` the residual and :math:`J` the Jacobian of
    the sum, the step solves :math:`(J^* J + \lambda + \mu)\, V = -(J^* E + \lambda A)`. The
    damping is :math:`\mu = c\, \|E\|^2`, with `c` adapted to how well the linear model predicts:
    it vanishes with the error, and steps towards an exact decomposition converge
    quadratically [2]_. Where components are nearly collinear, alternating least squares creeps
    through a swamp, because each of its steps sees one factor only; these steps see how factors
    change together.

    Parameters
    ----------
    x : array, shape (n_0, ..., n_{d-1})
        The tensor.
    rank : int
        The number `R` of components, between 1 and the product of all sizes but the largest.
    init : {'gevd', 'hosvd', 'random'} or CP
        Where to start, see `initialise`.
    ridge : float
        The weight :math:`\lambda` of the squared factors, which share the weights evenly. With
        any positive one a best approximation exists.
    compress : bool
        Iterate first on the core of a truncated HOSVD, of at most `R` in each mode, where that is
        much smaller, then go on with the tensor itself. This changes the path, never what is
        minimised.
    tol : float
        Stop when a step lowers the error, and its linear model could, by at most this, relatively.
    max_iter : int
        The largest number of steps.
    rng : int, numpy.random.Generator or None
        Where random starts come from.
    callback : callable, optional
        Called with a `Progress` after each step, whose `tensor` is the iterate; returning True
        stops.

    Returns
    -------
    Fit
        ``tensor``, a `CP` in normal form; ``error``, its relative error, true to rounding;
        ``n_iter``, the number of steps; ``status``. ``DEGENERATE`` reports components that grow
        and cancel: then the error has an infimum that nothing attains.

    Raises
    ------
    TypeError, ValueError
        If `x` is empty, not finite or in coordinates, or an option is out of range.

    See Also
    --------
    cp_als : cheaper steps, which are enough where components are far apart; weights, constraints
        and sparse tensors.
    gcp : other losses than squares.

    Notes
    -----
    A step costs :math:`6 R \prod n_k` flops for residual and gradient, slab by slab of the first
    mode, and the solution of a system whose size does not depend on that of the tensor: outside
    of the ranges of the factors the blocks of :math:`J^* J` do not meet, and inside there are at
    most :math:`d R^2` unknowns [3]_ [4]_. Up to about :math:`R = 12` the Jacobian of the small
    system is decomposed itself, which squares no condition number; then :math:`J^* J` is; from
    1500 unknowns on, conjugate gradients take over, preconditioned by the diagonal blocks.

    All of that rests on Gram matrices of factors, which weights and missing entries would
    take away: for weighted data and for sparse ones there is `cp_als`.

    References
    ----------
    .. [1] G. Tomasi, R. Bro, "A comparison of algorithms for fitting the PARAFAC model", Comput.
       Statist. Data Anal. 50, 2006. doi:10.1016/j.csda.2004.11.013
    .. [2] N. Yamashita, M. Fukushima, "On the rate of convergence of the Levenberg-Marquardt
       method", Computing Suppl. 15, 2001. doi:10.1007/978-3-7091-6217-0_18
    .. [3] A.-H. Phan, P. Tichavsky, A. Cichocki, "Low complexity damped Gauss-Newton algorithms
       for CANDECOMP/PARAFAC", SIAM J. Matrix Anal. Appl. 34, 2013. doi:10.1137/100808034
    .. [4] L. Sorber, M. Van Barel, L. De Lathauwer, "Optimization-based algorithms for tensor
       decompositions", SIAM J. Optim. 23, 2013. doi:10.1137/120868323

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import cp
    >>> near = np.array([[1.0, 1.0], [0.0, 1e-3], [1.0, 1.0]])
    >>> x = cp.CP(np.ones(2), (near, near, near)).to_array()
    >>> fit = cp.cp_gauss_newton(x, rank=2, rng=0)
    >>> fit.status.name, bool(fit.error < 1e-12)
    ('CONVERGED', True)
    """
    if isinstance(x, COO):
        raise TypeError("x is in coordinates; cp_als takes sparse tensors, or pass x.to_array()")
    if differentiated(x):
        raise ValueError(
            "under tracing (jit, vmap, gradients) steps cannot be judged by values; use cp_als"
        )
    xp, x = as_data(x)
    sizes = [int(n) for n in x.shape]
    rank = check_components(rank, math.prod(sizes) // max(sizes))
    init = check_init(init, x, rank, xp=xp)
    tol, ridge = check_size(tol, name="tol"), check_size(ridge, name="ridge")
    max_iter = check_count(max_iter, name="max_iter", least=1)
    rng = generator(rng)
    x, scale = equilibrate(x, xp, axis=tuple(range(x.ndim)))
    unit = float(xp.reshape(scale, ()))
    norm = float(xp.linalg.vector_norm(x))
    if norm == 0.0:
        return _nothing(x, rank, xp)
    if not isinstance(init, str):
        init = nearby(init, {}, unit, norm, xp)
    ridge = _rescaled(ridge, unit, x.ndim)
    problem = Problem(x, [None] * x.ndim, 0.0, norm, ridge, xp)

    def show(state: State) -> CP:
        cp = _shown(state)
        return cp._replace(weights=cp.weights * unit)

    watch = Watch(eps(x.dtype, xp))
    fit = iterate(
        _stepper(problem, watch, tol),
        start(problem, rank, init, rng, compress),
        max_iter=max_iter,
        tol=-1.0,  # the step itself judges: with a ridge the error may rise while it converges
        callback=callback,
        show=show,
    )
    error = float(relative_error(x, fit.tensor._replace(weights=fit.tensor.weights / unit)))
    exact = error <= _ROUNDING * eps(x.dtype, xp)
    # Second-order steps converge to what is there only: towards an infimum they go on.
    attained = (lambda: True) if fit.status is Status.CONVERGED else None
    status = fit.status if exact else watch.judge(fit.status, attained)
    return fit._replace(error=error, status=status)


def _rescaled(ridge: float, unit: float, modes: int) -> float:
    """Return the ridge for data divided by `unit`, as large as numbers get at most."""
    exponent = (2 / modes - 2) * math.log2(unit)
    factor = math.exp2(max(-1000.0, min(1000.0, exponent)))
    return min(ridge * factor, math.sqrt(sys.float_info.max))


def _nothing(x: Array, rank: int, xp: Namespace) -> Fit[CP]:
    """Return the decomposition of a tensor of zeros."""
    weights = xp.zeros(rank, dtype=real_dtype(x.dtype, xp), device=device(x))
    factors = tuple(xp.zeros((n, rank), dtype=x.dtype, device=device(x)) for n in x.shape)
    return Fit(CP(weights, factors), 0.0, 0, Status.CONVERGED)


def _stepper(whole: Problem, watch: Watch, tol: float) -> Callable[[State], Step[State]]:
    """Return the step: on the core until it has converged there, then on the whole tensor."""

    def step(state: State) -> Step[State]:
        following, change, stuck = _stepped(state)
        verdict = None
        if stuck or change <= tol:
            if following.problem is not whole:
                following = evaluated(whole, following.expanded)
                return Step(following, following.error)
            rounding = _ROUNDING * eps(whole.x.dtype, whole.xp)
            blur = rounding * max(1.0, following.size)
            done = change <= max(tol, rounding) or following.error <= blur
            verdict = Status.CONVERGED if done else Status.STAGNATED
        elif watch.see(following.opposition):
            verdict = Status.DEGENERATE
        return Step(following, following.error, change, verdict)

    return step


def _stepped(state: State) -> tuple[State, float, bool]:
    """Lower the objective by one step; say by how much it could, and whether nothing does."""
    problem, xp = state.problem, state.problem.xp
    if state.misfit <= _ROUNDING * eps(problem.x.dtype, xp) * problem.norm:
        return state, 0.0, True
    system = System(state.factors, problem.ridge, xp)
    gradient = [g + problem.ridge * a for g, a in zip(state.gradient, state.factors, strict=True)]
    objective = state.objective
    unit = system.scale * (state.misfit / problem.norm) ** 2
    damping, growth, promised = state.damping, 2.0, 0.0
    for attempt in range(_TRIALS):
        shift = damping * unit
        step = system.step(gradient, shift)
        slope, square = real_dot(step, gradient, xp), real_dot(step, step, xp)
        predicted = (shift * square - slope) / 2
        if not math.isfinite(predicted):
            break
        promised = promised or predicted
        bend = system.step(curvature(state.factors, step, xp), shift)
        if real_dot(bend, bend, xp) <= _BEND**2 * square:
            step = [v + b / 2 for v, b in zip(step, bend, strict=True)]
        trial = evaluated(problem, [a + v for a, v in zip(state.factors, step, strict=True)])
        gain = objective - trial.objective
        if gain > 0:
            ratio = gain / predicted if predicted > 0 else 0.0
            damping *= max(0.1, 1 - (2 * min(ratio, 1.0) - 1) ** 3)
            change = max(gain, promised) / (2 * objective)
            return rebalanced(trial, damping), change, False
        # Small raises first: a valley that bends asks for a little more than the last step had.
        growth = growth if attempt < _SMALL_RAISES else growth * 2
        damping *= growth
    return state, promised / (2 * objective), True


def _shown(state: State) -> CP:
    """Return the normal form of an iterate."""
    factors = state.expanded
    ones = state.problem.xp.ones_like(factors[0][0, :])
    return _normalise(CP(ones, tuple(factors)), xp=state.problem.xp)
