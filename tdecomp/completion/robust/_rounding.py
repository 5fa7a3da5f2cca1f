"""How small a relative error can be seen at all."""

from __future__ import annotations

from tdecomp._typing import DType, Namespace
from tdecomp._xp import eps

# A sum, a product and a difference in each entry.
_ROUNDINGS = 8.0


def rounding(dtype: DType, xp: Namespace) -> float:
    """Return the relative error below which there is nothing but rounding."""
    return _ROUNDINGS * eps(dtype, xp)
