"""A sweep that lowers the free energy of a model over one of its parts at a time."""

from __future__ import annotations

import math
from typing import NamedTuple

from tdecomp._iterate import Step
from tdecomp._typing import Array, Namespace
from tdecomp._xp import eps
from tdecomp.completion._masked import entries as model_entries
from tdecomp.completion._masked import weighted_squares
from tdecomp.completion._observed import Observed, Side
from tdecomp.completion._using._beliefs import (
    Normal,
    divergence,
    improved,
    offsets_of,
    second_moments,
    spread_of,
    with_prior,
)


class State(NamedTuple):
    """What is believed of the factors, of the biases, and of the noise, and how well it fits."""

    left: Normal
    right: Normal
    rows: Normal
    columns: Normal
    noise: float
    energy: float


def step(
    observed: Observed, state: State, total: float, biases: bool, xp: Namespace
) -> Step[State]:
    """Minimise the free energy over both factors, the biases, and the variances in turn."""
    sides = (observed.rows, observed.columns)
    left, right, rows, columns, noise, before = state
    b, c = rows.mean[:, 0], columns.mean[:, 0]
    left, _ = improved(_less(sides[0], b, c, xp), left, right, noise, xp)
    right, gram = improved(_less(sides[1], c, b, xp), right, left, noise, xp)
    if biases:
        rest = _less(sides[0], 0 * b, c, xp)
        rows = offsets_of(_unfitted(rest, left, right, xp), rows, noise, xp)
        b = rows.mean[:, 0]
        rest = _less(sides[1], 0 * c, b, xp)
        columns = offsets_of(_unfitted(rest, right, left, xp), columns, noise, xp)
        c = columns.mean[:, 0]
    side = _less(sides[0], b, c, xp)
    fitted = model_entries(side, left.mean, right.mean, xp)
    missed = weighted_squares(side.values - fitted, side, xp)
    spread = float(xp.sum(second_moments(right) * gram)) - weighted_squares(fitted, side, xp)
    if biases:
        spread += spread_of(sides[0], rows, xp) + spread_of(sides[1], columns, xp)
    count = side.values.shape[0]
    noise = max((missed + max(spread, 0.0)) / count, eps(side.values.dtype, xp))
    left, right = (with_prior(part, xp) for part in (left, right))
    surplus = divergence(left, xp) + divergence(right, xp)
    if biases:
        rows, columns = (with_prior(part, xp) for part in (rows, columns))
        surplus += divergence(rows, xp) + divergence(columns, xp)
    energy = 0.5 * (1 + math.log(noise)) + surplus / count
    following = State(left, right, rows, columns, noise, energy)
    change = abs(before - energy)
    return Step(following, math.sqrt(missed / total), change=change, merit=math.exp(energy))


def _less(side: Side, own: Array, other: Array, xp: Namespace) -> Side:
    """Subtract offsets from the known entries."""
    rest = side.values - xp.take(other, side.indices, axis=0)
    return side._replace(values=rest - xp.take(own, side.owners(xp), axis=0))


def _unfitted(side: Side, left: Normal, right: Normal, xp: Namespace) -> Side:
    """Subtract what the factors say from the known entries."""
    return side._replace(values=side.values - model_entries(side, left.mean, right.mean, xp))
