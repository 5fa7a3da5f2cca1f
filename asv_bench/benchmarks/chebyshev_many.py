"""Functions of many variables: how many values they take, beside cross approximation by others.

The others get the numbers of Chebyshev points that errors of 1e-9 need in each variable, and the
best of several settings. They are counted twice: up to the first sweep after which the error is
small enough, values that come again left out, which no user is told; and up to where they stop of
themselves, with what they ask for: teneva, with its cache, when a sweep changes no more than 1e-8,
tntorch when it meets 1000 values of its own to 1e-8.

``python -m benchmarks.chebyshev_many 4 5 6`` prints a table, ``... 8 borehole`` a line of it.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from tdecomp.chebyshev import ChebyshevTucker, chebyshev_tucker, evaluate

from ._many_variables import Function, Judge, Table, problems
from ._problems import FULL

TARGET = 1e-8
# What a grid may cost, and where a search ends.
_GRID, _MOST = 1e-9, 3_000_000
# By how much less is asked for where the error is too large.
FINER = (1, 3, 10)
PROBLEMS = problems((4, 5, 6, 10) if FULL else (4,))
NAMES = tuple(PROBLEMS) if FULL else ("griewank 4",)


class Counts(NamedTuple):
    """Values up to an error that is small enough: if told so, and if not."""

    told: int | None
    own: int | None


def ours(problem: Function, rtol: float = TARGET) -> tuple[int, float, ChebyshevTucker]:
    """Return how many values were asked for, the error, and the function."""
    counted = 0

    def counting(*x: np.ndarray) -> Any:
        nonlocal counted
        counted += x[0].size
        return problem.f(*x)

    fit = chebyshev_tucker(counting, problem.box, rtol=rtol)
    judge = Judge(problem)
    return counted, judge.error(evaluate(fit.tensor, judge.x)), fit.tensor


def sizes_of(problem: Function) -> list[int]:
    """Return how many points each variable needs, from a function that is known more exactly."""
    _, _, f = ours(problem, 1e-10)
    judge = Judge(problem)
    exact = evaluate(f, judge.x)

    def enough(k: int, n: int) -> bool:
        kept = np.arange(f.factors[k].shape[0])[:, None] < n
        factors = (*f.factors[:k], np.where(kept, f.factors[k], 0), *f.factors[k + 1 :])
        cut = evaluate(f._replace(factors=factors), judge.x)
        return bool(np.max(np.abs(cut - exact)) <= _GRID * judge.top)

    found = []
    for k, most in enumerate(f.shape):
        low, high = 2, max(most, 2)
        while low < high:
            n = (low + high) // 2
            low, high = (low, n) if enough(k, n) else (n + 1, high)
        found.append(high)
    return found


def best(problem: Function, sizes: list[int], run: Any, settings: list[tuple[int, ...]]) -> Counts:
    """Return the least counts of several settings, of which none goes on for longer."""
    told, own = _MOST, _MOST
    for setting in settings:
        found = run(problem, sizes, own, *setting)
        told, own = min(told, found.told or _MOST), min(own, found.own or _MOST)
    return Counts(told if told < _MOST else None, own if own < _MOST else None)


def teneva_counts(problem: Function, sizes: list[int]) -> Counts:
    """Return the counts of teneva's cross approximation, the best of nine settings."""
    settings = [(step, rank) for step in (1, 2, 3) for rank in (1, 2, 4)]
    return best(problem, sizes, _teneva, settings)


def _teneva(problem: Function, sizes: list[int], most: int, step: int, rank: int) -> Counts:
    import teneva

    table, judge = Table(problem, sizes), Judge(problem, sizes)
    told, own = None, None

    def after_sweep(cores: list[np.ndarray], info: dict[str, Any], _: Any) -> bool:
        nonlocal told, own
        good = judge.error_of_train(cores) <= TARGET
        if good and told is None:
            told = len(table.known)
        if good and 0 <= info["e"] <= TARGET:
            own = len(table.known)
        return own is not None or len(table.known) > most

    start = teneva.rand(sizes, rank, seed=1)
    with contextlib.suppress(np.linalg.LinAlgError, ValueError):
        teneva.cross(
            *(table, start), nswp=40, dr_max=step, cb=after_sweep, cache={}, m_cache_scale=1e9
        )
    return Counts(told, own)


