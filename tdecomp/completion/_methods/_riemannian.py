"""Conjugate gradients on the manifold of matrices of fixed rank."""

from __future__ import annotations

import math
from typing import NamedTuple

from tdecomp._iterate import Step
from tdecomp._typing import Array, Namespace
from tdecomp._xp import conj, device, eps
from tdecomp.completion._masked import entries, residual_times, weighted_squares
from tdecomp.completion._methods._als import als
from tdecomp.completion._methods._judged import told
from tdecomp.completion._methods._singular import Singular, across, overlap, singular
from tdecomp.completion._problem import Problem, Solver

# What share of the decrease that the slope promises a step must keep, and how it shrinks.
_ARMIJO, _SHRINK, _TRIES = 1e-4, 0.5, 40
# Sweeps of alternating least squares before the first step.
_SWEEPS = 4
# Directions whose cosine with the steepest one is below this are dropped for it.
_COSINE = 0.1


class _Tangent(NamedTuple):
    r"""The tangent :math:`U M V^T + P V^T + U Q^T`, `P` normal to `U` and `Q` to `V`."""

    m: Array
    p: Array
    q: Array

    def plus(self, scale: float, other: _Tangent) -> _Tangent:
        """Return the sum with a multiple of another."""
        return _Tangent(*(a + scale * b for a, b in zip(self, other, strict=True)))

    def inner(self, other: _Tangent, xp: Namespace) -> float:
        """Return the real inner product."""
        products = (conj(a, xp) * b for a, b in zip(self, other, strict=True))
        return sum(float(xp.real(xp.sum(x)) if _complex(x, xp) else xp.sum(x)) for x in products)


class _State(NamedTuple):
    """A point, its misfit and objective, the steepest descent there and where to go."""

    point: Singular
    loss: float
    objective: float
    slope: _Tangent
    way: _Tangent


def riemannian(problem: Problem) -> Solver:
    r"""Return nonlinear conjugate gradients over matrices of rank `k` [1]_.

    The point is held by its singular values, in the metric of the space of all matrices.
    Directions are those of Polak and Ribiere, carried along by projection. A step is the exact
    minimiser along the line in the tangent space, halved until it keeps its promise, and returns
    to the manifold as the truncated singular value decomposition. The ridge of balanced factors
    is :math:`2 \lambda \|Z\|_*`, smooth on the manifold with slope :math:`2 \lambda U V^T`.

    The spectral start errs by as much as entries are missing, and of a matrix of condition number
    100 or more its last directions are noise, out of which geometry does not lead. So a few sweeps
    of alternating least squares come first.

    No step raises the objective. A singular value that a step would make zero is kept at
    rounding: the manifold ends there.

    Notes
    -----
    A step makes a pass of rank :math:`2k` and two of rank `k` over the entries, and
    :math:`O((m + n) k^2 + k^3)` operations more, and each sweep before the first
    :math:`|\Omega| k^2`.

    References
    ----------
    .. [1] B. Vandereycken, "Low-rank matrix completion by Riemannian optimization", SIAM J.
       Optim. 23, 2013, algorithm 1. doi:10.1137/110845768
    """
    observed, xp, lam = problem.observed, problem.xp, problem.regularization
    rows, columns, _ = observed

    def value(point: Singular) -> tuple[float, float, Array]:
        """Return misfit, objective, and the residual times the second basis."""
        left = point.u * xp.astype(point.s, point.u.dtype)
        loss, slope = residual_times(rows, left, point.v, xp)
        return loss, loss + 2 * lam * float(xp.sum(point.s)), slope

    def steepest(point: Singular, slope: Array) -> _Tangent:
        """Return half the direction in which the objective falls fastest."""
        right = point.v * xp.astype(point.s, point.v.dtype)
        _, other = residual_times(columns, right, point.u, xp)
        found = _projected(point, slope, other, xp)
        if not lam:
            return found
        identity = xp.eye(point.s.shape[0], dtype=slope.dtype, device=device(slope))
        return found._replace(m=found.m - lam * identity)

    def begin() -> _State:
        near = als(problem)
        left, right = near.state
        for _ in range(_SWEEPS):
            left, right = near.step((left, right)).state
        point = _kept(singular(left, right, xp), problem.rank, xp)
        loss, objective, slope = value(point)
        way = steepest(point, slope)
        return _State(point, loss, objective, way, way)

    def lowered(state: _State) -> _State | None:
        """Return a point along the way that keeps its promise, None where there is none."""
        fall = state.slope.inner(state.way, xp)
        seen = entries(rows, *_factors(state.point, state.way, xp), xp)
        bend = weighted_squares(seen, rows, xp)
        length = fall / bend if bend > 0 else 0.0
        for _ in range(_TRIES):
            point = _moved(state.point, state.way, length, problem.rank, xp)
            loss, objective, slope = value(point)
            if objective <= state.objective - 2 * _ARMIJO * length * fall:
                way = steepest(point, slope)
                return _State(point, loss, objective, way, _next(state, point, way, xp))
            length *= _SHRINK
        return None

    def step(state: _State) -> Step[_State]:
        after = lowered(state) or lowered(state._replace(way=state.slope)) or state
        return told(problem, after, after.loss, after.objective)

    return Solver(begin(), step, lambda state: state.point.balanced(problem.rank, xp))


