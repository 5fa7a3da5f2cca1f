"""The CP format: what it stands for, however it is asked."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdecomp as td
from tdecomp.cp import CP

SHAPE, RANK = (4, 3, 5, 2), 3
SLACK = 50 * np.finfo(float).eps
REGIONS = [
    None,
    slice(1, 3),
    slice(3, 1),
    (slice(None), slice(None), slice(None), slice(None)),
    (slice(-3, None), 1, slice(None, None, 2), slice(None)),
    (0, -1, 4, 1),
    ([3, 0, 3], slice(None), np.array([-1, 0]), 1),
    (slice(None), slice(None, None, -1), 0, slice(5, 9)),
    (slice(None), np.int64(2), (), slice(None)),
]


@pytest.mark.parametrize("region", REGIONS)
def test_a_region_of_the_format_is_the_region_of_the_tensor(xp, region, random_cp, dense, moved):
    cp = random_cp(SHAPE, RANK, dtype="complex128")
    x = dense(cp)
    parts = region if isinstance(region, tuple) else (region if region else slice(None),)
    for mode in range(len(parts))[::-1]:
        part = parts[mode]
        lists = isinstance(part, list | tuple)
        x = x[(slice(None),) * mode + (np.array(part, dtype=int) if lists else part,)]
    got = xp.to_numpy(moved(cp, xp.asarray).to_array(region))
    assert got.shape == x.shape
    assert got.dtype == cp.dtype
    assert np.all(np.abs(got - x) <= SLACK)


@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=6), rank=st.integers(1, 5))
def test_the_array_is_the_sum_of_the_components(shape, rank, random_cp, dense):
    cp = random_cp(tuple(shape), rank)
    assert (cp.shape, cp.rank, cp.modes, cp.dtype) == (tuple(shape), rank, len(shape), float)
    assert np.abs(cp.to_array() - dense(cp)).max() <= 10 * SLACK * max(1, np.abs(dense(cp)).max())


def test_twelve_modes(random_cp, dense):
    cp = random_cp((2,) * 12, 2)
    assert np.abs(cp.to_array() - dense(cp)).max() <= SLACK * np.abs(dense(cp)).max()


def test_many_components_of_a_small_tensor_are_taken_in_blocks(random_cp, dense):
    cp = random_cp((3, 2, 4), 500)
    assert np.abs(cp.to_array() - dense(cp)).max() <= 500 * SLACK


def test_the_memory_is_that_of_the_result_and_a_few_columns(random_cp):
    import tracemalloc

    cp = random_cp((60, 60, 60), 200)
    tracemalloc.start()
    x = cp.to_array()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # All 200 columns of the right half alone would weigh more than three times the result.
    assert peak <= 4.5 * x.nbytes


def test_a_batch_stands_for_a_batch_of_tensors(xp, random_cp, dense, moved):
    members = [random_cp((3, 4, 2), 2, seed=10 * i) for i in range(5)]
    cp = CP(
        np.stack([m.weights for m in members]),
        tuple(np.stack(matrices) for matrices in zip(*(m.factors for m in members), strict=True)),
    )
    assert cp.shape == (5, 3, 4, 2)
    assert cp.modes == 3
    got = xp.to_numpy(moved(cp, xp.asarray).to_array((slice(None), 1, [0, 1])))
    assert np.abs(got - np.stack([dense(m)[:, 1] for m in members])).max() <= SLACK


def test_the_error_of_a_tensor_in_the_format_is_rounding(xp, random_cp, moved):
    cp = moved(random_cp(SHAPE, RANK, dtype="complex128"), xp.asarray)
    assert float(td.relative_error(cp.to_array(), cp, block=1)) <= SLACK
    assert td.n_parameters(cp) == RANK * (1 + sum(SHAPE))


def test_it_unpacks_as_the_field_writes_it_and_pickles(random_cp):
    cp = random_cp(SHAPE, RANK)
    weights, factors = cp
    assert weights is cp.weights
    assert factors is cp.factors
    again = pickle.loads(pickle.dumps(cp))
    assert type(again) is CP
    assert np.array_equal(again.to_array(), cp.to_array())


def test_it_is_a_pytree(random_cp):
    jax = pytest.importorskip("jax")
    cp = random_cp(SHAPE, RANK)
    doubled = jax.jit(lambda f: jax.tree.map(lambda x: 2 * x, f))(cp)
    assert type(doubled) is CP
    got = jax.jit(lambda f: f.to_array((slice(1, 3), 0, slice(None), 1)))(doubled)
    assert np.abs(np.asarray(got) - 32 * cp.to_array()[1:3, 0, :, 1]).max() <= 32 * SLACK


def test_tensorly_takes_it(random_cp):
    tl = pytest.importorskip("tensorly")
    cp = random_cp(SHAPE, RANK)
    assert np.abs(tl.cp_to_tensor(cp) - cp.to_array()).max() <= SLACK
    assert tl.cp_tensor.cp_norm(cp) == pytest.approx(float(td.cp.norm(cp)))


def test_numpy_does_not_take_the_tuple_for_an_array(random_cp):
    with pytest.raises(TypeError):
        np.ones((3, 4)) @ random_cp((4, 4), 2)


@pytest.mark.parametrize(
    ("region", "error", "message"),
    [
        (1, TypeError, "region must be None"),
        ((0, 0), ValueError, "one entry for each of 4 modes, got 2"),
        ((4, 0, 0, 0), ValueError, r"region\[0\] must lie between -4 and 3"),
        ((0, [3], 0, 0), ValueError, r"region\[1\] has an index outside of -3 ... 2"),
        ((0, [0.5], 0, 0), TypeError, r"region\[1\] must be a slice"),
        ((0, [[0]], 0, 0), TypeError, r"region\[1\] must be a slice"),
        ((0, [True], 0, 0), TypeError, r"region\[1\] must be a slice"),
        ((True, 0, 0, 0), TypeError, r"region\[0\] is a bool"),
    ],
)
def test_regions_that_do_not_fit_are_refused(region, error, message, random_cp):
    with pytest.raises(error, match=message):
        random_cp(SHAPE, RANK).to_array(region)
