"""Truncated SVDs of this library and of its peers, each at its cheapest sufficient setting."""

from __future__ import annotations

import math
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple

import numba
import numpy as np
from threadpoolctl import threadpool_limits

from ._problems import RANK, Problem

OURS = "tdecomp"
WIDTHS = (RANK + 10, 2 * RANK)
_POWERS = range(17)
_TOLERANCES = (1e-1, 1e-2, 1e-4, 1e-6, 1e-8, 0.0)
# Idle threads of OpenBLAS and of OpenMP spin for a while and would slow down whoever comes next.
_PAUSE = 0.05
# A ladder is left when one of its steps, not yet accurate, takes this many times as long as the
# best setting found on another.
_HOPELESS = 1.5

Triplets = tuple[np.ndarray, np.ndarray, np.ndarray]
Clock = Callable[[], float]


class Contender(NamedTuple):
    """A way to compute the leading `RANK` singular triplets of an array.

    `ladders` are values of `options` in order of cost: within each, the first that is accurate
    enough is taken, and of those the fastest.
    """

    package: str
    solve: Callable[..., Triplets]
    options: tuple[str, ...]
    ladders: tuple[tuple[tuple[Any, ...], ...], ...]

    @property
    def installed(self) -> bool:
        """Whether its package is there."""
        return find_spec(self.package) is not None


class Choice(NamedTuple):
    """A setting that reaches the target, in words, and the call that uses it."""

    setting: str
    run: Callable[[], Triplets]


def _tdecomp(a: np.ndarray, tol: float) -> Triplets:
    import tdecomp as td

    return td.randomized_svd(a, rank=RANK, tol=tol, rng=0).tensor


def _torch(a: np.ndarray, width: int, power: int) -> Triplets:
    import torch

    torch.manual_seed(0)
    u, s, v = torch.svd_lowrank(torch.from_numpy(a), q=width, niter=power)
    return u[:, :RANK].numpy(), s[:RANK].numpy(), v[:, :RANK].numpy().T


def _sklearn(a: np.ndarray, width: int, power: int) -> Triplets:
    from sklearn.utils.extmath import randomized_svd

    return randomized_svd(a, RANK, n_oversamples=width - RANK, n_iter=power, random_state=0)


def _fbpca(a: np.ndarray, width: int, power: int) -> Triplets:
    import fbpca

    return fbpca.pca(a, RANK, raw=True, n_iter=power, l=width)


def _arpack(a: np.ndarray, tol: float) -> Triplets:
    return _svds(a, "arpack", tol)


def _propack(a: np.ndarray, tol: float) -> Triplets:
    return _svds(a, "propack", tol)


def _svds(a: np.ndarray, solver: str, tol: float) -> Triplets:
    from scipy.sparse.linalg import svds

    u, s, vh = svds(a, k=RANK, solver=solver, tol=tol, rng=0)
    order = np.argsort(-s)
    return u[:, order], s[order], vh[order]


def contenders(target: float, widths: tuple[int, ...] = WIDTHS) -> dict[str, Contender]:
    """Return everyone by name, this library first; peers may choose among block `widths`."""
    powers = tuple(tuple((width, power) for power in _POWERS) for width in widths)
    tolerances = (tuple((tol,) for tol in _TOLERANCES),)
    ours = (tuple((target * factor,) for factor in (1.0, 0.1, 0.01)),)
    return {
        OURS: Contender("tdecomp", _tdecomp, ("tol",), ours),
        "torch.svd_lowrank": Contender("torch", _torch, ("q", "niter"), powers),
        "sklearn randomized_svd": Contender("sklearn", _sklearn, ("width", "n_iter"), powers),
        "fbpca.pca": Contender("fbpca", _fbpca, ("l", "n_iter"), powers),
        "svds arpack": Contender("scipy", _arpack, ("tol",), tolerances),
        "svds propack": Contender("scipy", _propack, ("tol",), tolerances),
    }


PEERS = tuple(name for name in contenders(0.0) if name != OURS)


def calibrate(
    problem: Problem, a: np.ndarray, contender: Contender, clock: Clock
) -> Choice | None:
    """Return the fastest setting that reaches the target of `problem`, or None."""
    found: list[Choice] = []
    best = math.inf
    for ladder in contender.ladders:
        for setting in ladder:
            run = partial(contender.solve, a, *setting)
            start = clock()
            usv = _attempt(run)
            seconds = clock() - start
            if usv is not None and problem.excess(a, usv) <= problem.target:
                words = zip(contender.options, setting, strict=True)
                found.append(Choice(" ".join(f"{name}={value:g}" for name, value in words), run))
                best = min(best, seconds)
                break
            if seconds > _HOPELESS * best:
                break
    if len(found) < 2:
        return found[0] if found else None
    times = medians({choice.setting: choice.run for choice in found}, 3, clock)
    return min(found, key=lambda choice: times[choice.setting])


def medians(
    runs: dict[str, Callable[[], Any]], repeats: int, clock: Clock = time.perf_counter
) -> dict[str, float]:
    """Return the median time of each run; they take turns, so that all share the weather.

    Every turn begins with a run that is not timed: memory that another contender gave back may
    cost several times as much to get again as it costs to use.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            time.sleep(_PAUSE)
            run()
            start = clock()
            run()
            seconds[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def clock_for(threads: int) -> Clock:
    """Return the clock that tells most: with one thread CPU time, which a busy machine spares."""
    return time.process_time if threads == 1 else time.perf_counter


def available_threads() -> int:
    """Return how many threads the environment allows."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return int(os.environ.get("OMP_NUM_THREADS", cores or 1))


@contextmanager
def pinned(threads: int, packages: tuple[str, ...]) -> Iterator[None]:
    """Give every thread pool of `packages`, those of PyTorch and numba too, as many threads."""
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    if "torch" in packages:
        import torch

        torch.set_num_threads(threads)
    if "sklearn" in packages:
        import sklearn.utils.extmath  # noqa: F401
    if set(packages) & {"scipy", "sklearn", "fbpca"}:
        import scipy.sparse.linalg  # noqa: F401
    with threadpool_limits(threads):
        yield


def _attempt(run: Callable[[], Triplets]) -> Triplets | None:
    """Return what `run` computes, or None where it gives up."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return run()
    except (ArithmeticError, RuntimeError, ValueError, np.linalg.LinAlgError):
        return None
