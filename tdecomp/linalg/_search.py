"""When a growing projection is good enough: by its excess for a rank, else by its misfit."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tdecomp._iterate import Callback, Fit, Status, Step, iterate
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, eps, floats
from tdecomp.linalg._formats import SVD
from tdecomp.linalg._krylov import Projection, advance, residual, restart, share, start
from tdecomp.linalg._operand import Operand
from tdecomp.linalg._signs import canonical_signs
from tdecomp.linalg._svd import truncated_svd
from tdecomp.linalg._truncation import truncation_rank

# Sums of squares are accurate to a few eps of the total; energy below that is noise.
_NOISE = 8.0
# A difference of matrices that agree to rounding has a norm of up to this many eps.
_FLOOR = 128.0
# How many probes, and how far below the truth their estimate may reasonably be.
PROBES = 4
_MARGIN = 3.0
# A difference of squares is reported only where it leaves the error six digits.
_DIGITS = 1e-6
# An excess for which a bound of first order holds.
_SMALL = 0.05
# With fewer products than this a draft has nothing to gain.
_LEAST = 4
# How far rounding may turn a singular vector, in units of eps times norm over singular value.
_TURN = 3.0


class Budget(NamedTuple):
    """How many products a search may make, and who watches it."""

    max_iter: int
    callback: Callback | None


class _Probes(NamedTuple):
    """Gaussian vectors that took no part in a search, and their images."""

    vectors: Array
    images: Array

    def outside(self, p: Projection, xp: Namespace) -> float:
        """Estimate the energy outside a projection, rather above than below."""
        inner = p.core(xp) @ (adjoint(p.right, xp) @ self.vectors)
        gap = float(xp.linalg.vector_norm(self.images - p.left @ inner))
        return _MARGIN * gap**2 / self.vectors.shape[1]


class _State(NamedTuple):
    """A projection of `op` and its squared singular values, with what is known of its quality.

    `gains` are the successive gains of leading energy, the first of them all that was found at
    first; `ratio` is that of the last two; `excess` estimates by what factor, less one, the error
    exceeds the optimum.
    """

    op: Operand
    projection: Projection
    squares: np.ndarray
    probes: _Probes | None = None
    gains: tuple[float, ...] = ()
    ratio: float = 0.0
    excess: float = math.inf


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
    drafts = tol > _turning(op, rank, op.total) and budget.max_iter > _LEAST
    draft = op.draft() if drafts else None

    def step(state: _State) -> Step[_State]:
        new = _advance(state, rank, keep=keep)
        beyond = math.fsum(new.squares[rank:])
        outside, floor = _resolved(new, beyond, tol)
        left = max(outside + beyond, floor)
        if outside + beyond <= floor:
            new = new._replace(excess=0.0)
        else:
            new = _judged(new, rank, max(outside, floor), left, tol)
        change = new.excess
        if new.op is draft:
            change = math.inf
            floor = _turning(op, rank, left) if left > 4 * _noise(draft) else math.inf
            after = max(floor, new.excess * (new.ratio or 1.0))
            if after <= tol or floor > tol:
                new = _State(op, _promoted(new, op), np.zeros(0), excess=after)
        return Step(new, math.sqrt(left / op.total), change)

    state = _begun(draft or op, test, probes)
    room = _room(op, test) if keep else budget.max_iter
    # The first product is made; a draft keeps the last one for the full precision.
    most = min(room, budget.max_iter) - (1 if draft is None else 2)
    fit = iterate(step, state, max_iter=most, tol=tol, callback=budget.callback)
    fit = _settled(fit, op, rank)
    if fit.status is Status.MAX_ITER and room < budget.max_iter:
        return exact(op, rank, rtol, made=fit.n_iter + 1)
    if rtol is not None:
        rank = _rank_within(fit.tensor, rank, rtol**2 * op.total)
    return _finish(fit, rank)


def by_error(op: Operand, test: Array, *, rtol: float, budget: Budget) -> Fit[SVD]:
    """Project until the norm of what is left out is at most `rtol` times that of the matrix."""
    target = (rtol * (1.0 - _NOISE * eps(op.like.dtype, op.xp))) ** 2 * op.total
    noise = _noise(op)

    def step(state: _State) -> Step[_State]:
        new = _advance(state, None, keep=True)
        left = _outside(new)
        if abs(left - target) <= noise:
            left = _misfit(new)
        return Step(new, math.sqrt(left / op.total), op.margin * left - target)

    # Beyond half the space the full SVD is cheaper.
    room = _room(op, test) // 2
    state = _State(op, start(op, test), np.zeros(0))
    most = min(room, budget.max_iter) - 1
    fit = iterate(step, state, max_iter=most, tol=0.0, callback=budget.callback)
    if fit.status is Status.MAX_ITER and room < budget.max_iter:
        return exact(op, None, rtol, made=fit.n_iter + 1)
    return _finish(fit, _rank_within(fit.tensor, None, target))


def exact(op: Operand, rank: int | None, rtol: float | None, *, made: int = 0) -> Fit[SVD]:
    """Compute the full SVD: what remains when a space would fill most of the whole one.

    It counts as one product, which it is for an operator, after the `made` ones.
    """
    svd = truncated_svd(op.to_array(), rank=rank, rtol=rtol)
    misfit = op.misfit(svd.U * svd.S, svd.Vh)
    error = math.sqrt(misfit / op.total) if op.total else 0.0
    return Fit(svd._replace(S=svd.S * op.scale), error, made + 1, Status.CONVERGED)


def _noise(op: Operand) -> float:
    """Return the energy that rounding may add or remove."""
    return _NOISE * eps(op.like.dtype, op.xp) * op.total


def _rounding(op: Operand) -> float:
    """Return the energy of a difference of matrices that agree to rounding."""
    return (_FLOOR * eps(op.like.dtype, op.xp)) ** 2 * op.total


def _turning(op: Operand, rank: int, left: float) -> float:
    """Return the relative excess that a space found in single precision may cost.

    Rounding turns direction i by about ``eps |A|_F / s_i``, which loses the square of that times
    ``s_i^2`` of energy; `left` is the energy that the best approximation leaves out.
    """
    turn = _TURN * eps(op.xp.float32, op.xp)
    return rank * turn**2 * op.total / (2.0 * left) if left else math.inf


def _begun(op: Operand, test: Array, probes: Array) -> _State:
    """Make the first product, with the probes beside the test matrix."""
    xp, width = op.xp, test.shape[1]
    test, probes = _like(test, op), _like(probes, op)
    images = op.matmat(xp.concat([test, probes], axis=1))
    begun = restart(images[:, :width], xp, from_left=True)
    return _State(op, begun, np.zeros(0), _Probes(probes, images[:, width:]))


def _room(op: Operand, test: Array) -> int:
    """Return how many products fit before the bases would fill the space."""
    return 2 * (min(op.shape) // int(test.shape[1])) - 1


def _like(test: Array, op: Operand) -> Array:
    """Bring a test matrix to the precision of the operand."""
    return test if test.dtype == op.like.dtype else op.xp.astype(test, op.like.dtype)


def _advance(state: _State, rank: int | None, *, keep: bool) -> _State:
    """Make one product, take the spectrum in double on the host, and note the gain."""
    op = state.op
    projection = advance(op, state.projection, keep=keep)
    values = op.xp.linalg.svdvals(projection.core(op.xp))
    squares = np.asarray(floats(values)) ** 2
    gain = math.fsum(squares[:rank]) - math.fsum(state.squares[:rank])
    if rank is not None and state.gains and gain <= _noise(op):
        gain = residual(state.projection, projection, rank, op.xp)
    return state._replace(projection=projection, squares=squares, gains=(*state.gains, gain))


def _promoted(state: _State, op: Operand) -> Projection:
    """Start again, in the precision of `op`, from the leading singular vectors of a draft."""
    xp, p = op.xp, state.projection
    u, _, vh = p.svd(xp, p.fresh.shape[1])
    block = u if p.from_left else adjoint(vh, xp)
    return restart(_like(block, op), xp, from_left=p.from_left)


def _settled(fit: Fit[_State], op: Operand, rank: int) -> Fit[_State]:
    """Make the one product in the precision of `op` that a search cut short still lacks."""
    state = fit.tensor
    if state.op is not op:
        state = _State(op, _promoted(state, op), np.zeros(0))
    if state.squares.size:
        return fit
    return fit._replace(tensor=_advance(state, rank, keep=True), n_iter=fit.n_iter + 1)


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
    noise = _noise(state.op)
    outside = _outside(state)
    matters = noise > 2 * (outside + beyond) * tol
    if outside > _NOISE * noise or not matters or state.op.margin > 1.0:
        return outside, noise
    if state.probes is None:
        return _misfit(state), _rounding(state.op)
    return state.probes.outside(state.projection, state.op.xp), _rounding(state.op)


def _judged(state: _State, rank: int, outside: float, left: float, tol: float) -> _State:
    """Estimate the excess from the energy `outside`, and that `left` out of the best rank.

    `outside` bounds what further products can add to the leading triplets (Ky Fan). Where it is
    small, they add to first order no more than passes through the newest block. From two gains
    on, their geometric series is another estimate: Krylov gains shrink faster than that.
    """
    gains = state.gains
    if len(gains) > 1 and gains[-1] <= _rounding(state.op):
        return state._replace(excess=0.0)
    bound = outside / (2 * left)
    if tol < bound < _SMALL:
        bound *= min(share(state.projection, rank, state.op.xp), 1.0)
    if len(gains) < 3 or gains[-1] >= gains[-2]:  # two after the first
        return state._replace(excess=min(bound, state.excess))
    ratio = gains[-1] / gains[-2]
    series = gains[-1] * ratio / (1.0 - ratio) / (2 * left)
    return state._replace(ratio=ratio, excess=min(bound, series))


def _rank_within(state: _State, rank: int | None, target: float) -> int:
    """Return the smallest rank whose energy left out stays below `target`, rounding included."""
    outside, noise = _outside(state), _noise(state.op)
    if noise > target * math.sqrt(_DIGITS):
        outside, noise = _misfit(state), 0.0
    spare = target - state.op.margin * outside - noise
    s = np.sqrt(state.squares)
    return truncation_rank(s, rank=rank, atol=math.sqrt(max(spare, 0.0)))


def _finish(fit: Fit[_State], rank: int) -> Fit[SVD]:
    """Form the leading triplets and measure their error as well as it can be."""
    state, xp = fit.tensor, fit.tensor.op.xp
    op = state.op
    u, s, vh = state.projection.svd(xp, rank)
    u, vh = canonical_signs(u, vh, xp)
    left = op.total - math.fsum(state.squares[:rank])
    if op.margin > 1.0 or _noise(op) > 2 * _DIGITS * left:
        left = op.misfit(u * s, vh)
    error = math.sqrt(left / op.total)
    return Fit(SVD(u, s * op.scale, vh), error, fit.n_iter + 1, fit.status)
