"""How far a growing projection is from the best one, and what rounding lets one know of it."""

from __future__ import annotations

import math
from typing import NamedTuple

from tdecomp._xp import eps
from tdecomp.linalg._operand import Operand

# Sums of squares are accurate to a few eps of the total; energy below that is noise.
NOISE = 8.0
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

    def judged(self, bound: float, left: float) -> Trend:
        """Estimate the excess from a `bound` for it and the energy `left` out of the best rank.

        From two gains on, their geometric series is another estimate: the gains of a Krylov
        space shrink faster than that.
        """
        gains = self.gains
        if len(gains) < 3 or gains[-1] >= gains[-2]:  # two after the first
            return self._replace(excess=min(bound, self.excess))
        ratio = gains[-1] / gains[-2]
        series = gains[-1] * ratio / (1.0 - ratio) / (2 * left)
        return self._replace(ratio=ratio, excess=min(bound, series))


def noise(op: Operand) -> float:
    """Return the energy that rounding may add to a sum of squares, or remove."""
    return NOISE * eps(op.like.dtype, op.xp) * op.total


def rounding(op: Operand) -> float:
    """Return the energy of a difference of matrices that agree to rounding."""
    return (_FLOOR * eps(op.like.dtype, op.xp)) ** 2 * op.total
