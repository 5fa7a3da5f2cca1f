"""Implicit feedback: lists of events, and what it may start from."""

import numpy as np
import pytest
import scipy.sparse

import tdecomp as td
from tdecomp.completion import implicit_als

RULES = {"rank": 2, "regularization": 0.1, "rng": 0}


def test_a_list_of_events_is_the_table_of_their_numbers():
    rng = np.random.default_rng(0)
    who, what = rng.integers(0, 8, 60), rng.integers(0, 6, 60)
    amount = rng.integers(1, 4, 60).astype(float)
    events = td.ops.COO(np.stack([who, what]), amount, (8, 6))
    table = np.zeros((8, 6))
    np.add.at(table, (who, what), amount)
    found = implicit_als(events, duplicates="sum", max_iter=3, **RULES)
    own = implicit_als(table, max_iter=3, **RULES)
    single = implicit_als(scipy.sparse.coo_array(table), duplicates="sum", max_iter=3, **RULES)
    for fit in (found, single):
        np.testing.assert_allclose(fit.tensor.to_array(), own.tensor.to_array(), atol=1e-12)
        assert fit.error == pytest.approx(own.error, rel=1e-12)


def test_a_start_of_another_precision_takes_that_of_the_data():
    x = np.random.default_rng(0).poisson(0.7, (7, 5)).astype(float)
    start = implicit_als(x.astype(np.float32), max_iter=3, **RULES).tensor
    fit = implicit_als(x, init=start, max_iter=2, **RULES)
    assert fit.tensor.dtype == np.float64
    assert fit.tensor.left.dtype == fit.tensor.right.dtype == np.float64


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"init": td.LowRank(np.full((6, 1), np.nan), np.ones((1, 5)))}, ValueError, "init.left"),
        ({"init": td.LowRank(1j * np.ones((6, 1)), np.ones((1, 5)))}, TypeError, "complex"),
        ({"init": td.truncated_svd(np.eye(6, 5), rank=1)}, TypeError, "a LowRank, got SVD"),
        ({"init": td.LowRank(np.ones((6, 2)), np.ones((2, 5)))}, ValueError, "rank 1"),
        ({"duplicates": "first"}, ValueError, "'error', 'sum', 'mean'"),
        ({"alpha": 1e307}, ValueError, "times the sum of x overflows"),
    ],
)
def test_what_makes_no_sense_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        implicit_als(np.full((6, 5), 10.0), rank=1, **options)


def test_amounts_beyond_single_precision_are_refused_without_a_warning():
    with pytest.raises(ValueError, match=r"alpha=1e\+39 times the largest"):
        implicit_als(np.eye(6, 5, dtype="float32"), rank=1, alpha=1e39)


def test_a_start_is_the_matrix_that_its_factors_make():
    x, rng = np.random.default_rng(0).poisson(0.7, (7, 5)).astype(float), np.random.default_rng(1)
    left, right = rng.standard_normal((7, 2)), rng.standard_normal((2, 5))
    fits = [
        implicit_als(x, rank=2, init=td.LowRank(a, b), max_iter=3)
        for a, b in (
            (left, right),
            (left * 1e200, right / 1e200),
            (left * [1.0, 1e20], right / [[1.0], [1e20]]),
        )
    ]
    for fit in fits[1:]:
        assert fit.error == pytest.approx(fits[0].error, rel=1e-10)


@pytest.mark.parametrize("ridge", [0.0, 0.1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_with_a_penalty_too_it_starts_as_that_matrix_whatever_shares_its_size(dtype, ridge):
    rng = np.random.default_rng(1)
    x = rng.poisson(0.7, (7, 5)).astype(dtype)
    left, right = rng.standard_normal((7, 2)), rng.standard_normal((2, 5))
    turn, most = rng.standard_normal((2, 2)), 1e30 if dtype == "float32" else 1e300
    pairs = (
        (left, right),
        (left * most, right / most),
        (left / most, right * most),
        (left @ turn, np.linalg.solve(turn, right)),
        (left * [1.0, 1e20], right / [[1.0], [1e20]]),
    )
    fits = [
        implicit_als(
            x,
            rank=2,
            regularization=ridge,
            init=td.LowRank(a.astype(dtype), b.astype(dtype)),
            max_iter=2,
            tol=-1,
        )
        for a, b in pairs
    ]
    for fit in fits[1:]:
        np.testing.assert_allclose(
            fit.tensor.to_array(), fits[0].tensor.to_array(), atol=1e4 * np.finfo(dtype).eps
        )


@pytest.mark.parametrize("size", [1e-300, 1e-80, 1e80, 1e300])
def test_a_start_of_any_size_overflows_nowhere(size):
    x = np.random.default_rng(0).poisson(0.7, (7, 5)).astype(float)
    start = td.LowRank(size * np.ones((7, 1)), size * np.ones((1, 5)))
    fit = implicit_als(x, rank=1, init=start, regularization=0.1, max_iter=3)
    assert fit.error <= 1
    assert np.isfinite(fit.tensor.to_array()).all()


def test_an_entry_that_is_not_finite_is_named_by_its_place():
    x = scipy.sparse.coo_array(([1.0, np.inf, 2.0], ([0, 2, 3], [1, 3, 0])), shape=(5, 4))
    with pytest.raises(ValueError, match=r"x has 1 non-finite .* x\[2, 3\]"):
        implicit_als(x, rank=1)
