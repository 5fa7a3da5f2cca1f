"""Binary trees of sums: built, changed along one path, and descended to draw a leaf.

Trees lie in one array `heap`, that of number `t` from ``starts[t]`` on. Its root is node 1, the
children of a node `k` are nodes ``2 k`` and ``2 k + 1``, and its leaves, ``sizes[t]`` of them, a
power of two, are nodes ``sizes[t]`` to ``2 sizes[t] - 1``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange

from tdecomp._kernels._jit import kernel, routine

# Draws that go down together: enough to hide the wait for memory, few enough to stay in the cache.
TOGETHER = 256
# What stands for a square that is too small.
_LEAST = float(np.finfo(np.float64).smallest_normal)
# Nodes of a tree that stay in the cache while others are drawn, a power of two: 128 KiB of sums.
_NEAR = 1 << 14


@kernel
def build_trees(heap: Any, starts: Any, sizes: Any) -> None:
    """Add up the leaves of every tree."""
    for t in prange(sizes.size):
        base = starts[t]
        for node in range(sizes[t] - 1, 0, -1):
            heap[base + node] = heap[base + 2 * node] + heap[base + 2 * node + 1]


@routine
def _level(values: Any, first: int, last: int) -> int:
    """Return the exponent of the largest entry, zero if all are."""
    top = 0.0
    for p in range(first, last):
        top = max(top, abs(values[p].real), abs(values[p].imag))
    return math.frexp(top)[1] - 1 if top > 0 else 0


@kernel
def plant_rows(values: Any, begins: Any, heap: Any, starts: Any, sizes: Any, out: Any) -> None:
    """Give each row a scale, written to `out`, the squares of its entries over it, and their sums.

    No square of what is not zero is below the least normal number: it can be drawn.
    """
    for t in prange(sizes.size):
        first, last, base, size = begins[t], begins[t + 1], starts[t], sizes[t]
        level = _level(values, first, last)
        out[t] = level
        # In two steps, so that no factor leaves the range of numbers.
        once, twice = math.ldexp(1.0, -(level // 2)), math.ldexp(1.0, -(level - level // 2))
        for p in range(last - first):
            entry = values[first + p]
            real, imag = float(entry.real) * once * twice, float(entry.imag) * once * twice
            square = real * real + imag * imag
            heap[base + size + p] = max(square, _LEAST) if entry != 0 else 0.0
        for node in range(size - 1, 0, -1):
            heap[base + node] = heap[base + 2 * node] + heap[base + 2 * node + 1]


@routine
def replace_leaf(heap: Any, base: int, node: int, number: float) -> Any:
    """Write a number to a leaf, add up again what lies above it, and return the sum at the root.

    Sums are formed anew, never corrected by differences: no number of changes makes them drift.
    """
    heap[base + node] = number
    node //= 2
    while node > 0:
        heap[base + node] = heap[base + 2 * node] + heap[base + 2 * node + 1]
        node //= 2
    return heap[base + 1]


@routine
def refresh_paths(heap: Any, starts: Any, sizes: Any, trees: Any, leaves: Any) -> None:
    """Add up again what lies between changed leaves and their roots."""
    for p in range(trees.size):
        base, node = starts[trees[p]], sizes[trees[p]] + leaves[p]
        replace_leaf(heap, base, node, heap[base + node])


@routine
def _child(heap: Any, base: int, node: int, rest: float) -> Any:
    """Return the child whose share holds the remainder, and what remains of it there.

    A subtree of sum zero is never entered, whatever rounding does to the remainder.
    """
    left, right = heap[base + 2 * node], heap[base + 2 * node + 1]
    # Selected rather than branched to: which way it goes cannot be foreseen.
    go = (rest >= left) & (right > 0)
    return 2 * node + (1 if go else 0), rest - (left if go else 0.0)


@routine
def draw_block(
    heap: Any, starts: Any, sizes: Any, trees: Any, uniforms: Any, out: Any, first: int, last: int
) -> None:
    """Draw those leaves of `draw_leaves` whose numbers are from `first` to `last`, excluded.

    The upper levels lie in the cache, and are descended by one draw after the other. Below them
    many draws go down one level together, so that they wait for memory at the same time.
    """
    rests, deepest = np.empty(last - first), 1
    for p in range(first, last):
        base, size, node = starts[trees[p]], sizes[trees[p]], 1
        rest = uniforms[p] * heap[base + 1]
        while node < min(size, _NEAR):
            node, rest = _child(heap, base, node, rest)
        out[p], rests[p - first], deepest = node, rest, max(deepest, size)
    level = _NEAR
    while level < deepest:
        for p in range(first, last):
            if out[p] < sizes[trees[p]]:
                base = starts[trees[p]]
                out[p], rests[p - first] = _child(heap, base, out[p], rests[p - first])
        level *= 2
    for p in range(first, last):
        out[p] -= sizes[trees[p]]


@kernel
def draw_leaves(heap: Any, starts: Any, sizes: Any, trees: Any, uniforms: Any, out: Any) -> None:
    """Write to `out` the leaf of each of `trees` whose share of the sum holds a uniform number."""
    for block in prange((trees.size + TOGETHER - 1) // TOGETHER):
        first, last = block * TOGETHER, min((block + 1) * TOGETHER, trees.size)
        draw_block(heap, starts, sizes, trees, uniforms, out, first, last)
