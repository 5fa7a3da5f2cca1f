"""Fibres through combinations of nodes, compared with what spans those that are known.

A fibre through a combination of nodes of the other variables should be interpolated by its values
at its own nodes. It is asked for there and at some more points: before values at many combinations
are asked for, it is known which fibres are missing.
"""

from __future__ import annotations

import numpy as np

from tdecomp.chebyshev._sampling._combinations import Combinations
from tdecomp.chebyshev._sampling._fibres import Basis, Fibres
from tdecomp.chebyshev._sampling._sampler import Points

# At how many points besides the nodes.
_COMPARED = 12


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
    at = table.rng.permutation(others)[:_COMPARED]
    through = table.points(index)
    difference = line.along(through, line.points[at]) - basis.values[at] @ known
    missed: Points = through[np.max(np.abs(difference), axis=0, initial=0.0) > tol]
    return missed
