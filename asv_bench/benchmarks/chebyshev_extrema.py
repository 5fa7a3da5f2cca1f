"""Extrema and common roots of Chebyshev-Tucker functions: time, and how near proofs come."""

from __future__ import annotations

import numpy as np
from scipy.optimize import Bounds, differential_evolution

from tdecomp.chebyshev import (
    ChebyshevTucker,
    chebyshev_tucker,
    diff,
    evaluate,
    maximum,
    minimum,
    roots,
)

from ._contenders import OURS, available_threads, clock_for, medians, pinned
from ._problems import FULL

FUNCTIONS = {
    "rosenbrock": (lambda x, y: 100 * (y - x**2) ** 2 + (1 - x) ** 2, [(-2, 2)] * 2),
    "runge": (lambda x, y, z: 1 / (1 + 25 * (x**2 + y**2 + z**2)), [(-1, 1)] * 3),
    "waves": (
        lambda x, y, z: np.cos(4 * np.pi * x) * np.cos(4 * np.pi * y) * np.cos(4 * np.pi * z),
        [(-1, 1)] * 3,
    ),
}
if FULL:
    FUNCTIONS |= {
        "ridge": (lambda x, y, z: 1 / np.cosh(3 * (x + y + z)) ** 2, [(-1, 1)] * 3),
        "sphere": (lambda x, y, z: (x**2 + y**2 + z**2 - 0.5) ** 2, [(-1, 1)] * 3),
        "four": (
            lambda x, y, z, w: np.exp(-x * y) * np.cos(3 * z + w) + np.sin(x + y + z + w),
            [(-1, 1)] * 4,
        ),
    }
SYSTEMS = {
    "plane": (
        lambda x, y: np.cos(20 * x * y) - x / 2,
        lambda x, y: np.sin(15 * (x - y)) + y / 2,
    ),
    "space": (
        lambda x, y, z: np.sin(6 * x + y) * np.cos(z),
        lambda x, y, z: np.cos(5 * y + z * x),
        lambda x, y, z: np.sin(7 * z - x * y) + 0.2,
    ),
}


class Minimum:
    """The lowest value of a function, and its bound."""

    params = tuple(FUNCTIONS) if FULL else ("waves",)
    param_names = ("function",)
    timeout = 300

    def setup(self, name: str) -> None:
        self.f = chebyshev_tucker(*FUNCTIONS[name], rtol=1e-10).tensor
        minimum(self.f)

    def time_minimum(self, name: str) -> None:
        minimum(self.f)

    def peakmem_minimum(self, name: str) -> None:
        minimum(self.f)

    def track_gap(self, name: str) -> float:
        low, high = minimum(self.f), maximum(self.f, tol=1e-3)
        return float((low.value - low.bound) / (high.value - low.value))

    track_gap.unit = "(value - bound) / spread of values"

    def track_evolution_over_ours(self, name: str) -> float:
        """Differential evolution, which proves nothing, given the values of the same object."""
        box = np.asarray(self.f.domain)

        def evolution() -> None:
            differential_evolution(
                lambda x: evaluate(self.f, x.T), Bounds(box[:, 0], box[:, 1]), rng=0,
                vectorized=True, updating="deferred",
            )  # fmt: skip

        threads = available_threads()
        with pinned(threads, ()):
            times = medians(
                {OURS: lambda: minimum(self.f), "evolution": evolution}, 1, clock_for(threads)
            )
        return times["evolution"] / times[OURS]

    track_evolution_over_ours.unit = "times as long"


class Roots:
    """All common roots of as many functions as variables."""

    params = tuple(SYSTEMS) if FULL else ("plane",)
    param_names = ("system",)
    timeout = 300

    def setup(self, name: str) -> None:
        functions = SYSTEMS[name]
        box = [(-1, 1)] * len(functions)
        self.functions: list[ChebyshevTucker] = [
            chebyshev_tucker(f, box, rtol=1e-12).tensor for f in functions
        ]
        roots(*self.functions)

    def time_roots(self, name: str) -> None:
        roots(*self.functions)

    def peakmem_roots(self, name: str) -> None:
        roots(*self.functions)

    def track_count(self, name: str) -> int:
        return int(roots(*self.functions).shape[0])

    track_count.unit = "roots"

    def track_error(self, name: str) -> float:
        """How far Newton's method would still go."""
        x = roots(*self.functions)
        values = np.stack([evaluate(f, x) for f in self.functions], axis=1)
        slopes = np.stack(
            [
                np.stack([evaluate(diff(f, k), x) for k in range(x.shape[1])], axis=1)
                for f in self.functions
            ],
            axis=1,
        )
        return float(np.max(np.abs(np.linalg.solve(slopes, values[:, :, None]))))

    track_error.unit = "distance"
