"""Trees of sums: kernels give, bit for bit, what the library of arrays gives level by level."""

import array_api_compat
import numpy as np
import pytest

pytest.importorskip("numba")

from tdecomp._kernels._sampling_tree import build_trees, draw_leaves, refresh_paths
from tdecomp.completion.sampling._forest import descended, planted, put, refreshed

XP = array_api_compat.array_namespace(np.empty(0))
COMPILED = pytest.mark.parametrize("compiled", [True, False])
COUNTS = np.asarray([5, 1, 0, 8, 13])


def chosen(kernel, compiled):
    return kernel if compiled else kernel.py_func


def leaves():
    trees = np.repeat(np.arange(COUNTS.size), COUNTS)
    begin = np.cumsum(COUNTS) - COUNTS
    return trees, np.arange(trees.size) - begin[trees]


def forest(numbers):
    trees, within = leaves()
    empty = planted(COUNTS, np.empty(0), XP)
    put(empty.heap, empty.starts[trees] + empty.sizes[trees] + within, numbers, XP)
    return empty._replace(heap=refreshed(empty, trees, within, XP))


@COMPILED
def test_sums_are_those_of_the_twin(compiled):
    expected = forest(np.random.default_rng(0).random(COUNTS.sum()))
    heap = expected.heap.copy()
    for start, size in zip(expected.starts, expected.sizes, strict=True):
        heap[start : start + size] = np.where(size > 1, np.nan, heap[start : start + size])
    chosen(build_trees, compiled)(heap, expected.starts, expected.sizes)
    inner = np.concatenate(
        [np.arange(s + 1, s + 2 * n) for s, n in zip(expected.starts, expected.sizes, strict=True)]
    )
    np.testing.assert_array_equal(heap[inner], expected.heap[inner])


@COMPILED
def test_changed_paths_are_those_of_trees_built_anew(compiled):
    numbers = np.random.default_rng(1).random(COUNTS.sum())
    changed, where = forest(numbers), np.asarray([0, 5, 6, 20, 26])
    numbers[where] = [7.0, 0.0, 3.0, 1e-9, 2.0]
    trees, within = (x[where] for x in leaves())
    put(changed.heap, changed.starts[trees] + changed.sizes[trees] + within, numbers[where], XP)
    chosen(refresh_paths, compiled)(changed.heap, changed.starts, changed.sizes, trees, within)
    expected = forest(numbers)
    for s, n in zip(expected.starts, expected.sizes, strict=True):
        part = slice(s + 1, s + 2 * n)
        np.testing.assert_array_equal(changed.heap[part], expected.heap[part])


@COMPILED
def test_one_uniform_number_draws_one_leaf_whoever_descends(compiled):
    rng = np.random.default_rng(2)
    grown = forest(rng.random(COUNTS.sum()) ** 4)
    trees = rng.choice([0, 1, 3, 4], 500)
    uniforms, out = rng.random(500), np.empty(500, np.int64)
    chosen(draw_leaves, compiled)(grown.heap, grown.starts, grown.sizes, trees, uniforms, out)
    np.testing.assert_array_equal(out, descended(grown, trees, uniforms, XP))


def test_where_sums_are_exact_the_leaf_is_that_of_cumulative_sums():
    rng = np.random.default_rng(3)
    numbers = rng.integers(0, 50, COUNTS.sum()).astype(float)
    numbers[0] = 0.0
    grown = forest(numbers)
    for tree, begin in ((0, 0), (3, 6), (4, 14)):
        part = numbers[begin : begin + COUNTS[tree]]
        uniforms = np.concatenate((rng.random(2000), np.arange(part.sum()) / part.sum(), [0.0]))
        out = np.empty(uniforms.size, np.int64)
        which = np.full(uniforms.size, tree)
        draw_leaves(grown.heap, grown.starts, grown.sizes, which, uniforms, out)
        sums = np.cumsum(part)
        expected = np.searchsorted(sums, uniforms * sums[-1], side="right")
        np.testing.assert_array_equal(out, expected)


@COMPILED
@pytest.mark.parametrize("uniform", [0.0, 0.5, 1.0 - 2.0**-53, 1.0])
def test_no_leaf_of_zero_is_drawn_even_where_a_uniform_number_rounds_to_one(compiled, uniform):
    numbers = np.zeros(COUNTS.sum())
    numbers[[2, 16]] = [1e-300, 3.0]
    grown, out = forest(numbers), np.empty(2, np.int64)
    arguments = (grown.heap, grown.starts, grown.sizes, np.asarray([0, 4]))
    chosen(draw_leaves, compiled)(*arguments, np.full(2, uniform), out)
    assert out.tolist() == [2, 2]


def test_draws_that_go_down_together_end_where_they_end_alone():
    counts = np.asarray([3, 40_000, 0, 20_000])  # two of them deeper than the cache is wide
    grown = planted(counts, np.empty(0), XP)
    rng = np.random.default_rng(4)
    for tree in (0, 1, 3):
        begin = grown.starts[tree] + grown.sizes[tree]
        grown.heap[begin : begin + counts[tree]] = rng.random(counts[tree]) ** 4
    build_trees(grown.heap, grown.starts, grown.sizes)
    trees, uniforms, out = rng.choice([0, 1, 3], 700), rng.random(700), np.empty(700, np.int64)
    draw_leaves(grown.heap, grown.starts, grown.sizes, trees, uniforms, out)
    np.testing.assert_array_equal(out, descended(grown, trees, uniforms, XP))
