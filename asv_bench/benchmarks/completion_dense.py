"""Low rank with a weight for every entry: three methods, and how others solve the same problem."""

from __future__ import annotations

import time
import tracemalloc
import warnings
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

import tdecomp as td

from ._problems import FULL

SIZES = ((1000, 1000, 10), (1000, 1000, 32), (4000, 1000, 10)) if FULL else ((120, 80, 4),)
METHODS = ("gradient", "als", "em")
KINDS = ("random", "gradients", "holes") if FULL else ("holes",)
# Kind of weights, size and rank, and noise in units of the data: the table of the page.
ROWS = (
    (
        ("random", 1000, 1000, 10, 0.5),
        ("random", 1000, 1000, 10, 2.0),
        ("gradients", 1000, 1000, 10, 0.5),
        ("holes", 1000, 1000, 10, 0.5),
        ("random", 1000, 1000, 32, 0.5),
        ("gradients", 1000, 1000, 32, 0.5),
        ("holes", 1000, 1000, 32, 0.5),
        ("gradients", 4000, 1000, 10, 0.5),
        ("holes", 4000, 1000, 10, 0.5),
        ("gradients", 4000, 1000, 32, 2.0),
    )
    if FULL
    else (("random", 120, 80, 4, 0.5),)
)
# How near to the best error of any method steps are counted to, and how many are made to find it.
NEAR = 1e-6
MOST = 300 if FULL else 30
# Where the peers are stopped, relative to the best error that is known.
CLOSE = 1e-4
LIMIT = 60.0 if FULL else 1.0


