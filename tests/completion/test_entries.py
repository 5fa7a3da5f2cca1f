"""What is known of a matrix is read the same from whatever holds it; what is not is refused."""

import tracemalloc
import warnings

import array_api_compat
import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given

import tdecomp as td
from tdecomp.completion._entries import read
from tdecomp.completion._observed import group
from tdecomp.ops import COO

NAN = np.nan
DENSE = np.array([[1.0, NAN, 3.0, 0.0], [NAN, NAN, 7.0, NAN], [NAN] * 4])
ROWS, COLUMNS = np.array([1, 0, 0, 0]), np.array([2, 3, 0, 2])
VALUES = np.array([7.0, 0.0, 1.0, 3.0])


def listed(entries):
    parts = (entries.rows, entries.columns, entries.values)
    return [tuple(float(v) for v in row) for row in zip(*parts, strict=True)]


EXPECTED = [(0, 0, 1), (0, 2, 3), (0, 3, 0), (1, 2, 7)]


@pytest.mark.parametrize("form", ["dense", "coo", "csr", "csc", "raw"])
def test_all_forms_tell_the_same(form):
    sparse = scipy.sparse.coo_array((VALUES, (ROWS, COLUMNS)), shape=(3, 4))
    x = {
        "dense": DENSE,
        "coo": sparse,
        "csr": sparse.tocsr(),
        "csc": sparse.tocsc(),
        "raw": COO(np.stack([ROWS, COLUMNS]), VALUES, (3, 4)),
    }[form]
    _, entries = read(x)
    assert listed(entries) == EXPECTED
    assert entries.shape == (3, 4)
    assert entries.weights is None


def test_every_library_keeps_its_arrays(xp):
    for x in (xp.asarray(DENSE), COO(xp.asarray([ROWS, COLUMNS]), xp.asarray(VALUES), (3, 4))):
        found, entries = read(x)
        assert listed(entries) == EXPECTED
        assert array_api_compat.array_namespace(entries.values) is found
        observed = group(entries, found)
        for side, dense in ((observed.rows, DENSE), (observed.columns, DENSE.T)):
            assert xp.to_numpy(side.starts).tolist() == [
                0, *np.cumsum((~np.isnan(dense)).sum(axis=1)).tolist()
            ]  # fmt: skip
            assert xp.to_numpy(side.values).tolist() == dense[~np.isnan(dense)].tolist()
            assert xp.to_numpy(side.indices).tolist() == np.nonzero(~np.isnan(dense))[1].tolist()
            assert (
                xp.to_numpy(side.owners(found)).tolist()
                == np.nonzero(~np.isnan(dense))[0].tolist()
            )


def test_a_sparse_tensor_of_pytorch_is_known_where_it_stores():
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch calls its sparse tensors a beta
        x = torch.sparse_coo_tensor(np.stack([ROWS, COLUMNS]), VALUES, (3, 4))
        for form in (x, x.to_sparse_csr()):
            assert listed(read(form)[1]) == EXPECTED


@given(seed=st.integers(0, 1000), m=st.integers(1, 7), n=st.integers(1, 7))
def test_grouping_is_a_permutation_both_ways(seed, m, n):
    rng = np.random.default_rng(seed)
    dense = np.where(rng.random((m, n)) < 0.5, rng.standard_normal((m, n)), NAN)
    dense[rng.integers(m), rng.integers(n)] = 1
    rows, columns = np.nonzero(~np.isnan(dense))
    order = rng.permutation(rows.size)
    x = COO(np.stack([rows, columns])[:, order], dense[rows, columns][order], (m, n))
    weights = rng.random(rows.size) + 0.1
    xp, entries = read(x, weights[order])
    observed = group(entries, xp)
    for side, kind, shape in (
        (observed.rows, scipy.sparse.csr_array, (m, n)),
        (observed.columns, scipy.sparse.csr_array, (n, m)),
    ):
        got = kind((side.values, side.indices, side.starts), shape=shape).toarray()
        back = got if shape == (m, n) and side is observed.rows else got.T
        np.testing.assert_array_equal(back, np.nan_to_num(dense))
    np.testing.assert_array_equal(observed.rows.weights, weights)
    assert observed.mT.shape == (n, m)


def test_views_with_gaps_are_read_as_what_they_show():
    rng = np.random.default_rng(0)
    rows, columns = np.nonzero(rng.random((20, 15)) < 0.5)
    assert columns.strides != (columns.itemsize,)
    values, weights = rng.random((2, columns.size, 2))[:, :, 0] + 0.5
    views = COO(np.asarray([rows, columns]), values, (20, 15)), weights
    copies = COO(np.asarray([rows, columns]), values.copy(), (20, 15)), weights.copy()
    for one, other in zip(fits(*views), fits(*copies), strict=True):
        for part, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(part, same)


def fits(x, weights):
    """What kernels make of entries."""
    old = td.LowRank(np.eye(20, 2), np.eye(2, 15))
    yield td.complete(x, rank=2, weights=weights, biases=True, rng=0).tensor
    yield td.completion.implicit_als(x, rank=2, rng=0).tensor
    yield td.completion.variational_als(x, rank=2, rng=0).tensor
    yield td.completion.fold_in(old, x, weights=weights)


@pytest.mark.parametrize(("size", "weight"), [(1e308, 1.0), (1e-250, 1e-250), (1e200, 1e200)])
def test_means_of_the_largest_and_the_smallest_numbers_are_numbers(size, weight):
    x = COO(np.array([[0, 0, 1], [1, 1, 0]]), size * np.array([1.0, 0.5, 1.0]), (2, 2))
    _, merged = read(x, weight * np.array([1.0, 3.0, 2.0]), duplicates="mean")
    assert listed(merged) == [(0, 1, 0.625 * size), (1, 0, size)]
    np.testing.assert_allclose(merged.weights, [4 * weight, 2 * weight], rtol=1e-15)


