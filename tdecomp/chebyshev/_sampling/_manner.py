"""What differs between functions of few and of many variables.

Of few variables random fibres tell the ranks, round after round, and values at all combinations of
nodes are few enough to be asked for. Of many, random points hardly ever meet where a function is
largest, and every value more is one for each variable: fibres grow by chance only once, from few
of them at few points; from then on those join in that are looked for and found to be missed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tdecomp.chebyshev._chop import LEAST
from tdecomp.chebyshev._sampling._many import scattered
from tdecomp.chebyshev._sampling._sampler import Points

# More variables than that are many.
_FEW = 3


class Manner(NamedTuple):
    """How a function is treated.

    There are fibres through the ``peaks`` largest of the first values and ``others`` random points
    at first, at ``n`` points each; at least ``offered`` more at a time. The whole is judged by one
    in ``judged`` of all values, at points ``anywhere(d, count, rng)``. Where it ``searches``,
    random fibres are offered in the first round only, which says nothing of tolerances yet, and
    nodes stay, since values at their combinations are what counts.
    """

    peaks: int
    others: int
    n: int
    offered: int
    judged: int
    anywhere: Callable[[int, int, np.random.Generator], Points]
    searches: bool


def _dense_near_faces(d: int, count: int, rng: np.random.Generator) -> Points:
    """Return random points of the unit box, as dense near its faces as Chebyshev points."""
    return np.sin(np.pi / 2 * rng.uniform(-1, 1, (count, d)))


_OF_FEW = Manner(2, 4, LEAST, 4, 100, _dense_near_faces, searches=False)
_OF_MANY = Manner(1, 2, 9, 2, 30, scattered, searches=True)


def manner_of(d: int) -> Manner:
    """Return how functions of `d` variables are treated."""
    return _OF_FEW if d <= _FEW else _OF_MANY