def weighted(
    kind: str, m: int, n: int, rank: int, noise: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """A matrix of low rank with noise, half as large unless told otherwise, and weights."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((m, rank)) * np.geomspace(1, 0.1, rank)
    x = x @ rng.standard_normal((rank, n))
    x = x / np.sqrt(np.mean(x**2)) + noise * rng.standard_normal((m, n))
    if kind == "random":
        return x, rng.random((m, n))
    if kind == "holes":
        return x, (rng.random((m, n)) < 0.3) * 1.0
    rows, columns = np.exp(rng.standard_normal(m)), np.exp(rng.standard_normal(n))
    squares = np.zeros((m, n))
    for _ in range(8):
        left, right = rows * rng.standard_normal(m), columns * rng.standard_normal(n)
        squares += np.outer(left, right) ** 2
    return x, squares * np.exp(0.5 * rng.standard_normal((m, n)))


def textbook_em(
    x: np.ndarray, weights: np.ndarray, rank: int, enough: Callable[[np.ndarray], bool]
) -> np.ndarray:
    """Srebro and Jaakkola's algorithm as it is written: a whole SVD in each step."""
    share = weights / weights.max()
    z = np.zeros_like(x)
    while True:
        u, s, vh = np.linalg.svd(share * x + (1 - share) * z, full_matrices=False)
        z = (u[:, :rank] * s[:rank]) @ vh[:rank]
        if enough(z):
            return z


def quasi_newton(
    x: np.ndarray, weights: np.ndarray, rank: int, enough: Callable[[np.ndarray], bool]
) -> np.ndarray:
    """The objective handed to L-BFGS, from the truncated SVD."""
    from scipy.optimize import minimize

    m, total = x.shape[0], float(np.sum(weights * x**2))
    u, s, vh = td.randomized_svd(np.where(weights > 0, x, 0.0), rank=rank, rng=0).tensor
    start = np.concatenate([(u * np.sqrt(s)).ravel(), (vh.T * np.sqrt(s)).ravel()])

    def parts(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return flat[: m * rank].reshape(m, rank), flat[m * rank :].reshape(-1, rank)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        left, right = parts(flat)
        gap = left @ right.T - x
        heavy = weights * gap
        slopes = (heavy @ right).ravel(), (heavy.T @ left).ravel()
        return float(np.vdot(heavy, gap)) / total, 2 * np.concatenate(slopes) / total

    def watch(intermediate_result: object) -> None:
        left, right = parts(intermediate_result.x)  # type: ignore[attr-defined]
        if enough(left @ right.T):
            raise StopIteration

    options = {"maxiter": 10000, "maxfun": 20000, "ftol": 0.0, "gtol": 0.0}
    rules = {"jac": True, "method": "L-BFGS-B", "callback": watch, "options": options}
    left, right = parts(minimize(objective, start, **rules).x)
    return left @ right.T


def masked_parafac(
    x: np.ndarray, weights: np.ndarray, rank: int, enough: Callable[[np.ndarray], bool]
) -> np.ndarray:
    """TensorLy's CP of a tensor with two modes, which knows weights of 0 and 1 only."""
    if find_spec("tensorly") is None or not set(np.unique(weights)) <= {0.0, 1.0}:
        raise NotImplementedError("tensorly is not installed, or weights are not 0 and 1")
    from tensorly.cp_tensor import cp_to_tensor
    from tensorly.decomposition import parafac

    known, sweeps = np.where(weights > 0, x, 0.0), 16
    while True:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = parafac(known, rank, n_iter_max=sweeps, tol=0, init="svd", mask=weights > 0)
        z = np.asarray(cp_to_tensor(fit))
        if enough(z):
            return z
        sweeps *= 2


PEERS = {"textbook EM": textbook_em, "L-BFGS": quasi_newton, "tensorly": masked_parafac}


class Methods:
    """All three to the default tolerance."""

    params = (SIZES, KINDS, METHODS)
    param_names = ("size", "weights", "method")
    timeout = 600

    def setup(self, size: tuple[int, int, int], kind: str, method: str) -> None:
        m, n, self.rank = size
        self.x, self.weights = weighted(kind, m, n, self.rank)
        self._fit(method)

    def _fit(self, method: str) -> td.Fit:
        return td.completion.weighted_low_rank(
            self.x, self.weights, rank=self.rank, method=method, rng=0
        )

    def time_fit(self, size: tuple[int, int, int], kind: str, method: str) -> None:
        self._fit(method)

    def peakmem_fit(self, size: tuple[int, int, int], kind: str, method: str) -> None:
        self._fit(method)

    def track_relative_error(self, size: tuple[int, int, int], kind: str, method: str) -> float:
        return self._fit(method).error

    def track_steps(self, size: tuple[int, int, int], kind: str, method: str) -> int:
        return self._fit(method).n_iter

    track_relative_error.unit = "weighted |X - Z| / |X|"


class Reach:
    """Processor seconds and steps to nearly the best error that any method finds."""

    params = (ROWS, METHODS)
    param_names = ("row", "method")
    timeout = 600

    def setup(self, row: tuple[str, int, int, int, float], method: str) -> None:
        kind, m, n, self.rank, noise = row
        self.x, self.weights = weighted(kind, m, n, self.rank, noise)
        ends = [self._curve(other, MOST)[-1][1] for other in METHODS]
        self.enough = (1 + NEAR) * min(ends)

    def _curve(self, method: str, steps: int, enough: float = 0.0) -> list[tuple[float, float]]:
        """Return seconds from the call and errors, step by step."""
        seen: list[tuple[float, float]] = []
        start = time.process_time()

        def watch(progress: td.Progress) -> bool:
            seen.append((time.process_time() - start, progress.error))
            return progress.error <= enough

        options = {"rank": self.rank, "method": method, "tol": 0.0, "max_iter": steps, "rng": 0}
        td.completion.weighted_low_rank(self.x, self.weights, callback=watch, **options)
        return seen

    def track_seconds(self, row: tuple[str, int, int, int, float], method: str) -> float:
        curves = [self._curve(method, MOST, self.enough) for _ in range(2)]
        reached = curves[0][-1][1] <= self.enough
        return min(curve[-1][0] for curve in curves) if reached else float("nan")

    def track_steps(self, row: tuple[str, int, int, int, float], method: str) -> float:
        curve = self._curve(method, MOST, self.enough)
        return len(curve) if curve[-1][1] <= self.enough else float("nan")

    track_seconds.unit = "seconds of one processor"


class Memory:
    """What is held at once, as a multiple of data, weights and factors."""

    params = (((1000, 1000, 32), (1000, 1000, 128)) if FULL else ((120, 80, 16),), METHODS)
    param_names = ("size", "method")
    timeout = 600

    def setup(self, size: tuple[int, int, int], method: str) -> None:
        self.x, self.weights = weighted("random", *size)

    def track_multiple(self, size: tuple[int, int, int], method: str) -> float:
        (m, n, rank), options = size, {"method": method, "max_iter": 2, "tol": 0.0, "rng": 0}
        tracemalloc.start()
        try:
            td.completion.weighted_low_rank(self.x, self.weights, rank=rank, **options)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        return most / (2 * self.x.nbytes + (m + n) * rank * self.x.itemsize)


class Peers:
    """How much longer others take to an error that is nearly the best one known."""

    params = (SIZES[:1], KINDS, tuple(PEERS))
    param_names = ("size", "weights", "peer")
    timeout = 600

    def setup(self, size: tuple[int, int, int], kind: str, peer: str) -> None:
        m, n, self.rank = size
        self.x, self.weights = weighted(kind, m, n, self.rank)
        if peer == "tensorly" and (find_spec("tensorly") is None or kind != "holes"):
            raise NotImplementedError("tensorly is not installed, or does not know such weights")
        self.total = float(np.sum(self.weights * self.x**2))
        self.best = td.completion.weighted_low_rank(
            self.x, self.weights, rank=self.rank, tol=1e-12, rng=0
        ).error

    def _error(self, z: np.ndarray) -> float:
        return float(np.sqrt(np.sum(self.weights * (self.x - z) ** 2) / self.total))

    def _peer(self, peer: str) -> tuple[float, float]:
        """Return how long a peer takes, and the error that it stops at."""
        start = time.perf_counter()

        def enough(z: np.ndarray) -> bool:
            late = time.perf_counter() - start > LIMIT
            return late or self._error(z) <= (1 + CLOSE) * self.best

        z = PEERS[peer](self.x, self.weights, self.rank, enough)
        return time.perf_counter() - start, self._error(z)

    def _ours(self) -> float:
        """Return how long it takes to the same error, starts included."""
        start = time.perf_counter()
        td.completion.weighted_low_rank(
            self.x,
            self.weights,
            rank=self.rank,
            tol=0.0,
            rng=0,
            callback=lambda progress: progress.error <= (1 + CLOSE) * self.best,
        )
        return time.perf_counter() - start

    def track_ratio(self, size: tuple[int, int, int], kind: str, peer: str) -> float:
        return self._peer(peer)[0] / min(self._ours() for _ in range(3))

    def track_excess(self, size: tuple[int, int, int], kind: str, peer: str) -> float:
        return self._peer(peer)[1] / self.best - 1

    track_ratio.unit = f"times as long, or to {LIMIT:.0f} seconds"
    track_excess.unit = "error over the best one known, less 1"
