"""The isometric factor on the leading part of a gradient: time, alignment, and its guarantee.

The matrices have decaying spectra, as gradients of wide layers have.
"""

from __future__ import annotations

import numpy as np

import tdecomp as td
from tdecomp.linalg import alignment, nearest_orthogonal

from ._contenders import available_threads, clock_for, medians, pinned
from ._problems import FULL, mixed

SIDE = 2048 if FULL else 384
RANK = 64
SPECTRA = {
    "geometric": lambda i: 10.0 ** (-i / 32),
    "quadratic": lambda i: (1 + i) ** -2.0,
    "harmonic": lambda i: 1 / (1 + i),
}
CASES = tuple(f"{kind} {dtype}" for kind in SPECTRA for dtype in ("float32", "float64"))
if not FULL:
    CASES = CASES[:1]


def setup_cache() -> None:
    """Build every matrix once, in the directory where the benchmarks run."""
    for case in CASES:
        kind, dtype = case.split()
        np.save(case, mixed(SIDE, SIDE, SPECTRA[kind](np.arange(float(SIDE)))).astype(dtype))


class RandomizedPolar:
    """Rank 64 with one power step, from either kind of sketch."""

    params = (CASES, ("gaussian", "kaczmarz"))
    param_names = ("matrix", "sketch")
    timeout = 600

    def setup(self, case: str, sketch: str) -> None:
        self.g = np.load(f"{case}.npy")

    def _found(self, sketch: str) -> td.linalg.RandomizedPolar:
        return td.randomized_polar(self.g, rank=RANK, sketch=sketch, rng=0)

    def time_randomized_polar(self, case: str, sketch: str) -> None:
        self._found(sketch)

    def peakmem_randomized_polar(self, case: str, sketch: str) -> None:
        self._found(sketch)

    def track_alignment(self, case: str, sketch: str) -> float:
        return float(alignment(self.g, self._found(sketch).U))

    def track_certified_alignment(self, case: str, sketch: str) -> float:
        return float(self._found(sketch).alignment)

    track_alignment.unit = "<G, U> / |G|"
    track_certified_alignment.unit = "<G, U> / |G|, at least"


class Ratio:
    """The time of the whole isometric factor over that of rank 64, taking turns."""

    params = (CASES, ("gaussian", "kaczmarz"))
    param_names = ("matrix", "sketch")
    timeout = 1800
    repeats = 3 if FULL else 1

    def setup(self, case: str, sketch: str) -> None:
        self.g = np.load(f"{case}.npy")

    def track_ratio(self, case: str, sketch: str) -> float:
        threads = available_threads()
        runs = {
            "whole": lambda: nearest_orthogonal(self.g),
            "leading": lambda: td.randomized_polar(self.g, rank=RANK, sketch=sketch, rng=0),
        }
        with pinned(threads, ()):
            times = medians(runs, self.repeats, clock_for(threads))
        return times["whole"] / times["leading"]

    track_ratio.unit = "times as long"
