"""Potentials of particles: time, memory, error, ranks; and direct sums, which they replace."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial.distance import cdist

from tdecomp import Fit
from tdecomp.chebyshev import ChebyshevTucker, evaluate, potentials

from ._contenders import available_threads, clock_for, medians, pinned
from ._problems import FULL

COUNTS = (500, 2000, 8000) if FULL else (500,)
SIGMAS = (0.3, 0.15, 0.08) if FULL else (0.3,)
BOX = [(-1.0, 1.0)] * 3
POINTS, MANY = 1000, 100_000


def cloud(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return particles at random, of either sign."""
    rng = np.random.default_rng(0)
    return rng.uniform(-0.9, 0.9, (count, 3)), rng.uniform(-1, 1, count)


def kernel() -> potentials.GaussianSum:
    """Return 1/r on all distances of the box that count."""
    return potentials.newton(1 / 256, 4.0, rtol=1e-8).tensor


def direct(
    x: np.ndarray, q: np.ndarray, g: potentials.GaussianSum, points: np.ndarray
) -> np.ndarray:
    """Return the sum of all Gaussians of all particles, in blocks of points."""
    blocks = np.array_split(points, max(1, len(points) * len(q) // 1_000_000))
    parts = []
    for block in blocks:
        squares = ((block[:, None] - x) ** 2).sum(axis=-1)
        terms = sum(a * np.exp(-p * squares) for a, p in zip(g.weights, g.exponents, strict=True))
        parts.append(terms @ q)
    return np.concatenate(parts)


class LongRange:
    """The smooth part of the potential of many particles."""

    params = (COUNTS, SIGMAS)
    param_names = ("particles", "sigma")
    timeout = 600

    def setup(self, count: int, sigma: float) -> None:
        self.x, self.q = cloud(count)
        self.long, _ = potentials.split(kernel(), sigma=sigma)

    def fit(self) -> Fit[ChebyshevTucker]:
        return potentials.long_range(self.x, self.q, self.long, domain=BOX, rtol=1e-7)

    def time_long_range(self, count: int, sigma: float) -> None:
        self.fit()

    def peakmem_long_range(self, count: int, sigma: float) -> None:
        self.fit()

    def track_relative_error(self, count: int, sigma: float) -> float:
        points = np.random.default_rng(1).uniform(-1, 1, (POINTS, 3))
        exact = direct(self.x, self.q, self.long, points)
        error = np.abs(evaluate(self.fit().tensor, points) - exact).max()
        return float(error / np.abs(exact).max())

    track_relative_error.unit = "of the largest value"

    def track_rank(self, count: int, sigma: float) -> int:
        return max(self.fit().tensor.rank)

    track_rank.unit = "rank"

    def track_ratio(self, count: int, sigma: float) -> float:
        """Return how much longer a million values of 1/r of all particles take, all told."""
        f, points = self.fit().tensor, np.random.default_rng(1).uniform(-1, 1, (MANY, 3))
        few = points[:POINTS]
        runs: dict[str, Callable[[], object]] = {
            "made": self.fit,
            "ours": lambda: evaluate(f, points),
            "theirs": lambda: (1 / cdist(few, self.x)) @ self.q,
        }
        threads = available_threads()
        with pinned(threads, ()):
            times = medians(runs, 3, clock_for(threads))
        ours = times["made"] + times["ours"] * 1_000_000 / MANY
        return times["theirs"] * 1_000_000 / POINTS / ours

    track_ratio.unit = "times as long"


class Kernels:
    """Sums of Gaussians for 1/r: how long they take to find, and how many terms."""

    params = ((256, 16384), (1e-4, 1e-8)) if FULL else ((256,), (1e-4,))
    param_names = ("n", "rtol")

    def time_newton(self, n: int, rtol: float) -> None:
        potentials.newton(1 / n, 2 * 3**0.5, rtol=rtol)

    def track_terms(self, n: int, rtol: float) -> int:
        return potentials.newton(1 / n, 2 * 3**0.5, rtol=rtol).tensor.rank

    track_terms.unit = "terms"


class Energy:
    """The energy and the forces of all pairs, and the loop over all of them."""

    params = COUNTS
    param_names = ("particles",)
    timeout = 600

    def setup(self, count: int) -> None:
        x, self.q = cloud(count)
        # Particles that keep a distance, as atoms do.
        side = int(np.ceil(count ** (1 / 3)))
        grid = np.stack(np.meshgrid(*[np.arange(side)] * 3), axis=-1).reshape(-1, 3)[:count]
        self.x = 2 * grid / side - 1 + 0.5 / side * x
        self.g = kernel()

    def time_energy(self, count: int) -> None:
        potentials.energy(self.x, self.q, self.g)

    def time_forces(self, count: int) -> None:
        potentials.forces(self.x, self.q, self.g)

    def track_relative_error(self, count: int) -> float:
        distances = cdist(self.x, self.x)
        np.fill_diagonal(distances, np.inf)
        terms = self.q * ((1 / distances) @ self.q) / 2
        error = abs(float(potentials.energy(self.x, self.q, self.g)) - terms.sum())
        return float(error / np.abs(terms).sum())

    track_relative_error.unit = "of the sum of magnitudes"
