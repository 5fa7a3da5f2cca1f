"""Polar decompositions: how much longer SciPy takes, and how accurate each is, in units of eps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import scipy.linalg

import tdecomp as td
from tdecomp.linalg import Polar, polar_certificate

from ._contenders import available_threads, clock_for, medians, pinned
from ._problems import FULL, mixed

SHAPES = ((1000, 1000), (4000, 500)) if FULL else ((300, 130),)
DTYPES = ("float32", "float64") if FULL else ("float32",)
CONDITIONS = ("gaussian", "1e2", "1e4", "1e8", "1e12") if FULL else ("1e8",)
MATRICES = tuple(f"{m}x{n}-{kind}" for m, n in SHAPES for kind in CONDITIONS)
SIDES = (8, 16, 64) if FULL else (8,)
# A loop of SciPy's needs no more members to be timed.
COUNT, SAMPLE = (10_000, 1000) if FULL else (500, 100)

Factors = tuple[np.ndarray, np.ndarray]


def setup_cache() -> None:
    """Build every matrix once, in the directory where the benchmarks run."""
    for name in MATRICES:
        shape, kind = name.split("-", 1)
        m, n = map(int, shape.split("x"))
        if kind == "gaussian":
            a = np.random.default_rng(0).standard_normal((m, n))
        else:
            a = mixed(m, n, np.geomspace(1, 1 / float(kind), n))
        np.save(name, a)


def scipy_loop(a: np.ndarray) -> Factors:
    """Decompose every matrix of a stack by SciPy."""
    u, h = zip(*(scipy.linalg.polar(x) for x in a), strict=True)
    return np.stack(u), np.stack(h)


def worst(a: np.ndarray, factors: Factors) -> dict[str, float]:
    """Return what the worst matrix of a stack misses, measured in double precision."""
    u, h = (np.asarray(x, np.float64) for x in factors)
    unit = float(np.finfo(a.dtype).eps)
    found = polar_certificate(a.astype(np.float64), Polar(u, h))
    return {
        "orthogonality": float(np.max(found.orthogonality)) / (unit * np.sqrt(a.shape[-1])),
        "residual": float(np.max(found.residual)) / unit,
    }


class Single:
    """One matrix: square, or tall, and of a condition for the Gram matrix or not."""

    params = (MATRICES, DTYPES)
    param_names = ("matrix", "dtype")
    timeout = 600
    repeats = 7 if FULL else 1

    def setup(self, name: str, dtype: str) -> None:
        self.a = np.load(f"{name}.npy").astype(dtype)

    def _ratio(self, ours: Callable[[], object], theirs: Callable[[], object]) -> float:
        threads = available_threads()
        with pinned(threads, ("scipy",)):
            times = medians({"ours": ours, "theirs": theirs}, self.repeats, clock_for(threads))
        return times["theirs"] / times["ours"]

    def time_polar(self, name: str, dtype: str) -> None:
        td.polar(self.a)

    def peakmem_polar(self, name: str, dtype: str) -> None:
        td.polar(self.a)

    def track_ratio_to_scipy(self, name: str, dtype: str) -> float:
        return self._ratio(partial(td.polar, self.a), partial(scipy.linalg.polar, self.a))

    def track_orthogonality(self, name: str, dtype: str) -> float:
        return worst(self.a, td.polar(self.a))["orthogonality"]

    def track_residual(self, name: str, dtype: str) -> float:
        return worst(self.a, td.polar(self.a))["residual"]

    def track_orthogonality_of_scipy(self, name: str, dtype: str) -> float:
        return worst(self.a, scipy.linalg.polar(self.a))["orthogonality"]

    def track_residual_of_scipy(self, name: str, dtype: str) -> float:
        return worst(self.a, scipy.linalg.polar(self.a))["residual"]

    track_ratio_to_scipy.unit = "times as long"
    for _track in (track_orthogonality, track_orthogonality_of_scipy):
        _track.unit = "|U*U - I| / (eps sqrt(n))"
    for _track in (track_residual, track_residual_of_scipy):
        _track.unit = "|A - UH| / (eps |A|)"


class Batch:
    """Many small matrices, against a loop of SciPy's."""

    params = (SIDES, DTYPES)
    param_names = ("side", "dtype")
    timeout = 600
    repeats = 5 if FULL else 1

    def setup(self, side: int, dtype: str) -> None:
        a = np.random.default_rng(0).standard_normal((COUNT, side, side))
        self.a = a.astype(dtype)
        td.polar(self.a)

    def time_polar(self, side: int, dtype: str) -> None:
        td.polar(self.a)

    def peakmem_polar(self, side: int, dtype: str) -> None:
        td.polar(self.a)

    def track_ratio_to_scipy(self, side: int, dtype: str) -> float:
        threads = available_threads()
        runs = {
            "ours": partial(td.polar, self.a),
            "theirs": partial(scipy_loop, self.a[:SAMPLE]),
        }
        with pinned(threads, ("scipy",)):
            times = medians(runs, self.repeats, clock_for(threads))
        return times["theirs"] / times["ours"] * (COUNT / SAMPLE)

    def track_orthogonality(self, side: int, dtype: str) -> float:
        return worst(self.a, td.polar(self.a))["orthogonality"]

    def track_residual(self, side: int, dtype: str) -> float:
        return worst(self.a, td.polar(self.a))["residual"]

    track_ratio_to_scipy.unit = "times as long"
    track_orthogonality.unit = "|U*U - I| / (eps sqrt(n))"
    track_residual.unit = "|A - UH| / (eps |A|)"
