"""The scale of a completion: data and weights near one, so that squares are safe."""

from __future__ import annotations

import math
from typing import NamedTuple

from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import eps, equilibrate
from tdecomp.completion._biases import Biases
from tdecomp.completion._entries import Entries
from tdecomp.completion._format import Completion

# Errors below this many eps are rounding.
_EXACT = 8.0


class Units(NamedTuple):
    """The scales of data and weights: two to an even `exponent`, and the `heaviest` weight."""

    exponent: int
    heaviest: float

    @property
    def scale(self) -> float:
        """What the data have been divided by."""
        return 2.0**self.exponent

    @property
    def root(self) -> float:
        """What each of two factors has been divided by."""
        return 2.0 ** (self.exponent // 2)

    def penalty(self, regularization: float, *, by_count: bool) -> float:
        """Return the penalty of scaled factors, infinite where it is beyond all numbers.

        Both scales are powers of two. Their product is taken, as one of them alone could leave the
        range; penalties by count have the scale of the weights from these.
        """
        exponent = self.exponent + (0 if by_count else math.frexp(self.heaviest)[1] - 1)
        try:
            return math.ldexp(regularization, -exponent)
        except OverflowError:
            return math.inf


def in_units(entries: Entries, xp: Namespace) -> tuple[Entries, Units]:
    """Bring values and weights to unit scale.

    The scale is a power of four: its root, by which each factor is multiplied, is exact.
    """
    values, scale = equilibrate(entries.values, xp, axis=(0,), always=True)
    exponent = math.frexp(float(scale[0]))[1] - 1
    if exponent % 2:
        values, exponent = 2 * values, exponent - 1
    weights, heaviest = entries.weights, 1.0
    if weights is not None:
        weights, most = equilibrate(weights, xp, axis=(0,), always=True)
        heaviest = float(most[0])
    return entries._replace(values=values, weights=weights), Units(exponent, heaviest)


def shown(
    factors: tuple[Array, Array], offsets: Biases, units: Units, xp: Namespace
) -> Completion:
    """Return the completed matrix at the scale of the data; the factors are (m, k) and (n, k)."""
    left, right = factors
    return Completion(
        left * units.root,
        xp.matrix_transpose(right) * units.root,
        *(units.scale * part for part in offsets),
    )


def rounding(dtype: DType, xp: Namespace) -> float:
    """Return the relative error, and root of an objective, that is as good as zero."""
    return _EXACT * eps(dtype, xp)
