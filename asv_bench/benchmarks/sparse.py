"""Sparse tensors: sweeps of CP-ALS, what preparing for them costs, and how the peers do."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import numpy as np

from tdecomp._xp import namespace
from tdecomp.ops import COO, SparseLayout, coo, mode_products, mttkrp
from tdecomp.ops._sparse_mttkrp import mttkrp_by_entries

from ._contenders import available_threads, clock_for, medians, pinned

FULL = os.environ.get("TDECOMP_BENCH") == "full"
SHAPE, NNZ = ((10_000, 10_000, 1000), 5_000_000) if FULL else ((400, 400, 100), 50_000)
KINDS = ("uniform", "power-law") if FULL else ("power-law",)
DTYPES = ("float32", "float64") if FULL else ("float64",)
RANK, CORE, SWEEPS = 16, 10, 5


def tensor(kind: str, dtype: str = "float64") -> COO:
    """Scatter entries evenly, or so that few rows of each mode hold most of them."""
    rng = np.random.default_rng(0)
    if kind == "uniform":
        rows = [rng.integers(0, n, NNZ) for n in SHAPE]
    else:
        rows = [rng.permutation(n)[(n * rng.random(NNZ) ** 3).astype(np.int64)] for n in SHAPE]
    return coo(rows, rng.random(NNZ).astype(dtype), SHAPE)


def start(rank: int = RANK, dtype: str = "float64") -> list[np.ndarray]:
    """Draw one factor for each mode."""
    rng = np.random.default_rng(1)
    return [rng.random((n, rank)).astype(dtype) for n in SHAPE]


def sweeps(layout: SparseLayout, factors: list[np.ndarray], count: int) -> float:
    """Make plain sweeps of alternating least squares, and return the squared distance."""
    factors = list(factors)
    grams = [factor.T @ factor for factor in factors]
    product = None
    for _ in range(count):
        for mode in range(3):
            product = layout.mttkrp(mode, factors)
            joint = np.prod([grams[k] for k in range(3) if k != mode], axis=0)
            factors[mode] = np.linalg.solve(joint, product.T).T.copy()
            grams[mode] = factors[mode].T @ factors[mode]
    entries = layout.tensor.values
    inner = np.sum(product * factors[2])
    return float(entries @ entries - 2 * inner + np.prod(grams, axis=0).sum())


class Products:
    """One product along each mode, by a prepared tensor; and what preparing it costs."""

    params = (KINDS, DTYPES, (RANK, 10, 64) if FULL else (RANK,))
    param_names = ("tensor", "dtype", "rank")
    timeout = 600

    def setup(self, kind: str, dtype: str, rank: int) -> None:
        self.x, self.factors = tensor(kind, dtype), start(rank, dtype)
        self.layout = SparseLayout(self.x)
        self._sweep()

    def _sweep(self) -> list[np.ndarray]:
        return [self.layout.mttkrp(mode, self.factors) for mode in range(3)]

    def time_products(self, kind: str, dtype: str, rank: int) -> None:
        self._sweep()

    def peakmem_products(self, kind: str, dtype: str, rank: int) -> None:
        self._sweep()

    def time_layout(self, kind: str, dtype: str, rank: int) -> None:
        SparseLayout(self.x)

    def track_layout(self, kind: str, dtype: str, rank: int) -> float:
        times = medians(
            {"layout": lambda: SparseLayout(self.x), "sweep": self._sweep},
            5 if FULL else 1,
            clock_for(available_threads()),
        )
        return times["layout"] / times["sweep"]

    def track_error(self, kind: str, dtype: str, rank: int) -> float:
        x = self.x._replace(values=self.x.values.astype(np.float64))
        factors = [factor.astype(np.float64) for factor in self.factors]
        gaps = []
        for mode, found in enumerate(self._sweep()):
            expected = mttkrp_by_entries(x, factors, mode, xp=namespace(x.values))
            gaps.append(np.linalg.norm(found - expected) / np.linalg.norm(expected))
        return float(max(gaps))

    track_layout.unit = "sweeps"
    track_error.unit = "relative to sums entry by entry in double precision"


class Core:
    """The core of a Tucker decomposition, from the entries alone."""

    params = (KINDS,)
    param_names = ("tensor",)
    timeout = 600

    def setup(self, kind: str) -> None:
        self.x = tensor(kind)
        self.factors = [np.linalg.qr(factor)[0] for factor in start(CORE)]
        self._core()

    def _core(self) -> np.ndarray:
        return mode_products(self.x, self.factors, adjoint=True)

    def time_core(self, kind: str) -> None:
        self._core()

    def peakmem_core(self, kind: str) -> None:
        self._core()


class Ratio:
    """The time of a peer over that of this library, taking turns.

    Of pygenten five iterations of CP-ALS, set up and all, against five sweeps with a prepared
    tensor; of pyttb one MTTKRP. CPU time where the environment allows one thread, else wall time.
    """

    params = (KINDS, ("pygenten", "pyttb"))
    param_names = ("tensor", "peer")
    timeout = 1800
    repeats = 3 if FULL else 1

    def setup(self, kind: str, peer: str) -> None:
        try:
            __import__(peer)
            import pyttb
        except ImportError:
            raise NotImplementedError(f"{peer} is not installed") from None
        self.x, self.factors = tensor(kind), start()
        self.layout = SparseLayout(self.x)
        self.theirs = pyttb.sptensor(
            np.ascontiguousarray(self.x.indices.T), self.x.values[:, None], SHAPE
        )

    def runs(self, peer: str) -> dict[str, Callable[[], Any]]:
        """Return what is timed of either side."""
        if peer == "pyttb":
            ours: Callable[[], Any] = lambda: self.layout.mttkrp(0, self.factors)  # noqa: E731
            return {"ours": ours, "theirs": lambda: self.theirs.mttkrp(self.factors, 0)}
        return {"ours": lambda: sweeps(self.layout, self.factors, SWEEPS), "theirs": self._genten}

    def _genten(self) -> Any:
        import pygenten
        import pyttb

        init = pyttb.ktensor([factor.copy() for factor in self.factors])
        with redirect_stdout(StringIO()):
            found, *_ = pygenten.cp_als(
                self.theirs, rank=RANK, init=init, maxiters=SWEEPS, tol=0.0, printitn=0,
                timings=False,
            )  # fmt: skip
        return found

    def _distance(self, found: Any) -> float:
        """Return the squared distance of what pygenten found."""
        weights, factors = np.asarray(found.weights), list(map(np.asarray, found.factor_matrices))
        gram = np.prod([factor.T @ factor for factor in factors], axis=0)
        inner = weights @ np.sum(mttkrp(self.x, factors, 2) * factors[2], axis=0)
        return float(self.x.values @ self.x.values - 2 * inner + weights @ gram @ weights)

    def track_ratio(self, kind: str, peer: str) -> float:
        threads = available_threads()
        with pinned(threads, ()):
            times = medians(self.runs(peer), self.repeats, clock_for(threads))
        return times["theirs"] / times["ours"]

    def track_disagreement(self, kind: str, peer: str) -> float:
        ours, theirs = (run() for run in self.runs(peer).values())
        if peer == "pygenten":
            theirs = self._distance(theirs)
        return float(np.linalg.norm(np.subtract(ours, theirs)) / np.linalg.norm(theirs))

    track_ratio.unit = "times as long"
    track_disagreement.unit = "relative"
