"""Sampling by squares: draws and changes against NumPy's, factorisations against dimensions."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

import tdecomp as td
from tdecomp.completion import sampling
from tdecomp.testing import matrix

from ._contenders import available_threads, clock_for, medians, pinned
from ._problems import FULL

LENGTHS = (10_000, 1_000_000) if FULL else (10_000,)
WIDTHS = (1_000, 100_000, 1_000_000) if FULL else (1_000,)
SIDES = (2_000, 20_000, 200_000, 1_000_000) if FULL else (2_000,)
DRAWS, CHANGES = 100_000, 10_000
PEERS = ("searchsorted", "Generator.choice", "searchsorted, changed")


def ratings(n: int) -> Any:
    """Return five groups of eight rows, each of rank one on columns of its own."""
    import scipy.sparse

    rng = np.random.default_rng(0)
    group = rng.integers(0, 5, n)
    rows = (8 * group[:, None] + np.arange(8)).ravel()
    columns = np.repeat(np.arange(n), 8)
    values = (1 + rng.random(40))[rows] * (0.8**group * rng.standard_normal(n))[columns]
    return scipy.sparse.csr_array((values, (rows, columns)), shape=(40, n))


def links(n: int) -> Any:
    """Return a random matrix (n, n) of five entries in each row."""
    import scipy.sparse

    rng = np.random.default_rng(0)
    stored = rng.standard_normal(5 * n), rng.integers(0, n, 5 * n), 5 * np.arange(n + 1)
    return scipy.sparse.csr_array(stored, shape=(n, n))


class Draws:
    """A hundred thousand draws, and ten thousand changes, of one vector."""

    params = (LENGTHS,)
    param_names = ("length",)

    def setup(self, length: int) -> None:
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal(length)
        self.held = sampling.LengthSquaredVector(self.x)
        self.places, self.values = rng.integers(0, length, CHANGES), rng.standard_normal(CHANGES)
        self.held.sample(DRAWS, rng=0)
        self.held.update(self.places, self.values)

    def time_build(self, length: int) -> None:
        sampling.LengthSquaredVector(self.x)

    def peakmem_build(self, length: int) -> None:
        sampling.LengthSquaredVector(self.x)

    def time_draws(self, length: int) -> None:
        self.held.sample(DRAWS, rng=0)

    def time_one_draw(self, length: int) -> None:
        self.held.sample(1, rng=0)

    def time_changes(self, length: int) -> None:
        self.held.update(self.places, self.values)

    def time_one_change(self, length: int) -> None:
        self.held.update(7, 0.5)


class Ratio:
    """The time of NumPy over that of the tree, taking turns.

    A hundred thousand draws of a vector that stays as it is, by its cumulative sums; and a hundred
    changes with ten draws after each, where the sums have to be formed anew.
    """

    params = (LENGTHS, PEERS)
    param_names = ("length", "peer")

    def setup(self, length: int, peer: str) -> None:
        self.x = np.random.default_rng(0).standard_normal(length)
        self.held = sampling.LengthSquaredVector(self.x)

    def runs(self, peer: str) -> dict[str, Callable[[], Any]]:
        """Return what is timed of either side."""
        if peer == "searchsorted, changed":
            return {"ours": self._ours_changed, "theirs": self._theirs_changed}
        theirs = self._searched if peer == "searchsorted" else self._chosen
        return {"ours": lambda: self.held.sample(DRAWS, rng=0), "theirs": theirs}

    def _searched(self) -> Any:
        sums = np.cumsum(self.x**2)
        return np.searchsorted(sums, np.random.default_rng(0).random(DRAWS) * sums[-1])

    def _chosen(self) -> Any:
        p = self.x**2
        return np.random.default_rng(0).choice(p.size, DRAWS, p=p / p.sum())

    def _ours_changed(self) -> None:
        rng = np.random.default_rng(0)
        for k in range(100):
            self.held.update(k, 1.0)
            self.held.sample(10, rng=rng)

    def _theirs_changed(self) -> None:
        rng = np.random.default_rng(0)
        for k in range(100):
            self.x[k] = 1.0
            sums = np.cumsum(self.x**2)
            np.searchsorted(sums, rng.random(10) * sums[-1])

    def track_ratio(self, length: int, peer: str) -> float:
        threads = available_threads()
        with pinned(threads, ()):
            times = medians(self.runs(peer), 3, clock_for(threads))
        return times["theirs"] / times["ours"]

    def track_agreement(self, length: int, peer: str) -> float:
        if peer != "searchsorted":
            return 1.0
        return float(np.mean(self.held.sample(DRAWS, rng=0) == self._searched()))

    track_ratio.unit = "times as long"
    track_agreement.unit = "share of equal draws"


class Factorisation:
    """Five singular values from a hundred rows and columns, whatever the width."""

    params = (WIDTHS,)
    param_names = ("width",)

    def setup(self, width: int) -> None:
        self.a = ratings(width)
        self.held = sampling.LengthSquaredMatrix(self.a)
        self.found = sampling.sampled_svd(self.held, rank=5, samples=100, rng=0)
        self.found.vector(0).sample(10, rng=0)

    def time_build(self, width: int) -> None:
        sampling.LengthSquaredMatrix(self.a)

    def time_sampled_svd(self, width: int) -> None:
        sampling.sampled_svd(self.held, rank=5, samples=100, rng=0)

    def time_randomized_svd(self, width: int) -> None:
        td.randomized_svd(self.a, rank=5, rng=0)

    def time_sample_a_vector(self, width: int) -> None:
        self.found.vector(0).sample(100, rng=0)


class Products:
    """The product of two sparse matrices from a hundred rows, whatever their side."""

    params = (SIDES,)
    param_names = ("side",)

    def setup(self, side: int) -> None:
        self.held = sampling.LengthSquaredMatrix(links(side))
        self.places = np.random.default_rng(1).integers(0, side, (2, 100))
        self.time_sampled_matmul(side)

    def time_sampled_matmul(self, side: int) -> None:
        self.product = sampling.sampled_matmul(self.held, self.held, samples=100, rng=0)

    def time_a_hundred_entries(self, side: int) -> None:
        self.product.query(*self.places)

    def track_peak(self, side: int) -> int:
        tracemalloc.start()
        self.time_sampled_matmul(side)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    track_peak.unit = "bytes"


class Accuracy:
    """The synthetic case of Arrazola et al.: 500 x 250, three singular values."""

    params = ((50, 200, 800) if FULL else (50,),)
    param_names = ("samples",)

    def setup(self, samples: int) -> None:
        self.a = matrix(500, 250, np.asarray([462.96, 425.36, 154.32]), rng=0)
        self.held = sampling.LengthSquaredMatrix(self.a)

    def track_relative_error(self, samples: int) -> float:
        found = [sampling.sampled_svd(self.held, rank=3, samples=samples, rng=k) for k in range(5)]
        return float(np.mean([float(td.relative_error(self.a, f)) for f in found]))

    track_relative_error.unit = "relative"
