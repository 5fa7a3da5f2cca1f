"""The product of an unfolding with a Khatri-Rao product, without either of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp.ops import khatri_rao, mttkrp, unfold
from tdecomp.ops._mttkrp import even_split
from tdecomp.testing import gaussian

DTYPES = ("float32", "float64", "complex64", "complex128")
shapes = st.lists(st.integers(1, 5), min_size=2, max_size=6).map(tuple)


def problem(shape, rank, dtype="float64", seed=0):
    x = gaussian(shape, rng=seed, dtype=dtype)
    return x, [gaussian((n, rank), rng=seed + k + 1, dtype=dtype) for k, n in enumerate(shape)]


def direct(x, factors, mode):
    others = [factor for k, factor in enumerate(factors) if k != mode]
    return unfold(x, mode) @ khatri_rao(others)


@given(shape=shapes, rank=st.integers(1, 4), dtype=st.sampled_from(DTYPES), data=st.data())
def test_it_is_the_product_that_its_name_says(shape, rank, dtype, data):
    mode = data.draw(st.integers(-len(shape), len(shape) - 1))
    x, factors = problem(shape, rank, dtype)
    got, true = mttkrp(x, factors, mode), direct(x, factors, mode % len(shape))
    sizes = direct(abs(x), [abs(factor) for factor in factors], mode % len(shape))
    assert got.dtype == x.dtype
    assert got.shape == (shape[mode], rank)
    assert np.all(abs(got - true) <= 4 * len(shape) * np.finfo(dtype).eps * (sizes + 1e-300))


@pytest.mark.parametrize("dtype", DTYPES)
def test_on_every_backend(xp, dtype):
    x, factors = problem((4, 3, 5, 2), 3, dtype)
    arrays = [xp.asarray(factor) for factor in factors]
    for mode in range(4):
        got = xp.to_numpy(mttkrp(xp.asarray(x), arrays, mode))
        np.testing.assert_allclose(
            got, direct(x, factors, mode), rtol=0, atol=200 * np.finfo(dtype).eps
        )


def test_jit(xp):
    xp.requires("ops.mttkrp", "jit")
    x, factors = problem((4, 3, 5), 2)
    arrays = [xp.asarray(factor) for factor in factors]
    got = xp.jit(lambda y, fs: mttkrp(y, fs, 1))(xp.asarray(x), arrays)
    np.testing.assert_allclose(xp.to_numpy(got), direct(x, factors, 1), atol=1e-14)


def test_the_factor_of_the_mode_is_not_looked_at():
    x, factors = problem((4, 3, 5), 2)
    expected = direct(x, factors, 1)
    factors[1] = None
    np.testing.assert_allclose(mttkrp(x.tolist(), factors, 1), expected, atol=1e-14)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"factors": [np.ones((4, 2)), None]}, "got 2 factors for 3 modes"),
        ({"factors": [None, np.ones((3, 2)), np.ones((5, 3))]}, r"factors\[2\] must have shape"),
        ({"factors": [None, np.ones((3, 2)), np.ones((4, 2))]}, r"factors\[2\] must have shape"),
        ({"mode": 3}, "mode must lie between -3 and 2"),
        ({"x": np.full((4, 3, 5), np.nan)}, "x has 60 non-finite entries"),
        ({"x": np.ones(4), "factors": [None]}, "one mode"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    x, factors = problem((4, 3, 5), 2)
    call = {"x": x, "factors": factors, "mode": 0} | change
    with pytest.raises(ValueError, match=message):
        mttkrp(call["x"], call["factors"], call["mode"])


@given(shape=shapes)
def test_the_split_is_the_most_even_one(shape):
    sides = [(np.prod(shape[:s]), np.prod(shape[s:])) for s in range(1, len(shape))]
    split = even_split(shape)
    assert max(sides[split - 1]) == min(map(max, sides))
