"""A seed means the same numbers everywhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp import _random


def draws(rng, array, xp):
    return (
        _random.normal(rng, (3, 4), array, xp),
        _random.signs(rng, (5,), array, xp),
        _random.indices(rng, 9, 4, array, xp, replace=False),
        _random.indices(rng, 2, 30, array, xp, replace=True),
    )


def test_every_backend_draws_the_same_numbers(xp, dtype):
    wide = np.result_type(dtype, np.float64)
    expected = draws(_random.generator(7), np.empty(0, dtype=wide), np)
    found = draws(_random.generator(7), xp.asarray(np.empty(0), dtype), xp.namespace)
    for x, y in zip(found, expected, strict=True):
        kind = dtype if y.dtype == wide else y.dtype
        assert xp.to_numpy(x).dtype == kind
        np.testing.assert_array_equal(xp.to_numpy(x), y.astype(kind))


def test_a_draw_inside_a_compiled_program_is_the_same_constant(xp):
    def f(x):
        return x + _random.normal(_random.generator(3), (2, 2), x, xp.namespace)

    zero = xp.asarray(np.zeros((2, 2)))
    np.testing.assert_array_equal(xp.to_numpy(xp.jit(f)(zero)), xp.to_numpy(f(zero)))


@given(st.integers(0, 2**64))
def test_an_int_repeats_and_a_generator_goes_on(seed):
    first, again = (_random.generator(seed).standard_normal(3) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    rng = np.random.default_rng(seed)
    assert _random.generator(rng) is rng
    np.testing.assert_array_equal(rng.standard_normal(3), first)
    assert not np.array_equal(rng.standard_normal(3), first)


@pytest.mark.parametrize("seed", [np.int64(5), np.uint8(5)])
def test_numpy_integers_seed_alike(seed):
    assert _random.generator(seed).random() == _random.generator(5).random()


def test_none_draws_fresh_numbers_and_leaves_the_global_state():
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the state that must not move
    assert _random.generator(None).random() != _random.generator(None).random()
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("rng", [1.0, "1", True, [1], np.random.RandomState(0), np.float64(1)])
def test_other_seeds_are_refused(rng):
    with pytest.raises(TypeError, match=r"rng must be an int, a numpy\.random\.Generator or None"):
        _random.generator(rng)


def test_negative_seeds_are_refused():
    with pytest.raises(ValueError, match="rng must be an int >= 0, got -1"):
        _random.generator(-1)


def test_gaussian_entries_have_mean_zero_and_variance_one(dtype):
    n = 40_000
    x = _random.normal(_random.generator(0), (n,), np.empty(0, dtype), np)
    # Five standard deviations of each estimate.
    assert abs(np.mean(x)) < 5 / n**0.5
    assert abs(np.mean(np.abs(x) ** 2) - 1) < 5 * 2**0.5 / n**0.5
    if x.dtype.kind == "c":
        assert abs(np.mean(x**2)) < 5 * 2**0.5 / n**0.5


def test_signs_are_signs(xp):
    x = xp.to_numpy(
        _random.signs(_random.generator(0), (10_000,), xp.asarray(np.empty(0)), xp.namespace)
    )
    assert set(x.tolist()) == {-1.0, 1.0}
    assert abs(np.mean(x)) < 5 / 100


@given(high=st.sampled_from([1, 7, 30]), data=st.data())
def test_indices_are_in_range_and_distinct_on_demand(xp, high, data):
    size = data.draw(st.sampled_from([0, 1, high]))
    replace = data.draw(st.booleans())
    rng = _random.generator(data.draw(st.integers(0, 99)))
    array = xp.asarray(np.empty(0))
    x = xp.to_numpy(_random.indices(rng, high, size, array, xp.namespace, replace=replace))
    assert x.shape == (size,)
    assert x.dtype.kind == "i"
    assert np.all((x >= 0) & (x < high))
    assert replace or np.unique(x).size == size
