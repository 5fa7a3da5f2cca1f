"""When a growing projection is good enough: by its excess for a rank, else by its misfit."""

from __future__ import annotations

import math
import time
from typing import NamedTuple

import numpy as np

from tdecomp._iterate import Callback, Fit, Progress, Status, Step, iterate
from tdecomp._typing import Array
from tdecomp._xp import eps, floats
from tdecomp.linalg._excess import NOISE, Trend, decay, noise, rounding, unseen
from tdecomp.linalg._formats import SVD
from tdecomp.linalg._krylov import Projection, advance, residual, share, start
from tdecomp.linalg._operand import Operand
from tdecomp.linalg._signs import canonical_signs
from tdecomp.linalg._start import Budget, Probes, drafted_start, random_start, turning
from tdecomp.linalg._svd import truncated_svd
from tdecomp.linalg._truncation import truncation_rank

# A difference of squares is reported only where it leaves the error six digits.
_DIGITS = 1e-6
# An excess for which a bound of first order holds.
_SMALL = 0.05
# With fewer products than this, one in double is worth more than what a draft saves.
_LEAST = 16


class _State(NamedTuple):
    """A projection of `op`, its squared singular values, and what they show."""

    op: Operand
    projection: Projection
    squares: np.ndarray
    probes: Probes | None = None
    trend: Trend = Trend()


def by_rank(
    op: Operand,
    test: Array,
    probes: Array,
    *,
    rank: int,
    rtol: float | None,
    tol: float,
    keep: bool,
    budget: Budget,
) -> Fit[SVD]:
    """Project until the best rank-`rank` part exceeds the optimum by a factor ``1 + tol``.

    Where the matrix is in double precision and `tol` allows, the space is found in single
    precision and only the last product is made in double: rounding turns the space by some eps
    of single precision, and the excess is the square of that.
    """

    def step(state: _State) -> Step[_State]:
        new = _advance(state, rank, keep=keep)
        beyond = math.fsum(new.squares[rank:])
        outside, floor = _resolved(new, beyond, tol)
        left = max(outside + beyond, floor)
        excess = 0.0
        if outside + beyond > floor:
            new = _judged(new, rank, max(outside, floor), left, tol)
            excess = new.trend.excess
        return Step(new, math.sqrt(left / op.total), excess)

    begin = time.monotonic()
    room = _room(op, test) if keep else budget.max_iter
    most = min(room, budget.max_iter)
    drafts = keep and most > _LEAST and tol > turning(op, rank, op.total)
    single = op.draft() if drafts else None
    if single is None:
        begun = random_start(op, test, probes)
    else:
        limits = budget._replace(max_iter=most)
        begun = drafted_start(op, single, test, rank=rank, tol=tol, budget=limits)
    state = _State(op, begun.projection, np.zeros(0), begun.probes, Trend(excess=begun.excess))
    most = 1 if begun.stopped else most - begun.made
    callback = None if begun.stopped else _continued(budget.callback, begun.steps, begin)
    fit = iterate(step, state, max_iter=most, tol=tol, callback=callback)
    fit = fit._replace(n_iter=begun.made + fit.n_iter)
    if begun.stopped:
        fit = fit._replace(status=Status.INTERRUPTED)
    if fit.status is Status.MAX_ITER and room < budget.max_iter:
        return exact(op, rank, rtol, made=fit.n_iter)
    if rtol is not None:
        rank = _rank_within(fit.tensor, rank, rtol**2 * op.total)
    return _finish(fit, rank)


def by_error(op: Operand, test: Array, *, rtol: float, budget: Budget) -> Fit[SVD]:
    """Project until the norm of what is left out is at most `rtol` times that of the matrix."""
    target = (rtol * (1.0 - NOISE * eps(op.like.dtype, op.xp))) ** 2 * op.total
    sure = noise(op)

    def step(state: _State) -> Step[_State]:
        new = _advance(state, None, keep=True)
        left = _outside(new)
        if abs(left - target) <= sure:
            left = _misfit(new)
        return Step(new, math.sqrt(left / op.total), op.margin * left - target)

    # Beyond half the space the full SVD is cheaper.
    room = _room(op, test) // 2
    state = _State(op, start(op, test), np.zeros(0))
    most = min(room, budget.max_iter) - 1
    fit = iterate(step, state, max_iter=most, tol=0.0, callback=budget.callback)
    fit = fit._replace(n_iter=fit.n_iter + 1)
    if fit.status is Status.MAX_ITER and room < budget.max_iter:
        return exact(op, None, rtol, made=fit.n_iter)
    return _finish(fit, _rank_within(fit.tensor, None, target))


