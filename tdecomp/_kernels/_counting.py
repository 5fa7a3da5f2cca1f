"""Sorting by counting: linear in the number of entries."""

from __future__ import annotations

from typing import Any

from tdecomp._kernels._jit import routine


@routine
def counting_sort(keys: Any, start: Any, order: Any) -> None:
    """Write a stable order of `keys` below ``start.size - 1``, and where each key starts.

    `start` must be zero. Afterwards the entries of key `i` are ``order[start[i]:start[i + 1]]``.
    """
    n = start.size - 1
    for p in range(keys.size):
        start[keys[p] + 1] += 1
    for i in range(n):
        start[i + 1] += start[i]
    for p in range(keys.size):
        i = keys[p]
        order[start[i]] = p
        start[i] += 1
    for i in range(n, 0, -1):
        start[i] = start[i - 1]
    start[0] = 0
