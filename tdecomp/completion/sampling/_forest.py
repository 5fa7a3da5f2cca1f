"""Binary trees of sums in one array, in any library: changed and drawn from in log steps."""

from __future__ import annotations

from typing import NamedTuple

import array_api_compat as compat
import numpy as np

from tdecomp._kernels import accepts
from tdecomp._program import one_program
from tdecomp._random import like
from tdecomp._shim import index_add
from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import device, integers, is_numpy

# What one step down a tree costs, in flops: two numbers from anywhere in memory.
_STEP = 16


class Forest(NamedTuple):
    """Trees of nonnegative numbers, one behind the other.

    The root of a tree is its node 1, the children of node `k` are nodes ``2 k`` and ``2 k + 1``,
    and its leaves are the last half of its nodes.

    Attributes
    ----------
    heap : array, shape (2 * sum(sizes),)
        All nodes of all trees, in double precision where the library has it.
    starts, sizes : numpy.ndarray of int, shape (t,)
        Where each tree begins, and how many leaves it has, a power of two.
    layout : array of int, shape (2, t)
        The same on the device of the heap.
    depth : int
        Number of levels below the root of the largest.
    """

    heap: Array
    starts: np.ndarray
    sizes: np.ndarray
    layout: Array
    depth: int


def planted(counts: np.ndarray, array: Array, xp: Namespace) -> Forest:
    """Return trees for so many leaves each, all zero, on the device of `array`."""
    sizes = np.left_shift(1, np.frexp(np.maximum(counts, 1) - 1.0)[1].astype(np.int64))
    starts = 2 * (np.cumsum(sizes) - sizes)
    heap = xp.zeros(int(2 * np.sum(sizes)), dtype=wide(xp), device=device(array))
    layout = moved(np.stack((starts, sizes)), array, xp)
    return Forest(heap, starts, sizes, layout, int(np.max(sizes)).bit_length() - 1)


def wide(xp: Namespace) -> DType:
    """Return the widest real dtype that a library has on."""
    return xp.float64 if integers(xp) == xp.int64 else xp.float32


def moved(index: np.ndarray, array: Array, xp: Namespace) -> Array:
    """Move indices of the host to the device of `array`, in the default integers."""
    if is_numpy(array):
        return np.asarray(index, dtype=np.int64)
    return like(index, xp.zeros(1, dtype=integers(xp), device=device(array)), xp)


def roots(forest: Forest, xp: Namespace) -> Array:
    """Return the sum of each tree."""
    return xp.take(forest.heap, forest.layout[0, ...] + 1, axis=0)


def sums_of(forest: Forest, trees: Array, xp: Namespace) -> Array:
    """Return the sums of some trees, at the cost of these alone."""
    return _sums_of(forest.heap, forest.layout, trees, xp)


@one_program
def _sums_of(heap: Array, layout: Array, trees: Array, xp: Namespace) -> Array:
    return xp.take(heap, xp.take(layout[0, ...], trees, axis=0) + 1, axis=0)


def leaves_of(forest: Forest, trees: Array, leaves: Array, xp: Namespace) -> Array:
    """Return the numbers at leaves."""
    return _leaves_of(forest.heap, forest.layout, trees, leaves, xp)


@one_program
def _leaves_of(heap: Array, layout: Array, trees: Array, leaves: Array, xp: Namespace) -> Array:
    begin, size = (xp.take(layout[k, ...], trees, axis=0) for k in (0, 1))
    return xp.take(heap, begin + size + leaves, axis=0)


def replaced(
    forest: Forest, trees: np.ndarray, leaves: np.ndarray, numbers: Array, xp: Namespace
) -> Forest:
    """Return the forest with other numbers at distinct leaves, all sums above them formed anew.

    The heap is changed in place where the library can: it belongs to one structure alone.
    """
    places = forest.starts[trees] + forest.sizes[trees] + leaves
    heap = put(forest.heap, places, numbers, xp)
    if not accepts(heap):
        return forest._replace(heap=refreshed(forest._replace(heap=heap), trees, leaves, xp))
    from tdecomp._kernels._sampling_tree import build_trees, refresh_paths
    from tdecomp._kernels._threads import threads_for

    if leaves.size * forest.depth <= heap.size // 4:
        refresh_paths(heap, forest.starts, forest.sizes, trees, leaves)
    else:
        with threads_for(heap.size):
            build_trees(heap, forest.starts, forest.sizes)
    return forest