def exact(op: Operand, rank: int | None, rtol: float | None, *, made: int = 0) -> Fit[SVD]:
    """Compute the full SVD: what remains when a space would fill most of the whole one.

    It counts as one product, which it is for an operator, after the `made` ones.
    """
    svd = truncated_svd(op.to_array(), rank=rank, rtol=rtol)
    misfit = op.misfit(svd.U * svd.S, svd.Vh)
    error = math.sqrt(misfit / op.total) if op.total else 0.0
    return Fit(svd._replace(S=svd.S * op.scale), error, made + 1, Status.CONVERGED)


def _continued(callback: Callback | None, steps: int, begin: float) -> Callback | None:
    """Let a callback go on counting after so many steps, and timing from `begin` on."""
    if callback is None:
        return None

    def watch(progress: Progress) -> object:
        elapsed = time.monotonic() - begin
        return callback(Progress(progress.iteration + steps, progress.error, elapsed))

    return watch


def _room(op: Operand, test: Array) -> int:
    """Return how many products fit before the bases would fill the space."""
    return 2 * (min(op.shape) // int(test.shape[1])) - 1


def _advance(state: _State, rank: int | None, *, keep: bool) -> _State:
    """Make one product, take the spectrum in double on the host, and note the gain."""
    op = state.op
    projection = advance(op, state.projection, keep=keep)
    values = op.xp.linalg.svdvals(projection.core(op.xp))
    squares = np.asarray(floats(values)) ** 2
    gain = math.fsum(squares[:rank]) - math.fsum(state.squares[:rank])
    if rank is not None and state.trend.gains and gain <= noise(op):
        gain = unseen(residual(state.projection, projection, rank, op.xp), squares, rank, op)
    return state._replace(projection=projection, squares=squares, trend=state.trend.grown(gain))


def _outside(state: _State) -> float:
    """Return the energy outside the projection; where norms are exact, by the down-date."""
    if state.op.margin > 1.0:
        return _misfit(state)
    return max(state.op.total - math.fsum(state.squares), 0.0)


def _misfit(state: _State) -> float:
    """Return the energy outside the projection by forming the difference."""
    u, s, vh = state.projection.svd(state.op.xp)
    return state.op.misfit(u * s, vh)


def _resolved(state: _State, beyond: float, tol: float) -> tuple[float, float]:
    """Return the energy outside the projection, and that below which it means nothing.

    Where the down-date has no digit left, and its noise matters beside the energy `beyond` the
    rank, probes tell, whose errors are those of a difference rather than of its square.
    """
    sure = noise(state.op)
    outside = _outside(state)
    matters = sure > 2 * (outside + beyond) * tol
    if outside > NOISE * sure or not matters or state.op.margin > 1.0:
        return outside, sure
    if state.probes is None:
        return _misfit(state), rounding(state.op)
    return state.probes.outside(state.projection, state.op.xp), rounding(state.op)


def _judged(state: _State, rank: int, outside: float, left: float, tol: float) -> _State:
    """Estimate the excess from the energy `outside`, and that `left` out of the best rank.

    `outside` bounds what further products can add to the leading triplets (Ky Fan). Where it is
    small, they add to first order no more than passes through the newest block.
    """
    op, trend = state.op, state.trend
    if trend.settled(op):
        return state._replace(trend=trend._replace(excess=0.0))
    bound = outside / (2 * left)
    if tol < bound < _SMALL:
        bound *= min(share(state.projection, rank, op.xp), 1.0)
    slowest = decay(state.squares, rank, int(state.projection.fresh.shape[1]))
    return state._replace(trend=trend.judged(bound, left, slowest))


def _rank_within(state: _State, rank: int | None, target: float) -> int:
    """Return the smallest rank whose energy left out stays below `target`, rounding included."""
    outside, sure = _outside(state), noise(state.op)
    if sure > target * math.sqrt(_DIGITS):
        outside, sure = _misfit(state), 0.0
    spare = target - state.op.margin * outside - sure
    s = np.sqrt(state.squares)
    return truncation_rank(s, rank=rank, atol=math.sqrt(max(spare, 0.0)))


def _finish(fit: Fit[_State], rank: int) -> Fit[SVD]:
    """Form the leading triplets and measure their error as well as it can be."""
    state, xp = fit.tensor, fit.tensor.op.xp
    op = state.op
    u, s, vh = state.projection.svd(xp, rank)
    u, vh = canonical_signs(u, vh, xp)
    error = projection_error(op, SVD(u, s, vh))
    return Fit(SVD(u, s * op.scale, vh), error, fit.n_iter, fit.status)


def projection_error(op: Operand, svd: SVD) -> float:
    """Return the relative error of a part ``U @ U^* @ A`` of the matrix, at the scale of `op`."""
    left = op.total - math.fsum(value**2 for value in floats(svd.S))
    if op.margin > 1.0 or noise(op) > 2 * _DIGITS * left:
        left = op.misfit(svd.U * svd.S, svd.Vh)
    return math.sqrt(left / op.total)
