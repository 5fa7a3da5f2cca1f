"""Trains and rings as formats: shapes, entries, regions."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdecomp as td

REGIONS = [
    None,
    slice(1, 3),
    slice(3, 0, -2),
    (slice(None), 2, slice(0, 2)),
    (0, slice(None, None, -1), [2, 0, 2]),
    (-1, 1, -2),
    (np.array([3, 1]), slice(1, None), 0),
    ([], slice(None), slice(None)),
]


def indexed(x, region):
    """What the region means, by outer indexing in NumPy."""
    parts = region if isinstance(region, tuple) else (region or slice(None),)
    for axis, part in reversed(list(enumerate(parts))):
        kept = np.asarray(part, dtype=int) if isinstance(part, list) else part
        x = x[(slice(None),) * axis + (kept,)]
    return x


@pytest.mark.parametrize("region", REGIONS, ids=str)
def test_regions_are_cut_from_the_tensor(xp, region, train_of, ring_of, brute):
    dtype = "complex64"
    for fmt in (
        train_of((4, 3, 5), (2, 3), dtype=dtype),
        ring_of((4, 3, 5), (2, 3, 2), dtype=dtype),
    ):
        expected = indexed(brute(fmt.cores), region)
        moved = type(fmt)(tuple(map(xp.asarray, fmt.cores)))
        found = xp.to_numpy(moved.to_array(region))
        assert found.dtype == np.dtype(dtype)
        assert found.shape == expected.shape
        assert np.allclose(found, expected, rtol=0, atol=200 * np.finfo(dtype).eps)


@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=5).map(tuple),
    ranks=st.lists(st.integers(1, 3), min_size=5, max_size=5),
    seed=st.integers(0, 99),
)
def test_entries_are_products_of_matrices(  # noqa: PLR0917
    shape, ranks, seed, train_of, ring_of, brute
):
    train = train_of(shape, ranks[: len(shape) - 1], seed=seed)
    ring = ring_of(shape, ranks[: len(shape)], seed=seed)
    for fmt in (train, ring):
        expected = brute(fmt.cores)
        assert fmt.shape == shape
        assert fmt.modes == len(shape)
        assert fmt.dtype == np.float64
        assert np.abs(fmt.to_array() - expected).max() <= 1e-12
        assert td.relative_error(expected, fmt) <= 1e-13
    assert train.rank == tuple(ranks[: len(shape) - 1])
    assert ring.rank == tuple(ranks[: len(shape)])
    assert td.n_parameters(train) == sum(core.size for core in train.cores)


def test_twelve_modes_are_contracted_from_both_ends(train_of):
    train = train_of((2,) * 12, (3,) * 11)
    step = train.cores[0]
    for core in train.cores[1:]:
        step = np.tensordot(step, core, axes=1)
    expected = step.reshape(train.shape)
    gap = np.linalg.norm(train.to_array() - expected)
    assert gap <= 1e-13 * np.linalg.norm(expected)


def test_a_batch_is_a_pile_of_tensors(train_of, ring_of):
    for draw, rank in ((train_of, (2, 2)), (ring_of, (2, 2, 2))):
        many = [draw((3, 2, 4), rank, seed=seed) for seed in range(3)]
        pile = type(many[0])(tuple(map(np.stack, zip(*(one.cores for one in many), strict=True))))
        assert pile.shape == (3, 3, 2, 4)
        assert pile.modes == 3
        for one, entries in zip(many, pile.to_array(), strict=True):
            assert np.abs(one.to_array() - entries).max() <= 1e-14
        assert pile.to_array((0, slice(1), [1, 2])).shape == (3, 1, 2)


def test_formats_pickle_and_stay_out_of_numpys_way(train_of, ring_of):
    for fmt in (train_of((2, 3), (2,)), ring_of((2, 3), (2, 2))):
        again = pickle.loads(pickle.dumps(fmt))
        assert type(again) is type(fmt)
        assert np.array_equal(again.to_array(), fmt.to_array())
        with pytest.raises(TypeError):
            np.ones((2, 2)) @ fmt


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ((0, 3), "one entry for each of 3 modes"),
        ((4, 0, 0), r"region\[0\] must lie between -4 and 3"),
        (([4], 0, 0), "outside of -4 ... 3"),
    ],
)
def test_regions_that_do_not_exist_are_named(region, message, train_of):
    with pytest.raises(ValueError, match=message):
        train_of((4, 3, 5), (2, 3)).to_array(region)
