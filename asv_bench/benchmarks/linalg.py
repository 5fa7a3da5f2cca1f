"""Matrix factorisations: time, memory and error; and how much longer the peers take."""

from __future__ import annotations

import numpy as np

import tdecomp as td
from tdecomp.testing import matrix

from ._contenders import (
    OURS,
    PEERS,
    available_threads,
    calibrate,
    clock_for,
    contenders,
    medians,
    pinned,
)
from ._problems import FULL, RANK, problems

PROBLEMS = problems()
NAMES = tuple(PROBLEMS) if FULL else tuple(PROBLEMS)[:1]
MATRICES = ("400x400", "2000x200", "64 of 60x40") if FULL else ("64 of 60x40",)


def setup_cache() -> None:
    """Build every matrix once, in the directory where the benchmarks run."""
    for problem in PROBLEMS.values():
        np.save(problem.matrix_name, problem.matrix())


class RandomizedSVD:
    """Stop by a measured error: the same accuracy on every spectrum, at a different price."""

    params = NAMES
    param_names = ("problem",)
    timeout = 600

    def setup(self, name: str) -> None:
        self.problem = PROBLEMS[name]
        self.a = np.load(f"{self.problem.matrix_name}.npy")

    def _fit(self) -> td.Fit:
        return td.randomized_svd(self.a, rank=RANK, tol=self.problem.target, rng=0)

    def time_rank(self, name: str) -> None:
        self._fit()

    def peakmem_rank(self, name: str) -> None:
        self._fit()

    def track_products(self, name: str) -> int:
        return self._fit().n_iter

    def track_relative_error(self, name: str) -> float:
        return float(td.relative_error(self.a, self._fit().tensor))

    def track_excess(self, name: str) -> float:
        return self.problem.excess(self.a, self._fit().tensor)

    track_products.unit = "products"
    track_relative_error.unit = "|A - USV| / |A|"
    track_excess.unit = "error / least error - 1"


class Tolerance:
    """Find the rank that an error needs."""

    params = (1e-1, 1e-3) if FULL else (1e-1,)
    param_names = ("rtol",)

    def setup(self, rtol: float) -> None:
        problem = next(p for p in PROBLEMS.values() if p.kind == "fast")
        self.a = np.load(f"{problem.matrix_name}.npy")

    def time_rtol(self, rtol: float) -> None:
        td.randomized_svd(self.a, rtol=rtol, rng=0)

    def track_relative_error(self, rtol: float) -> float:
        fit = td.randomized_svd(self.a, rtol=rtol, rng=0)
        return float(td.relative_error(self.a, fit.tensor))

    track_relative_error.unit = "|A - USV| / |A|"


class Ratio:
    """The time of a peer over that of this library, taking turns, both accurate enough.

    CPU time where the environment allows one thread, else wall time.
    """

    params = (NAMES, PEERS)
    param_names = ("problem", "peer")
    timeout = 1800
    repeats = 5 if FULL else 1

    def setup(self, name: str, peer: str) -> None:
        if not contenders(0.0)[peer].installed:
            raise NotImplementedError(f"{peer} is not installed")
        self.problem = PROBLEMS[name]
        self.a = np.load(f"{self.problem.matrix_name}.npy")

    def track_ratio(self, name: str, peer: str) -> float:
        known = contenders(self.problem.target)
        threads = available_threads()
        clock = clock_for(threads)
        with pinned(threads, (known[peer].package,)):
            ours, theirs = (
                calibrate(self.problem, self.a, known[who], clock) for who in (OURS, peer)
            )
            if ours is None:
                raise AssertionError(f"{OURS} misses its target on {name}")
            if theirs is None:
                return float("nan")
            times = medians({OURS: ours.run, peer: theirs.run}, self.repeats, clock)
        return times[peer] / times[OURS]

    track_ratio.unit = "times as long"


class TruncatedSVD:
    """The exact decomposition."""

    params = (MATRICES, ("rank", "rtol"))
    param_names = ("matrix", "target")

    def setup(self, name: str, target: str) -> None:
        shapes = {"400x400": (400, 400), "2000x200": (2000, 200), "64 of 60x40": (60, 40)}
        self.a = matrix(*shapes[name], "polynomial")
        if name.startswith("64"):
            self.a = np.stack([self.a * (1 + k) for k in range(64)])
        self.target = {"rank": {"rank": 20}, "rtol": {"rtol": 0.1}}[target]

    def time_truncated_svd(self, name: str, target: str) -> None:
        td.truncated_svd(self.a, **self.target)

    def peakmem_truncated_svd(self, name: str, target: str) -> None:
        td.truncated_svd(self.a, **self.target)

    def track_relative_error(self, name: str, target: str) -> float:
        svd = td.truncated_svd(self.a, **self.target)
        return float(np.max(td.relative_error(self.a, svd)))

    track_relative_error.unit = "|A - USV| / |A|"


class WeightedSVD:
    """The least error of the outputs for inputs of uneven size."""

    params = ("vector", "matrix")
    param_names = ("weight",)

    def setup(self, weight: str) -> None:
        self.a = matrix(384, 384, "polynomial")
        scales = np.geomspace(1.0, 1e-3, 384)
        self.right = scales if weight == "vector" else matrix(384, 384, scales, rng=1)

    def time_weighted_svd(self, weight: str) -> None:
        td.weighted_svd(self.a, right=self.right, rank=40)

    def peakmem_weighted_svd(self, weight: str) -> None:
        td.weighted_svd(self.a, right=self.right, rank=40)

    def track_weighted_error(self, weight: str) -> float:
        lowrank = td.weighted_svd(self.a, right=self.right, rank=40)
        right = np.diag(self.right) if weight == "vector" else self.right
        gap = (self.a - lowrank.to_array()) @ right
        return float(np.linalg.norm(gap) / np.linalg.norm(self.a @ right))

    track_weighted_error.unit = "|(A - LR) W| / |A W|"
