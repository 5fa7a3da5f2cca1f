"""Signs of numbers, real or complex."""

from __future__ import annotations

from tdecomp._typing import Array, Namespace


def unit_signs(x: Array, xp: Namespace) -> Array:
    """Return numbers of magnitude one in the direction of `x`, and zero for zero."""
    if not xp.isdtype(x.dtype, "complex floating"):
        return xp.sign(x)
    size = xp.abs(x)
    return x / xp.where(size > 0, size, xp.ones_like(size))
