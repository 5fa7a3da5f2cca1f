"""Generalised CP of sparse tensors too large to sum over, from samples of their entries."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tdecomp._iterate import Callback, Fit, Status, Step, iterate
from tdecomp._random import indices as drawn
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device
from tdecomp.cp._algebra import _evaluate
from tdecomp.cp._format import CP
from tdecomp.cp._gcp_minimise import Deviance
from tdecomp.cp._losses import Loss
from tdecomp.cp._normalise import _normalise
from tdecomp.ops._coo import COO
from tdecomp.ops._sparse_mttkrp import mttkrp_by_entries

# Steps between two looks at the objective.
_EPOCH = 200
# The sample that estimates the objective is this many times larger than that of a step.
_JUDGES = 20
# The first step length, as a part of the size of the factors; it is cut that often, so much.
_RATE, _CUT, _CUTS = 0.03, 0.2, 3
# Decay of the averages of gradients and of their squares, as published.
_FIRST, _SECOND = 0.9, 0.999


class _Sample(NamedTuple):
    """Stored entries with what they add to a zero, then any entries as if they were zero."""

    indices: Array
    values: Array
    shares: Array
    stored: int


class _State(NamedTuple):
    """Factors, moments of their gradients, the step length, and the objective at the factors."""

    factors: list[Array]
    first: list[Array]
    second: list[Array]
    steps: int
    rate: float
    cuts: int
    value: float


def sampled(
    deviance: Deviance,
    factors: list[Array],
    *,
    samples: int,
    tol: float,
    max_iter: int,
    callback: Callback | None,
    unit: float,
    rng: np.random.Generator,
    xp: Namespace,
) -> Fit[CP]:
    r"""Minimise by Adam [2]_, from semi-stratified samples [1]_.

    .. math:: F = \sum_{\text{stored}} \bigl(f(x_i, m_i) - f(0, m_i)\bigr)
              + \sum_{\text{all}} f(0, m_i)

    Both sums are estimated by samples drawn uniformly, with replacement; no draw has to be
    checked for being stored.

    References
    ----------
    .. [1] T. G. Kolda, D. Hong, "Stochastic gradients for large-scale tensor decomposition", SIAM
       J. Math. Data Sci. 2, 2020, Section 5. doi:10.1137/19M1266265
    .. [2] D. P. Kingma, J. Ba, "Adam: A method for stochastic optimization", 2014.
       arXiv:1412.6980
    """
    x, loss = deviance.objective.x, deviance.objective.loss
    judge = _draw(x, _JUDGES * samples, rng, xp)

    def judged(factors: list[Array]) -> float:
        value, _ = _estimate(judge, factors, loss, x.shape, xp)
        return deviance.part(value)

    def show(state: _State) -> CP:
        ones = xp.ones_like(state.factors[0][0, :])
        cp = _normalise(CP(ones, tuple(state.factors)), xp=xp)
        return cp._replace(weights=cp.weights * unit)

    zeros = [0 * f for f in factors]
    size = math.sqrt(sum(float(xp.mean(f**2)) for f in factors) / len(factors))
    start = _State(factors, zeros, zeros, 0, _RATE * (size or 1.0), 0, judged(factors))
    step = _stepper(deviance, judged, samples, tol, rng)
    return iterate(step, start, max_iter=max_iter, tol=-1.0, callback=callback, show=show)


def _stepper(
    deviance: Deviance,
    judged: Callable[[list[Array]], float],
    samples: int,
    tol: float,
    rng: np.random.Generator,
) -> Callable[[_State], Step[_State]]:
    """Return an epoch: many steps, kept if the objective has fallen, else shorter ones next."""
    x, loss, xp = deviance.objective.x, deviance.objective.loss, deviance.objective.xp

    def step(state: _State) -> Step[_State]:
        trial = state
        for _ in range(_EPOCH):
            sample = _draw(x, samples, rng, xp)
            _, gradient = _estimate(sample, trial.factors, loss, x.shape, xp)
            trial = _moved(trial, deviance.with_ridge(gradient, trial.factors), loss, xp)
        value = judged(trial.factors)
        gain = state.value - value
        if gain > tol * abs(value) and math.isfinite(value):
            return Step(trial._replace(value=value), value)
        kept = trial._replace(value=value) if gain > 0 else state
        kept = kept._replace(rate=state.rate * _CUT, cuts=state.cuts + 1)
        verdict = Status.CONVERGED if kept.cuts >= _CUTS else None
        return Step(kept, kept.value, verdict=verdict)

    return step


def _moved(state: _State, gradient: list[Array], loss: Loss, xp: Namespace) -> _State:
    """Make one step of Adam, back to the bound where it leaves."""
    steps = state.steps + 1
    first = [_FIRST * m + (1 - _FIRST) * g for m, g in zip(state.first, gradient, strict=True)]
    second = [
        _SECOND * v + (1 - _SECOND) * g * g for v, g in zip(state.second, gradient, strict=True)
    ]
    scale, root = state.rate / (1 - _FIRST**steps), 1 - _SECOND**steps
    factors = []
    for a, m, v in zip(state.factors, first, second, strict=True):
        length = xp.sqrt(v / root)
        moved = a - scale * m / xp.where(length > 0, length, xp.ones_like(length))
        inside = moved > loss.lower
        factors.append(moved if loss.lower == -math.inf else xp.where(inside, moved, 0 * moved))
    return state._replace(factors=factors, first=first, second=second, steps=steps)


def _draw(x: COO, samples: int, rng: np.random.Generator, xp: Namespace) -> _Sample:
    """Draw stored entries (all, if they are no more), and entries of the whole tensor."""
    like = x.values
    if x.nnz <= samples:
        places, values, count = x.indices, x.values, x.nnz
    else:
        chosen = drawn(rng, x.nnz, samples, like, xp, replace=True)
        places, values = xp.take(x.indices, chosen, axis=1), xp.take(x.values, chosen, axis=0)
        count = samples
    anywhere = xp.stack([drawn(rng, n, samples, like, xp, replace=True) for n in x.shape])
    joined = xp.concat([places, xp.astype(anywhere, places.dtype)], axis=1)
    ones = xp.ones(samples, dtype=like.dtype, device=device(like))
    shares = xp.concat([xp.ones_like(values) * (x.nnz / max(count, 1)),
                        ones * (math.prod(x.shape) / samples)])  # fmt: skip
    return _Sample(joined, xp.concat([values, 0 * ones]), shares, count)


def _estimate(
    sample: _Sample, factors: list[Array], loss: Loss, shape: tuple[int, ...], xp: Namespace
) -> tuple[float, list[Array]]:
    """Estimate the objective and its gradient."""
    cp = CP(xp.ones_like(factors[0][0, :]), tuple(factors))
    m = _evaluate(cp, [sample.indices[k, :] for k in range(len(shape))], xp=xp)
    zero, cut = 0 * m, sample.stored
    value, slope = loss.value(sample.values, m), loss.derivative(sample.values, m)
    # A stored entry stands in for what it adds to the loss of a zero.
    is_stored = xp.concat([xp.ones_like(m[:cut]), zero[cut:]])
    value = sample.shares * (value - is_stored * loss.value(zero, m))
    slope = sample.shares * (slope - is_stored * loss.derivative(zero, m))
    tensor = COO(sample.indices, slope, shape)
    products: list[Any] = [mttkrp_by_entries(tensor, factors, k, xp=xp) for k in range(len(shape))]
    return float(xp.sum(value)), products
