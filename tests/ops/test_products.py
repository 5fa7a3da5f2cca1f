"""The MTTKRPs of a dimension tree are those made one by one, whatever changes in between."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp.ops import khatri_rao, mttkrp
from tdecomp.ops._products import DenseProducts, even_groups
from tdecomp.testing import gaussian

EPS = np.finfo(float).eps
shapes = st.lists(st.integers(1, 5), min_size=1, max_size=6).map(tuple)


def problem(shape, rank, dtype="float64", seed=0):
    x = gaussian(shape, rng=seed, dtype=dtype)
    return x, [gaussian((n, rank), rng=seed + k + 1, dtype=dtype) for k, n in enumerate(shape)]


def compiled(x, rank):
    products = DenseProducts(x, rank, sweeps=10**9, xp=np)
    assert type(products._contract).__name__ == "_Compiled"
    return products


@given(shape=shapes, rank=st.integers(1, 4), steps=st.lists(st.integers(0, 50), max_size=8))
def test_any_order_of_products_and_changes(shape, rank, steps):
    x, factors = problem(shape, rank)
    products = DenseProducts(x, rank, sweeps=1, xp=np)
    for step in steps:
        mode = step % len(shape)
        got = products.mttkrp(mode, factors)
        if len(shape) > 1:
            np.testing.assert_allclose(got, mttkrp(x, factors, mode), atol=1e3 * EPS)
        else:
            np.testing.assert_array_equal(got, np.broadcast_to(x[:, None], got.shape))
        factors[mode] = factors[mode] + got


def test_a_sweep_reads_the_tensor_twice(monkeypatch):
    x, factors = problem((3, 4, 2, 5, 3), 2)
    products = DenseProducts(x, 2, sweeps=1, xp=np)
    passes, true = [], products._contract.group
    monkeypatch.setattr(products._contract, "group", lambda *args: passes.append(1) or true(*args))
    for sweep in range(1, 4):
        for mode in range(5):
            products.mttkrp(mode, factors)
            factors[mode] = factors[mode] + 1.0
        assert len(passes) == 2 * sweep


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_on_every_backend(xp, dtype):
    x, factors = problem((4, 3, 5, 2), 3, dtype)
    products = DenseProducts(xp.asarray(x), 3, sweeps=1, xp=xp.namespace)
    arrays = [xp.asarray(factor) for factor in factors]
    for mode in range(4):
        got = xp.to_numpy(products.mttkrp(mode, arrays))
        np.testing.assert_allclose(
            got, mttkrp(x, factors, mode), rtol=0, atol=200 * np.finfo(dtype).eps
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rank", [4, 7, 8, 17, 40])
@pytest.mark.parametrize(
    "shape", [(23, 19, 29), (60, 61, 62), (40, 31), (9, 7, 5, 8), (6, 5, 4, 3, 5, 4), (20, 700, 3)]
)
def test_the_kernels_equal_their_twin(shape, rank, dtype):
    x, factors = problem(shape, rank, dtype)
    x.setflags(write=False)
    products = compiled(x, rank)
    sizes = [mttkrp(abs(x), list(map(abs, factors)), mode) for mode in range(len(shape))]
    for mode in [*range(len(shape)), 0]:
        got = products.mttkrp(mode, factors)
        assert got.dtype == x.dtype
        gap = abs(got - mttkrp(x, factors, mode))
        assert np.all(gap <= 8 * np.finfo(dtype).eps * sizes[mode])


def test_the_kernels_take_any_layout():
    x, factors = problem((23, 19, 29), 5)
    for layout in (np.asfortranarray(x), x[::-1, :, ::-1][::-1, :, ::-1]):
        products = compiled(layout, 5)
        for mode in range(3):
            strided = [np.asfortranarray(factor) for factor in factors]
            got = products.mttkrp(mode, strided)
            np.testing.assert_allclose(got, mttkrp(x, factors, mode), atol=1e3 * EPS)


def test_what_is_returned_is_not_overwritten():
    x, factors = problem((23, 19, 29), 8)
    products = compiled(x, 8)
    for mode in range(3):
        first = products.mttkrp(mode, factors)
        kept = first.copy()
        products.mttkrp(mode, [2 * factor for factor in factors])
        np.testing.assert_array_equal(first, kept)


@given(shape=shapes, number=st.integers(2, 3))
def test_groups_are_the_modes_in_order(shape, number):
    groups = even_groups(shape, number)
    assert [mode for group in groups for mode in group] == list(range(len(shape)))
    if len(shape) >= number:
        assert len(groups) == number
        assert all(len(group) > 0 for group in groups)


@pytest.mark.parametrize(
    ("shape", "number", "lengths"),
    [
        ((9, 9, 9), 2, [2, 1]),
        ((9, 9, 9, 9), 2, [2, 2]),
        ((9, 9, 9), 3, [1, 1, 1]),
        ((2, 3, 50, 7, 4), 3, [2, 1, 2]),
        ((9,), 2, [0, 1]),
    ],
)
def test_groups_are_as_even_as_they_can_be(shape, number, lengths):
    assert [len(group) for group in even_groups(shape, number)] == lengths


def test_two_sweeps_over_three_long_modes_read_the_tensor_three_times(monkeypatch):
    x, factors = problem((50, 51, 52), 8)
    products = compiled(x, 8)
    assert len(products._groups) == 3
    passes, true = [], products._contract.group
    monkeypatch.setattr(
        products._contract, "group", lambda *args: passes.append(args[0]) or true(*args)
    )
    for _ in range(4):
        for mode in range(3):
            got = products.mttkrp(mode, factors)
            gap = abs(got - mttkrp(x, factors, mode))
            assert np.all(gap <= 1e3 * EPS * np.max(abs(got)))
            factors[mode] = factors[mode] + 1e-3 * got
    assert passes == [2, 1, 0, 2, 1, 0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(23, 19, 29), (40, 31), (9, 7, 5, 8), (300, 17), (17, 300)])
def test_the_distance_is_that_of_the_difference(shape, dtype):
    x, factors = problem(shape, 5, dtype)
    model = np.reshape(khatri_rao(factors).astype(float).sum(axis=1), shape)
    expected = np.linalg.norm(x - model)
    for products in (compiled(x, 5), DenseProducts(x, 5, sweeps=1, xp=np)):
        found = products.distance(factors)
        assert abs(found - expected) <= 20 * np.finfo(dtype).eps * expected


@pytest.mark.parametrize("shape", [(23, 19, 29), (5,)])
def test_a_distance_far_below_the_norm(xp, shape):
    _, factors = problem(shape, 5)
    x = np.reshape(khatri_rao(factors).sum(axis=1), shape)
    x[(0,) * len(shape)] += 1e-9
    products = DenseProducts(xp.asarray(x), 5, sweeps=1, xp=xp.namespace)
    found = products.distance([xp.asarray(factor) for factor in factors])
    assert found == pytest.approx(1e-9, rel=1e-3)
