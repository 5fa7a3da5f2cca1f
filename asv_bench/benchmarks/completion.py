"""Completion of matrices by alternating least squares: time, memory and error.

Floors for a sweep over ``nnz`` entries at rank ``k``, on both sides together: ``nnz (k^2 + 5 k)``
fused multiplications and additions for the lower halves of the normal equations, residuals and
right-hand sides, and ``(m + n) k^3 / 6`` for the Cholesky factors; and 12 bytes for the index and
the value of an entry and 8 for each number of a row of the other factor, in whole lines of 64
bytes, which come from the third level of the cache. With 3 million entries of a matrix of 20000 x
20000 at rank 10 that is 0.45 billion fused operations and 0.8 GB. The steps of the triangle are as
wide as half a vector, so that an entry takes 24 instructions where 19 would do, two in a cycle: 10
ms of two cores at 3.7 GHz, of 12 that are measured. The copies of equations into lanes and their
solutions take 3 ms, and factors that come from the other core's cache 2 more; the loss comes with
the solutions. That was measured to be a sweep of 17 to 24 ms in double precision, where cmfrec
takes 157 to 190, and of 14 to 18 ms in single, where lenskit takes 128 to 151. With vectors of 256
bits and 16 registers an entry is read three times and takes 24 vector instructions, of which a
core was measured to make 4.8 billion in a second: 15 ms of two cores, of 33 to 65 that are
measured beside 240 to 670 of cmfrec. With a penalty the factors are balanced, which takes 2 ms
more, and where it is small saves nine sweeps of ten. The inexact method needs ``4 nnz k`` for each
of its two or three passes.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numba
import numpy as np

import tdecomp as td
from tdecomp.ops import COO

from ._problems import FULL

SWEEPS = 6


def known(m: int, n: int, rank: int, nnz: int) -> tuple[COO, tuple[np.ndarray, np.ndarray]]:
    """Draw entries of a matrix of Gaussian factors, each place as likely as any other."""
    rng = np.random.default_rng(0)
    places = np.unique(rng.integers(0, m * n, nnz))
    rows, columns = np.divmod(places, n)
    left, right = rng.standard_normal((m, rank)), rng.standard_normal((n, rank))
    values = np.einsum("pr,pr->p", left[rows], right[columns])
    return COO(np.stack([rows, columns]), values, (m, n)), (left, right)


def ratings(m: int, n: int, nnz: int) -> COO:
    """Draw about so many ratings whose users and items are as uneven as those of MovieLens."""
    rng = np.random.default_rng(0)
    shares = rng.lognormal(0.0, 1.1, m), 1 / (np.arange(n) + 60.0) ** 1.3
    drawn = [rng.multinomial(3 * nnz // 2, share / np.sum(share)) for share in shares]
    rows, columns = (
        np.repeat(np.arange(size), count) for size, count in zip((m, n), drawn, strict=True)
    )
    rng.shuffle(columns)
    places = np.unique(rows * n + columns)
    places = places[rng.random(places.size) < nnz / places.size]
    values = rng.integers(1, 11, places.size) / 2.0
    return COO(np.stack(np.divmod(places, n)), values, (m, n))


def sweeps(x: COO, method: str, rank: int, **rules: Any) -> tuple[td.Fit, float]:
    """Return the fit, and the median of the seconds between two of its steps."""
    seconds: list[float] = []
    fit = td.complete(
        x,
        rank=rank,
        method=method,
        rng=0,
        callback=lambda progress: seconds.append(progress.elapsed),
        **{"max_iter": SWEEPS, "tol": -1, **rules},
    )
    return fit, statistics.median(np.diff(seconds))


def between(fit: Callable[[int], object]) -> float:
    """Return the seconds of a sweep: of six more, so that what comes first does not count."""
    spent = []
    for count in (2, 2 + SWEEPS):
        start = time.perf_counter()
        fit(count)
        spent.append(time.perf_counter() - start)
    return (spent[1] - spent[0]) / SWEEPS


class Exact:
    """A matrix of rank 10 of which few entries are known, and peers in the same process."""

    params = ("als", "als_cg")
    param_names = ("method",)
    timeout = 900
    rank = 10

    def setup(self, method: str) -> None:
        n, nnz = (20_000, 3_000_000) if FULL else (1000, 60_000)
        self.x, self.factors = known(n, n, self.rank, nnz)
        sweeps(self.x, method, self.rank)

    def time_six_sweeps(self, method: str) -> None:
        sweeps(self.x, method, self.rank)

    def peakmem_six_sweeps(self, method: str) -> None:
        sweeps(self.x, method, self.rank)

    def track_milliseconds_of_a_sweep(self, method: str) -> float:
        return 1e3 * sweeps(self.x, method, self.rank)[1]

    def track_seconds_to_six_digits(self, method: str) -> float:
        """The whole call; NaN where entries that are not known miss more than a digit of those."""
        start = time.perf_counter()
        fit = td.complete(self.x, rank=self.rank, method=method, rng=0, callback=_six_digits)
        seconds = time.perf_counter() - start
        return seconds if self._error(fit.tensor.left, fit.tensor.right) < 1e-5 else math.nan

    def track_relative_error(self, method: str) -> float:
        tensor = sweeps(self.x, method, self.rank)[0].tensor
        return self._error(tensor.left, tensor.right)

    def _error(self, left: np.ndarray, right: np.ndarray) -> float:
        """Return the relative error at places that were drawn without regard to what is known."""
        rng, n = np.random.default_rng(1), self.x.shape[0]
        i, j = rng.integers(0, n, (2, 50_000))
        truth = np.einsum("pr,pr->p", self.factors[0][i], self.factors[1][j])
        found = np.einsum("pr,rp->p", left[i], right[:, j])
        return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))

    track_milliseconds_of_a_sweep.unit = "ms"
    track_seconds_to_six_digits.unit = "s"
    track_relative_error.unit = "|X - Z| / |X| after six sweeps"


def _six_digits(progress: Any) -> bool:
    return bool(progress.error < 1e-6)


class Peers:
    """How many times as long a sweep of a peer takes, on the same entries in the same process."""

    params = ("cmfrec", "lenskit")
    param_names = ("peer",)
    timeout = 900
    rank = 10

    def setup(self, peer: str) -> None:
        if find_spec(peer) is None:
            raise NotImplementedError(f"{peer} is not installed")
        n, nnz = (20_000, 3_000_000) if FULL else (1000, 60_000)
        x, _ = known(n, n, self.rank, nnz)
        # That of the peer.
        dtype, prepare = {
            "cmfrec": (np.float64, self._cmfrec),
            "lenskit": (np.float32, self._lenskit),
        }[peer]
        self.x = x._replace(values=x.values.astype(dtype))
        self.fit = prepare()

    def _cmfrec(self) -> Callable[[int], object]:
        import scipy.sparse
        from cmfrec import CMF

        x = scipy.sparse.coo_matrix((self.x.values, tuple(self.x.indices)), shape=self.x.shape)
        rules = {
            **{"k": self.rank, "lambda_": 1e-9, "method": "als", "use_cg": False},
            **{"user_bias": False, "item_bias": False, "center": False, "scale_lam": False},
            **{"nthreads": numba.get_num_threads(), "precompute_for_predictions": False},
            **{"random_state": 1, "verbose": False, "use_float": False},
        }
        return lambda count: CMF(niter=count, **rules).fit(x)

    def _lenskit(self) -> Callable[[int], object]:
        import pandas as pd
        from lenskit.als import BiasedMFScorer
        from lenskit.data import from_interactions_df

        users, items = self.x.indices
        table = {"user_id": users, "item_id": items, "rating": self.x.values}
        data = from_interactions_df(pd.DataFrame(table))
        rules = {"embedding_size": self.rank, "regularization": 1e-6, "damping": 0}
        return lambda count: BiasedMFScorer(epochs=count, **rules).train(data)

    def ours(self, count: int) -> td.Fit:
        return td.complete(self.x, rank=self.rank, init="random", max_iter=count, tol=-1, rng=0)

    def track_ratio(self, peer: str) -> float:
        for run in (self.fit, self.ours):
            run(1)
        ratios = [between(self.fit) / between(self.ours) for _ in range(3)]
        return statistics.median(ratios)

    track_ratio.unit = "times as long"


class Ranks:
    """How the time of a sweep grows with the rank, at the error of the exact method."""

    timeout = 900
    ranks = (8, 16, 32, 64) if FULL else (4, 8)

    def setup(self) -> None:
        n, nnz = (6000, 3_000_000) if FULL else (300, 20_000)
        self.problems = {rank: known(n, n, rank, nnz)[0] for rank in self.ranks}

    def _slope(self, method: str) -> float:
        spent = []
        for rank, x in self.problems.items():
            sweeps(x, method, rank)
            spent.append(sweeps(x, method, rank)[1])
        return float(np.polyfit(np.log(self.ranks), np.log(spent), 1)[0])

    def track_slope_als(self) -> float:
        return self._slope("als")

    def track_slope_als_cg(self) -> float:
        return self._slope("als_cg")

    def track_error_to_that_of_exact_sweeps(self) -> float:
        """The largest ratio over all ranks, after six sweeps."""
        return max(
            sweeps(x, "als_cg", rank)[0].error / sweeps(x, "als", rank)[0].error
            for rank, x in self.problems.items()
        )

    track_slope_als.unit = track_slope_als_cg.unit = "d log t / d log k"
    track_error_to_that_of_exact_sweeps.unit = "times the error"


class SmallPenalty:
    """How many sweeps it takes to stand still; without balanced factors 189 for 0.3, and 1424."""

    params = (0.3, 0.03) if FULL else (0.3,)
    param_names = ("regularization",)

    def setup(self, regularization: float) -> None:
        rng = np.random.default_rng(0)
        x = rng.standard_normal((120, 4)) @ rng.standard_normal((4, 90))
        x += 0.1 * rng.standard_normal(x.shape)
        self.x = np.where(rng.random(x.shape) < 0.3, x, np.nan)

    def track_sweeps(self, regularization: float) -> int:
        rules = {"rank": 4, "regularization": regularization, "tol": 1e-9, "max_iter": 3000}
        return td.complete(self.x, rng=0, **rules).n_iter

    track_sweeps.unit = "sweeps"


class Ratings:
    """Twenty million ratings in the shape of MovieLens-20M, with a few long rows."""

    params = ("als", "als_cg")
    param_names = ("method",)
    timeout = 1800
    rank = 32 if FULL else 8

    def setup(self, method: str) -> None:
        m, n, nnz = (138_493, 26_744, 20_000_000) if FULL else (1000, 300, 30_000)
        self.x = ratings(m, n, nnz)

    def _fit(self, method: str) -> tuple[td.Fit, float]:
        return sweeps(self.x, method, self.rank, regularization=10.0, init="random", max_iter=2)

    def peakmem_two_sweeps(self, method: str) -> None:
        self._fit(method)

    def track_seconds_of_a_sweep(self, method: str) -> float:
        return self._fit(method)[1]

    track_seconds_of_a_sweep.unit = "s"
