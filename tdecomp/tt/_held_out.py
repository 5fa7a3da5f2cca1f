"""The error of a train, measured where its construction did not look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tdecomp._typing import Array
from tdecomp.tt._algebra import _norm
from tdecomp.tt._evaluate import _evaluate
from tdecomp.tt._sampler import Sampler, random_points


class HeldOut(NamedTuple):
    """An error relative to the norm, the points it was measured at, worst first, and a bound.

    `upper` is the error two standard errors of the mean square higher, as another sample may have
    it.
    """

    error: float
    upper: float
    worst: np.ndarray


def held_out(
    sampler: Sampler, cores: Sequence[Array], rng: np.random.Generator, count: int
) -> HeldOut:
    r"""Measure :math:`\|F - X\| / \|F\|` at `count` fresh points, at all where there are no more.

    The root mean square of the difference is an estimate, that of the train is exact: where the
    function is large in few places it tells more than the values at random points. Where the
    train is small by mistake those values take its place.
    """
    xp = sampler.xp
    points = random_points(rng, sampler.shape, count)
    values = sampler.at(points)
    gaps = np.abs(values - _evaluate(cores, points, xp=xp))
    size, spread = _root_mean_square(np.abs(values)), 0.0
    if points.shape[0] < math.prod(sampler.shape):
        scaled = [core / math.sqrt(core.shape[1]) for core in cores]
        size = max(size, float(_norm(scaled, xp=xp)))
        spread = 2.0
    gap = _root_mean_square(gaps)
    error = 0.0 if gap == 0 else math.inf if size == 0 else gap / size
    upper = error
    if spread and 0 < error < math.inf:
        squares = np.square(gaps / gap)
        upper = error * math.sqrt(1 + spread * float(np.std(squares)) / math.sqrt(len(squares)))
    return HeldOut(error, upper, points[np.argsort(-gaps, kind="stable")])


def _root_mean_square(x: np.ndarray) -> float:
    """Return the root mean square of nonnegative `x`, at any scale."""
    top = float(np.max(x))
    if top == 0 or not math.isfinite(top):
        return top
    return top * math.sqrt(float(np.mean(np.square(x / top))))
