"""The real inner product of two arrays."""

from __future__ import annotations

from tdecomp._program import one_program
from tdecomp._typing import Array, Namespace


def inner(x: Array, y: Array, xp: Namespace) -> float:
    """Return the real inner product of two arrays."""
    return float(inner_of(x, y, xp))


@one_program
def inner_of(x: Array, y: Array, xp: Namespace) -> Array:
    """Return the same as an array, inside a program."""
    product = xp.sum(xp.vecdot(x, y))  # by rows first: single precision keeps its digits
    return xp.real(product) if xp.isdtype(x.dtype, "complex floating") else product