def refreshed(forest: Forest, trees: np.ndarray, leaves: np.ndarray, xp: Namespace) -> Array:
    """Return the heap with the sums above `leaves` formed anew, level by level."""
    heap, begin, nodes = forest.heap, forest.starts[trees], forest.sizes[trees] + leaves
    for _ in range(forest.depth):
        inner = nodes > 1  # trees differ in depth: some have arrived at their roots
        places = np.unique(np.stack((begin[inner], nodes[inner] // 2)), axis=1)
        begin, nodes = places
        children = moved(begin + 2 * nodes, heap, xp)
        heap = _added(heap, children, moved(begin + nodes, heap, xp), xp)
    return heap


@one_program
def _added(heap: Array, children: Array, parents: Array, xp: Namespace) -> Array:
    """Write to `parents` the sums of their children."""
    sums = xp.take(heap, children, axis=0) + xp.take(heap, children + 1, axis=0)
    return _written(heap, parents, sums, xp)


def put(x: Array, index: np.ndarray, values: Array, xp: Namespace) -> Array:
    """Write `values` at distinct places `index`, in place where the library can."""
    return _written(x, moved(index, x, xp), values, xp)


def _written(x: Array, places: Array, values: Array, xp: Namespace) -> Array:
    """Write `values` at distinct `places` on the device of `x`."""
    if is_numpy(x) or compat.is_torch_array(x):
        x[places] = values
        return x
    if compat.is_jax_array(x):
        return x.at[places].set(values)
    ones = xp.ones(places.shape, dtype=x.dtype, device=device(x))
    kept = index_add(xp.zeros_like(x), places, ones, xp) == 0
    return xp.where(kept, x, index_add(xp.zeros_like(x), places, values, xp))


def drawn(forest: Forest, trees: Array, uniforms: np.ndarray, xp: Namespace) -> Array:
    """Return one leaf of each of `trees`, with chances proportional to their numbers.

    The leaf is that in whose share of the sum, in the order of leaves, the uniform number falls:
    the same on every library and for the kernel. No tree may have the sum zero.
    """
    if not accepts(forest.heap):
        return descended(forest, trees, uniforms, xp)
    from tdecomp._kernels._sampling_tree import TOGETHER, draw_block, draw_leaves
    from tdecomp._kernels._threads import threads_for

    out, nodes = np.empty(trees.size, dtype=np.int64), (forest.heap, forest.starts, forest.sizes)
    if trees.size <= TOGETHER:  # a few microseconds; to hold back threads takes more
        draw_block(*nodes, trees, uniforms, out, 0, trees.size)
        return out
    with threads_for(_STEP * trees.size * forest.depth):
        draw_leaves(*nodes, trees, uniforms, out)
    return out


def descended(forest: Forest, trees: Array, uniforms: np.ndarray, xp: Namespace) -> Array:
    """Descend all trees at once, level by level: what the kernel does one by one."""
    numbers = like(uniforms, forest.heap, xp)
    return _descended((forest.heap, forest.layout), trees, numbers, forest.depth, xp)


@one_program
def _descended(
    nodes: tuple[Array, Array], trees: Array, uniforms: Array, depth: int, xp: Namespace
) -> Array:
    heap, layout = nodes
    begin, size = (xp.take(layout[k, ...], trees, axis=0) for k in (0, 1))
    rest = uniforms * xp.take(heap, begin + 1, axis=0)
    node = xp.ones_like(begin)
    for _ in range(depth):
        inside = node < size
        child = begin + xp.where(inside, 2 * node, xp.zeros_like(node))
        left, right = (xp.take(heap, c, axis=0) for c in (child, child + 1))
        go = inside & (rest >= left) & (right > 0)
        rest = xp.where(go, rest - left, rest)
        node = xp.where(inside, 2 * node + xp.astype(go, node.dtype), node)
    return node - size
