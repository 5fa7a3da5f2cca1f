"""Binary trees of sums: built, changed along one path, and descended to draw a leaf.

Trees lie in one array `heap`, that of number `t` from ``starts[t]`` on. Its root is node 1, the
children of a node `k` are nodes ``2 k`` and ``2 k + 1``, and its leaves, ``sizes[t]`` of them, a
power of two, are nodes ``sizes[t]`` to ``2 sizes[t] - 1``.
"""

from __future__ import annotations

from typing import Any

from numba import prange

from tdecomp._kernels._jit import kernel, routine


@kernel
def build_trees(heap: Any, starts: Any, sizes: Any) -> None:
    """Add up the leaves of every tree."""
    for t in prange(sizes.size):
        base = starts[t]
        for node in range(sizes[t] - 1, 0, -1):
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


@kernel
def draw_leaves(heap: Any, starts: Any, sizes: Any, trees: Any, uniforms: Any, out: Any) -> None:
    """Write to `out` the leaf of each of `trees` whose share of the sum holds a uniform number.

    A subtree of sum zero is never entered, whatever rounding does to the remainder.
    """
    for p in prange(trees.size):
        base, size, node = starts[trees[p]], sizes[trees[p]], 1
        rest = uniforms[p] * heap[base + 1]
        while node < size:
            left, right = heap[base + 2 * node], heap[base + 2 * node + 1]
            # Selected rather than branched to: which way it goes cannot be foreseen.
            go = (rest >= left) & (right > 0)
            rest -= left if go else 0.0
            node = 2 * node + (1 if go else 0)
        out[p] = node - size
