"""What was done, as entries that count more than nothing does."""

from __future__ import annotations

from typing import Any

import numpy as np

from tdecomp._errors import check_choice, check_size
from tdecomp._typing import Namespace
from tdecomp._xp import eps
from tdecomp.completion._entries import Entries, read


def read_amounts(
    x: Any, alpha: float, duplicates: str, *, may_be_empty: bool = False
) -> tuple[Namespace, Entries]:
    """Return by how much what was done outweighs a zero, which nothing done is: `x` times `alpha`.

    What lies at one place is refused, added up or averaged.
    """
    check_choice(duplicates, ("error", "sum", "mean"), name="duplicates")
    rate = check_size(alpha, name="alpha")
    xp, entries = read(x, duplicates="mean", may_be_empty=may_be_empty)
    if duplicates == "error":
        _refuse_several(entries, xp)
    _refuse_negative(entries, xp)
    values = entries.values
    with np.errstate(over="ignore", invalid="ignore"):
        if duplicates == "sum" and entries.weights is not None:
            values = values * entries.weights
        more = rate * values
    if not bool(xp.all(xp.isfinite(more))):
        raise ValueError(f"alpha={alpha} times the largest entry of x overflows")
    done = more > 0
    # One and less than that are one, and its inverse must not overflow.
    more = xp.where(done, xp.clip(more, min=eps(more.dtype, xp) ** 2), more)
    entries = entries._replace(values=more, weights=None)
    return xp, entries if bool(xp.all(done)) else entries.take(xp.nonzero(done)[0], xp)


def _refuse_several(entries: Entries, xp: Namespace) -> None:
    """Refuse several entries at one place, which the mean of them weighs as so many."""
    if entries.weights is not None:
        first = int(xp.argmax(xp.astype(entries.weights > 1, xp.int32)))
        place = int(entries.rows[first]), int(entries.columns[first])
        raise ValueError(
            f'x has several entries at {place}; pass duplicates="sum" to add up what lies at one '
            "place"
        )


def _refuse_negative(entries: Entries, xp: Namespace) -> None:
    """Refuse what is no amount, by its place in the matrix."""
    values = entries.values
    if xp.isdtype(values.dtype, "complex floating"):
        raise TypeError(f"x must be real and nonnegative, got dtype {values.dtype}")
    if bool(xp.any(values < 0)):
        first = int(xp.argmax(xp.astype(values < 0, xp.int32)))
        place = int(entries.rows[first]), int(entries.columns[first])
        raise ValueError(f"x must be nonnegative, got {float(values[first])} at {place}")
