"""Fibres through combinations of nodes, compared with what spans those that are known.

Values of such a fibre at its own nodes are among those at all combinations, and interpolate it: at
a part of the other points it is seen whether it is missed. Of few variables the values at all
combinations are there, and the largest tell where to look. Of many, it is to be known which fibres
are missing before values at many combinations are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tdecomp.chebyshev._sampling._combinations import Combinations
from tdecomp.chebyshev._sampling._fibres import Basis, Fibres
from tdecomp.chebyshev._sampling._sampler import Points, Values

# At how many points besides the nodes fibres of many variables are compared; and others, of at
# least so many, one in eight up to the most.
_OF_MANY, _LEAST, _PART, _MOST = 12, 16, 8, 64
# By how much larger fibres are than what is known, if that is too small to be resolved.
_LARGER = 30.0


def missed_fibres(
    line: Fibres, basis: Basis, table: Combinations, peaks: Points, tol: float
) -> Points:
    """Return combinations of nodes (p, d) through which fibres are missed by more than `tol`.

    Half of those looked at are nearest to `peaks`, the others have nodes at the ends.
    """
    index = np.concatenate([table.nearest(peaks), table.extreme(len(peaks))])
    own = np.tile(index, (basis.nodes.size, 1, 1))
    own[:, :, line.k] = np.arange(basis.nodes.size)[:, None]
    known = table.at(own.reshape(-1, len(table.shape))).reshape(own.shape[:2])
    others = np.setdiff1d(np.arange(line.n), basis.nodes)
    at = table.rng.permutation(others)[:_OF_MANY]
    through = table.points(index)
    difference = line.along(through, line.points[at]) - basis.values[at] @ known
    missed: Points = through[np.max(np.abs(difference), axis=0, initial=0.0) > tol]
    return missed


def missed_of_core(
    line: Fibres, bases: Sequence[Basis], core: Values, tol: float, rng: np.random.Generator
) -> Points:
    """Return the same where the values at all combinations are known.

    Those that exceed known fibres by far are missed, too: of far smaller ones too few digits are
    resolved. Half of those looked at are where the core is large.
    """
    basis = bases[line.k]
    chosen = _combinations(core, line, rng)
    places = zip(bases, chosen, strict=True)
    through = np.stack([other.places[index] for other, index in places], axis=-1)
    others = tuple(index for k, index in enumerate(chosen) if k != line.k)
    first: Any = np.moveaxis(core, line.k, 0)
    ends = first[:, *others].reshape(basis.nodes.size, -1)
    at = _compared(line, basis, rng)
    asked = line.along(through, line.points[at])
    missed = np.max(np.abs(asked - basis.values[at] @ ends), axis=0)
    sizes = np.max(np.abs(asked), axis=0)
    known = float(np.max(np.abs(line.values)))
    found: Points = through[(missed > tol) | (sizes > _LARGER * known)]
    return found


def _compared(line: Fibres, basis: Basis, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Return points along a variable, half of them where the interpolation is large."""
    count = max(_LEAST, min(line.n // _PART, _MOST))
    sizes = np.sum(np.abs(basis.values), axis=1)
    sizes[basis.nodes] = 0.0
    largest = np.argsort(-sizes, kind="stable")[: count // 2]
    anywhere = rng.permutation(line.n)[: count - largest.size]
    return np.concatenate([largest, anywhere])


def _combinations(
    core: Values, line: Fibres, rng: np.random.Generator
) -> list[npt.NDArray[np.intp]]:
    """Return nodes to put fibres through, half of them where the core is large."""
    count = max(2, line.count // 2)
    chosen = [rng.integers(n, size=count) for n in core.shape]
    peaks = np.max(np.abs(core), axis=line.k, keepdims=True)
    highest = np.argsort(-peaks, axis=None, kind="stable")[: count // 2]
    for index, peak in zip(chosen, np.unravel_index(highest, peaks.shape), strict=True):
        index[: peak.size] = peak
    return chosen
