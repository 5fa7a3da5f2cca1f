"""CP decompositions: time, memory and error; and how much longer the peers take."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from statistics import median
from typing import NamedTuple

import numpy as np

import tdecomp as td

from ._contenders import Clock, available_threads, clock_for, medians, pinned

FULL = os.environ.get("TDECOMP_BENCH") == "full"
SEEDS = 30 if FULL else 1
STARTS = 2
SWEEPS = 10


class Case(NamedTuple):
    """A tensor of exact rank under ten percent of noise, and a start."""

    shape: tuple[int, ...]
    rank: int

    def tensor(self) -> np.ndarray:
        """Build the tensor."""
        rng = np.random.default_rng(1)
        factors = tuple(rng.standard_normal((n, self.rank)) for n in self.shape)
        x = td.CP(np.ones(self.rank), factors).to_array()
        noise = rng.standard_normal(self.shape)
        noise *= 0.1 * np.linalg.norm(x) / np.linalg.norm(noise)
        return x + noise

    def start(self) -> td.CP:
        """Draw factors for every contender to start from."""
        rng = np.random.default_rng(2)
        factors = tuple(rng.random((n, self.rank)) for n in self.shape)
        return td.CP(np.ones(self.rank), factors)


CASES = {
    "200^3 r16": Case((200,) * 3 if FULL else (40,) * 3, 16),
    "60^4 r16": Case((60,) * 4 if FULL else (14,) * 4, 16),
    "400^3 r32": Case((400,) * 3 if FULL else (50,) * 3, 32),
}
NAMES = tuple(CASES) if FULL else tuple(CASES)[:1]


def ours(x: np.ndarray, case: Case) -> td.CP:
    """Make plain sweeps."""
    start = case.start()
    fit = td.cp_als(x, rank=case.rank, init=start, accelerate=False, tol=0, max_iter=SWEEPS)
    return fit.tensor


def pyttb(x: np.ndarray, case: Case) -> Callable[[], td.CP]:
    """Return the same sweeps of pyttb, its data in the order it likes."""
    import pyttb

    data = pyttb.tensor(np.asfortranarray(x), copy=False)
    start = pyttb.ktensor([np.asfortranarray(factor) for factor in case.start().factors])

    def run() -> td.CP:
        options = {"stoptol": 0, "maxiters": SWEEPS, "printitn": 0, "fixsigns": False}
        found, _, _ = pyttb.cp_als(data, case.rank, init=start.copy(), **options)
        return td.CP(found.weights, tuple(found.factor_matrices))

    return run


def tensorly(x: np.ndarray, case: Case) -> Callable[[], td.CP]:
    """Return the same sweeps of TensorLy."""
    from tensorly.decomposition import parafac

    def run() -> td.CP:
        weights, factors = case.start()
        start = (weights.copy(), [factor.copy() for factor in factors])
        options = {"tol": 0, "normalize_factors": True}
        weights, factors = parafac(x, case.rank, n_iter_max=SWEEPS, init=start, **options)
        return td.CP(weights, tuple(factors))

    return run


PEERS = {"pyttb": pyttb, "tensorly": tensorly}


def peer_or_skip(name: str) -> Callable[..., Callable[[], td.CP]]:
    """Return the maker of a peer's run where the peer is installed."""
    if find_spec(name) is None:
        raise NotImplementedError(f"{name} is not installed")
    return PEERS[name]


class Sweeps:
    """Ten sweeps of alternating least squares."""

    params = NAMES
    param_names = ("tensor",)
    timeout = 600

    def setup(self, name: str) -> None:
        self.case = CASES[name]
        self.x = self.case.tensor()

    def time_sweeps(self, name: str) -> None:
        ours(self.x, self.case)

    def peakmem_sweeps(self, name: str) -> None:
        ours(self.x, self.case)

    def track_relative_error(self, name: str) -> float:
        return float(td.relative_error(self.x, ours(self.x, self.case)))

    track_relative_error.unit = "|X - CP| / |X|"


class Ratio:
    """The time that a peer takes for the same sweeps from the same start, taking turns.

    CPU time where the environment allows one thread, else wall time.
    """

    params = (NAMES, tuple(PEERS))
    param_names = ("tensor", "peer")
    timeout = 1800
    repeats = 3 if FULL else 1

    def setup(self, name: str, peer: str) -> None:
        self.case = CASES[name]
        self.x = self.case.tensor()
        self.theirs = peer_or_skip(peer)(self.x, self.case)

    def times(self) -> dict[str, float]:
        """Return the seconds of both for all sweeps."""
        threads = available_threads()
        runs = {"ours": lambda: ours(self.x, self.case), "theirs": self.theirs}
        with pinned(threads, ("scipy",)):
            return medians(runs, self.repeats, clock_for(threads))

    def track_ratio(self, name: str, peer: str) -> float:
        times = self.times()
        return times["theirs"] / times["ours"]

    def track_difference_of_fits(self, name: str, peer: str) -> float:
        found = (ours(self.x, self.case), self.theirs())
        first, second = (float(td.relative_error(self.x, cp)) for cp in found)
        return abs(first - second)

    track_ratio.unit = "times as long"


class Outcome(NamedTuple):
    """Medians over seeds: seconds and fits of this library and of the peer."""

    ours: float
    theirs: float
    fit_ours: float
    fit_theirs: float


class Convergence:
    """From random starts to convergence: time and fit, medians over seeds."""

    params = ("pyttb",)
    param_names = ("peer",)
    timeout = 1800

    def setup(self, peer: str) -> None:
        peer_or_skip(peer)
        import pyttb

        self.case = CASES["200^3 r16"]
        self.x = self.case.tensor()
        self.data = pyttb.tensor(np.asfortranarray(self.x), copy=False)

    def ours(self, seed: int) -> td.CP:
        """Race two starts, and the algebraic one, on a core, and go on with the best."""
        rank = self.case.rank
        return td.cp_als(self.x, rank=rank, n_starts=STARTS, tol=1e-6, rng=seed).tensor

    def theirs(self, seed: int) -> td.CP:
        """Go on with one start."""
        import pyttb

        rng = np.random.default_rng(1000 + seed)
        start = [np.asfortranarray(rng.standard_normal((n, self.case.rank))) for n in self.x.shape]
        found, _, _ = pyttb.cp_als(
            self.data, self.case.rank, stoptol=1e-6, init=pyttb.ktensor(start), printitn=0
        )
        return td.CP(found.weights, tuple(found.factor_matrices))

    def race(self, clock: Clock) -> Outcome:
        """Run both for every seed, taking turns."""
        seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
        fits: dict[str, list[float]] = {"ours": [], "theirs": []}
        self.ours(SEEDS)
        for seed in range(SEEDS):
            for who, run in (("ours", self.ours), ("theirs", self.theirs)):
                begun = clock()
                cp = run(seed)
                seconds[who].append(clock() - begun)
                fits[who].append(1 - float(td.relative_error(self.x, cp)))
        return Outcome(*map(median, (*seconds.values(), *fits.values())))

    def outcome(self) -> Outcome:
        """Race with the threads that the environment allows."""
        threads = available_threads()
        with pinned(threads, ("scipy",)):
            return self.race(clock_for(threads))

    def track_ratio(self, peer: str) -> float:
        outcome = self.outcome()
        return outcome.theirs / outcome.ours

    def track_gain_in_fit(self, peer: str) -> float:
        outcome = self.outcome()
        return outcome.fit_ours - outcome.fit_theirs

    track_ratio.unit = "times as long"
