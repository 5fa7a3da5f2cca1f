"""Sums of Kronecker products: time, memory, error; and the routes that a user could assemble."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from tdecomp import kronecker

from ._contenders import available_threads, clock_for, medians, pinned

FULL = os.environ.get("TDECOMP_BENCH") == "full"
SIDE = 64 if FULL else 12
SHAPES = ((SIDE, SIDE), (SIDE, SIDE))
RANKS = (5, 8) if FULL else (5,)
WIDTHS = (1, 16, 256) if FULL else (16,)


def matrix(rank: int) -> np.ndarray:
    """Return a sum of Kronecker products, each half as large, under two percent of noise."""
    rng = np.random.default_rng(0)
    pairs = rng.standard_normal((rank, 2, SIDE, SIDE))
    a = sum(np.kron(*pair) * 2.0**-k for k, pair in enumerate(pairs))
    noise = rng.standard_normal(a.shape)
    return a + 0.02 * np.linalg.norm(a) / np.linalg.norm(noise) * noise


def ours(a: np.ndarray, rank: int) -> kronecker.KroneckerSum:
    """Search where the matrix lies."""
    return kronecker.kronecker_svd(a, SHAPES, rank=rank).tensor


def rearranged(a: np.ndarray) -> np.ndarray:
    """Return a copy of the matrix in the order of rows of blocks: what the peers need first."""
    blocks = a.reshape(SIDE, SIDE, SIDE, SIDE).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(blocks).reshape(SIDE**2, SIDE**2)


def _svds(a: np.ndarray, rank: int, solver: str) -> tuple[np.ndarray, np.ndarray]:
    from scipy.sparse.linalg import svds

    u, s, vh = svds(rearranged(a), k=rank, solver=solver, rng=0)
    return u * s, vh


def _sklearn(a: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.utils.extmath import randomized_svd

    u, s, vh = randomized_svd(rearranged(a), rank, random_state=0)
    return u * s, vh


PEERS: dict[str, Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]] = {
    "propack": lambda a, rank: _svds(a, rank, "propack"),
    "arpack": lambda a, rank: _svds(a, rank, "arpack"),
    "sklearn": _sklearn,
}


class Decomposition:
    """The best sum of given length."""

    params = RANKS
    param_names = ("rank",)
    timeout = 600

    def setup(self, rank: int) -> None:
        self.a = matrix(rank)

    def time_kronecker_svd(self, rank: int) -> None:
        ours(self.a, rank)

    def peakmem_kronecker_svd(self, rank: int) -> None:
        ours(self.a, rank)

    def peakmem_of_the_matrix_alone(self, rank: int) -> None:
        pass

    def track_excess(self, rank: int) -> float:
        return excess(self.a, rank)

    track_excess.unit = "error / least error - 1"


def excess(a: np.ndarray, rank: int) -> float:
    """Return how far the error is above that of PROPACK, to full accuracy."""
    left, right = PEERS["propack"](a, rank)
    least = np.linalg.norm(rearranged(a) - left @ right)
    return float(np.linalg.norm(a - ours(a, rank).to_array()) / least - 1)


class Ratio:
    """The time of the best route a user could assemble over that of this library."""

    params = (RANKS, tuple(PEERS))
    param_names = ("rank", "peer")
    timeout = 1800

    def setup(self, rank: int, peer: str) -> None:
        self.a = matrix(rank)

    def runs(self, rank: int, peer: str) -> dict[str, Callable[[], object]]:
        """Return what is timed of either side."""
        return {"ours": lambda: ours(self.a, rank), "theirs": lambda: PEERS[peer](self.a, rank)}

    def track_ratio(self, rank: int, peer: str) -> float:
        threads = available_threads()
        with pinned(threads, ("scipy",)):
            times = medians(self.runs(rank, peer), 3 if FULL else 1, clock_for(threads))
        return times["theirs"] / times["ours"]

    track_ratio.unit = "times as long"


class Products:
    """A sum of Kronecker products times a matrix, and the dense product it replaces."""

    params = (RANKS, WIDTHS)
    param_names = ("rank", "columns")

    def setup(self, rank: int, columns: int) -> None:
        rng = np.random.default_rng(0)
        stacks = rng.standard_normal((2, rank, SIDE, SIDE))
        self.k = kronecker.KroneckerSum(*stacks)
        self.a = self.k.to_array()
        self.x = rng.standard_normal((SIDE**2, columns))

    def time_kronecker_sum(self, rank: int, columns: int) -> None:
        self.k @ self.x

    def time_dense(self, rank: int, columns: int) -> None:
        self.a @ self.x
