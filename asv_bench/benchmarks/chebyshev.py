"""Chebyshev-Tucker functions: values at points, time and error; how much longer others take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from unittest import mock

import numpy as np

from tdecomp.chebyshev import ChebyshevTucker, evaluate
from tdecomp.chebyshev._values import _compiled as compiled
from tdecomp.tt import TensorTrain

from ._contenders import OURS, available_threads, clock_for, medians, pinned
from ._problems import FULL

# Variables, ranks and coefficients of each, points.
SIZES = ((3, 6, 32, 100_000),)
if FULL:
    SIZES = (
        *((2, r, m, 1_000_000) for r, m in ((4, 17), (12, 128), (60, 1000))),
        *((3, r, m, 1_000_000) for r, m in ((4, 17), (12, 128), (12, 1000), (30, 128))),
        *((3, 60, 128, 50_000), (4, 12, 128, 200_000), (6, 4, 128, 200_000), (6, 12, 17, 4000)),
    )
# Variables, ranks, ranks of the train, coefficients.
TRAINS = {
    f"{m}^{d} by {r}^{d}, train of rank {s}": (d, r, s, m)
    for d, r, s, m in (((8, 6, 12, 30), (10, 8, 20, 30)) if FULL else ((8, 4, 6, 16),))
}
FUNCTIONS = {f"{m}^{d} by {r}^{d}": (d, r, m, count) for d, r, m, count in SIZES}


def function(name: str, dtype: str = "float64") -> tuple[ChebyshevTucker, np.ndarray]:
    """Return a function whose coefficients fall slowly, and points of its box."""
    d, r, m, count = FUNCTIONS[name]
    rng = np.random.default_rng(0)
    core = rng.standard_normal((r,) * d).astype(dtype)
    fall = np.arange(1, m + 1)[:, None]
    factors = tuple((rng.standard_normal((m, r)) / fall).astype(dtype) for _ in range(d))
    box = np.array([[-1.0, 1.0 + k] for k in range(d)]).astype(dtype)
    x = rng.uniform(box[:, 0], box[:, 1], (count, d)).astype(dtype)
    return ChebyshevTucker(core, factors, box), np.clip(x, box[:, 0], box[:, 1])


def as_train(f: ChebyshevTucker) -> list[np.ndarray]:
    """Return the coefficients of a function as the cores of a train, the first axes whole."""
    rest, cores = f.core[None], []
    for factor in f.factors[:-1]:
        left = rest.shape[0] * rest.shape[1]
        wide = rest.reshape(left, -1)
        q, carry = np.linalg.qr(wide) if left > wide.shape[1] else (np.eye(left), wide)
        cell = q.reshape(rest.shape[0], rest.shape[1], -1)
        cores.append(np.einsum("mr,arb->amb", factor, cell))
        rest = carry.reshape(-1, *rest.shape[2:])
    cores.append(np.einsum("mr,ar->am", f.factors[-1], rest)[:, :, None])
    return cores


@contextmanager
def by_products() -> Iterator[None]:
    """Leave all work to products of arrays."""
    with mock.patch.object(compiled, "_KERNEL_WORK", np.inf):
        yield


def rate(f: ChebyshevTucker, x: np.ndarray) -> float:
    """Return how many million points are evaluated in a second."""
    threads = available_threads()
    with pinned(threads, ()):
        times = medians({OURS: lambda: evaluate(f, x)}, 3 if FULL else 1, clock_for(threads))
    return len(x) / times[OURS] / 1e6


class Evaluation:
    """Values at scattered points."""

    params = (tuple(FUNCTIONS), ("float64", "float32") if FULL else ("float64",))
    param_names = ("function", "dtype")
    timeout = 600

    def setup(self, name: str, dtype: str) -> None:
        self.f, self.x = function(name, dtype)
        evaluate(self.f, self.x)

    def time_evaluate(self, name: str, dtype: str) -> None:
        evaluate(self.f, self.x)

    def peakmem_evaluate(self, name: str, dtype: str) -> None:
        evaluate(self.f, self.x)

    def track_million_points_a_second(self, name: str, dtype: str) -> float:
        return rate(self.f, self.x)

    track_million_points_a_second.unit = "million points / s"

    def track_error(self, name: str, dtype: str) -> float:
        step, long = max(1, len(self.x) // 200), np.longdouble
        found, x = evaluate(self.f, self.x)[::step], self.x[::step]
        box = self.f.domain.astype(long)
        t = ((x - box[:, 0]) - (box[:, 1] - x)) / (box[:, 1] - box[:, 0])
        values = self.f.core.astype(long)[None]
        for k, factor in enumerate(self.f.factors):
            rows = np.polynomial.chebyshev.chebval(t[:, k], factor.astype(long)).T
            values = np.sum(rows.reshape(*rows.shape, *(1,) * (values.ndim - 2)) * values, axis=1)
        sizes = self.f._replace(core=abs(self.f.core), factors=tuple(map(abs, self.f.factors)))
        size = float(evaluate(sizes, self.f.domain[:, 1])) * np.finfo(dtype).eps
        return float(np.max(np.abs(found - values)) / size)

    track_error.unit = "error / (eps times the sum of magnitudes)"


class EvaluationRatio:
    """The time of others for each point, over ours, at equal error."""

    params = (tuple(FUNCTIONS), ("products of NumPy", "teneva.func_get"))
    param_names = ("function", "peer")
    timeout = 600
    repeats = 3 if FULL else 1

    def setup(self, name: str, peer: str) -> None:
        if "." in peer and find_spec(peer.partition(".")[0]) is None:
            raise NotImplementedError(f"{peer} is not installed")
        self.f, self.x = function(name)
        # Peers are given fewer points, as many as they take in the time of ours.
        self.few = self.x[: max(200, len(self.x) // 50)]
        self.train = as_train(self.f)

    def _theirs(self, peer: str) -> np.ndarray:
        if peer.startswith("products"):
            with by_products():
                return evaluate(self.f, self.few)
        import teneva

        low, high = self.f.domain.T
        return teneva.func_get(self.few, self.train, list(low), list(high))

    def track_ratio(self, name: str, peer: str) -> float:
        threads = available_threads()
        with pinned(threads, ()):
            ours, theirs = evaluate(self.f, self.x)[: len(self.few)], self._theirs(peer)
            if not np.max(np.abs(ours - theirs)) <= 1e-9 * np.max(np.abs(ours)):
                raise AssertionError(f"{peer} differs on {name}")
            runs = {OURS: lambda: evaluate(self.f, self.x), peer: lambda: self._theirs(peer)}
            times = medians(runs, self.repeats, clock_for(threads))
        return times[peer] / len(self.few) / times[OURS] * len(self.x)

    track_ratio.unit = "times as long"


class EvaluationOfTrains:
    """Values of functions of many variables, whose cores are trains."""

    params = tuple(TRAINS)
    param_names = ("function",)

    def setup(self, name: str) -> None:
        d, r, s, m = TRAINS[name]
        rng = np.random.default_rng(0)
        bonds = (1, *(s,) * (d - 1), 1)
        cores = tuple(rng.standard_normal((bonds[k], r, bonds[k + 1])) for k in range(d))
        factors = tuple(rng.standard_normal((m, r)) for _ in range(d))
        self.f = ChebyshevTucker(TensorTrain(cores), factors, np.tile([-1.0, 1.0], (d, 1)))
        self.x = rng.uniform(-1, 1, (200_000 if FULL else 100_000, d))
        evaluate(self.f, self.x)

    def time_evaluate(self, name: str) -> None:
        evaluate(self.f, self.x)

    def track_million_points_a_second(self, name: str) -> float:
        return rate(self.f, self.x)

    track_million_points_a_second.unit = "million points / s"
