"""Steps until nothing lowers the objective, not even a column in place of a small one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tdecomp._iterate import Callback, Fit, Progress, Status, iterate
from tdecomp.completion._dense._factors import Pair
from tdecomp.completion._dense._race import Solver
from tdecomp.linalg import LowRank


def search(
    solver: Solver,
    state: Any,
    escape: Callable[[Pair], Pair | None],
    *,
    max_iter: int,
    tol: float,
    callback: Callback | None,
    show: Callable[[Pair], LowRank],
) -> Fit[Pair]:
    """Iterate from a state, and again from where `escape` leads, which returns None at the end."""
    begin, made = time.monotonic(), 0

    def watched(progress: Progress) -> object:
        if callback is None:
            return None
        elapsed, shown = time.monotonic() - begin, show(progress.tensor)
        return callback(Progress(made + progress.iteration, progress.error, elapsed, shown))

    while True:
        fit = iterate(
            solver.step,
            state,
            max_iter=max_iter - made,
            tol=tol,
            callback=watched,
            show=lambda state: state.pair,
        )
        made += fit.n_iter
        ended = fit.status is not Status.CONVERGED or made >= max_iter
        other = None if ended else escape(fit.tensor)
        if other is None:
            return fit._replace(n_iter=made)
        state = solver.begun(other)