def _next(state: _State, point: Singular, slope: _Tangent, xp: Namespace) -> _Tangent:
    """Return the direction of Polak and Ribiere, or the steepest one where it is no good."""
    before, way = (
        _carried(state.point, point, tangent, xp) for tangent in (state.slope, state.way)
    )
    size = state.slope.inner(state.slope, xp)
    ratio = slope.inner(slope.plus(-1.0, before), xp) / size if size > 0 else 0.0
    if ratio <= 0:
        return slope
    found = slope.plus(ratio, way)
    fall, length = found.inner(slope, xp), slope.inner(slope, xp)
    good = fall > _COSINE * math.sqrt(found.inner(found, xp) * length)
    return found if good else slope


def _factors(point: Singular, tangent: _Tangent, xp: Namespace) -> tuple[Array, Array]:
    """Return factors (m, 2k) and (n, 2k) of a tangent."""
    left = xp.concat([point.u @ tangent.m + tangent.p, point.u], axis=1)
    return left, xp.concat([point.v, tangent.q], axis=1)


def _projected(point: Singular, rows: Array, columns: Array, xp: Namespace) -> _Tangent:
    """Return the tangent nearest to a matrix, given its products with both bases."""
    m = overlap(point.u, rows, xp)
    return _Tangent(m, rows - point.u @ m, columns - point.v @ overlap(point.v, columns, xp))


def _carried(old: Singular, new: Singular, tangent: _Tangent, xp: Namespace) -> _Tangent:
    """Project a tangent at one point to those at another."""
    left, right = _factors(old, tangent, xp)
    return _projected(new, across(left, right, new.v, xp), across(right, left, new.u, xp), xp)


def _moved(point: Singular, way: _Tangent, length: float, rank: int, xp: Namespace) -> Singular:
    """Return the nearest matrix of the rank to the point plus so much of a tangent."""
    identity = xp.eye(point.s.shape[0], dtype=way.m.dtype, device=device(way.m))
    middle = identity * xp.astype(point.s, way.m.dtype) + length * way.m
    core = xp.concat(
        [
            xp.concat([middle, length * identity], axis=1),
            xp.concat([length * identity, xp.zeros_like(identity)], axis=1),
        ],
        axis=0,
    )
    left, right = (xp.concat(pair, axis=1) for pair in ([point.u, way.p], [point.v, way.q]))
    return _kept(singular(left, right, xp, core), rank, xp)


def _kept(model: Singular, rank: int, xp: Namespace) -> Singular:
    """Cut to the rank, and keep singular values off zero."""
    u, s, v = model
    least = eps(u.dtype, xp) * max(float(s[0]), float(xp.finfo(s.dtype).smallest_normal))
    return Singular(u[:, :rank], xp.clip(s[:rank], least), v[:, :rank])


def _complex(x: Array, xp: Namespace) -> bool:
    return bool(xp.isdtype(x.dtype, "complex floating"))
