"""All MTTKRPs of a tensor that is made slab by slab and never held whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tdecomp._typing import Array, Namespace
from tdecomp.ops._mttkrp import contract_left, contract_others, contract_right, even_split

# A slab of doubles then fits the second level of the cache, which was measured to halve the time.
_BLOCK_ENTRIES = 1 << 17


class Sums(NamedTuple):
    """A sum of numbers over all slabs, and one MTTKRP for each mode."""

    value: float
    products: list[Array]


def slabs(shape: tuple[int, ...], entries: int | None = None) -> Iterator[slice]:
    """Cut the first mode into slices of about so many entries of the tensor."""
    length = shape[0]
    height = max(1, (entries or _BLOCK_ENTRIES) * length // math.prod(shape))
    return (slice(k, min(k + height, length)) for k in range(0, length, height))


def all_mttkrp(y: Array, factors: Sequence[Array], *, xp: Namespace) -> list[Array]:
    """Return the MTTKRPs of every mode for the same factors, in two passes over `y`."""
    if y.ndim == 1:
        return [y[:, None] * xp.ones_like(factors[0][:1, :])]
    split = even_split(tuple(y.shape))
    right = contract_right(y, factors[split:], xp=xp)
    left = contract_left(y, factors[:split], xp=xp)
    first = [contract_others(right, factors[:split], mode, xp=xp) for mode in range(split)]
    rest = range(y.ndim - split)
    return first + [contract_others(left, factors[split:], mode, xp=xp) for mode in rest]


def slabwise(
    make: Callable[[slice], tuple[float, Array]],
    shape: tuple[int, ...],
    factors: Sequence[Array],
    *,
    xp: Namespace,
) -> Sums:
    """Sum what `make` returns for each slab of the first mode: a number, and a slab to contract.

    Memory holds one slab at a time, and what the two passes over it leave.
    """
    values, parts = [], []
    others: list[Array] | None = None
    for rows in slabs(shape):
        value, slab = make(rows)
        local = [factors[0][rows, :], *factors[1:]]
        first, *rest = all_mttkrp(slab, local, xp=xp)
        values.append(value)
        parts.append(first)
        others = rest if others is None else [a + b for a, b in zip(others, rest, strict=True)]
    joined = parts[0] if len(parts) == 1 else xp.concat(parts)
    return Sums(math.fsum(values), [joined, *(others or [])])
