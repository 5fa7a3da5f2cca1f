"""The one iteration loop of the library: when to stop, what to report, how to interrupt."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from tdecomp._errors import check_callback

T = TypeVar("T")

_PATIENCE = 10


class Status(IntEnum):
    """Why an iteration stopped; `message` says it in words."""

    message: str

    def __new__(cls, value: int, message: str) -> Status:
        member = int.__new__(cls, value)
        member._value_ = value
        member.message = message
        return member

    CONVERGED = 0, "the stopping criterion was met"
    MAX_ITER = 1, "the iteration limit came first; raise max_iter= or tol="
    STAGNATED = 2, "the error stopped falling before the criterion was met"
    NONFINITE = 3, "an iterate overflowed; the last finite one is returned"
    INTERRUPTED = 4, "the callback asked to stop"
    DEGENERATE = (
        5,
        "components grow and cancel one another, or grow where nothing is observed: no best "
        "approximation of this rank may exist; pass ridge= or a smaller rank, or try other starts",
    )
    SWAMP = (
        6,
        "the error creeps between collinear components; raise max_iter=, try method= or other "
        "starts",
    )


class Fit(NamedTuple, Generic[T]):
    """What an iterative algorithm returns.

    Attributes
    ----------
    tensor : format
        The approximation.
    error : float
        Its relative error, true to rounding.
    n_iter : int
        How many iterations were made.
    status : Status
        Why they stopped.
    """

    tensor: T
    error: float
    n_iter: int
    status: Status


class Step(NamedTuple, Generic[T]):
    """What one iteration hands back to the loop.

    `change` is compared with the tolerance; None stands for the relative change of the `merit`,
    which is what the steps lower, None where that is the error. A `verdict` stops the loop at
    once, with that status.
    """

    state: T
    error: float
    change: float | None = None
    verdict: Status | None = None
    merit: float | None = None


class Progress(NamedTuple):
    """What a callback sees after each iteration.

    Attributes
    ----------
    iteration : int
        The iteration just made, from 1.
    error : float
        The relative error it reached.
    elapsed : float
        Seconds since the start.
    tensor : format or None
        The iterate itself, never overwritten later, so that a callback that keeps it has the
        latest result even after an interrupt; None where no iterate is formed on the way.
    """

    iteration: int
    error: float
    elapsed: float
    tensor: Any = None


Callback = Callable[[Progress], object]


def iterate(
    step: Callable[[T], Step[T]],
    state: T,
    *,
    max_iter: int,
    tol: float,
    callback: Callback | None = None,
    show: Callable[[T], Any] | None = None,
) -> Fit[Any]:
    """Apply `step` until its change is at most `tol`, and say why it stopped.

    Parameters
    ----------
    step : callable
        Maps a state to the next `Step`. It must not overwrite the state that it is given.
    state : object
        Where to start.
    max_iter : int
        The largest number of steps.
    tol : float
        Stop when the change of a step is at most this. Below zero nothing but `max_iter`, the
        callback or overflow stops.
    callback : callable, optional
        Called with a `Progress` after each step; returning True stops the iteration.
    show : callable, optional
        Maps a state to the format it stands for, which the callback and the result then get. It
        must be cheap. Without it the callback sees no iterate, and the result holds the state.

    Returns
    -------
    Fit
        The last finite state with its error, the number of steps, and the status.
    """

    def finish(iteration: int, status: Status) -> Fit[Any]:
        return Fit(show(state) if show else state, error, iteration, status)

    _check_rules(tol, callback)
    start = time.monotonic()
    best, error, merit, idle = math.inf, math.inf, math.inf, 0
    for iteration in range(1, max_iter + 1):
        following = step(state)
        if not math.isfinite(following.error):
            return finish(iteration, Status.NONFINITE)
        before, state, error = merit, following.state, following.error
        merit = error if following.merit is None else following.merit
        change = following.change
        if change is None:
            change = abs(before - merit) / max(merit, math.ulp(1.0))
        stop = False
        if callback is not None:
            shown = show(state) if show else None
            progress = Progress(iteration, error, time.monotonic() - start, shown)
            stop = is_true(callback(progress))
        if following.verdict is not None:
            return finish(iteration, following.verdict)
        if change <= tol:
            return finish(iteration, Status.CONVERGED)
        if stop:
            return finish(iteration, Status.INTERRUPTED)
        idle = 0 if merit < best else idle + 1
        best = min(best, merit)
        if idle >= _PATIENCE and tol >= 0:
            return finish(iteration, Status.STAGNATED)
    return finish(max_iter, Status.MAX_ITER)


def _check_rules(tol: float, callback: Callback | None) -> None:
    """Refuse what could not stop an iteration."""
    check_callback(callback)
    if math.isnan(tol):
        raise ValueError("tol must be a number, got nan: no change would ever be small enough")


def is_true(answer: object) -> bool:
    """Tell the answer True, Python's or NumPy's, from everything else that counts as true."""
    return isinstance(answer, bool | np.bool_) and bool(answer)
