"""When a growing projection is good enough: for a rank by its excess, for an error by its misfit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tdecomp._iterate import Callback, Fit, Status, Step, iterate
from tdecomp._typing import Array
from tdecomp._xp import eps
from tdecomp.linalg._formats import SVD
from tdecomp.linalg._krylov import Projection, advance, refresh
from tdecomp.linalg._operand import Operand
from tdecomp.linalg._signs import canonical_signs
from tdecomp.linalg._svd import truncated_svd
from tdecomp.linalg._truncation import truncation_rank

# Sums of squares are accurate to a few eps of the total; energy below that is noise.
_NOISE = 8.0
# A difference of squares is reported only where it leaves the error six digits.
_DIGITS = 1e-6


class _State(NamedTuple):
    """A projection with the squares of its singular values, and the gains of leading energy."""

    projection: Projection
    squares: np.ndarray
    gains: tuple[float, ...] = ()


def by_rank(
    op: Operand,
    p: Projection,
    *,
    rank: int,
    rtol: float | None,
    tol: float,
    keep: bool,
    max_iter: int,
    callback: Callback | None,
) -> Fit[SVD]:
    """Improve `p` until its best rank-`rank` part exceeds the optimum by a factor ``1 + tol``."""
    noise = _noise(op)

    def step(state: _State) -> Step[_State]:
        new = _advance(op, state, keep=keep)
        gain = math.fsum(new.squares[:rank]) - math.fsum(state.squares[:rank])
        new = new._replace(gains=(*state.gains, gain))
        outside = _outside(op, new)
        left = outside + math.fsum(new.squares[rank:])
        change = _missing(new.gains, outside, noise) / (2 * max(left, noise))
        return Step(new, math.sqrt(left / op.total), change)

    room = _room(op, p) if keep else max_iter
    fit = iterate(step, _State(p, np.zeros(0)), max_iter=min(max_iter, room), tol=tol, callback=callback)
    if fit.status is Status.MAX_ITER and room < max_iter:
        return exact(op, rank, rtol)
    if rtol is not None:
        rank = _rank_within(op, fit.tensor, rank, rtol**2 * op.total)
    return _finish(op, fit, rank)


def by_error(
    op: Operand,
    p: Projection,
    *,
    rtol: float,
    draw: Callable[[int], Array],
    max_iter: int,
    callback: Callback | None,
) -> Fit[SVD]:
    """Grow `p` until the norm of what it leaves out is at most `rtol` times that of the matrix."""
    noise, target = _noise(op), rtol**2 * op.total

    def step(state: _State) -> Step[_State]:
        spent = len(state.gains) > 1 and state.gains[-1] <= noise
        if spent and not state.projection.from_left:
            block = draw(state.projection.fresh.shape[1])
            state = state._replace(projection=refresh(state.projection, block, op.xp))
        new = _advance(op, state, keep=True)
        gain = math.fsum(new.squares) - math.fsum(state.squares)
        new = new._replace(gains=(*state.gains, gain))
        left = _outside(op, new)
        if abs(left - target) <= noise:
            left = _misfit(op, new.projection)
        return Step(new, math.sqrt(left / op.total), op.margin * left - target)

    room = _room(op, p)
    fit = iterate(step, _State(p, np.zeros(0)), max_iter=min(max_iter, room), tol=0.0, callback=callback)
    if fit.status is Status.MAX_ITER and room < max_iter:
        return exact(op, None, rtol)
    return _finish(op, fit, _rank_within(op, fit.tensor, None, target))


def exact(op: Operand, rank: int | None, rtol: float | None) -> Fit[SVD]:
    """Compute the full SVD: what remains when a space would fill most of the whole one."""
    svd = truncated_svd(op.to_array(), rank=rank, rtol=rtol)
    misfit = op.misfit(svd.U * svd.S, svd.Vh)
    error = math.sqrt(misfit / op.total) if op.total else 0.0
    return Fit(svd._replace(S=svd.S * op.scale), error, 0, Status.CONVERGED)


def _noise(op: Operand) -> float:
    """Return the energy that rounding may add or remove."""
    return _NOISE * eps(op.like.dtype, op.xp) * op.total


def _room(op: Operand, p: Projection) -> int:
    """Return how many products fit before the bases would fill the space."""
    return 2 * (min(op.shape) // p.fresh.shape[1]) - 2


def _advance(op: Operand, state: _State, *, keep: bool) -> _State:
    """Make one product and take the spectrum, on the host and in double precision."""
    projection = advance(op, state.projection, keep=keep)
    values = op.xp.linalg.svdvals(projection.core(op.xp))
    return state._replace(projection=projection, squares=np.asarray(values.tolist()) ** 2)


def _outside(op: Operand, state: _State) -> float:
    """Return the energy outside the projection; where norms are exact, by the down-date."""
    if op.margin > 1.0:
        return _misfit(op, state.projection)
    return max(op.total - math.fsum(state.squares), 0.0)


def _misfit(op: Operand, p: Projection) -> float:
    """Return the energy outside the projection by forming the difference."""
    u, s, vh = p.svd(op.xp)
    return op.misfit(u * s, vh)


def _missing(gains: tuple[float, ...], outside: float, noise: float) -> float:
    """Estimate the energy that further products would still add to the leading triplets.

    `outside`, the energy beyond the whole space, bounds it (Ky Fan). The first of the `gains` is
    no gain but the energy found at first. From two true ones on their geometric series is the
    better estimate; gains of a Krylov space shrink faster than that.
    """
    if outside <= noise or (len(gains) > 1 and gains[-1] <= noise):
        return 0.0
    if len(gains) <= 2 or gains[-1] >= gains[-2]:  # noqa: PLR2004 - see above
        return outside
    ratio = gains[-1] / gains[-2]
    return min(outside, gains[-1] * ratio / (1.0 - ratio))


def _rank_within(op: Operand, state: _State, rank: int | None, target: float) -> int:
    """Return the smallest rank whose energy left out stays below `target`, rounding included."""
    spare = target - op.margin * _outside(op, state) - _noise(op)
    return truncation_rank(np.sqrt(state.squares), rank=rank, atol=math.sqrt(max(spare, 0.0)))


def _finish(op: Operand, fit: Fit[_State], rank: int) -> Fit[SVD]:
    """Form the leading triplets and measure their error as well as it can be."""
    xp = op.xp
    u, s, vh = fit.tensor.projection.svd(xp, rank)
    u, vh = canonical_signs(u, vh, xp)
    left = op.total - math.fsum(fit.tensor.squares[:rank])
    if op.margin > 1.0 or _noise(op) > 2 * _DIGITS * left:
        left = op.misfit(u * s, vh)
    error = math.sqrt(left / op.total) if op.total else 0.0
    return fit._replace(tensor=SVD(u, s * op.scale, vh), error=error, n_iter=fit.n_iter + 1)
