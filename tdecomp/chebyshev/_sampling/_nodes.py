"""Functions from their values at all combinations of the nodes of their variables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tdecomp.chebyshev._core import arrays, of_arrays
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._sampling._fibres import Basis
from tdecomp.chebyshev._sampling._sampler import Sampler, Values
from tdecomp.tt import TensorTrain

# A train of so many entries, or fewer, is handed on as an array; of more variables none is formed.
_DENSE, MOST_AXES = 1 << 17, 24


class Core(NamedTuple):
    """Values at all combinations of nodes, which are known by their numbers."""

    values: Values
    numbers: list[npt.NDArray[np.intp]]


def core_of(ask: Sampler, bases: Sequence[Basis], known: Core | None) -> Core:
    """Return the values at all combinations of nodes, asking for those that are new."""
    numbers = [basis.numbers for basis in bases]
    grid = np.stack(np.meshgrid(*(basis.places for basis in bases), indexing="ij"), axis=-1)
    if known is None:
        return Core(ask(grid), numbers)
    sides = zip(numbers, known.numbers, strict=True)
    pairs = [np.intersect1d(a, b, return_indices=True)[1:] for a, b in sides]
    here, there = (np.ix_(*side) for side in zip(*pairs, strict=True))
    new = np.ones(grid.shape[:-1], bool)
    new[here] = False
    if not np.any(new):
        return Core(known.values[there], numbers)
    asked = ask(grid[new])
    values = np.empty(new.shape, np.result_type(asked, known.values))
    values[new] = asked
    values[here] = known.values[there]
    return Core(values, numbers)


def function_of(core: Values | TensorTrain, bases: Sequence[Basis]) -> ChebyshevTucker:
    """Return the interpolation on the unit box; a train that is no larger becomes an array."""
    if isinstance(core, TensorTrain) and len(bases) <= MOST_AXES:
        core = core.to_array() if math.prod(core.shape) <= _DENSE else core
    dtype = np.result_type(*arrays(core), *(basis.series for basis in bases))
    factors = tuple(basis.series.astype(dtype) for basis in bases)
    box = np.tile([-1.0, 1.0], (len(bases), 1))
    core = of_arrays(core, [part.astype(dtype) for part in arrays(core)])
    return ChebyshevTucker(core, factors, box)
