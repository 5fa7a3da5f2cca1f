"""Entries of a matrix replaced, in what is stored and in the trees above."""

from __future__ import annotations

from typing import Any

import numpy as np

from tdecomp._shim import constant, host
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, finite, prepare
from tdecomp.completion.sampling._forest import put
from tdecomp.completion.sampling._stored import Stored, places, row
from tdecomp.completion.sampling._trees import Trees, changed, changed_one, picked


def checked_values(values: Any, x: Stored, count: int, xp: Namespace) -> Array:
    """Return new entries, one or `count` of them, in the dtype of the old ones."""
    if not count and np.size(values) == 0:
        return x.values[:0]
    _, new = prepare(values, ndim=0, batch=True, like=x.values, name="values")
    real = xp.isdtype(x.values.dtype, "real floating")
    if real and xp.isdtype(new.dtype, "complex floating"):
        raise TypeError("values are complex, the entries they replace are real")
    if tuple(new.shape) not in {(), (count,)}:
        raise ValueError(f"values must have shape () or ({count},), got {tuple(new.shape)}")
    with np.errstate(over="ignore"):  # what overflows in fewer digits is refused
        new = finite(xp.astype(constant(new), x.values.dtype), xp, name="values")
    return xp.broadcast_to(new, (count,))


def changed_entries(
    x: Stored, trees: Trees, where: tuple[Array, Array], new: Array, xp: Namespace
) -> tuple[Stored, Trees]:
    """Return entries and trees after some have changed; of one place the last value stays."""
    lines, across = where
    place, hit = _places(x, lines, across, xp)
    if not bool(xp.all(hit)):
        bad = int(xp.argmin(xp.astype(hit, xp.int32)))
        raise ValueError(
            f"({int(lines[bad])}, {int(across[bad])}) is not stored in this sparse matrix; "
            "build one that stores it"
        )
    found = host(place)
    last = np.unique(found[::-1], return_index=True)[1]
    chosen = found.size - 1 - last
    values = put(x.values, found[chosen], picked(new, chosen, xp), xp)
    x = x._replace(values=values)
    return x, changed(trees, x, host(lines)[chosen], found[chosen], xp)


def changed_entry(x: Stored, trees: Trees, where: tuple[int, int], value: Any) -> Trees | None:
    """Replace an entry of NumPy by a plain number; return None if it is none or has no place."""
    place, number = _place_of(x, *where), _plain_number(value, x)
    if place is None or number is None:
        return None
    x.values[place] = number
    return changed_one(trees, x, where[0], place, np)


def _places(x: Stored, lines: Array, across: Array, xp: Namespace) -> tuple[Array, Array]:
    """Return where entries are stored, and whether they are; in an empty matrix none is."""
    if x.values.shape[0] == 0:
        return lines, xp.zeros(lines.shape, dtype=xp.bool, device=device(lines))
    return places(x, lines, across, xp)


def _place_of(x: Stored, i: int, j: int) -> int | None:
    """Return where an entry of a matrix of NumPy is stored, if it is."""
    if x.columns is None:
        return i * x.shape[1] + j
    part = row(x, i)
    place = part.start + int(np.searchsorted(x.columns[part], j))
    return place if place < part.stop and x.columns[place] == j else None


def _plain_number(value: Any, x: Stored) -> Any:
    """Return a number that the dtype of the entries holds, or None for anything else."""
    kinds: Any = (int, float, np.integer, np.floating)
    if x.values.dtype.kind == "c":
        kinds = (*kinds, complex, np.complexfloating)
    if isinstance(value, bool) or not isinstance(value, kinds):
        return None
    try:
        return value if abs(complex(value)) <= float(np.finfo(x.values.dtype).max) else None
    except OverflowError:
        return None
