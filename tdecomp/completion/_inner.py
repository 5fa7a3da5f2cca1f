"""The real inner product of two arrays."""

from __future__ import annotations

from tdecomp._program import one_program
from tdecomp._typing import Array, Namespace

# Entries of a vector that are added at a time: single precision keeps its digits, and no pool of
# BLAS threads wakes up.
_RUN = 4096


def inner(x: Array, y: Array, xp: Namespace) -> float:
    """Return the real inner product of two arrays."""
    return float(inner_of(x, y, xp))


@one_program
def inner_of(x: Array, y: Array, xp: Namespace) -> Array:
    """Return the same as an array, inside a program."""
    product = _of_vectors(x, y, xp) if x.ndim == 1 else xp.sum(xp.vecdot(x, y))
    return xp.real(product) if xp.isdtype(x.dtype, "complex floating") else product


def _of_vectors(x: Array, y: Array, xp: Namespace) -> Array:
    """Return the sum over runs of entries, and the rest."""
    cut = x.shape[0] // _RUN * _RUN
    rest = xp.vecdot(x[cut:], y[cut:])
    if not cut:
        return rest
    return rest + xp.sum(xp.vecdot(*(xp.reshape(part[:cut], (-1, _RUN)) for part in (x, y))))
