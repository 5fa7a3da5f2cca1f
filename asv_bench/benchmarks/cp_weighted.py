"""CP of data with holes, of nonnegative data, and from samples: time, memory and error."""

from __future__ import annotations

import time
import warnings
from importlib.util import find_spec

import numpy as np

import tdecomp as td
from tdecomp.ops import COO, coo

from ._problems import FULL

SWEEPS = 5


def exact(n: int, rank: int, seed: int = 0) -> tuple[np.ndarray, np.random.Generator]:
    """A tensor of exact rank with Gaussian factors."""
    rng = np.random.default_rng(seed)
    factors = tuple(rng.standard_normal((n, rank)) for _ in range(3))
    return td.cp.CP(np.ones(rank), factors).to_array(), rng


def power_law(shape: tuple[int, ...], nnz: int, rank: int) -> COO:
    """Counts of a few components whose rows are as uneven as words in texts."""
    rng = np.random.default_rng(0)
    rows = [np.minimum(n - 1, (n * rng.random(nnz) ** 4)).astype(np.int64) for n in shape]
    component = rng.integers(0, rank, nnz)
    places = [(row + component * (n // rank)) % n for row, n in zip(rows, shape, strict=True)]
    return coo(np.stack(places), np.ones(nnz), shape)


class Completion:
    """Recover a 25^3 tensor of rank 3 from 30 or 10 % of its entries."""

    params = (0.7, 0.9) if FULL else (0.7,)
    param_names = ("missing",)
    timeout = 300

    def setup(self, missing: float) -> None:
        self.x, rng = exact(25, 3)
        self.seen = rng.random(self.x.shape) >= missing
        self.holes = np.where(self.seen, self.x, np.nan)
        self.starts, self.most = (16, 2000) if FULL and missing > 0.8 else (1, 200)
        self._fit()

    def _fit(self) -> td.Fit:
        return td.cp.cp_als(self.holes, rank=3, weights=self.seen, n_starts=self.starts, rng=1)

    def _error(self, model: np.ndarray) -> float:
        return float(np.linalg.norm(model - self.x) / np.linalg.norm(self.x))

    def time_cp_als(self, missing: float) -> None:
        self._fit()

    def peakmem_cp_als(self, missing: float) -> None:
        self._fit()

    def track_relative_error(self, missing: float) -> float:
        return self._error(self._fit().tensor.to_array())

    def _tensorly(self) -> np.ndarray:
        from tensorly.cp_tensor import cp_to_tensor
        from tensorly.decomposition import parafac

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            known = np.where(self.seen, self.x, 0.0)
            fit = parafac(
                known,
                3,
                n_iter_max=self.most,
                tol=1e-12,
                init="random",
                mask=self.seen,
                random_state=1,
            )
        return np.asarray(cp_to_tensor(fit))

    def track_ratio_tensorly(self, missing: float) -> float:
        if find_spec("tensorly") is None:
            raise NotImplementedError("tensorly is not installed")
        return elapsed(self._tensorly) / elapsed(self._fit)

    def track_relative_error_tensorly(self, missing: float) -> float:
        if find_spec("tensorly") is None:
            raise NotImplementedError("tensorly is not installed")
        return self._error(self._tensorly())

    track_relative_error.unit = track_relative_error_tensorly.unit = "|X - M| / |X|"
    track_ratio_tensorly.unit = "times as long (tensorly: one start)"


class Entries:
    """Sweeps over the observed entries of a large tensor."""

    params = ((10, 16) if FULL else (10,),)
    param_names = ("rank",)
    timeout = 600

    def setup(self, rank: int) -> None:
        nnz, shape = (3_000_000, (10000, 10000, 1000)) if FULL else (30_000, (500, 500, 50))
        rng = np.random.default_rng(0)
        places = np.stack([rng.integers(0, n, nnz) for n in shape])
        self.x = coo(places, rng.standard_normal(nnz), shape)
        self.weights = self.x._replace(values=np.ones(self.x.nnz))
        self._sweeps(rank)

    def _sweeps(self, rank: int) -> td.Fit:
        return td.cp.cp_als(self.x, rank=rank, weights=self.weights, tol=0, max_iter=SWEEPS, rng=0)

    def time_five_sweeps(self, rank: int) -> None:
        self._sweeps(rank)

    def peakmem_five_sweeps(self, rank: int) -> None:
        self._sweeps(rank)

    def track_relative_error(self, rank: int) -> float:
        return self._sweeps(rank).error

    track_relative_error.unit = "|X - M| / |X| over observed entries"


class Sampled:
    """Sweeps on samples against exact sweeps, to what each can reach."""

    params = ("dense", "sparse")
    param_names = ("data",)
    timeout = 900

    def setup(self, data: str) -> None:
        self.rank = 10
        if data == "dense":
            x, rng = exact(500 if FULL else 60, self.rank)
            noise = rng.standard_normal(x.shape)
            noise *= 0.1 * np.linalg.norm(x) / np.linalg.norm(noise)
            x += noise
            self.x = x
        else:
            nnz, shape = (5_000_000, (20000,) * 3) if FULL else (30_000, (300,) * 3)
            self.x = power_law(shape, nnz, self.rank)
        self._sampled()
        self._exact()

    def _sampled(self) -> td.Fit:
        return td.cp.cp_arls(self.x, rank=self.rank, rng=0)

    def _exact(self) -> td.Fit:
        return td.cp.cp_als(self.x, rank=self.rank, rng=0, tol=1e-4)

    def time_cp_arls(self, data: str) -> None:
        self._sampled()

    def peakmem_cp_arls(self, data: str) -> None:
        self._sampled()

    def track_relative_error(self, data: str) -> float:
        return self._sampled().error

    def track_relative_error_exact(self, data: str) -> float:
        return self._exact().error

    def track_ratio_exact(self, data: str) -> float:
        return elapsed(self._exact) / elapsed(self._sampled)

    track_relative_error.unit = track_relative_error_exact.unit = "|X - M| / |X|"
    track_ratio_exact.unit = "times as long (cp_als to tol=1e-4)"


class Nonnegative:
    """Nonnegative factors to convergence, against tensorly's HALS."""

    timeout = 300

    def setup(self) -> None:
        rng = np.random.default_rng(0)
        n = 100 if FULL else 40
        factors = tuple(rng.random((n, 6)) for _ in range(3))
        self.x = td.cp.CP(np.ones(6), factors).to_array() + 0.01 * rng.random((n,) * 3)
        self._fit()

    def _fit(self) -> td.Fit:
        return td.cp.cp_als(self.x, rank=6, nonnegative=True, rng=0)

    def time_cp_als(self) -> None:
        self._fit()

    def track_relative_error(self) -> float:
        return self._fit().error

    def _tensorly(self) -> object:
        from tensorly.decomposition import non_negative_parafac_hals

        return non_negative_parafac_hals(
            self.x, 6, n_iter_max=500, init="random", tol=1e-8, random_state=0
        )

    def track_relative_error_tensorly(self) -> float:
        if find_spec("tensorly") is None:
            raise NotImplementedError("tensorly is not installed")
        from tensorly.cp_tensor import cp_to_tensor

        model = np.asarray(cp_to_tensor(self._tensorly()))
        return float(np.linalg.norm(model - self.x) / np.linalg.norm(self.x))

    def track_ratio_tensorly(self) -> float:
        if find_spec("tensorly") is None:
            raise NotImplementedError("tensorly is not installed")
        return elapsed(self._tensorly) / elapsed(self._fit)

    track_relative_error.unit = track_relative_error_tensorly.unit = "|X - M| / |X|"
    track_ratio_tensorly.unit = "times as long"


def elapsed(run: object, repeats: int = 3 if FULL else 1) -> float:
    """Return the least wall time of a few runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()  # type: ignore[operator]
        times.append(time.perf_counter() - start)
    return min(times)
