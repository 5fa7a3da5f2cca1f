"""Tensor trains: time, memory and error; how much longer TensorLy takes; values of functions."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

import tdecomp as td
from tdecomp import tt

from ._contenders import OURS, available_threads, clock_for, medians, pinned
from ._problems import FULL

SIZES = ((12, 4),)
if FULL:
    SIZES = ((100, 3), (24, 4), (2, 16), (300, 3), (64, 4), (8, 8))
SHAPES = {f"smooth {n}^{d}": (n,) * d for n, d in SIZES}
RANK = 10
FUNCTIONS = {
    "hilbert": lambda i: 1 / (1 + i.sum(axis=1)),
    "root": lambda i: np.sqrt(1.0 + (i**2).sum(axis=1)),
    "sine": lambda i: np.sin(0.3 * i.sum(axis=1)),
}


def smooth(name: str) -> np.ndarray:
    """Return the root of one plus a sum of squares on a grid, under noise of 1e-6."""
    shape = SHAPES[name]
    axes = np.ogrid[tuple(slice(n) for n in shape)]
    x = np.sqrt(1 + sum((axis / n) ** 2 for axis, n in zip(axes, shape, strict=True)))
    noise = np.random.default_rng(0).standard_normal(shape)
    return x + 1e-6 * noise


class Fixed:
    """A train of given rank."""

    params = tuple(SHAPES)
    param_names = ("tensor",)
    timeout = 300

    def setup(self, name: str) -> None:
        self.x = smooth(name)

    def _train(self) -> tt.TensorTrain:
        return tt.tt_svd(self.x, rank=min(RANK, self.x.shape[0] ** (self.x.ndim // 2)))

    def time_rank(self, name: str) -> None:
        self._train()

    def peakmem_rank(self, name: str) -> None:
        self._train()

    def track_relative_error(self, name: str) -> float:
        return float(td.relative_error(self.x, self._train()))

    track_relative_error.unit = "|X - TT| / |X|"


class Tolerance:
    """The ranks that an error needs."""

    params = (tuple(SHAPES), (1e-2, 1e-5, 1e-10) if FULL else (1e-5,))
    param_names = ("tensor", "rtol")
    timeout = 300

    def setup(self, name: str, rtol: float) -> None:
        self.x = smooth(name)

    def time_rtol(self, name: str, rtol: float) -> None:
        tt.tt_svd(self.x, rtol=rtol)

    def track_relative_error(self, name: str, rtol: float) -> float:
        return float(td.relative_error(self.x, tt.tt_svd(self.x, rtol=rtol)))

    track_relative_error.unit = "|X - TT| / |X|"


class Ratio:
    """The time of TensorLy's train of the same ranks over ours, taking turns, at equal error."""

    params = tuple(SHAPES)
    param_names = ("tensor",)
    timeout = 1800
    repeats = 3 if FULL else 1

    def setup(self, name: str) -> None:
        if find_spec("tensorly") is None:
            raise NotImplementedError("tensorly is not installed")
        self.x = smooth(name)
        self.rank = tt.tt_svd(self.x, rank=RANK if self.x.ndim < 12 else 8).rank

    def _ours(self) -> tt.TensorTrain:
        return tt.tt_svd(self.x, rank=self.rank)

    def _theirs(self) -> tt.TensorTrain:
        from tensorly.decomposition import tensor_train

        cores = tensor_train(self.x, [1, *self.rank, 1]).factors
        return tt.TensorTrain(tuple(np.asarray(core) for core in cores))

    def track_ratio(self, name: str) -> float:
        threads = available_threads()
        with pinned(threads, ("tensorly",)):
            ours, theirs = (
                float(td.relative_error(self.x, make())) for make in (self._ours, self._theirs)
            )
            if not ours <= 1.01 * theirs:
                raise AssertionError(f"error {ours:.3g} against {theirs:.3g} on {name}")
            runs = {OURS: self._ours, "tensorly": self._theirs}
            times = medians(runs, self.repeats, clock_for(threads))
        return times["tensorly"] / times[OURS]

    track_ratio.unit = "times as long"


class Cross:
    """A train of a function of ten variables."""

    params = (tuple(FUNCTIONS), (1e-4, 1e-8)) if FULL else (("root",), (1e-4,))
    param_names = ("function", "rtol")

    def _fit(self, name: str, rtol: float) -> tuple[td.Fit, int]:
        f = tt.Counted(FUNCTIONS[name])
        fit = tt.tt_cross(f, (20,) * (10 if FULL else 5), rtol=rtol, rng=0)
        return fit, f.evaluations

    def time_cross(self, name: str, rtol: float) -> None:
        self._fit(name, rtol)

    def track_evaluations(self, name: str, rtol: float) -> int:
        return self._fit(name, rtol)[1]

    def track_relative_error(self, name: str, rtol: float) -> float:
        fit = self._fit(name, rtol)[0]
        index = np.random.default_rng(1).integers(0, 20, size=(10_000, 10 if FULL else 5))
        values = FUNCTIONS[name](index)
        return float(
            np.linalg.norm(values - tt.evaluate(fit.tensor, index)) / np.linalg.norm(values)
        )

    track_evaluations.unit = "values"
    track_relative_error.unit = "|F - TT| / |F| at random points"


class Algebra:
    """Rounding of a sum, and entries at random points."""

    def setup(self) -> None:
        fit = tt.tt_cross(FUNCTIONS["root"], (30,) * 8, rtol=1e-10, rng=0)
        self.sum = tt.add(fit.tensor, fit.tensor, fit.tensor)
        self.index = np.random.default_rng(0).integers(0, 30, size=(100_000, 8))

    def time_round(self) -> None:
        tt.round(self.sum, rtol=1e-8)

    def time_norm(self) -> None:
        tt.norm(self.sum)

    def time_evaluate(self) -> None:
        tt.evaluate(self.sum, self.index)


class Ring:
    """Sweeps of least squares."""

    params = ("20^4", "60^3") if FULL else ("20^4",)
    param_names = ("shape",)

    def setup(self, shape: str) -> None:
        rng = np.random.default_rng(0)
        n, modes = map(int, shape.split("^"))
        cores = tuple(rng.standard_normal((3, n, 3)) for _ in range(modes))
        self.x = tt.TensorRing(cores).to_array()

    def time_ten_sweeps(self, shape: str) -> None:
        tt.tr_als(self.x, rank=3, init="random", rng=1, max_iter=10, tol=0)

    def track_relative_error(self, shape: str) -> float:
        return tt.tr_als(self.x, rank=3, rng=0, tol=1e-9).error

    track_relative_error.unit = "|X - TR| / |X|"
