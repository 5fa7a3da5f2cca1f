"""Canonical signs: the same singular vectors whoever computes them."""

from __future__ import annotations

from tdecomp._program import one_program
from tdecomp._typing import Array, Namespace
from tdecomp._xp import eps

# Entries within so many eps of the largest are as large: else rounding would choose among them.
_ROUNDINGS = 64


@one_program
def canonical_signs(u: Array, vh: Array, xp: Namespace) -> tuple[Array, Array]:
    """Turn each pair so that the entry of largest magnitude of the left vector is positive.

    Of those that are equal to rounding it is the first one.
    """
    sizes = xp.abs(u)
    bound = (1 - _ROUNDINGS * eps(u.dtype, xp)) * xp.max(sizes, axis=-2, keepdims=True)
    index = xp.argmax(xp.astype(sizes >= bound, xp.int8), axis=-2, keepdims=True)
    pivot = xp.take_along_axis(u, index, axis=-2)
    size = xp.abs(pivot)
    safe = xp.astype(xp.where(size > 0, size, xp.ones_like(size)), u.dtype)
    phase = xp.where(size > 0, pivot / safe, xp.ones_like(pivot))
    if not xp.isdtype(u.dtype, "complex floating"):
        return u * phase, vh * xp.matrix_transpose(phase)
    return u * xp.conj(phase), vh * xp.matrix_transpose(phase)
