"""Unfolding is a bijection of entries in the order that it documents; folding inverts it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from tdecomp.ops import fold, unfold

SHAPES = array_shapes(min_dims=1, max_dims=5, min_side=0, max_side=4)
FEW = st.sampled_from([(3,), (2, 3), (2, 0, 3), (2, 1, 4, 3)])


def entries(shape, dtype="int64"):
    return np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)


@given(shape=FEW, data=st.data())
def test_folding_undoes_unfolding_on_every_backend(xp, shape, data):
    kind = data.draw(st.sampled_from(["int64", "bool", "float32", "complex128", "uint8"]))
    mode = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = xp.asarray(entries(shape, kind))
    y = fold(unfold(x, mode), mode, shape)
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(xp.to_numpy(y), xp.to_numpy(x))


@given(shape=SHAPES, data=st.data())
def test_unfolding_undoes_folding(shape, data):
    mode = data.draw(st.integers(-len(shape), len(shape) - 1))
    n = shape[mode]
    rest = int(np.prod(shape[:mode] + (shape[mode + 1 :] if mode != -1 else ())))
    matrix = entries((n, rest))
    np.testing.assert_array_equal(unfold(fold(matrix, mode, shape), mode), matrix)


@given(shape=SHAPES.filter(lambda shape: 0 not in shape), data=st.data())
def test_every_entry_goes_where_the_formula_says(shape, data):
    mode = data.draw(st.integers(0, len(shape) - 1))
    index = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    rest = [k for k in range(len(shape)) if k != mode]
    column = sum(index[k] * int(np.prod([shape[j] for j in rest if j > k])) for k in rest)
    x = entries(shape)
    assert unfold(x, mode)[index[mode], column] == x[index]


@given(shape=SHAPES, data=st.data())
def test_a_negative_mode_counts_from_the_end(shape, data):
    mode = data.draw(st.integers(0, len(shape) - 1))
    x = entries(shape)
    matrix = unfold(x, mode - len(shape))
    np.testing.assert_array_equal(matrix, unfold(x, mode))
    np.testing.assert_array_equal(fold(matrix, mode - len(shape), shape), x)


def test_the_norm_is_kept(xp, dtype):
    x = np.linspace(-1, 1, 24).reshape(2, 3, 4).astype(dtype)
    for mode in range(3):
        found = xp.to_numpy(unfold(xp.asarray(x), mode))
        assert found.shape == (x.shape[mode], 24 // x.shape[mode])
        np.testing.assert_array_equal(np.sort(found, axis=None), np.sort(x, axis=None))


def test_special_values_and_foreign_dtypes_are_moved_too():
    x = np.array([[np.nan, np.inf], [1.0, -0.0]], dtype=">f8")
    assert unfold(x, 1).dtype == x.dtype
    np.testing.assert_array_equal(unfold(x, 1), x.T)
    names = np.array([["a", "b"]])
    np.testing.assert_array_equal(unfold(names, 1), names.T)
    np.testing.assert_array_equal(unfold([[1, 2], [3, 4]], 1), [[1, 3], [2, 4]])


def test_mode_zero_moves_nothing():
    x = entries((3, 4, 5))
    assert np.shares_memory(unfold(x, 0), x)
    assert np.shares_memory(fold(unfold(x, 0), 2, (4, 5, 3)), x)


@pytest.mark.parametrize("order", ["F", "strided"])
def test_the_layout_in_memory_does_not_matter(order):
    x = entries((3, 4, 5))
    y = np.asfortranarray(x) if order == "F" else np.repeat(x, 2, axis=1)[:, ::2]
    for mode in range(3):
        np.testing.assert_array_equal(unfold(y, mode), unfold(x, mode))


def test_it_compiles(xp):
    x = xp.asarray(entries((2, 3, 4)))
    trip = xp.jit(lambda x: fold(unfold(x, 1), 1, (2, 3, 4)))
    np.testing.assert_array_equal(xp.to_numpy(trip(x)), xp.to_numpy(x))


@pytest.mark.parametrize("mode", [1.0, "0", None, True, (0,)])
def test_a_mode_is_an_int(mode):
    with pytest.raises(TypeError, match="mode must be an int, got"):
        unfold(entries((2, 3)), mode)
    with pytest.raises(TypeError, match="mode must be an int, got"):
        fold(entries((2, 3)), mode, (2, 3))


@pytest.mark.parametrize("mode", [2, -3, 10**20])
def test_a_mode_exists(xp, mode):
    with pytest.raises(ValueError, match=f"between -2 and 1 for 2 modes, got {mode}"):
        unfold(xp.asarray(entries((2, 3))), mode)
    with pytest.raises(ValueError, match=f"between -2 and 1 for 2 modes, got {mode}"):
        fold(xp.asarray(entries((2, 3))), mode, (2, 3))


def test_a_number_has_no_mode():
    with pytest.raises(ValueError, match="at least one mode"):
        unfold(3.0, 0)


@pytest.mark.parametrize("shape", [(3, 2), (2, 3, 2), (6,)])
def test_the_shape_must_fit(xp, shape):
    with pytest.raises(ValueError, match=r"matrix must have shape .* to fold .* got \(2, 3\)"):
        fold(xp.asarray(entries((2, 3))), 0, shape)


@pytest.mark.parametrize("shape", [(2, -3), (2, 1.5), (2, None)])
def test_lengths_are_counts(shape):
    with pytest.raises((TypeError, ValueError), match=r"shape\[1\] must be an int >= 0"):
        fold(entries((2, 3)), 0, shape)


@pytest.mark.parametrize("value", [np.ma.masked_array([1.0]), None, {}, np.eye(2).view(np.matrix)])
def test_other_things_are_refused(value):
    with pytest.raises(TypeError, match="x must be an array"):
        unfold(value, 0)
    with pytest.raises(TypeError, match="matrix must be an array"):
        fold(value, 0, (1,))
