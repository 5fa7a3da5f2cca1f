"""Tucker decompositions: time, memory and error; and how much longer the peer takes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import tdecomp as td
from tdecomp import tucker

from ._contenders import available_threads, clock_for, medians, pinned

FULL = os.environ.get("TDECOMP_BENCH") == "full"
SIDE = 300 if FULL else 60
VIDEO = (512, 512, 300) if FULL else (64, 64, 50)
# A corner of a large tensor that is large enough for all code that the whole needs.
_CORNER = 210


class Case(NamedTuple):
    """A tensor, and what is asked of its decomposition."""

    make: Callable[[], np.ndarray]
    rank: tuple[int, ...] | None = None
    rtol: float | None = None


def noisy() -> np.ndarray:
    """Return a tensor of multilinear rank 20 with a decaying core, under one percent of noise."""
    rng = np.random.default_rng(0)
    factors = [np.linalg.qr(rng.standard_normal((SIDE, 20)))[0] for _ in range(3)]
    i = np.arange(20)
    x = rng.standard_normal((20, 20, 20)) * np.exp(-0.1 * (i[:, None, None] + i[:, None] + i))
    for factor in factors:
        x = np.tensordot(x, factor, axes=(0, 1))
    return _with_noise(x, 1e-2, rng)


def potential() -> np.ndarray:
    """Return a potential on a grid."""
    g = np.linspace(0, 1, SIDE)
    a, b, c = ((g - m) ** 2 for m in (0.3, 0.5, 0.6))
    return 1 / np.sqrt(0.01 + a[:, None, None] + b[:, None] + c)


def smooth() -> np.ndarray:
    """Return that potential under noise of one part in a million."""
    return _with_noise(potential(), 1e-6, np.random.default_rng(0))


def video() -> np.ndarray:
    """Return a flickering background, a moving spot, and noise, in single precision."""
    rng, single = np.random.default_rng(0), np.float32
    n, frames = VIDEO[0], VIDEO[2]
    x, t = np.linspace(0, 1, n, dtype=single), np.linspace(0, 1, frames, dtype=single)
    back = np.cumsum(np.cumsum(rng.standard_normal((n, n)), 0), 1).astype(single)
    back /= np.abs(back).max()
    across = np.exp(-((x[:, None] - 0.2 - 0.6 * t) ** 2) / 0.005)
    down = np.exp(-((x[:, None] - 0.5 - 0.3 * np.sin(6 * t)) ** 2) / 0.005)
    out = back[:, :, None] * (1 + 0.2 * np.sin(20 * t)) + across[:, None, :] * down
    out += 0.02 * rng.standard_normal(VIDEO, dtype=single)
    return np.ascontiguousarray(out, dtype=single)


def _with_noise(x: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal(x.shape)
    return np.ascontiguousarray(x + level * np.linalg.norm(x) / np.linalg.norm(noise) * noise)


CASES = {
    "rank 20": Case(noisy, rank=(20, 20, 20)),
    "rtol 1e-4": Case(smooth, rtol=1e-4),
    "video": Case(video, rank=(40, 40, 20)),
    "rtol 1e-10": Case(potential, rtol=1e-10),
}
# The peer uses Gram matrices whatever is asked: it misses the smallest tolerance.
METHODS = ("auto", "gram", "qr")
# Of a look at everything, the first calls alone go through all tensors.
NAMES = tuple(CASES) if FULL else tuple(CASES)[:1]


def _fit(name: str, x: np.ndarray, method: str) -> tucker.Tucker:
    case = CASES[name]
    return tucker.sthosvd(x, rank=case.rank, rtol=case.rtol, method=method)


class SequentiallyTruncated:
    """The default decomposition, by every route."""

    params = (NAMES, METHODS)
    param_names = ("tensor", "method")
    timeout = 600

    def setup(self, name: str, method: str) -> None:
        self.x = CASES[name].make()

    def time_sthosvd(self, name: str, method: str) -> None:
        _fit(name, self.x, method)

    def peakmem_sthosvd(self, name: str, method: str) -> None:
        _fit(name, self.x, method)

    def track_relative_error(self, name: str, method: str) -> float:
        return float(td.relative_error(self.x, _fit(name, self.x, method)))

    track_relative_error.unit = "|X - G x A| / |X|"


class Ratio:
    """The time of pyttb's hosvd over that of this library, taking turns.

    CPU time where the environment allows one thread, else wall time.
    """

    params = (NAMES, METHODS if FULL else METHODS[:1])
    param_names = ("tensor", "method")
    timeout = 1800
    repeats = 3 if FULL else 1

    def setup(self, name: str, method: str, x: np.ndarray | None = None) -> None:
        try:
            import pyttb
        except ImportError:
            raise NotImplementedError("pyttb is not installed") from None
        self.x = CASES[name].make() if x is None else np.ascontiguousarray(x)
        self.theirs = pyttb.tensor(np.asfortranarray(self.x), copy=False)

    def _peer(self, name: str) -> object:
        import pyttb

        case = CASES[name]
        ranks = None if case.rank is None else np.array(case.rank)
        return pyttb.hosvd(self.theirs, case.rtol or 0.5, verbosity=0, ranks=ranks)

    def runs(self, name: str, method: str) -> dict[str, Callable[[], object]]:
        """Return what is timed of either side."""
        return {"ours": lambda: _fit(name, self.x, method), "theirs": lambda: self._peer(name)}

    def track_ratio(self, name: str, method: str) -> float:
        threads = available_threads()
        with pinned(threads, ("scipy",)):
            times = medians(self.runs(name, method), self.repeats, clock_for(threads))
        return times["theirs"] / times["ours"]

    def errors(self, name: str, method: str) -> tuple[float, float]:
        """Return the relative errors of either side."""
        peer = self._peer(name)
        theirs = tucker.Tucker(
            np.asarray(peer.core.data), tuple(np.asarray(f) for f in peer.factor_matrices)
        )
        pair = _fit(name, self.x, method), theirs
        return tuple(float(td.relative_error(self.x, found)) for found in pair)

    def track_excess(self, name: str, method: str) -> float:
        ours, theirs = self.errors(name, method)
        return ours / theirs - 1

    track_ratio.unit = "times as long"
    track_excess.unit = "error / error of the peer - 1"


def first_calls(name: str) -> dict[str, float]:
    """Return the CPU time of the first call of either side in this process.

    Both have decomposed a corner of the tensor before, so that their code is loaded and compiled.
    What is left is what a script pays that decomposes one tensor: memory new to the process
    included.
    """
    contest, corner = Ratio(), Ratio()
    contest.setup(name, "auto")
    corner.setup(name, "auto", contest.x[:_CORNER, :_CORNER, :_CORNER])
    seconds = {}
    for side, run in contest.runs(name, "auto").items():
        corner.runs(name, "auto")[side]()
        start = time.process_time()
        run()
        seconds[side] = time.process_time() - start
    return seconds


class FirstCall:
    """The time of pyttb's first call in a process over that of this library's."""

    params = tuple(CASES)
    param_names = ("tensor",)
    timeout = 600

    def setup(self, name: str) -> None:
        Ratio().setup(name, "auto", np.ones((2, 2, 2)))

    def track_ratio(self, name: str) -> float:
        with pinned(1, ("scipy",)):
            seconds = first_calls(name)
        return seconds["theirs"] / seconds["ours"]

    track_ratio.unit = "times as long"


class Iterations:
    """Ten sweeps of HOOI, plain and with a third of the entries missing."""

    params = ("plain", "missing")
    param_names = ("data",)

    def setup(self, data: str) -> None:
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal((60, 61, 62))
        self.weights = rng.random(self.x.shape) < 0.66 if data == "missing" else None

    def time_hooi(self, data: str) -> None:
        tucker.hooi(self.x, rank=6, weights=self.weights, max_iter=10, tol=-1)
