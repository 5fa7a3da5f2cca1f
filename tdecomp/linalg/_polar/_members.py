"""Stacks, for methods that take one matrix at a time."""

from __future__ import annotations

from collections.abc import Callable

from tdecomp._typing import Array, Namespace

Factors = tuple[Array, Array | None]


def one_by_one(
    a: Array, single: Callable[[Array], Factors], *, with_h: bool, xp: Namespace
) -> Factors:
    """Return the polar factors of all matrices of a stack, the second if it is wanted."""
    if a.ndim == 2:
        return single(a)
    stack = xp.reshape(a, (-1, *a.shape[-2:]))
    found = [single(stack[i, ...]) for i in range(stack.shape[0])]
    u = xp.reshape(xp.stack([u for u, _ in found]), a.shape)
    if not with_h:
        return u, None
    n = a.shape[-1]
    return u, xp.reshape(xp.stack([h for _, h in found]), (*a.shape[:-2], n, n))
