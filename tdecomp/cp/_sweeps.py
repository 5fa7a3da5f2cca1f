"""Alternating least squares: one sweep over the modes, and the iteration made of sweeps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tdecomp._iterate import Callback, Fit, Status, Step, iterate
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, eps
from tdecomp.cp._anderson import anderson
from tdecomp.cp._format import CP
from tdecomp.cp._least_squares import gram, joint_gram, solve_normal, solve_orthogonal
from tdecomp.ops._products import Products

# How many sweeps the acceleration looks back.
_MEMORY = 5
# Errors below this many eps are rounding: at once, and where they stopped falling.
_EXACT, _ROUNDING = 8.0, 64.0
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
    """Factors, their relative error, the objective; where past sweeps began and what they did."""

    factors: tuple[Array, ...]
    error: float = math.inf
    objective: float = math.inf
    past: tuple[tuple[Array, Array], ...] = ()


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
) -> Fit[CP]:
    """Iterate sweeps from `factors` until the error changes by at most `tol`, relatively."""
    unit = eps(factors[0].dtype, problem.xp)

    def step(state: State) -> Step[State]:
        state = _accelerated(problem, state) if accelerate else sweep(problem, state)
        return Step(state, state.error, 0.0 if state.error <= _EXACT * unit else None)

    start = State(tuple(factors))
    fit = iterate(step, start, max_iter=max_iter, tol=tol, callback=callback, show=show)
    if fit.status is Status.STAGNATED and fit.error <= _ROUNDING * unit:
        fit = fit._replace(status=Status.CONVERGED)
    return fit


def _accelerated(problem: Problem, state: State) -> State:
    """Sweep from where the past points to; if that does not lower the objective, from `state`."""
    if len(state.past) < 2:
        return sweep(problem, state)
    xp = problem.xp
    ahead = _unflat(anderson(state.past, xp), state.factors, xp)
    for mode in problem.constrain:
        ahead[mode] = xp.where(ahead[mode] > 0, ahead[mode], xp.zeros_like(ahead[mode]))
    following = sweep(problem, State(tuple(ahead), past=state.past))
    if following.objective <= state.objective:
        return following
    return sweep(problem, state._replace(past=()))


def sweep(problem: Problem, state: State) -> State:
    """Solve for one factor after the other, each time with the others as they are by then.

    From a `state` with a known objective this never raises it.
    """
    xp, factors = problem.xp, list(state.factors)
    grams = [gram(factor, xp) for factor in factors]
    duals = [_conj(factor, xp) for factor in factors]
    product = joint = None
    for mode in problem.free:
        product = problem.products.mttkrp(mode, duals)
        joint = joint_gram(grams, mode)
        factors[mode] = _update(problem, factors, mode, product, joint)
        grams[mode] = gram(factors[mode], xp)
        duals[mode] = _conj(factors[mode], xp)
    last = problem.free[-1]
    aligned = float(_real(xp.sum(duals[last] * product), xp))
    energy = float(_real(xp.sum(joint * grams[last]), xp))
    error = _error(problem, factors, problem.square - 2 * aligned + energy)
    penalty = 0.0
    if problem.ridge:
        penalty = problem.ridge * sum(float(_real(xp.linalg.trace(known), xp)) for known in grams)
    objective = error**2 * problem.square + penalty
    before = _flat(state.factors, xp)
    past = (*state.past, (before, _flat(factors, xp) - before))[-_MEMORY:]
    return State(tuple(factors), error, objective, past)


def _update(
    problem: Problem, factors: list[Array], mode: int, product: Array, joint: Array
) -> Array:
    """Return the next factor of `mode`."""
    xp = problem.xp
    if problem.ridge:
        rank = joint.shape[0]
        joint = joint + problem.ridge * xp.eye(rank, dtype=joint.dtype, device=device(joint))
    if mode in problem.constrain:
        return problem.constrain[mode](factors[mode], product, joint)
    if problem.solver == "qr":
        return solve_orthogonal(problem.x, factors, mode, problem.ridge, xp)
    solution = solve_normal(product, joint, xp)
    if problem.solver == "auto" and solution.rcond < eps(joint.dtype, xp) ** 0.5:
        return solve_orthogonal(problem.x, factors, mode, problem.ridge, xp)
    return solution.factor


def _error(problem: Problem, factors: Sequence[Array], gap: float) -> float:
    """Return the relative error, from the difference of squares `gap` where that keeps digits."""
    if gap > _DIGITS * eps(factors[0].dtype, problem.xp) * problem.square:
        return math.sqrt(gap / problem.square)
    return true_error(problem, factors)


def true_error(problem: Problem, factors: Sequence[Array]) -> float:
    """Return the relative error from the difference: true to rounding; 0 / 0 is 0."""
    distance = problem.distance(factors)
    if distance == 0:
        return 0.0
    return distance / math.sqrt(problem.square) if problem.square > 0 else math.inf


def _conj(x: Array, xp: Namespace) -> Array:
    return xp.conj(x) if xp.isdtype(x.dtype, "complex floating") else x


def _real(x: Array, xp: Namespace) -> Array:
    return xp.real(x) if xp.isdtype(x.dtype, "complex floating") else x


def _flat(factors: Sequence[Array], xp: Namespace) -> Array:
    """Return all entries of all factors in one vector."""
    return xp.concat([xp.reshape(factor, (-1,)) for factor in factors])


def _unflat(flat: Array, like: Sequence[Array], xp: Namespace) -> list[Array]:
    """Return the factors of which a vector holds the entries."""
    factors, start = [], 0
    for factor in like:
        stop = start + factor.shape[0] * factor.shape[1]
        factors.append(xp.reshape(flat[start:stop], tuple(factor.shape)))
        start = stop
    return factors
