"""Five steps of polynomials: time beside PyTorch's own routine in single precision, and errors."""

from __future__ import annotations

import numpy as np

import tdecomp as td
from tdecomp.linalg import minimax_coefficients

from ._contenders import available_threads, clock_for, medians, pinned
from ._problems import FULL

SHAPES = ((256, 256), (1024, 1024), (1024, 4096)) if FULL else ((256, 256),)
NAMES = tuple(f"{m}x{n}" for m, n in SHAPES)
MUON, STEPS = (3.4445, -4.7750, 2.0315), 5


def matrix(name: str) -> np.ndarray:
    """Draw a Gaussian matrix."""
    m, n = map(int, name.split("x"))
    return np.random.default_rng(0).standard_normal((m, n)).astype(np.float32)


def theirs(g: object) -> object:
    """Make PyTorch's steps in single precision: its private routine, but for the conversion."""
    import torch

    x = g / torch.linalg.vector_norm(g).clamp(min=1e-7)  # type: ignore[operator]
    a, b, c = MUON
    for _ in range(STEPS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


class Ratio:
    """The time of PyTorch's routine over ours, on its arrays and on NumPy's, taking turns."""

    params = (NAMES, ("torch", "numpy"))
    param_names = ("shape", "library")
    timeout = 600
    repeats = 5 if FULL else 1

    def setup(self, shape: str, library: str) -> None:
        try:
            import torch
        except ImportError:
            raise NotImplementedError from None  # asv's word for a benchmark to skip
        self.array = matrix(shape)
        self.tensor = torch.from_numpy(self.array)

    def track_ratio(self, shape: str, library: str) -> float:
        given = self.tensor if library == "torch" else self.array
        runs = {
            "theirs": lambda: theirs(self.tensor),
            "ours": lambda: td.orthogonalize(given, method="muon"),
        }
        threads = available_threads()
        with pinned(threads, ("torch",)):
            times = medians(runs, self.repeats, clock_for(threads))
        return times["theirs"] / times["ours"]

    track_ratio.unit = "times as long"


class Errors:
    """The largest distance from one of singular values from a thousandth of the norm on."""

    params = (3, 5, 7) if FULL else (5,)
    param_names = ("steps",)

    def track_polar_express(self, steps: int) -> float:
        return minimax_coefficients(1e-3, steps=steps).error

    def track_muon(self, steps: int) -> float:
        x = np.geomspace(1e-3, 1.0, 100_001)
        a, b, c = MUON
        for _ in range(steps):
            x = a * x + b * x**3 + c * x**5
        return float(np.abs(1 - x).max())

    track_polar_express.unit = track_muon.unit = "1"
