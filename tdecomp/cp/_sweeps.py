"""Alternating least squares: one sweep over the modes, and the iteration made of sweeps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any, NamedTuple

from tdecomp._anderson import anderson
from tdecomp._iterate import Callback, Fit, Status, Step, iterate
from tdecomp._typing import Array, Namespace
from tdecomp._xp import conj, device, eps
from tdecomp.cp._degeneracy import Watch, opposition
from tdecomp.cp._format import CP
from tdecomp.cp._least_squares import gram, joint_gram, solve_normal, solve_orthogonal
from tdecomp.ops._products import Products

# How many sweeps the acceleration looks back.
_MEMORY = 5
# Errors below this many eps are rounding: at once, and where they stopped falling.
_EXACT, _ROUNDING = 8.0, 64.0
# Sweeps between two looks for components that grow and cancel.
_LOOK = 5
# The part of an error that rounding in normal equations may make.
_VISIBLE = 1e-3
# Components at a smaller angle than this are nearly collinear.
_PARALLEL = 0.9
# A difference of squares is trusted where cancellation leaves it six digits.
_DIGITS = 1e6


class Problem(NamedTuple):
    """What every sweep needs to know.

    Attributes
    ----------
    x : array or COO
        The data, at a moderate scale.
    products : Products
        Their MTTKRPs.
    square : float
        Their squared norm.
    free : tuple of int
        The modes whose factors are wanted.
    ridge : float
        The penalty on squared norms of factors.
    solver : str
        ``'auto'``, ``'cholesky'`` or ``'qr'``.
    constrain : dict
        For some modes, what replaces the least-squares solution: it maps the present factor, the
        MTTKRP and the joint Gram matrix to the next factor.
    distance : callable
        Measures the distance from the tensor of given factors, without cancellation.
    xp : namespace
        The library.
    """

    x: Any
    products: Products
    square: float
    free: tuple[int, ...]
    ridge: float
    solver: str
    constrain: dict[int, Callable[[Array, Array, Array], Array]]
    distance: Callable[[Sequence[Array]], float]
    xp: Namespace


class State(NamedTuple):
    """Factors after a number of sweeps.

    Attributes
    ----------
    factors : tuple of array
        One for each mode; columns are spread over them anyhow.
    grams : list of array
        Their Gram matrices, none before the first sweep.
    error, objective : float
        The relative error; the squared misfit and the penalty.
    past : tuple of pairs
        Where the last sweeps began and what they changed, all free factors in one vector.
    sweeps : int
        How many there were.
    """

    factors: tuple[Array, ...]
    grams: Sequence[Array] = ()
    error: float = math.inf
    objective: float = math.inf
    past: tuple[tuple[Array, Array], ...] = ()
    sweeps: int = 0


def unweighted(factors: Sequence[Array], xp: Namespace) -> CP:
    """Return the CP tensor of `factors`, with weights of one."""
    weights = xp.ones_like(factors[0][0, :])
    real = xp.real(weights) if xp.isdtype(weights.dtype, "complex floating") else weights
    return CP(real, tuple(factors))


def als(
    problem: Problem,
    factors: Sequence[Array],
    *,
    accelerate: bool,
    max_iter: int,
    tol: float,
    callback: Callback | None,
    show: Callable[[State], CP],
    attained: Callable[[Sequence[Array]], bool] | None = None,
) -> Fit[CP]:
    """Iterate sweeps from `factors` until the error changes by at most `tol`, relatively.

    With a ridge it is the root of the objective that has to: the error may rise on the way. Where
    components cancel, `attained` tells whether a minimum is near the last factors.
    """
    xp, unit = problem.xp, eps(factors[0].dtype, problem.xp)
    watch, norm = Watch(unit), math.sqrt(problem.square)
    latest = State(tuple(factors))

    def step(state: State) -> Step[State]:
        nonlocal latest
        state = latest = _accelerated(problem, state) if accelerate else sweep(problem, state)
        change = 0.0 if state.error <= _EXACT * unit else None
        merit = math.sqrt(state.objective) / norm if problem.ridge else None
        if state.sweeps % _LOOK:
            return Step(state, state.error, change, merit=merit)
        weights = xp.ones_like(state.grams[0][0, :])
        hopeless = watch.see(opposition(weights, list(state.grams), norm, xp))
        return Step(state, state.error, change, Status.DEGENERATE if hopeless else None, merit)

    fit = iterate(step, latest, max_iter=max_iter, tol=tol, callback=callback, show=show)
    status = watch.judge(fit.status, partial(attained, latest.factors) if attained else None)
    if status is Status.STAGNATED and fit.error <= _ROUNDING * unit:
        status = Status.CONVERGED
    if status in {Status.MAX_ITER, Status.STAGNATED} and _collinear(latest, xp):
        status = Status.SWAMP
    return fit._replace(status=status)


def _collinear(state: State, xp: Namespace) -> bool:
    """Tell whether two components are nearly parallel, or nearly opposite."""
    if not state.grams:
        return False
    inner = xp.abs(reduce(lambda a, b: a * b, state.grams))
    sizes = xp.sqrt(xp.linalg.diagonal(inner))
    identity = xp.eye(sizes.shape[0], dtype=inner.dtype, device=device(inner))
    excess = inner * (1 - identity) - _PARALLEL * sizes[:, None] * sizes[None, :]
    return bool(xp.any(excess > 0))


def _accelerated(problem: Problem, state: State) -> State:
    """Sweep from where the past points to; if that does not lower the objective, from `state`."""
    if len(state.past) < 2:
        return sweep(problem, state)
    xp = problem.xp
    ahead = _unflat(anderson(state.past, xp), state.factors, problem.free, xp)
    for mode in problem.constrain:
        ahead[mode] = xp.where(ahead[mode] > 0, ahead[mode], xp.zeros_like(ahead[mode]))
    following = sweep(problem, state._replace(factors=tuple(ahead)))
    if following.objective <= state.objective:
        return following
    return sweep(problem, state._replace(past=()))


def sweep(problem: Problem, state: State) -> State:
    """Solve for one factor after the other, each time with the others as they are by then.

    From a `state` with a known objective this never raises it.
    """
    xp, factors = problem.xp, list(state.factors)
    grams = [gram(factor, xp) for factor in factors]
    duals = [conj(factor, xp) for factor in factors]
    product = joint = None
    for mode in problem.free:
        product = problem.products.mttkrp(mode, duals)
        joint = joint_gram(grams, mode)
        factors[mode] = _update(problem, factors, mode, (product, joint), state.error)
        grams[mode] = gram(factors[mode], xp)
        duals[mode] = conj(factors[mode], xp)
    last = problem.free[-1]
    aligned = float(_real(xp.sum(duals[last] * product), xp))
    energy = float(_real(xp.sum(joint * grams[last]), xp))
    error = _error(problem, factors, problem.square - 2 * aligned + energy)
    penalty = 0.0
    if problem.ridge:
        penalty = problem.ridge * sum(float(_real(xp.linalg.trace(known), xp)) for known in grams)
    objective = error**2 * problem.square + penalty
    before, after = (
        _flat([known[k] for k in problem.free], xp) for known in (state.factors, factors)
    )
    past = (*state.past, (before, after - before))[-_MEMORY:]
    return State(tuple(factors), grams, error, objective, past, state.sweeps + 1)


def _update(
    problem: Problem, factors: list[Array], mode: int, equations: tuple[Array, Array], error: float
) -> Array:
    r"""Return the next factor of `mode`.

    Normal equations change the misfit by about :math:`\epsilon\, \kappa(H)^{1/2}` of the norm:
    orthogonal transformations take over where that is a thousandth of the
    present `error`.
    """
    xp, (product, joint) = problem.xp, equations
    if problem.ridge:
        rank = joint.shape[0]
        joint = joint + problem.ridge * xp.eye(rank, dtype=joint.dtype, device=device(joint))
    if mode in problem.constrain:
        return problem.constrain[mode](factors[mode], product, joint)
    if problem.solver == "qr":
        return solve_orthogonal(problem.x, factors, mode, problem.ridge, xp)
    solution = solve_normal(product, joint, xp)
    visible = eps(joint.dtype, xp) > _VISIBLE * error * solution.rcond**0.5
    if problem.solver == "auto" and (visible or solution.rcond == 0):
        return solve_orthogonal(problem.x, factors, mode, problem.ridge, xp)
    return solution.factor


def _error(problem: Problem, factors: Sequence[Array], gap: float) -> float:
    """Return the relative error, from the difference of squares `gap` where that keeps digits."""
    if gap > _DIGITS * eps(factors[0].dtype, problem.xp) * problem.square > 0:
        return math.sqrt(gap / problem.square)
    return true_error(problem, factors)


def true_error(problem: Problem, factors: Sequence[Array]) -> float:
    """Return the relative error from the difference: true to rounding; 0 / 0 is 0."""
    distance = problem.distance(factors)
    if distance == 0:
        return 0.0
    return distance / math.sqrt(problem.square) if problem.square > 0 else math.inf


def _real(x: Array, xp: Namespace) -> Array:
    return xp.real(x) if xp.isdtype(x.dtype, "complex floating") else x


def _flat(factors: Sequence[Array], xp: Namespace) -> Array:
    """Return all entries of all factors in one vector."""
    return xp.concat([xp.reshape(factor, (-1,)) for factor in factors])


def _unflat(flat: Array, like: Sequence[Array], free: Sequence[int], xp: Namespace) -> list[Array]:
    """Return the factors, with the entries of those that are free from a vector."""
    factors, start = list(like), 0
    for mode in free:
        shape = tuple(like[mode].shape)
        stop = start + math.prod(shape)
        factors[mode] = xp.reshape(flat[start:stop], shape)
        start = stop
    return factors
