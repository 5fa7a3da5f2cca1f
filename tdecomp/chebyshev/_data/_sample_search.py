"""How many coefficients, which ranks and how much smoothing: judged by samples that are held out.

A search starts from few of all and takes, one at a time, the step that lowers the error at the
samples held out most: more coefficients of one variable, or of all, one more of each rank, or
another weight of the penalty. Models grow from one another, so that a few sweeps are enough to
judge one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tdecomp._random import normal
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, eps
from tdecomp.chebyshev._data._sample_steps import Model, Samples, residual, sweep, with_core
from tdecomp.ops._mode_products import _mode_product
from tdecomp.tucker._targets import check_ranks

# What a search starts from where nothing is given, and what it tries instead of a ridge: none, a
# smaller, and a larger one.
_SIZE, _RANK, _RIDGE = 4, 2, 1e-8
# Sweeps by which a model is judged, and by how much an error must fall.
_SWEEPS, _GAIN = 3, 0.98
# An error of so many eps is not worth a search.
_NOISE = 1e3
_OTHERS = (0.0, 1e-2, 1e2)
# How many unknowns any number of samples allows, and how many samples judge each unknown.
_ENOUGH, _PER_UNKNOWN = 500, 8
# Entries of the equations for what is updated at once, at most.
_TOO_LARGE = 1 << 28
# The part of the samples that is held out, and by how much numbers of coefficients grow: that of
# one variable, those of all.
_HELD, _GROWTH, _GROWTH_OF_ALL = 0.2, 1.4, 2.0


class Wish(NamedTuple):
    """What is asked for; None is to be found."""

    size: tuple[int, ...] | None
    rank: tuple[int, ...] | None
    ridge: float | None


class Judged(NamedTuple):
    """A model, its smoothing, and what it misses of samples that are held out."""

    model: Model
    ridge: float
    error: float


def searched(
    samples: Samples, wish: Wish, rng: np.random.Generator, xp: Namespace
) -> tuple[Model, float]:
    """Return a model to go on from, and the smoothing."""
    d = int(samples.t.shape[1])
    size, rank = _first(wish, d)
    _check_unknowns(size, rank)
    ridge = _RIDGE if wish.ridge is None else wish.ridge
    if None not in wish:
        return _started(size, rank, samples, ridge, rng, xp), ridge
    fitted, held = _split(samples, rng, xp)
    n = int(fitted.t.shape[0])
    limit = min(n, max(_ENOUGH, n // _PER_UNKNOWN))
    best = _judged(_started(size, rank, fitted, ridge, rng, xp), fitted, held, ridge, xp)
    noise = _NOISE * eps(held.t.dtype, xp) * float(xp.linalg.vector_norm(held.values * held.roots))
    while best.error > noise:
        trials = [(trial, best.ridge) for trial in _grown(best.model, wish, rng, xp)]
        trials = [trial for trial in trials if _unknowns(trial[0]) <= limit]
        if wish.ridge is None:
            trials += [(best.model, best.ridge * other) for other in _OTHERS]
        found = [_judged(trial, fitted, held, other, xp) for trial, other in trials]
        following = min(found, key=lambda judged: judged.error, default=best)
        if not following.error < _GAIN * best.error:
            break
        best = following
    return best.model, best.ridge


def _first(wish: Wish, d: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return numbers of coefficients and ranks to start from."""
    if wish.size is None:
        least = (_SIZE,) * d if wish.rank is None else wish.rank
        size = tuple(max(_SIZE, r) for r in least)
    else:
        size = wish.size
    if wish.rank is not None:
        return size, wish.rank
    rank = tuple(min(_RANK, m) for m in size)
    return size, check_ranks(rank, size, range(d))


def _check_unknowns(size: tuple[int, ...], rank: tuple[int, ...]) -> None:
    """Refuse a factor, or a core, whose equations are too large to solve."""
    most = max(math.prod(rank), *(m * r for m, r in zip(size, rank, strict=True)))
    if 2 * most**2 > _TOO_LARGE:
        raise ValueError(
            f"size={size} and rank={rank} mean {most} unknowns at once, which are too many for "
            "least squares: pass a smaller size= or rank="
        )


