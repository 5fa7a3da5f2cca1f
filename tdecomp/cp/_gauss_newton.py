"""CP decompositions by damped Gauss-Newton steps on all factors together."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import check_count, check_size
from tdecomp._iterate import Callback, Fit, Status, Step, iterate
from tdecomp._measure import relative_error
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._typing import Array, Namespace, Seed
from tdecomp._xp import adjoint, conj, device, differentiated, eps, equilibrate
from tdecomp.cp._degeneracy import Watch, opposition
from tdecomp.cp._format import CP, real_dtype
from tdecomp.cp._gauss_newton_system import System, curvature
from tdecomp.cp._initial import _initialise, as_data, check_components, check_init, nearby
from tdecomp.cp._least_squares import gram, joint_gram, solve_normal
from tdecomp.cp._normalise import _normalise
from tdecomp.cp._slabwise import all_mttkrp, slabs, slabwise
from tdecomp.linalg._left_basis import left_basis
from tdecomp.ops._coo import COO
from tdecomp.ops._mode_products import _mode_product, _mode_products

# The first damping, in units of the largest diagonal entry of J^* J times the squared error.
_DAMPING = 1e-3
# How often the damping may be raised in one step, and how often by 2 only.
_TRIALS, _SMALL_RAISES = 18, 5
# A step bends if its second derivative is shorter than this, in units of the first.
_BEND = 0.75
# A misfit below this many eps of the norm is rounding.
_ROUNDING = 8.0
# A part this many square roots of eps of the norm is not seen through a Gram matrix.
_BLURRED = 100.0
# Compression pays where the core has this many times fewer entries.
_PAYS = 2


class _Problem(NamedTuple):
    """A tensor, or the core of one in orthonormal bases, and what the bases miss."""

    x: Array
    bases: list[Array | None]
    lost: float
    norm: float
    ridge: float
    xp: Namespace


class _State(NamedTuple):
    """Factors of a problem, with the misfit and its gradient there."""

    problem: _Problem
    factors: list[Array]
    misfit: float
    gradient: list[Array]
    damping: float = _DAMPING


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
    problem = _Problem(x, [None] * x.ndim, 0.0, norm, ridge, xp)

    def show(state: _State) -> CP:
        cp = _shown(state)
        return cp._replace(weights=cp.weights * unit)

    watch = Watch(eps(x.dtype, xp))
    fit = iterate(
        _stepper(problem, watch, tol),
        _start(problem, rank, init, rng, compress),
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


def _start(
    problem: _Problem, rank: int, init: Any, rng: np.random.Generator, compress: bool
) -> _State:
    """Compress where it pays, and make the start there."""
    xp = problem.xp
    core = _compressed(problem, rank, rng) if compress else problem
    if isinstance(init, str):
        cp = _initialise(core.x, rank, init, rng, xp=xp)
        factors = _balanced([cp.factors[0] * cp.weights, *cp.factors[1:]], xp)
        # An algebraic solution may have digits that a sweep loses; other starts may have all
        # signs wrong, and then lead to a saddle.
        states = [_evaluated(core, start) for start in (factors, _swept(core, factors))]
        return min(states, key=_objective)
    factors = _balanced([init.factors[0] * init.weights, *init.factors[1:]], xp)
    factors = [
        f if q is None else adjoint(q, xp) @ f for q, f in zip(core.bases, factors, strict=True)
    ]
    return _evaluated(core, factors)


def _compressed(problem: _Problem, rank: int, rng: np.random.Generator) -> _Problem:
    """Return the core of a truncated HOSVD if it is much smaller than the tensor."""
    x, xp = problem.x, problem.xp
    sizes = [int(n) for n in x.shape]
    if _PAYS * math.prod(min(n, rank) for n in sizes) > math.prod(sizes):
        return problem
    bases: list[Array | None] = [None] * len(sizes)
    # Squares may have hidden a tensor of low rank under their rounding: then without them.
    for route in ("auto", "qr"):
        core = x
        for mode, n in sorted(enumerate(sizes), key=lambda pair: -pair[1]):
            if n > rank:
                basis = left_basis(core, mode, rank=rank, route=route, rng=rng, xp=xp)
                bases[mode], core = basis.U, basis.core
        lost = _missed(x, core, bases, xp)
        if lost > _BLURRED * eps(x.dtype, xp) ** 0.5 * problem.norm:
            break
    return problem._replace(x=core, bases=bases, lost=lost)


def _missed(x: Array, core: Array, bases: Sequence[Array | None], xp: Namespace) -> float:
    """Return the norm of what a core in its bases misses, by forming the difference."""
    pairs = [(mode, q) for mode, q in enumerate(bases) if q is not None and mode > 0]
    around = _mode_products(core, [q for _, q in pairs], [mode for mode, _ in pairs], xp=xp)
    squares = []
    for rows in slabs(tuple(x.shape)):
        inside = (
            around[rows, ...]
            if bases[0] is None
            else _mode_product(around, bases[0][rows, :], 0, xp=xp)
        )
        squares.append(float(xp.linalg.vector_norm(x[rows, ...] - inside)) ** 2)
    return math.sqrt(math.fsum(squares))


def _swept(problem: _Problem, factors: list[Array]) -> list[Array]:
    """Give arbitrary columns a sensible size: one sweep of alternating least squares."""
    xp = problem.xp
    factors = list(factors)
    for mode in range(len(factors)):
        right = all_mttkrp(problem.x, [conj(f, xp) for f in factors], xp=xp)[mode]
        joint = joint_gram([gram(f, xp) for f in factors], mode)
        factors[mode] = solve_normal(right, joint, xp).factor
    return _balanced(factors, xp)


def _stepper(whole: _Problem, watch: Watch, tol: float) -> Callable[[_State], Step[_State]]:
    """Return the step: on the core until it has converged there, then on the whole tensor."""

    def step(state: _State) -> Step[_State]:
        following, change, stuck = _stepped(state)
        verdict = None
        if stuck or change <= tol:
            if following.problem is not whole:
                following = _evaluated(whole, _expanded(following))
                return Step(following, _error(following))
            rounding = _ROUNDING * eps(whole.x.dtype, whole.xp)
            blur = rounding * max(1.0, _sizes(following))
            done = change <= max(tol, rounding) or _error(following) <= blur
            verdict = Status.CONVERGED if done else Status.STAGNATED
        elif watch.see(_opposition(following)):
            verdict = Status.DEGENERATE
        return Step(following, _error(following), change, verdict)

    return step


def _stepped(state: _State) -> tuple[_State, float, bool]:
    """Lower the objective by one step; say by how much it could, and whether nothing does."""
    problem, xp = state.problem, state.problem.xp
    if state.misfit <= _ROUNDING * eps(problem.x.dtype, xp) * problem.norm:
        return state, 0.0, True
    system = System(state.factors, problem.ridge, xp)
    gradient = [g + problem.ridge * a for g, a in zip(state.gradient, state.factors, strict=True)]
    objective = _objective(state)
    unit = system.scale * (state.misfit / problem.norm) ** 2
    damping, growth, promised = state.damping, 2.0, 0.0
    for attempt in range(_TRIALS):
        shift = damping * unit
        step = system.step(gradient, shift)
        slope, square = _real_dot(step, gradient, xp), _real_dot(step, step, xp)
        predicted = (shift * square - slope) / 2
        if not math.isfinite(predicted):
            break
        promised = promised or predicted
        bend = system.step(curvature(state.factors, step, xp), shift)
        if _real_dot(bend, bend, xp) <= _BEND**2 * square:
            step = [v + b / 2 for v, b in zip(step, bend, strict=True)]
        trial = _evaluated(problem, [a + v for a, v in zip(state.factors, step, strict=True)])
        gain = objective - _objective(trial)
        if gain > 0:
            ratio = gain / predicted if predicted > 0 else 0.0
            damping *= max(0.1, 1 - (2 * min(ratio, 1.0) - 1) ** 3)
            change = max(gain, promised) / (2 * objective)
            return _rebalanced(trial, damping), change, False
        # Small raises first: a valley that bends asks for a little more than the last step had.
        growth = growth if attempt < _SMALL_RAISES else growth * 2
        damping *= growth
    return state, promised / (2 * objective), True


def _evaluated(problem: _Problem, factors: list[Array]) -> _State:
    """Form the residual slab by slab, with its norm and its gradient."""
    xp, x = problem.xp, problem.x
    ones = xp.ones_like(factors[0][0, :])
    cp = CP(ones, tuple(factors))

    def residual(rows: slice) -> tuple[float, Array]:
        gap = cp.to_array(rows) - x[rows, ...]
        return float(xp.linalg.vector_norm(gap)) ** 2, gap

    sums = slabwise(residual, tuple(x.shape), [conj(f, xp) for f in factors], xp=xp)
    return _State(problem, factors, math.sqrt(sums.value), sums.products)


def _objective(state: _State) -> float:
    """Return half the squared misfit, and half the ridge."""
    ridge = state.problem.ridge
    squares = _real_dot(state.factors, state.factors, state.problem.xp) if ridge else 0.0
    return (state.misfit**2 + ridge * squares) / 2


def _error(state: _State) -> float:
    """Return the relative error, with what the bases of a core miss."""
    return math.hypot(state.misfit, state.problem.lost) / state.problem.norm


def _opposition(state: _State) -> float:
    """Return how far components exceed the tensor and cancel."""
    xp = state.problem.xp
    grams = [gram(factor, xp) for factor in state.factors]
    ones = xp.ones_like(state.factors[0][0, :])
    return opposition(ones, grams, state.problem.norm, xp)


def _sizes(state: _State) -> float:
    """Return the sum of the norms of the components, in units of the norm of the tensor."""
    xp, sizes = state.problem.xp, 1.0
    for factor in state.factors:
        sizes = sizes * xp.linalg.vector_norm(factor, axis=0)
    return float(xp.sum(sizes)) / state.problem.norm


def _rebalanced(state: _State, damping: float) -> _State:
    """Make the columns of each component equally long, and turn the gradient with them."""
    xp = state.problem.xp
    factors = _balanced(state.factors, xp)
    gradient = []
    for old, new, g in zip(state.factors, factors, state.gradient, strict=True):
        before, after = (xp.linalg.vector_norm(f, axis=0) for f in (old, new))
        ratio = xp.where(after > 0, before / xp.where(after > 0, after, after + 1), after + 1)
        gradient.append(g * ratio)
    return state._replace(factors=factors, gradient=gradient, damping=damping)


def _balanced(factors: Sequence[Array], xp: Namespace) -> list[Array]:
    """Share the norm of each component evenly among the modes; leave zeros alone."""
    lengths = [xp.linalg.vector_norm(f, axis=0) for f in factors]
    mean = xp.exp(sum(xp.log(xp.where(n > 0, n, n + 1)) for n in lengths) / len(factors))
    zero = lengths[0] <= 0
    for n in lengths[1:]:
        zero = zero | (n <= 0)
    return [
        f * xp.where(zero, xp.ones_like(n), mean / xp.where(zero, xp.ones_like(n), n))
        for f, n in zip(factors, lengths, strict=True)
    ]


def _expanded(state: _State) -> list[Array]:
    """Return the factors of the whole tensor."""
    pairs = zip(state.problem.bases, state.factors, strict=True)
    return [f if q is None else q @ f for q, f in pairs]


def _shown(state: _State) -> CP:
    """Return the normal form of an iterate."""
    factors = _expanded(state)
    ones = state.problem.xp.ones_like(factors[0][0, :])
    return _normalise(CP(ones, tuple(factors)), xp=state.problem.xp)


def _real_dot(a: Sequence[Array], b: Sequence[Array], xp: Namespace) -> float:
    """Return the real part of the inner product of two lists of matrices."""
    total = 0.0
    for x, y in zip(a, b, strict=True):
        product = xp.sum(conj(x, xp) * y)
        real = xp.isdtype(product.dtype, "real floating")
        total += float(product if real else xp.real(product))
    return total
