"""Where a search for a few triplets begins: at a random block, or at a draft of the answer."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tdecomp._iterate import Callback, Status, Step, iterate
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, eps
from tdecomp.linalg._draft import Draft, begin, hidden_gain, proceed
from tdecomp.linalg._excess import Trend, decay, noise, unseen
from tdecomp.linalg._krylov import Projection, restart
from tdecomp.linalg._operand import Dense, Operand

# How far below the truth the estimate of a few probes may reasonably be.
_MARGIN = 3.0
# How far rounding may turn a singular vector, in units of eps times norm over singular value.
_TURN = 3.0


class Budget(NamedTuple):
    """How many products a search may make, and who watches it."""

    max_iter: int
    callback: Callback | None


class Probes(NamedTuple):
    """Gaussian vectors that take no part in a search, and their images."""

    vectors: Array
    images: Array

    def outside(self, p: Projection, xp: Namespace) -> float:
        """Estimate the energy outside a projection, rather above than below."""
        inner = p.core(xp) @ (adjoint(p.right, xp) @ self.vectors)
        gap = float(xp.linalg.vector_norm(self.images - p.left @ inner))
        return _MARGIN * gap**2 / int(self.vectors.shape[1])


class Start(NamedTuple):
    """A block to project on, the number of products `made` for it, in so many `steps`.

    `excess` is what is to be expected after one product more; `stopped` tells that the callback
    asked for no others.
    """

    projection: Projection
    made: int
    probes: Probes | None = None
    excess: float = math.inf
    steps: int = 0
    stopped: bool = False


class _Sketch(NamedTuple):
    """A draft, its squared singular values, and what they show."""

    draft: Draft
    squares: np.ndarray
    trend: Trend = Trend()
    excess: float = math.inf


def random_start(op: Operand, test: Array, probes: Array) -> Start:
    """Make the first product, with the probes beside the test matrix."""
    xp, width = op.xp, test.shape[1]
    images = op.matmat(xp.concat([test, probes], axis=1))
    begun = restart(images[:, :width], xp, from_left=True)
    return Start(begun, 1, Probes(probes, images[:, width:]))


def turning(op: Operand, rank: int, left: float, spread: float = 0.0) -> float:
    """Return the relative excess that a space found in single precision may cost.

    Rounding turns direction i by about ``eps |A|_F / s_i``, which loses the square of that times
    ``s_i^2`` of energy; `left` is the energy that the best approximation leaves out. Working with
    squares loses as much of ``s_1^4 / s_r^2``, which is `spread`.
    """
    turn = _TURN * eps(op.xp.float32, op.xp)
    return rank * turn**2 * max(op.total, spread) / (2.0 * left) if left else math.inf


def drafted_start(
    op: Operand, single: Dense, test: Array, *, rank: int, tol: float, budget: Budget
) -> Start:
    """Search in single precision for the block from which one product in double is enough."""
    xp, turned = op.xp, op.shape[0] < op.shape[1]
    tall = single.turned() if turned else single
    sure, width = noise(single), int(test.shape[1])

    def step(state: _Sketch) -> Step[_Sketch]:
        draft = proceed(tall, state.draft)
        squares = draft.squares(xp)
        gain = math.fsum(squares[:rank]) - math.fsum(state.squares[:rank])
        if state.trend.gains and gain <= sure:
            first = hidden_gain(state.draft, draft, rank, xp)
            gain = unseen(first, squares, rank, single)
        outside = max(op.total - math.fsum(squares), sure)
        left = outside + math.fsum(squares[rank:])
        slowest = decay(squares, rank, width) if squares.size >= rank else 1.0
        trend = state.trend.grown(gain).judged(outside / (2 * left), left, slowest)
        if trend.settled(single):
            trend = trend._replace(excess=0.0)
        floor = math.inf
        if draft.sees(width) and left > 4 * sure and gain != sure:
            floor = turning(op, rank, left, squares[0] ** 2 / squares[rank - 1])
        excess = max(floor, trend.excess * _credit(trend, squares, rank, width))
        if floor > tol:  # nothing to hope for: go on in double, with no promise
            return Step(_Sketch(draft, squares, trend), math.sqrt(left / op.total), 0.0)
        new = _Sketch(draft, squares, trend, excess)
        return Step(new, math.sqrt(left / op.total), excess)

    made = 1 if turned else 2
    state = _Sketch(begin(tall, xp.astype(test, single.like.dtype), turned=turned), np.zeros(0))
    fit = iterate(
        step, state, max_iter=budget.max_iter - made - 1, tol=tol, callback=budget.callback
    )
    block, left = fit.tensor.draft.block(width, xp)
    return Start(
        restart(xp.astype(block, op.like.dtype), xp, from_left=left != turned),
        made + fit.n_iter,
        excess=fit.tensor.excess,
        steps=fit.n_iter,
        stopped=fit.status is Status.INTERRUPTED,
    )


def _credit(trend: Trend, squares: np.ndarray, rank: int, width: int) -> float:
    """Return by what factor the last product will shrink the excess.

    It starts from the leading singular vectors alone: a step of subspace iteration, whose ratio
    is that of the first square left out to the last one wanted.
    """
    if not trend.ratio or squares.size <= width:
        return 1.0
    return min(1.0, max(trend.ratio, float(squares[width] / squares[rank - 1])))
