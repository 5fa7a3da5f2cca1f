"""Robust recovery: pursuit beside the method as published, and steps of sensing.

Floors. A step of pursuit reads and writes the matrix some twenty times and multiplies it by as
many columns as there are singular values above the threshold, three times or more. A step of
sensing by a stack of ``p`` matrices reads the stack twice; of semidefinite matrices half of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

import tdecomp as td
from tdecomp.completion import robust

from ._problems import FULL

# Side, rank, fraction of outliers.
CASES = (
    ((500, 25, 0.05), (500, 25, 0.1), (1000, 20, 0.1), (1000, 50, 0.05), (200, 20, 0.25))
    if FULL
    else ((120, 5, 0.1),)
)
METHODS = ("pursuit", "godec", "scaled")
# Side of the matrix, rank, number of measurements, steps.
SIDE, RANK, COUNT, STEPS = (20, 3, 1200, 2000) if FULL else (10, 2, 300, 300)
SENSING = ("sense", "subgradient", "scaled_subgradient")

Solve = Callable[[np.ndarray], "td.Fit"]


def spoiled(n: int, rank: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a matrix of low rank, and it with outliers three times as large as its entries."""
    rng = np.random.default_rng(0)
    low = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, n))
    signs = rng.choice([-1.0, 1.0], (n, n)) * (rng.random((n, n)) < share)
    return low, low + 3 * np.sqrt(rank) * signs


def solver(method: str, low: np.ndarray, x: np.ndarray, rank: int) -> Solve:
    """Return a method with what it has to be told."""
    if method == "pursuit":
        return robust.principal_component_pursuit
    if method == "godec":
        count = int(np.count_nonzero(x != low))
        return lambda a: robust.godec(a, rank=rank, cardinality=count, rng=0)
    share = np.mean(x != low)
    return lambda a: robust.scaled_gd_rpca(a, rank=rank, outliers=1.4 * share, tol=1e-7)


def published(x: np.ndarray, tol: float = 1e-7) -> np.ndarray:
    """Pursue by inexact augmented Lagrange multipliers, with whole SVDs, as it is distributed."""
    price, norm = 1 / np.sqrt(max(x.shape)), np.linalg.norm(x, 2)
    y, mu = x / max(norm, np.abs(x).max() / price), 1.25 / norm
    sparse = np.zeros_like(x)
    while True:
        u, s, vh = np.linalg.svd(x - sparse + y / mu, full_matrices=False)
        kept = int(np.sum(s > 1 / mu))
        low = (u[:, :kept] * (s[:kept] - 1 / mu)) @ vh[:kept]
        rest = x - low + y / mu
        sparse = rest - np.clip(rest, -price / mu, price / mu)
        gap = x - low - sparse
        y, mu = y + mu * gap, 1.5 * mu
        if np.linalg.norm(gap) <= tol * np.linalg.norm(x):
            return low


def seconds(run: Callable[[], object]) -> float:
    """Return the shorter of two runs."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


class Split:
    """A matrix with outliers."""

    params = (CASES, METHODS)
    param_names = ("case", "method")
    timeout = 600

    def setup(self, case: tuple[int, int, float], method: str) -> None:
        self.low, self.x = spoiled(*case)
        self.solve = solver(method, self.low, self.x, case[1])

    def time_split(self, case: tuple[int, int, float], method: str) -> None:
        self.solve(self.x)

    def peakmem_split(self, case: tuple[int, int, float], method: str) -> None:
        self.solve(self.x)

    def track_relative_error(self, case: tuple[int, int, float], method: str) -> float:
        return float(td.relative_error(self.low, self.solve(self.x).tensor.low_rank))

    def track_steps(self, case: tuple[int, int, float], method: str) -> int:
        return self.solve(self.x).n_iter

    def track_ratio_to_published(self, case: tuple[int, int, float], method: str) -> float:
        return seconds(lambda: published(self.x)) / seconds(lambda: self.solve(self.x))

    track_ratio_to_published.unit = "times as long"


class Sensing:
    """A projector, seen by Gaussian matrices; but for `sense` a tenth of the numbers is wrong."""

    params = SENSING
    param_names = ("method",)
    timeout = 600

    def setup(self, method: str) -> None:
        rng = np.random.default_rng(0)
        u = np.linalg.qr(rng.standard_normal((SIDE, RANK)))[0]
        self.truth, self.stack = u @ u.T, rng.standard_normal((COUNT, SIDE, SIDE))
        self.seen = np.tensordot(self.stack, self.truth, 2)
        if method != "sense":
            self.seen[::10] += 10 * rng.standard_normal(self.seen[::10].size)
        options = {"rank": SIDE, "rng": 0} if method == "subgradient" else {"rank": RANK}
        options |= {"rng": 0} if method == "sense" else {}
        self.options = {"tol": 0, "max_iter": STEPS} | options

    def _fit(self, method: str) -> td.Fit:
        return getattr(robust, method)(self.seen, self.stack, **self.options)

    def time_recovery(self, method: str) -> None:
        self._fit(method)

    def peakmem_recovery(self, method: str) -> None:
        self._fit(method)

    def track_distance(self, method: str) -> float:
        return float(np.linalg.norm(self._fit(method).tensor.to_array() - self.truth))