def tntorch_counts(problem: Function, sizes: list[int]) -> Counts:
    """Return the counts of tntorch's cross approximation, the best of four settings."""
    return best(problem, sizes, _tntorch, [(3,), (2,), (4,), (1,)])


class _GoodError(Exception):
    """What ends a search."""


@contextlib.contextmanager
def _seen(after_sweep: Any) -> Iterator[None]:
    """Let trains be seen as they come."""
    import tntorch

    real = tntorch.Tensor

    def tensor(cores: Any, *rest: Any, **options: Any) -> Any:
        if isinstance(cores, list):
            after_sweep(cores)
        return real(cores, *rest, **options)

    module = sys.modules["tntorch.cross"]
    proxy = mock.Mock(wraps=tntorch)
    proxy.Tensor = tensor
    with mock.patch.object(module, "tn", proxy):
        yield


def _tntorch(problem: Function, sizes: list[int], most: int, kick: int) -> Counts:
    import tntorch
    import torch

    table, judge = Table(problem, sizes), Judge(problem, sizes)
    validated = 1000
    np.random.seed(1)  # noqa: NPY002 - what tntorch draws from
    torch.manual_seed(1)
    started = False
    counts = Counts(None, None)

    def f(x: Any) -> Any:
        nonlocal started
        index = np.rint(x.numpy()).astype(int)
        if not started:
            # Its values to compare with are no part of what it needs.
            started = True
            return torch.ones(len(index), dtype=torch.float64)
        return torch.as_tensor(table(index))

    def after_sweep(cores: list[Any]) -> None:
        nonlocal counts
        if not started or len(cores) != len(sizes):
            return
        if judge.error_of_train([np.asarray(core) for core in cores]) <= TARGET:
            counts = Counts(len(table.known), table.asked + validated)
            raise _GoodError
        if table.asked > most:
            raise _GoodError

    grid = [torch.arange(n, dtype=torch.float64) for n in sizes]
    options = {"kickrank": kick, "eps": 0.0, "max_iter": 80, "val_size": 2, "verbose": False}
    with _seen(after_sweep), contextlib.redirect_stdout(io.StringIO()):
        with contextlib.suppress(_GoodError, RuntimeError):
            tntorch.cross(*(f, grid), function_arg="matrix", suppress_warnings=True, **options)
    return counts


class Evaluations:
    """Values that errors of 1e-8 take."""

    params = NAMES
    param_names = ("function",)
    timeout = 600

    def setup(self, name: str) -> None:
        self.problem = PROBLEMS[name]

    def time_ours(self, name: str) -> None:
        chebyshev_tucker(self.problem.f, self.problem.box, rtol=TARGET)

    def track_evaluations(self, name: str) -> int:
        return ours(self.problem)[0]

    track_evaluations.unit = "values"

    def track_error(self, name: str) -> float:
        return ours(self.problem)[1]

    track_error.unit = "max |f - g| / max |f|"


class EvaluationsOfOthers:
    """Values that others ask for until they stop of themselves."""

    params = (NAMES, ("teneva", "tntorch"))
    param_names = ("function", "peer")
    timeout = 600

    def setup(self, name: str, peer: str) -> None:
        if find_spec(peer) is None:
            raise NotImplementedError(f"{peer} is not installed")

    def track_evaluations(self, name: str, peer: str) -> int:
        problem = PROBLEMS[name]
        counts = {"teneva": teneva_counts, "tntorch": tntorch_counts}[peer]
        return counts(problem, sizes_of(problem)).own or _MOST

    track_evaluations.unit = "values"


def main(dimensions: list[int], names: list[str]) -> None:
    """Print a table: ours, and those of others where they stop, and if they were told when."""
    for name, problem in problems(dimensions, names).items():
        runs = [ours(problem)]
        while runs[-1][1] > TARGET and len(runs) < len(FINER):
            runs.append(ours(problem, TARGET / FINER[len(runs)]))
        count, error, f = runs[-1]
        sizes = sizes_of(problem)
        others = [counts(problem, sizes) for counts in (teneva_counts, tntorch_counts)]
        cells = [f"{c.own or '-'} ({c.told or '-'})" for c in others]
        print(f"| {name} | {max(f.rank)} | {count} | {error:.0e} | " + " | ".join(cells) + " |")
        sys.stdout.flush()


if __name__ == "__main__":
    main(
        [int(word) for word in sys.argv[1:] if word.isdigit()],
        [word for word in sys.argv[1:] if not word.isdigit()],
    )