def _started(  # noqa: PLR0917
    size: tuple[int, ...],
    rank: tuple[int, ...],
    samples: Samples,
    ridge: float,
    rng: np.random.Generator,
    xp: Namespace,
) -> Model:
    """Return the best core for factors near the first polynomials."""
    factors = []
    for m, r in zip(size, rank, strict=True):
        noise = normal(rng, (m, r), samples.values, xp)
        falls = xp.astype(xp.arange(1, m + 1, device=device(noise)), noise.dtype)
        eye = xp.eye(m, r, dtype=noise.dtype, device=device(noise))
        factors.append(xp.linalg.qr(eye + 0.3 * noise / falls[:, None])[0])
    core = xp.zeros(rank, dtype=samples.values.dtype, device=device(samples.values))
    return with_core(Model(core, tuple(factors)), samples, ridge, xp)


def _split(samples: Samples, rng: np.random.Generator, xp: Namespace) -> tuple[Samples, Samples]:
    """Return the samples to fit, and those that are held out."""
    n = int(samples.t.shape[0])
    order, cut = rng.permutation(n), max(1, round(_HELD * n))
    parts = (xp.asarray(part, device=device(samples.t)) for part in (order[cut:], order[:cut]))
    fitted, held = (Samples(*(xp.take(x, part, axis=0) for x in samples)) for part in parts)
    return fitted, held


def _judged(model: Model, fitted: Samples, held: Samples, ridge: float, xp: Namespace) -> Judged:
    """Return a model after a few sweeps, and what it misses of samples that are held out.

    A multiple of the unknowns is enough of the samples, whose order is random.
    """
    enough = min(int(fitted.t.shape[0]), max(_ENOUGH, _PER_UNKNOWN * _unknowns(model)))
    step = sweep(Samples(*(x[:enough, ...] for x in fitted)), ridge, xp)
    for _ in range(_SWEEPS):
        model = step(model).state
    return Judged(model, ridge, residual(model, held, xp))


def _unknowns(model: Model) -> int:
    sizes = (int(v.shape[0]) * int(v.shape[1]) for v in model.factors)
    return sum(sizes, math.prod(map(int, model.core.shape)))


def _grown(model: Model, wish: Wish, rng: np.random.Generator, xp: Namespace) -> Iterator[Model]:
    """Yield larger models of the same function."""
    if wish.size is None:
        yield model._replace(factors=tuple(_longer(v, _GROWTH_OF_ALL, xp) for v in model.factors))
        for k, factor in enumerate(model.factors):
            longer = _longer(factor, _GROWTH, xp)
            yield model._replace(factors=(*model.factors[:k], longer, *model.factors[k + 1 :]))
    wider = _wider(model, rng, xp)
    if wish.rank is None and wider.core.shape != model.core.shape:
        yield wider
        if wish.size is None:
            yield wider._replace(factors=tuple(_longer(v, _GROWTH, xp) for v in wider.factors))


def _longer(factor: Array, growth: float, xp: Namespace) -> Array:
    """Return a factor with more coefficients, zeros."""
    m, r = factor.shape
    zeros = xp.zeros((math.ceil(growth * m) - m, r), dtype=factor.dtype, device=device(factor))
    return xp.concat([factor, zeros])


def _wider(model: Model, rng: np.random.Generator, xp: Namespace) -> Model:
    """Return the same function with ranks that are one more, where such may be needed."""
    sizes = tuple(int(v.shape[0]) for v in model.factors)
    more = tuple(min(r + 1, m) for r, m in zip(model.core.shape, sizes, strict=True))
    core, factors = model.core, list(model.factors)
    for k, new in enumerate(check_ranks(more, sizes, range(len(sizes)))):
        m, r = factors[k].shape
        if new > r:
            noise = normal(rng, (m, 1), core, xp)
            factors[k], triangle = xp.linalg.qr(xp.concat([factors[k], noise], axis=1))
            core = _mode_product(core, triangle[:, :r], k, xp=xp)
    return Model(core, tuple(factors))
