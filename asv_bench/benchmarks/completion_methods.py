"""Completion by shrunk singular values, scaled gradients and geometry: time, memory and error.

Floors for a step over ``nnz`` entries at rank ``k``, in fused multiplications and additions:
``4 nnz k`` for scaled gradients and for the alternating form of soft-impute, one residual and one
product on each side; ``3 nnz k`` for soft-impute, one residual and two products; ``6 nnz k`` for
geometry, the entries of a direction of rank ``2 k`` besides. With 3 million entries of a matrix of
20000 x 20000 at rank 10 the first are 0.12 billion, 5 ms of one core that makes eight at once at
3 GHz; what takes longer is memory, 0.2 GB in lines of 64 bytes that entries pick in each pass.
"""

from __future__ import annotations

import math
import time
from importlib.util import find_spec
from typing import Any

import numpy as np

import tdecomp as td

from ._problems import FULL
from .completion import known, sweeps

# Steps of a peer that are too many.
_MOST = 256
# Of soft-impute, of which the penalty leaves some.
RANK = 30

METHODS = ("riemannian", "scaled_gd", "soft_impute", "soft_impute_als")


class Steps:
    """A matrix of rank 10 of which few entries are known."""

    params = METHODS
    param_names = ("method",)
    timeout = 900
    rank = 10

    def setup(self, method: str) -> None:
        n, nnz = (20_000, 3_000_000) if FULL else (1000, 60_000)
        self.x, _ = known(n, n, self.rank, nnz)
        sweeps(self.x, method, self.rank)

    def time_six_steps(self, method: str) -> None:
        sweeps(self.x, method, self.rank)

    def peakmem_six_steps(self, method: str) -> None:
        sweeps(self.x, method, self.rank)

    def track_milliseconds_of_a_step(self, method: str) -> float:
        return 1e3 * sweeps(self.x, method, self.rank)[1]

    track_milliseconds_of_a_step.unit = "ms"


class Condition:
    """Steps to ten digits: of scaled gradients they do not depend on the condition number."""

    params = (("riemannian", "scaled_gd"), (1, 5, 20) if FULL else (20,))
    param_names = ("method", "condition")
    timeout = 300

    def setup(self, method: str, condition: int) -> None:
        n, rank = (400, 5) if FULL else (150, 3)
        rng = np.random.default_rng(0)
        left, right = (
            np.linalg.svd(np.sign(rng.standard_normal((n, rank))), full_matrices=False)[0]
            for _ in range(2)
        )
        self.truth = (left * np.linspace(1, 1 / condition, rank)) @ right.T
        self.x = np.where(rng.random((n, n)) < 0.3, self.truth, np.nan)
        self.rank = rank

    def _fit(self, method: str) -> td.Fit:
        def near(progress: Any) -> bool:
            missed = np.linalg.norm(progress.tensor.to_array() - self.truth)
            return bool(missed <= 1e-10 * np.linalg.norm(self.truth))

        rules = {"max_iter": 500, "tol": -1, "rng": 0, "callback": near}
        return td.complete(self.x, rank=self.rank, method=method, **rules)

    def track_steps(self, method: str, condition: int) -> int:
        return self._fit(method).n_iter

    def track_relative_error(self, method: str, condition: int) -> float:
        return float(td.relative_error(self.truth, self._fit(method).tensor))

    track_steps.unit = "steps"
    track_relative_error.unit = "|X - Z| / |X|"


class Few:
    """Twice as many entries as freedoms, condition 1000: what a start of rising rank is for."""

    params = ("als", "als_cg", "riemannian")
    param_names = ("method",)
    timeout = 300

    def setup(self, method: str) -> None:
        m, n, self.rank = (600, 500, 10) if FULL else (200, 150, 5)
        rng = np.random.default_rng(0)
        left, right = (np.linalg.qr(rng.standard_normal((size, self.rank)))[0] for size in (m, n))
        self.truth = (left * np.geomspace(1, 1e-3, self.rank)) @ right.T
        known = np.zeros(m * n, bool)
        known[rng.choice(m * n, 2 * self.rank * (m + n - self.rank), replace=False)] = True
        self.x = np.where(known.reshape(m, n), self.truth, np.nan)
        self._fit(method)

    def _fit(self, method: str) -> td.Fit:
        rules = {"max_iter": 500, "tol": 1e-10, "rng": 0, "init": "rising"}
        return td.complete(self.x, rank=self.rank, method=method, **rules)

    def time_to_all_digits(self, method: str) -> None:
        self._fit(method)

    def track_relative_error(self, method: str) -> float:
        return float(td.relative_error(self.truth, self._fit(method).tensor))

    track_relative_error.unit = "|X - Z| / |X|"


