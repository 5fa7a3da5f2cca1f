"""Better factors of the same product, as long as rounding does not spoil it."""

from __future__ import annotations

import math
from collections.abc import Callable

from tdecomp._typing import Namespace
from tdecomp._xp import eps
from tdecomp.completion._dense._factors import Pair, balanced, orthonormal
from tdecomp.completion._dense._objective import Objective

# Roundings of a decomposition, in eps of the data.
_ROUNDINGS = 64.0


def settled(objective: Objective, pair: Pair) -> Pair:
    """Return the factors to go on from: a penalty wants them balanced."""
    return unspoilt(objective, pair, balanced if objective.penalty else orthonormal)


def unspoilt(objective: Objective, pair: Pair, form: Callable[[Pair, Namespace], Pair]) -> Pair:
    """Return factors in a form, or as they are where the form raises the objective.

    A decomposition of the product is exact relative to its largest entries. Where these weigh
    nearly nothing, and small ones nearly everything, that is not enough.
    """
    formed = form(pair, objective.xp)
    before, after = (math.sqrt(max(objective.value(*x), 0.0)) for x in (pair, formed))
    rounding = _ROUNDINGS * eps(objective.weights.dtype, objective.xp)
    allowed = before + rounding * math.sqrt(objective.total)
    return formed if after <= allowed else pair
