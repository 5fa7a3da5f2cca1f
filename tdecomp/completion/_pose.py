"""From entries and options to a problem for a method, and from its factors back to a matrix."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp.completion._biases import Biases, fit_biases, no_biases
from tdecomp.completion._entries import Entries
from tdecomp.completion._format import Completion
from tdecomp.completion._masked import less, misfit, weighted_squares
from tdecomp.completion._observed import Side, group
from tdecomp.completion._penalties import CRUSHING, row_penalties, with_offsets
from tdecomp.completion._problem import Problem
from tdecomp.completion._start import start, with_offsets_of
from tdecomp.completion._together import divided
from tdecomp.completion._units import Units, shown


class Options(NamedTuple):
    """What has been asked for, checked.

    `biases` is their ridge, None where there are none; `together` tells whether the method fits
    them with the factors.
    """

    rank: int
    regularization: float
    by_count: bool
    nonnegative: bool
    biases: float | None
    together: bool
    init: Any
    rng: np.random.Generator


class Posed(NamedTuple):
    """A problem, and what its factors are to be added to and multiplied with."""

    problem: Problem
    subtracted: Biases
    units: Units

    def completion(self, factors: tuple[Array, Array]) -> Completion:
        """Return the matrix at the scale of the data."""
        if not self.problem.offsets:
            return shown(factors, self.subtracted, self.units, self.problem.xp)
        left, right, rows, columns = divided(*factors)
        offsets = Biases(self.subtracted.mean, rows, columns)
        return shown((left, right), offsets, self.units, self.problem.xp)

    def error(self, factors: tuple[Array, Array]) -> float:
        """Return the weighted residual on the known entries, relative to these if any is not 0."""
        loss = misfit(self.problem.observed.rows, *factors, self.problem.xp)
        return math.sqrt(loss / self.problem.total)

    def rest(self, entries: Entries) -> Entries:
        """Return what factors have to tell of other entries, given at unit scale."""
        return _less(entries, self.subtracted, self.problem.xp)


def pose(entries: Entries, units: Units, options: Options, xp: Namespace) -> Posed:
    """Say what is minimised, in the units of scaled data, and where to start."""
    if options.nonnegative and xp.isdtype(entries.values.dtype, "complex floating"):
        raise TypeError("nonnegative=True asks for real entries, and those of x are complex")
    none, own = no_biases(entries, xp), (options.biases or 0.0) / units.heaviest
    offsets = none if options.biases is None else fit_biases(entries, own, xp)
    observed = group(entries if options.biases is None else _less(entries, offsets, xp), xp)
    total = weighted_squares(entries.values, observed.rows, xp) or 1.0
    ridge = units.penalty(options.regularization, by_count=options.by_count)
    rows, columns = (
        row_penalties(side, ridge, options.by_count, options.rank, xp)
        for side in (observed.rows, observed.columns)
    )
    factors = start(observed, options.rank, options.init, options.rng, xp, root=units.root)
    if options.nonnegative:
        factors = xp.abs(factors[0]), xp.abs(factors[1])
    if options.together:
        rows, columns = (with_offsets(penalty, own, xp) for penalty in (rows, columns))
        factors = with_offsets_of(factors, options.init, offsets, xp, scale=units.scale)
        # One after the other: each is a copy of the entries.
        observed = observed._replace(rows=_more(observed.rows, *offsets[1:], xp))
        observed = observed._replace(columns=_more(observed.columns, *offsets[:0:-1], xp))
        offsets = none._replace(mean=offsets.mean)
    problem = Problem(
        observed, options.rank, min(ridge, CRUSHING), rows, columns, options.nonnegative,
        options.together, *factors, total, xp,
    )  # fmt: skip
    return Posed(problem, offsets, units)


def _less(entries: Entries, offsets: Biases, xp: Namespace) -> Entries:
    """Subtract offsets from entries."""
    return entries._replace(values=entries.values - offsets.at(entries.rows, entries.columns, xp))


def _more(side: Side, own: Array, other: Array, xp: Namespace) -> Side:
    """Give back the offsets of the groups of a side, and of the other mode."""
    tall = xp.stack([own, xp.ones_like(own)], axis=1)
    wide = xp.stack([xp.ones_like(other), other], axis=1)
    return less(side, -tall, wide, xp)