class Impute:
    """Noisy entries with a penalty: the same objective, to a millionth, by us and by a peer."""

    params = ("soft_impute", "soft_impute_als")
    param_names = ("method",)
    timeout = 900

    def setup(self, method: str) -> None:
        n, self.penalty = (1000, 40.0) if FULL else (120, 12.0)
        rng = np.random.default_rng(0)
        x = rng.standard_normal((n, 10)) @ rng.standard_normal((10, n))
        x += 0.5 * rng.standard_normal((n, n))
        self.x = np.where(rng.random((n, n)) < 0.3, x, np.nan)
        least = td.complete(
            self.x, rank=RANK, method="als", regularization=self.penalty, tol=1e-12, rng=0
        )
        self.target = (1 + 1e-6) * self._objective(least.tensor.to_array())

    def _objective(self, z: np.ndarray) -> float:
        values = np.linalg.svd(z, compute_uv=False)
        return float(np.nansum((self.x - z) ** 2) + 2 * self.penalty * np.sum(values))

    def _ours(self, method: str, tol: float) -> td.Fit:
        rules = {"regularization": self.penalty, "max_iter": 500, "rng": 0}
        return td.complete(self.x, rank=RANK, method=method, tol=tol, **rules)

    def ours(self, method: str) -> tuple[float, int]:
        """Return the least time to the target, over tolerances, and the steps that took it."""
        self._ours(method, 1e-3)
        for tol in (1e-5, 1e-6, 1e-7, 1e-8, 1e-9):
            start = time.perf_counter()
            fit = self._ours(method, tol)
            seconds = time.perf_counter() - start
            if self._objective(fit.tensor.to_array()) <= self.target:
                return seconds, fit.n_iter
        return math.nan, 0

    def track_seconds(self, method: str) -> float:
        return self.ours(method)[0]

    def track_ratio_to_fancyimpute(self, method: str) -> float:
        """As it is called: with all singular values of a dense matrix in each step."""
        return self.theirs(None) / self.track_seconds(method)

    def track_ratio_to_fancyimpute_of_rank_30(self, method: str) -> float:
        """With the leading ones, by a randomized method."""
        return self.theirs(RANK) / self.track_seconds(method)

    def theirs(self, rank: int | None) -> float:
        """Return the time of a peer for as few steps as reach the target."""
        if find_spec("fancyimpute") is None:
            return math.nan
        from fancyimpute import SoftImpute, soft_impute, solver

        # An argument of scikit-learn has another name now.
        check = solver.check_array

        def renamed(x: np.ndarray, *, force_all_finite: bool = True, **rest: Any) -> np.ndarray:
            return check(x, ensure_all_finite=force_all_finite, **rest)

        solver.check_array = soft_impute.check_array = renamed
        try:
            few, enough, spent = 0, 16, math.nan
            while enough - few > 1:
                count = enough if math.isnan(spent) else (few + enough) // 2
                rules = {"max_iters": count, "max_rank": rank, "convergence_threshold": 0}
                start = time.perf_counter()
                filled = SoftImpute(self.penalty, verbose=False, **rules).fit_transform(self.x)
                seconds = time.perf_counter() - start
                u, s, vh = np.linalg.svd(filled, full_matrices=False)
                z = (u * np.maximum(s - self.penalty, 0)) @ vh
                if self._objective(z) <= self.target:
                    enough, spent = count, seconds
                elif count == _MOST:
                    return math.nan
                else:
                    few, enough = count, enough if count < enough else 2 * count
            return spent
        finally:
            solver.check_array = soft_impute.check_array = check

    track_seconds.unit = "s"
    track_ratio_to_fancyimpute.unit = "times as long"
    track_ratio_to_fancyimpute_of_rank_30.unit = "times as long"