def test_one_place_twice_is_refused_or_averaged_by_weight():
    x = COO(np.array([[0, 1, 0], [1, 0, 1]]), np.array([1.0, 5.0, 4.0]), (2, 2))
    with pytest.raises(ValueError, match=r"several entries at \(0, 1\)"):
        read(x)
    _, merged = read(x, duplicates="mean")
    assert listed(merged) == [(0, 1, 2.5), (1, 0, 5)]
    assert merged.weights.tolist() == [2, 1]
    _, merged = read(x, np.array([1.0, 1.0, 3.0]), duplicates="mean")
    assert listed(merged) == [(0, 1, 3.25), (1, 0, 5)]
    assert merged.weights.tolist() == [4, 1]


def test_entries_of_weight_zero_may_be_anything():
    weights = np.where(np.isnan(DENSE), 0.0, 2.0)
    weights[0, 3] = 0
    assert listed(read(DENSE, weights)[1]) == [EXPECTED[k] for k in (0, 1, 3)]
    x = COO(np.stack([ROWS, COLUMNS]), np.array([7.0, np.inf, 1, 3]), (3, 4))
    assert listed(read(x, weights)[1]) == [EXPECTED[k] for k in (0, 1, 3)]


@pytest.mark.parametrize(
    ("x", "weights", "error", "message"),
    [
        (np.full((2, 2), NAN), None, ValueError, "no observed entry"),
        (
            COO(np.array([[0], [2]]), np.ones(1), (2, 2)),
            None,
            ValueError,
            "between 0 and 1, got 2",
        ),
        (COO(np.array([[-1], [0]]), np.ones(1), (2, 2)), None, ValueError, "got -1"),
        (COO(np.array([[0.0], [0]]), np.ones(1), (2, 2)), None, TypeError, "must be integers"),
        (COO(np.array([[0], [0]]), np.array([NAN]), (2, 2)), None, ValueError, "non-finite"),
        (COO(np.array([[0], [0]]), np.array(["5"]), (2, 2)), None, TypeError, "dtype <U1"),
        (COO(np.array([[0], [0]]), np.ones(2), (2, 2)), None, ValueError, "coordinates for 2"),
        (COO(np.zeros((3, 1), int), np.ones(1), (2, 2, 2)), None, ValueError, "be a matrix"),
        (np.array([[np.inf, 1.0]]), None, ValueError, "non-finite"),
        (np.ones((2, 2)), -np.ones((2, 2)), ValueError, "nonnegative"),
        (np.ones((2, 2)), np.ones((3, 2)), ValueError, "cannot be broadcast"),
        (DENSE, np.ones((3, 4)), ValueError, r"x\[0, 1\] is NaN but weighs 1"),
        (DENSE, np.ones((3, 4)).tolist(), ValueError, r"x\[0, 1\] is NaN but weighs 1"),
        (COO(np.array([[0], [0]]), np.ones(1), (2, 2)), np.ones((3, 2)), ValueError, "broadcast"),
        ([["a", "b"]], None, TypeError, "dtype"),
        (np.ones(3), None, ValueError, "2 dimensions"),
    ],
)
def test_bad_input_gets_one_clear_error(x, weights, error, message):
    with pytest.raises(error, match=message):
        read(x, weights)


def test_shapes_whose_places_overflow_are_sorted_all_the_same():
    n = 2**40
    rows, columns = np.array([n - 1, 0, n - 1]), np.array([5, n - 1, 4])
    small = read(COO(np.stack([rows, columns]), np.arange(3.0), (n, n)))[1]
    assert listed(small) == [(0, n - 1, 1), (n - 1, 4, 2), (n - 1, 5, 0)]


@pytest.mark.parametrize("form", ["dia", "bsr"])
def test_formats_that_fill_up_with_zeros_are_refused(form):
    x = scipy.sparse.coo_array(np.triu(np.ones((4, 4))))
    x = x.todia() if form == "dia" else x.tobsr(blocksize=(2, 2))
    with pytest.raises(ValueError, match=f"'{form}' stores zeros that nobody observed"):
        read(x)


def test_blocks_of_one_entry_hold_no_more_than_that():
    x = scipy.sparse.csr_array(np.array([[0.0, 2.0], [3.0, 0.0]])).tobsr(blocksize=(1, 1))
    assert listed(read(x)[1]) == [(0, 1, 2), (1, 0, 3)]


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (1, 4), (3, 4)])
def test_weights_are_looked_up_where_they_broadcast(xp, shape):
    weights = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    x = COO(xp.asarray([ROWS, COLUMNS]), xp.asarray(VALUES), (3, 4))
    _, entries = read(x, xp.asarray(weights))
    table = np.broadcast_to(weights, (3, 4))
    assert xp.to_numpy(entries.weights).tolist() == [table[i, j] for i, j, _ in EXPECTED]


def test_weights_of_rows_take_no_table():
    n = 100_000
    x = scipy.sparse.coo_array((np.ones(9), (np.arange(9), np.arange(9))), shape=(n, n))
    tracemalloc.start()
    _, entries = read(x, np.arange(1.0, n + 1)[:, None])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * n
    assert entries.weights.tolist() == list(range(1, 10))


@pytest.mark.parametrize("weights", [2.0, np.full(4, 2.0), np.full((3, 1), 2.0)])
def test_weights_of_whole_rows_say_nothing_of_what_is_missing(weights):
    _, entries = read(DENSE, weights)
    assert listed(entries) == EXPECTED
    assert entries.weights.tolist() == [2.0] * 4
