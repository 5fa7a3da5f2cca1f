"""How far a growing projection is from the best one, and what rounding lets one know of it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tdecomp._xp import eps
from tdecomp.linalg._operand import Operand

# Sums of squares are accurate to a few eps of the total; energy below that is noise.
NOISE = 8.0
# A ratio of gains beyond which their series says little.
_SLOW = 0.9
# A difference of matrices that agree to rounding has a norm of up to this many eps.
_FLOOR = 128.0


class Trend(NamedTuple):
    """The gains of a search and what they say.

    `gains` are the energies that the leading triplets gained with each product, the first of them
    all that was found at first; `ratio` is that of the last two; `excess` estimates by what
    factor, less one, the error exceeds the optimum.
    """

    gains: tuple[float, ...] = ()
    ratio: float = 0.0
    excess: float = math.inf

    def grown(self, gain: float) -> Trend:
        """Note one more gain."""
        return self._replace(gains=(*self.gains, gain))

    def settled(self, op: Operand) -> bool:
        """Tell whether the last product gained nothing but rounding."""
        return len(self.gains) > 1 and self.gains[-1] <= rounding(op)

    def judged(self, bound: float, left: float, decay: float = 0.0) -> Trend:
        """Estimate the excess from a `bound` for it and the energy `left` out of the best rank.

        From two gains on, their geometric series is another estimate: the gains of a Krylov
        space shrink faster than that. As long as there are only two, the square of `decay`, the
        ratio of subspace iteration, is the least that is trusted: two blocks do at least twice
        as well.
        """
        gains = self.gains
        if len(gains) < 3 or gains[-1] >= gains[-2]:  # two after the first
            return self._replace(excess=min(bound, self.excess))
        ratio = gains[-1] / gains[-2]
        # Products with the matrix and with its adjoint may gain by turns: two make one step.
        step = math.sqrt(gains[-1] / gains[-3]) if len(gains) > 3 else decay**2
        step = max(ratio, min(step, _SLOW))
        series = gains[-1] * step / (1.0 - step) / (2 * left)
        return self._replace(ratio=ratio, excess=min(bound, series))


def decay(squares: np.ndarray, rank: int, width: int) -> float:
    """Return the ratio of the last square that a block of `width` finds to the last one wanted."""
    return min(1.0, float(squares[min(width, squares.size) - 1] / squares[rank - 1]))


def unseen(first_order: float, squares: np.ndarray, rank: int, op: Operand) -> float:
    """Return a gain that differences of squares cannot show, from its first-order part.

    The next orders enlarge it as the gap behind the last wanted value is small, up to what noise
    hides.
    """
    if first_order <= rounding(op):
        return first_order
    last, following = (float(squares[k]) if k < squares.size else 0.0 for k in (rank - 1, rank))
    return min(noise(op), first_order * last / max(last - following, math.ulp(last)))


def noise(op: Operand) -> float:
    """Return the energy that rounding may add to a sum of squares, or remove."""
    return NOISE * eps(op.like.dtype, op.xp) * op.total


def rounding(op: Operand) -> float:
    """Return the energy of a difference of matrices that agree to rounding."""
    return (_FLOOR * eps(op.like.dtype, op.xp)) ** 2 * op.total
