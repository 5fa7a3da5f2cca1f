"""Alternating half sweeps over what features say of both modes, with what they leave."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tdecomp._iterate import Status, Step
from tdecomp._typing import Array, Namespace
from tdecomp._xp import squared_norm
from tdecomp.completion._masked import entries as model_entries
from tdecomp.completion._masked import misfit
from tdecomp.completion._methods._singular import singular
from tdecomp.completion._methods._spectral import spectral
from tdecomp.completion._observed import Observed, Side
from tdecomp.completion._units import rounding
from tdecomp.completion._using._halves import Half, Sought, improved

# The sweeps that features have for themselves before what they leave is looked at.
_FIRST = 3


class State(NamedTuple):
    """Coefficients of both sides, and what is left of them."""

    rows: Half
    columns: Half


class Task(NamedTuple):
    """What is known, in unit scale, and what is sought of rows and of columns."""

    observed: Observed
    rows: Sought
    columns: Sought
    total: float
    xp: Namespace

    @property
    def explained(self) -> Task:
        """The task without what features leave."""
        rows, columns = (
            part._replace(ridges=part.ridges[:1]) for part in (self.rows, self.columns)
        )
        return self._replace(rows=rows, columns=columns)


def start(task: Task, rank: int, residual_rank: int, rng: Any) -> State:
    """Return the coefficients that are closest to a spectral start; and one of what they leave."""
    xp, (known_rows, known_columns, shape) = task.xp, task.observed
    left, right = spectral(task.observed, rank, rng, xp)
    state = State(
        task.explained.rows.parts(left, rank, xp), task.explained.columns.parts(right, rank, xp)
    )
    if not residual_rank:
        return state
    for _ in range(_FIRST):
        state = _swept(task.explained, state)
    left, right = task.rows.rows(state.rows, xp), task.columns.rows(state.columns, xp)
    rest = Observed(
        _less(known_rows, left, right, xp), _less(known_columns, right, left, xp), shape
    )
    own, others = spectral(rest, residual_rank, rng, xp)
    return State((*state.rows, own), (*state.columns, others))


def _less(side: Side, left: Array, right: Array, xp: Namespace) -> Side:
    """Subtract a model from what is known."""
    return side._replace(values=side.values - model_entries(side, left, right, xp))


def _swept(task: Task, state: State) -> State:
    """Improve one side, and then the other."""
    (rows, columns), xp = state, task.xp
    rows = improved(task.rows, rows, task.columns.rows(columns, xp), xp)
    columns = improved(task.columns, columns, task.rows.rows(rows, xp), xp)
    # Of factors of one product the balanced ones have the least squares: alternating steps would
    # get there in a number of sweeps that grows as the penalty shrinks.
    pairs = [
        singular(a, b, xp).balanced(a.shape[1], xp) if ridge else (a, b)
        for ridge, a, b in zip(task.rows.ridges, rows, columns, strict=True)
    ]
    return State(*(tuple(half) for half in zip(*pairs, strict=True)))


def sweep(task: Task, state: State) -> Step[State]:
    """Improve both sides, and measure how well they fit."""
    state, xp = _swept(task, state), task.xp
    left, right = task.rows.rows(state.rows, xp), task.columns.rows(state.columns, xp)
    loss = misfit(task.observed.rows, left, right, xp)
    penalty = sum(
        ridge * squared_norm(part, xp)
        for half in state
        for ridge, part in zip(task.rows.ridges, half, strict=True)
    )
    error, merit = (math.sqrt(part / task.total) for part in (loss, loss + penalty))
    exact = merit <= rounding(left.dtype, xp)
    return Step(state, error, merit=merit, verdict=Status.CONVERGED if exact else None)
