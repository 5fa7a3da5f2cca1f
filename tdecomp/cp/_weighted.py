"""CP decompositions of data that is missing in places, or trusted unequally."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tdecomp._anderson import anderson
from tdecomp._iterate import Callback, Fit, Status, Step, iterate
from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import device, eps, equilibrate, real_dtype
from tdecomp.cp._format import CP
from tdecomp.cp._unseen import escapes
from tdecomp.cp._weighted_data import Observed, observe
from tdecomp.cp._weighted_solve import minimise_polynomial, split
from tdecomp.cp._weighted_sweep import Plan, balance, faded, fading, sweep

# How many sweeps the extrapolation looks back.
_MEMORY = 5
# Sweeps in the first round of the race between starts; every round is twice as long.
_ROUND = 8
# Beyond this power of two a ridge makes zeros of everything, or nothing.
_FAR = 60.0
# Errors below this many eps are rounding.
_EXACT = 8.0


class _State(NamedTuple):
    """All factors in one matrix, and the sweeps of the past: where they began, what they did.

    The `merit` is the root of the objective, relative as the error is.
    """

    flat: Array
    merit: float
    past: tuple[tuple[Array, Array], ...] = ()


def weighted_als(
    x: Any,
    weights: Any,
    starts: Sequence[Sequence[Array]],
    /,
    *,
    ridge: float = 0.0,
    fixed: Sequence[int] = (),
    nonnegative: Sequence[int] = (),
    tol: float = 1e-8,
    max_iter: int = 500,
    callback: Callback | None = None,
    drawn: int = 0,
) -> Fit[CP]:
    r"""Fit a CP tensor to the entries that are observed, without filling in the others.

    .. math:: \min_{A^{(0)}, \ldots, A^{(d-1)}} \sum_i w_i \Bigl| x_i - \sum_r \prod_k
              A^{(k)}_{i_k r} \Bigr|^2 + \lambda \sum_k \|A^{(k)}\|_F^2

    by alternating over the modes: given all factors but one, each row of that one is a weighted
    least-squares problem of `R` unknowns, over the entries of its slice. No sweep and no
    extrapolation raises the objective.

    Parameters
    ----------
    x : array, shape (n_0, ..., n_{d-1}), or COO
        The data; entries of weight 0 are not looked at and may be NaN. What a COO does not store
        is zero where its weight is positive.
    weights : array, broadcastable to the shape of `x`, or COO
        Nonnegative, 0 where nothing is known; bool allowed. What a COO does not store weighs 0.
    starts : sequence of sequence of array, shape (n_k, R)
        One list of factors or more, in the library and on the device of the data. Several race:
        in rounds of 8, 16, 32, ... sweeps, after each of which the better half goes on.
    ridge : float
        The penalty :math:`\lambda`, on the scale of the weights and of the data.
    fixed : sequence of int
        Modes whose factors stay as they are.
    nonnegative : sequence of int
        Modes whose factors are to be nonnegative; they must be so in the starts.
    tol : float
        Stop when the relative change of the error, with a ridge of the root of the objective, is
        at most this.
    max_iter : int
        The largest number of sweeps after the race, of which those that fade are half at most.
    callback : callable, optional
        Called with a `Progress` after each sweep that follows the race.
    drawn : int
        How many of the starts, the last ones, know nothing of what is missing. Where that is the
        greater part, sweeps begin there with zeros in its place, which fade.

    Returns
    -------
    Fit
        ``tensor``, a `CP` of balanced factors; ``error``, the true weighted relative error
        :math:`(\sum w |x - m|^2 / \sum w |x|^2)^{1/2}`; ``n_iter``, sweeps of the winner;
        ``status``, DEGENERATE for a model that is enormous where nothing is observed.

    Raises
    ------
    ValueError
        If a weight is negative, an observed entry is not finite, or a slice has no observed entry.

    Notes
    -----
    A sweep costs :math:`d R^2` multiplications for each observed entry, and as much as one mode of
    it for the line search; memory is :math:`O(d^2)` integers and :math:`O(d)` numbers for each
    observed entry, in NumPy. Arrays of which most is observed, and those of other libraries, are
    not listed: their normal equations are matrix products over slabs of the array.

    *Precision.* Normal equations square the condition number. They are solved for the *change* of
    a row, with what the present row leaves on the right, so that each sweep is a step of iterative
    refinement and the attainable error is that of QR. Where not even the change keeps two digits,
    the row is solved by orthogonal transformations, and has the smallest norm of all solutions.

    *Extrapolation.* The sweeps of the past are combined as in Anderson's method [1]_ to a point to
    aim at. Along the line through it the objective is a polynomial of degree `2d`, whose
    coefficients take one pass over the entries; its least value is found exactly [2]_.

    *Starts.* From factors that are far from the truth, rows with few entries grow to fit them,
    the model becomes enormous where nothing is observed, and no later sweep comes back. While the
    penalty :math:`\mu \|M\|^2` on all entries of the model falls, in 40 sweeps, that cannot
    happen. The first start begins with a large one, where the problem is that of the data with
    zeros for what is missing; that is the surest way, but one for all. The others begin where the
    penalty and the observations have the same weight, and go ways of their own.

    References
    ----------
    .. [1] D. G. Anderson, "Iterative procedures for nonlinear integral equations", J. ACM 12,
       1965. doi:10.1145/321296.321305
    .. [2] M. Rajih, P. Comon, R. A. Harshman, "Enhanced line search: a novel method to accelerate
       PARAFAC", SIAM J. Matrix Anal. Appl. 30, 2008. doi:10.1137/06065577
    .. [3] G. Tomasi, R. Bro, "PARAFAC and missing values", Chemometr. Intell. Lab. 75, 2005.
       doi:10.1016/j.chemolab.2004.07.003
    """
    observed = observe(x, weights)
    plan = _planned(observed, starts[0], ridge, frozenset(fixed), frozenset(nonnegative))
    states = [_begun(plan, start, observed.dtype) for start in starts]
    if plan.problem.total == 0:
        parts = split(states[0].flat, plan.problem.shape)
        nothing = [plan.xp.zeros_like(p) if k in plan.free else p for k, p in enumerate(parts)]
        return Fit(_shown(plan, plan.xp.concat(nothing)), 0.0, 0, Status.CONVERGED)
    deep, light = fading(plan, states[0].flat, max_iter // 2) if drawn else ([], [])
    for k in range(len(states) - drawn, len(states)):
        flat = faded(plan, states[k].flat, light if k else deep)
        states[k] = states[k]._replace(flat=flat)
    winner, raced = _race(plan, states, max_iter)
    fit = iterate(
        lambda state: _step(plan, state),
        winner,
        max_iter=max_iter - len(light),
        tol=tol,
        callback=callback,
        show=lambda state: _shown(plan, state.flat),
    )
    units = zip(fit.tensor.factors, plan.units, strict=True)
    flat = plan.xp.concat([factor / unit for factor, unit in units])
    gram = plan.problem.along(flat, plan.xp.zeros_like(flat))
    error = _relative(plan, gram[0, 0])
    judged = fit.status in {Status.CONVERGED, Status.MAX_ITER, Status.STAGNATED}
    lost = judged and error > plan.rounding and escapes(plan.problem, flat, plan.xp)
    status = Status.DEGENERATE if lost else fit.status
    return Fit(fit.tensor, error, fit.n_iter + len(light) + raced, status)


def _planned(
    observed: Observed,
    start: Sequence[Array],
    ridge: float,
    fixed: frozenset[int],
    nonnegative: frozenset[int],
) -> Plan:
    """Say in what units factors are held: those of fixed ones are powers of two near their size.

    What is then left of the scale of the data is shared by the factors that are free.
    """
    xp, shape = observed.xp, observed.problem.shape
    free = tuple(mode for mode in range(len(shape)) if mode not in fixed)
    exponents = [math.log2(_size(factor, xp)) for factor in start]
    left = math.log2(observed.scale) - sum(exponents[mode] for mode in fixed)
    share = left / len(free)
    units = [2.0 ** (share if mode in free else exponents[mode]) for mode in range(len(shape))]
    penalty = 2 * share - 2 * math.log2(observed.scale) - math.log2(observed.heaviest)
    return Plan(
        observed.problem,
        free,
        nonnegative,
        ridge * 2.0 ** max(min(penalty, _FAR), -_FAR),
        tuple(units),
        _EXACT * eps(observed.dtype, xp),
        xp,
    )


def _size(factor: Array, xp: Namespace) -> float:
    """Return a power of two near the largest entry."""
    return float(xp.reshape(equilibrate(factor, xp, axis=(0, 1), always=True)[1], ()))


def _begun(plan: Plan, start: Sequence[Array], dtype: DType) -> _State:
    """Put all factors into one matrix, with columns and the size of the model in balance.

    Starts need not know the scale of the data: the free ones are first brought to size one, then
    the first of them is multiplied by what fits best.
    """
    xp = plan.xp
    parts = [xp.astype(factor, dtype, copy=False) for factor in start]
    for mode, part in enumerate(parts):
        parts[mode] = part / (_size(part, xp) if mode in plan.free else plan.units[mode])
    first = plan.free[0]
    still = [xp.zeros_like(part) for part in parts]
    along = [*still[:first], parts[first], *still[first + 1 :]]
    without = [*parts[:first], still[first], *parts[first + 1 :]]
    gram = plan.problem.along(xp.concat(without), xp.concat(along))
    stretch = float(-gram[0, 1] / gram[1, 1]) if gram[1, 1] > 0 else 0.0
    if stretch > 0 or (stretch < 0 and not plan.nonnegative):
        parts[first] = parts[first] * stretch
    return _State(_balanced(plan, _State(xp.concat(parts), math.inf))[0], math.inf)


def _shown(plan: Plan, flat: Array) -> CP:
    """Return the decomposition of the data at its own scale, in arrays of its own."""
    xp, where = plan.xp, device(flat)
    real = real_dtype(flat.dtype, xp)
    weights = xp.ones(flat.shape[1], dtype=real, device=where)
    units = zip(split(flat, plan.problem.shape), plan.units, strict=True)
    return CP(weights, tuple(part * unit for part, unit in units))


def _race(plan: Plan, states: list[_State], max_iter: int) -> tuple[_State, int]:
    """Let starts run in rounds of doubling length, the better half of them in each next one."""
    made, length = 0, _ROUND
    while len(states) > 1:
        length = min(length, max(1, max_iter - made))
        states = sorted((_advanced(plan, state, length) for state in states), key=_by_merit)
        made, length = made + length, 2 * length
        done = states[0].merit <= plan.rounding or made >= max_iter
        states = states[:1] if done else states[: (len(states) + 1) // 2]
    return states[0], made


def _by_merit(state: _State) -> float:
    """Order states, those that overflowed last."""
    return state.merit if math.isfinite(state.merit) else math.inf


def _advanced(plan: Plan, state: _State, sweeps: int) -> _State:
    """Make a number of sweeps, or fewer where the fit is exact or overflows."""
    for _ in range(sweeps):
        step = _step(plan, state)
        state = step.state
        if step.verdict is not None or not math.isfinite(step.error):
            break
    return state


def _step(plan: Plan, state: _State) -> Step[_State]:
    """Sweep over the modes, extrapolate, and go to the best point of the line."""
    flat, past = _balanced(plan, state)
    after = sweep(plan, flat)
    past = (*past, (flat, after - flat))[-_MEMORY - 1 :]
    direction = _target(plan, past) - after
    high = math.inf
    if plan.nonnegative:
        direction, high = _feasible(plan, after, direction)
    gram = plan.problem.along(after, direction)
    penalised = gram + _penalty(plan, after, direction, gram.shape[0])
    low = 0.0 if plan.nonnegative else -math.inf
    t, _ = minimise_polynomial(penalised, low=low, high=high)
    powers = t ** np.arange(gram.shape[0])
    error, merit = (_relative(plan, float(powers @ g @ powers)) for g in (gram, penalised))
    following = _State(after + t * direction if t else after, merit, past)
    exact = Status.CONVERGED if error <= plan.rounding else None
    change = abs(state.merit - merit) / max(merit, plan.rounding)
    return Step(following, error, change if math.isfinite(change) else math.inf, exact, merit)


def _target(plan: Plan, past: tuple[tuple[Array, Array], ...]) -> Array:
    """Return the point to aim at: where the sweeps of the past point to, or the first gone on.

    How it is rounded does not matter: the line search has the last word.
    """
    flat, change = past[-1]
    if len(past) == 1:
        return flat + 2 * change
    vectors = [tuple(plan.xp.reshape(x, (-1,)) for x in pair) for pair in past]
    return plan.xp.reshape(anderson(vectors, plan.xp), flat.shape)


def _feasible(plan: Plan, after: Array, direction: Array) -> tuple[Array, float]:
    """Bend a direction so that no entry of a nonnegative factor turns negative within one step.

    Returns it with how far one may go.
    """
    xp, high = plan.xp, math.inf
    points, slopes = split(after, plan.problem.shape), split(direction, plan.problem.shape)
    for mode in plan.nonnegative:
        slopes[mode] = xp.clip(points[mode] + slopes[mode], 0) - points[mode]
        falling = slopes[mode] < 0
        ratio = -points[mode] / xp.where(falling, slopes[mode], -xp.ones_like(points[mode]))
        ratio = xp.where(falling, ratio, xp.inf)
        high = min(high, float(xp.min(ratio)))
    return xp.concat(slopes), high


def _penalty(plan: Plan, after: Array, direction: Array, size: int) -> np.ndarray:
    """Return the matrix of the coefficients of the ridge along a line."""
    xp, table = plan.xp, np.zeros((size, size))
    if plan.ridge:
        ends = np.cumsum(plan.problem.shape).tolist()
        kept = [slice(ends[m] - plan.problem.shape[m], ends[m]) for m in plan.free]
        pairs = {
            (0, 0): (after, after),
            (0, 1): (after, direction),
            (1, 1): (direction, direction),
        }
        for (a, b), (x, y) in pairs.items():
            inner = sum(float(xp.sum(xp.real(xp.conj(x[k, :]) * y[k, :]))) for k in kept)
            table[a, b] = table[b, a] = plan.ridge * inner
    return table


def _balanced(plan: Plan, state: _State) -> tuple[Array, tuple[tuple[Array, Array], ...]]:
    """Balance the factors of a state, and the sweeps of the past along with them.

    A ridge keeps the balance by itself.
    """
    flat, past = state.flat, state.past
    scale = None if plan.ridge and past else balance(plan, flat)
    if scale is None:
        return flat, past
    return flat * scale, tuple((begun * scale, change * scale) for begun, change in past)


def _relative(plan: Plan, misfit: float) -> float:
    """Return the relative error that a sum of weighted squares amounts to."""
    total = plan.problem.total
    if misfit <= 0:
        return 0.0
    return math.sqrt(misfit / total) if total > 0 else math.inf
