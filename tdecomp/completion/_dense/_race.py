"""Several starts, of which only the best goes all the way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

from tdecomp._iterate import Step
from tdecomp.completion._dense._factors import Pair

# Steps of the first round; every round is twice as long.
_ROUND = 8


class Solver(Protocol):
    """A method: its first state at a pair of factors, and its step."""

    def begun(self, pair: Pair) -> Any:
        """Return the state to start from."""

    def step(self, state: Any) -> Step[Any]:
        """Return the next state and what it reached."""


def race(solver: Solver, starts: Sequence[Pair], max_iter: int) -> tuple[Any, int]:
    """Let starts run in rounds of doubling length, the better half of them in each next one.

    Returns the state of the winner and the number of its steps.
    """
    runners = [(math.inf, solver.begun(pair)) for pair in starts]
    made, length = 0, _ROUND
    while len(runners) > 1:
        length = min(length, max(1, max_iter - made))
        runners = sorted((_advanced(solver, state, length) for _, state in runners), key=_merit)
        made, length = made + length, 2 * length
        runners = runners[: 1 if made >= max_iter else (len(runners) + 1) // 2]
    return runners[0][1], made


def _merit(runner: tuple[float, Any]) -> float:
    return runner[0]


def _advanced(solver: Solver, state: Any, steps: int) -> tuple[float, Any]:
    """Make a number of steps, or fewer where the fit is exact or overflows."""
    merit = math.inf
    for _ in range(steps):
        step = solver.step(state)
        if not math.isfinite(step.error):
            return math.inf, state
        state, merit = step.state, step.error if step.merit is None else step.merit
        if step.verdict is not None:
            break
    return merit, state
