"""Sparse tensors mean what their coordinates say, whatever the order, library or shape."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdecomp as td
from tdecomp.ops import COO, _sparse_sort, coo

SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)
# JAX compiles every operation for every shape: few of them on the backends.
FEW = [((5,), 9), ((3, 1, 4), 20), ((2, 3, 2, 3), 40), ((4, 5), 0), ((1, 1), 1)]
LONG = (2**40, 3, 2**40)  # positions in C order do not fit in 64 bits


def scattered(shape, nnz, seed=0, dtype="float64"):
    """Draw coordinates, some of them twice, and values that add up without rounding."""
    rng = np.random.default_rng(seed)
    indices = np.stack([rng.integers(0, n, nnz) for n in shape])
    values = rng.integers(-8, 9, nnz).astype(dtype)
    if np.dtype(dtype).kind == "c":
        values += 1j * rng.integers(-8, 9, nnz)
    return indices, values


def added(indices, values, shape):
    out = np.zeros(shape, values.dtype)
    np.add.at(out, tuple(indices), values)
    return out


@pytest.mark.parametrize(("shape", "nnz"), FEW)
def test_it_is_the_sum_of_its_entries(xp, dtype, shape, nnz):
    indices, values = scattered(shape, nnz, 0, dtype)
    x = coo(xp.asarray(indices), xp.asarray(values), shape)
    assert x.shape == shape
    assert x.modes == len(shape)
    found = xp.to_numpy(x.to_array())
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, added(indices, values, shape))


@pytest.mark.parametrize(("shape", "nnz"), FEW)
def test_coordinates_are_sorted_and_unique(xp, shape, nnz):
    indices, values = scattered(shape, nnz, 0)
    x = coo(xp.asarray(indices), xp.asarray(values), shape)
    found = xp.to_numpy(x.indices)
    assert found.dtype == np.int64
    expected = np.unique(np.ravel_multi_index(tuple(indices), shape))
    np.testing.assert_array_equal(np.ravel_multi_index(tuple(found), shape), expected)
    assert x.nnz == expected.size


@pytest.mark.parametrize("nnz", [0, 1, 40])
def test_shapes_beyond_64_bits_are_sorted_mode_by_mode(xp, nnz):
    rng = np.random.default_rng(0)
    indices = np.stack([rng.choice([0, n // 2, n - 1], nnz) for n in LONG])
    values = rng.integers(-8, 9, nnz).astype(float)
    x = coo(xp.asarray(indices), xp.asarray(values), LONG)
    expected = {}
    for where, value in zip(indices.T.tolist(), values.tolist(), strict=True):
        expected[tuple(where)] = expected.get(tuple(where), 0.0) + value
    found = [tuple(where) for where in xp.to_numpy(x.indices).T.tolist()]
    assert found == sorted(expected)
    assert xp.to_numpy(x.values).tolist() == [expected[where] for where in found]


@given(shape=SHAPES, seed=st.integers(0, 99))
def test_the_radix_sort_gives_what_the_comparison_sort_gives(shape, seed):
    pytest.importorskip("numba")
    indices, values = scattered(shape, 60, seed, "complex128")
    expected = coo(indices, values, shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_sparse_sort, "_KERNEL_ENTRIES", 1)
        found = coo(indices, values, shape)
        again = coo(*found)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.values is found.values


def test_order_does_not_matter():
    indices, values = scattered((4, 5, 3), 30)
    order = np.random.default_rng(1).permutation(30)
    one, other = coo(indices, values, (4, 5, 3)), coo(indices[:, order], values[order], (4, 5, 3))
    np.testing.assert_array_equal(one.indices, other.indices)
    np.testing.assert_array_equal(one.values, other.values)


def test_explicit_zeros_stay_also_where_a_sum_is_zero():
    x = coo([[0, 1, 1], [0, 2, 2]], [0.0, 3.0, -3.0])
    assert x.nnz == 2
    assert x.values.tolist() == [0.0, 0.0]


def test_what_is_canonical_is_not_copied():
    x = coo([[0, 1], [2, 0]], [1.0, 2.0])
    again = coo(*x)
    assert again.indices is x.indices
    assert again.values is x.values


@pytest.mark.writable
def test_inputs_are_left_alone(xp):
    indices, values = scattered((3, 4), 20)
    there = xp.asarray(indices), xp.asarray(values)
    coo(*there, (3, 4))
    np.testing.assert_array_equal(xp.to_numpy(there[0]), indices)
    np.testing.assert_array_equal(xp.to_numpy(there[1]), values)


def test_lists_and_what_nonzero_returns_are_coordinates():
    dense = np.array([[0.0, 2.0], [3.0, 0.0]])
    x = coo(np.nonzero(dense), dense[np.nonzero(dense)], dense.shape)
    np.testing.assert_array_equal(x.to_array(), dense)
    assert coo([[0], [1]], [2]).to_array().tolist() == [[0.0, 2.0]]


@pytest.mark.parametrize("kind", ["int8", "uint16", "uint64", ">i4"])
def test_any_integers_are_coordinates(kind):
    x = coo(np.array([[0, 2], [1, 0]], kind), [1.0, 2.0])
    assert x.indices.dtype == np.int64
    assert x.shape == (3, 2)


@pytest.mark.parametrize(
    ("given_", "computed"),
    [("float16", "float32"), ("int32", "float64"), ("bool", "float64"), (">f8", "float64")],
)
def test_values_are_promoted_as_everywhere(given_, computed):
    x = coo([[0, 1]], np.array([1, 0], given_))
    assert x.dtype == computed
    assert x.dtype.isnative


def test_layouts_in_memory_do_not_matter():
    indices, values = scattered((4, 5), 24)
    expected = coo(indices, values, (4, 5))
    for way in (np.asfortranarray(indices), np.repeat(indices, 2, axis=1)[:, ::2]):
        found = coo(way, np.repeat(values, 3)[::3], (4, 5))
        np.testing.assert_array_equal(found.to_array(), expected.to_array())


def test_a_tensor_without_entries_is_zero(xp):
    nothing = xp.asarray(np.zeros((2, 0), np.int64)), xp.asarray(np.zeros(0))
    x = coo(*nothing, (2, 3))
    assert x.nnz == 0
    np.testing.assert_array_equal(xp.to_numpy(x.to_array()), np.zeros((2, 3)))


@given(shape=SHAPES, nnz=st.integers(0, 40), seed=st.integers(0, 99))
def test_any_shape_will_do(shape, nnz, seed):
    indices, values = scattered(shape, nnz, seed)
    x = coo(indices, values, shape)
    np.testing.assert_array_equal(x.to_array(), added(indices, values, shape))
    positions = np.ravel_multi_index(tuple(x.indices), shape)
    assert np.all(np.diff(positions) > 0)


REGIONS = [
    (slice(None), slice(1, 4, 2), slice(None, None, -1)),
    (0, [4, 0, 0, -1], -1),
    ([1], slice(2, 2), slice(None)),
    (-1, 2, 0),
    ([], slice(None), 1),
]


@pytest.mark.parametrize("region", REGIONS)
def test_a_region_on_every_backend(xp, region):
    shape = (2, 5, 3)
    indices, values = scattered(shape, 25)
    x = coo(xp.asarray(indices), xp.asarray(values), shape)
    found = xp.to_numpy(x.to_array(region))
    np.testing.assert_array_equal(found, cut(added(indices, values, shape), region))


def cut(dense, region):
    for axis, part in reversed(list(enumerate(region))):
        chosen = np.asarray(part, np.int64) if isinstance(part, list) else part
        dense = dense[(slice(None),) * axis + (chosen,)]
    return dense


@given(shape=SHAPES, data=st.data())
def test_a_region_is_the_part_of_the_whole(shape, data):
    indices, values = scattered(shape, 30, 3)
    x = coo(indices, values, shape)
    region = []
    for n in shape:
        first, last = sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n))))
        some = st.lists(st.integers(-n, n - 1), max_size=6)
        ways = [slice(None), slice(first, last, 2), slice(None, None, -1)]
        region.append(data.draw(st.sampled_from(ways) | st.integers(-n, n - 1) | some))
    dense = added(indices, values, shape)
    np.testing.assert_array_equal(x.to_array(tuple(region)), cut(dense, region))
    if isinstance(region[0], slice):
        np.testing.assert_array_equal(x.to_array(region[0]), dense[region[0]])


def test_a_region_of_a_huge_tensor_costs_only_itself():
    x = coo([[0, 2**39], [1, 2], [5, 2**39]], [1.0, 2.0], LONG)
    found = x.to_array((slice(2**39 - 1, 2**39 + 1), 2, [0, 2**39]))
    assert found.tolist() == [[0.0, 0.0], [0.0, 2.0]]


def test_it_can_be_measured_as_any_format():
    dense = np.diag([3.0, 4.0])
    x = coo([[1], [1]], [4.0], (2, 2))
    assert float(td.relative_error(dense, x)) == pytest.approx(0.6, rel=1e-15)


def test_its_size_is_that_of_coordinates_and_values():
    x = coo([[0, 1], [1, 0]], [4.0, 5.0], (90, 10))
    assert td.n_parameters(x) == 6
    assert td.compression_ratio(x) == 150.0


def test_numpy_does_not_take_it_for_a_stack():
    x = coo([[0], [1]], [1.0])
    with pytest.raises(TypeError):
        np.ones((2, 2)) @ x


# --- What is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("indices", "values", "shape", "message"),
    [
        ([[0, 3], [0, 1]], [1.0, 2.0], (2, 2), r"entry 1 lies at \(3, 1\), .* index 3 of mode 0"),
        ([[0, 1], [0, -1]], [1.0, 2.0], (2, 2), r"entry 1 lies at \(1, -1\), .* index -1 of mode"),
        ([[0, 1], [-2, 0]], [1.0, 2.0], None, r"entry 0 lies at \(0, -2\)"),
        ([[0, 1]], [1.0, 2.0, 3.0], (2,), r"shape \(d, 3\) .* got \(1, 2\)"),
        ([0, 1], [1.0, 2.0], (2,), r"indices must have shape \(d, 2\)"),
        ([[0, 1]], [[1.0, 2.0]], (2,), "values must have 1 dimension"),
        ([[0, 1]], [1.0, 2.0], (2, 2), r"shape \(2, 2\) has 2 modes, indices have 1"),
        ([[0, 1]], [1.0, 2.0], (-1,), r"shape\[0\] must be an int >= 1, got -1"),
        ([[0, 1]], [1.0, 2.0], (0,), r"shape\[0\] must be an int >= 1, got 0"),
        ([[0, 1]], [1.0, np.nan], (2,), r"the first at values\[1\]"),
        ([[0, 1]], [np.inf, 1.0], (2,), r"the first at values\[0\]"),
    ],
)
def test_what_does_not_fit_is_named(indices, values, shape, message):
    with pytest.raises(ValueError, match=message):
        coo(indices, values, shape)


def test_an_empty_tensor_needs_a_shape():
    with pytest.raises(ValueError, match="pass shape="):
        coo(np.zeros((2, 0), np.int64), [])


@pytest.mark.parametrize("bad", [[[0.0, 1.0]], [[True, False]]])
def test_coordinates_are_integers(bad):
    with pytest.raises(TypeError, match=r"indices must be integers, got (float64|bool)"):
        coo(bad, [1.0, 2.0])
    with pytest.raises(TypeError, match=r"indices\[0\] must be integers"):
        coo((np.asarray(bad[0]),), [1.0, 2.0])


def test_rows_of_coordinates_are_equally_long():
    with pytest.raises(ValueError, match="equally long"):
        coo((np.arange(2), np.arange(3)), [1.0, 2.0])
    with pytest.raises(TypeError, match="indices is not a rectangular array"):
        coo([[0, 1], [0]], [1.0, 2.0])


def test_lengths_are_ints():
    with pytest.raises(TypeError, match=r"shape\[1\] must be an int"):
        coo([[0], [0]], [1.0], (2, 2.5))


def test_coordinates_do_not_wrap_around():
    with pytest.raises(ValueError, match="18446744073709551615"):
        coo(np.array([[2**64 - 1]], np.uint64), [1.0])


def test_libraries_are_not_mixed(xp):
    if "numpy" in xp.name:
        pytest.skip("needs a second library")
    with pytest.raises(TypeError, match="one library"):
        coo(np.array([[0, 1]]), xp.asarray(np.ones(2)))


def test_bad_regions_are_named():
    x = COO(np.array([[0], [1]]), np.ones(1), (2, 2))
    with pytest.raises(ValueError, match=r"region\[1\] must lie between -2 and 1"):
        x.to_array((slice(None), 2))
    with pytest.raises(ValueError, match="one entry for each of 2 modes"):
        x.to_array((0,))
