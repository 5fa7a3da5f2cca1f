"""The front door: units, weights, biases, stopping and refusals are the same for every method."""

import numpy as np
import pytest
import scipy.sparse

import tdecomp as td
from tdecomp import Status
from tdecomp.completion._complete import METHODS
from tdecomp.completion._pose import Posed
from tdecomp.completion._units import Units
from tdecomp.ops import COO

M, N, K = 40, 30, 3


def problem(seed=0, share=0.5, noise=0.0):
    """Return a matrix of low rank, and the same with most entries unknown."""
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal((M, K)) @ rng.standard_normal((K, N))
    known = rng.random((M, N)) < share
    return truth, np.where(known, truth + noise * rng.standard_normal((M, N)), np.nan)


def test_a_matrix_of_low_rank_is_recovered_on_every_library(xp):
    truth, x = problem(share=0.8)
    fit = td.complete(xp.asarray(x), rank=K, tol=0, rng=0)
    assert fit.status == Status.CONVERGED
    assert np.linalg.norm(xp.to_numpy(fit.tensor.to_array()) - truth) < 1e-12 * np.linalg.norm(
        truth
    )
    assert fit.error < 1e-14


def test_the_error_is_the_weighted_residual_on_known_entries():
    _, x = problem(noise=0.5)
    weights = np.random.default_rng(1).random((M, N)) * ~np.isnan(x)
    fit = td.complete(x, rank=2, weights=weights, regularization=0.1, rng=0)
    rest = np.nan_to_num(x - fit.tensor.to_array())
    expected = np.sqrt((weights * rest**2).sum() / (weights * np.nan_to_num(x) ** 2).sum())
    assert fit.error == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("scale", [2.0**-900, 1e-200, 3.0, 1e200])
def test_data_and_penalty_scale_together(scale):
    _, x = problem(noise=0.5)
    one = td.complete(x, rank=2, regularization=0.5, rng=0, max_iter=7, tol=-1)
    other = td.complete(x * scale, rank=2, regularization=0.5 * scale, rng=0, max_iter=7, tol=-1)
    np.testing.assert_allclose(
        other.tensor.to_array() / scale, one.tensor.to_array(), rtol=1e-9, atol=1e-10
    )


def test_weights_and_penalty_scale_together():
    _, x = problem(noise=0.5)
    weights = np.random.default_rng(1).random((M, N)) * ~np.isnan(x)
    fits = [
        td.complete(
            x, rank=2, weights=c * weights, regularization=0.5 * c, rng=0, max_iter=7, tol=-1
        )
        for c in (1.0, 1e-150, 7.0)
    ]
    for fit in fits[1:]:
        np.testing.assert_allclose(fit.tensor.to_array(), fits[0].tensor.to_array(), rtol=1e-9)


@pytest.mark.parametrize("by_count", [False, True])
def test_an_entry_of_weight_two_is_an_entry_that_comes_twice(by_count):
    _, x = problem(noise=0.5)
    rows, columns = np.nonzero(~np.isnan(x))
    values = x[rows, columns]
    twice = [np.concat([part, part[:50]]) for part in (rows, columns, values)]
    weights = np.ones(values.size)
    weights[:50] = 2
    rules = {"rank": 2, "regularization": 0.3, "by_count": by_count, "rng": 0}
    one = td.complete(COO(np.stack(twice[:2]), twice[2], (M, N)), duplicates="mean", **rules)
    other = td.complete(COO(np.stack([rows, columns]), values, (M, N)), weights=weights, **rules)
    np.testing.assert_allclose(one.tensor.to_array(), other.tensor.to_array(), atol=1e-10)


def test_biases_alone_are_the_ridge_regression_of_rows_and_columns():
    _, x = problem(noise=0.5)
    rows, columns = np.nonzero(~np.isnan(x))
    fit = td.complete(x, rank=1, biases=2.0, regularization=1e9, rng=0)
    mean = x[rows, columns].mean()
    design = np.zeros((rows.size, M + N))
    design[np.arange(rows.size), rows] = design[np.arange(rows.size), M + columns] = 1
    expected = np.linalg.solve(
        design.T @ design + 2.0 * np.eye(M + N), design.T @ (x[rows, columns] - mean)
    )
    assert float(fit.tensor.mean) == pytest.approx(mean)
    found = np.concat([fit.tensor.row_bias, fit.tensor.column_bias])
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_rows_and_columns_of_which_nothing_is_known_are_told_by_the_biases():
    _, x = problem()
    x[3], x[:, 5] = np.nan, np.nan
    z = td.complete(x + 10, rank=2, biases=True, rng=0).tensor
    dense = z.to_array()
    assert np.isfinite(dense).all()
    np.testing.assert_allclose(dense[3], z.mean + z.column_bias, atol=1e-12)
    np.testing.assert_allclose(dense[:, 5], z.mean + z.row_bias, atol=1e-12)
    assert dense[3, 5] == pytest.approx(float(z.mean))


def test_held_out_entries_choose_the_iterate_and_end_the_iteration():
    truth, x = problem(share=0.6, noise=0.7)
    seen = []
    fit = td.complete(x, rank=6, holdout=0.2, rng=0, max_iter=200, callback=seen.append)
    plain = td.complete(x, rank=6, rng=0, max_iter=200)
    assert fit.status == Status.CONVERGED
    assert fit.n_iter == len(seen) < plain.n_iter
    missed = [np.linalg.norm(z.to_array() - truth) for z in (fit.tensor, plain.tensor)]
    assert missed[0] < missed[1]


def test_entries_of_their_own_judge_as_those_set_aside_do():
    truth, x = problem(share=0.6, noise=0.7)
    judge = np.where(np.isnan(x), truth, np.nan)
    judge[5:] = np.nan
    rules = {"rank": 12, "rng": 0, "biases": True, "max_iter": 30}
    fit = td.complete(x, holdout=judge, **rules)
    seen = []
    td.complete(x, tol=-1, callback=lambda progress: seen.append(progress.tensor), **rules)
    missed = [np.nansum((z.to_array() - judge) ** 2) for z in seen]
    best = int(np.argmin(missed[: fit.n_iter]))
    np.testing.assert_allclose(fit.tensor.to_array(), seen[best].to_array(), atol=1e-8)
    with pytest.raises(ValueError, match="holdout must have shape"):
        td.complete(x, rank=2, holdout=judge[1:])


@pytest.mark.parametrize("scale", [2.0**-700, 2.0**700])
def test_entries_at_the_ends_of_the_range_judge_on_every_library(scale, xp):
    _, x = problem(share=0.7, noise=0.5)
    judged = np.arange(N) % 3 == 0
    known, others = np.where(judged, np.nan, x), np.where(judged, x, np.nan)
    rules = {"rank": 2, "max_iter": 3, "tol": -1, "rng": 0}
    expected = td.complete(known, holdout=others, **rules).tensor.to_array()
    fit = td.complete(xp.asarray(known * scale), holdout=xp.asarray(others * scale), **rules)
    found = xp.to_numpy(fit.tensor.to_array())
    np.testing.assert_allclose(found / scale, expected, atol=1e-9)


@pytest.mark.parametrize("kinds", [("float64", "float32"), ("float32", "float64")])
def test_entries_of_another_precision_judge_by_what_they_are(kinds):
    """Neither can hold the scale of the other, or what it is divided by."""
    _, x = problem(share=0.7, noise=0.5)
    judged = np.arange(N) % 3 == 0
    known, others = (np.where(part, np.nan, 1e-35 * x) for part in (judged, ~judged))
    rules = {"rank": 2, "max_iter": 3, "tol": -1, "rng": 0}
    same, other = (
        td.complete(known.astype(kinds[0]), holdout=others.astype(kind), **rules)
        for kind in (kinds[0], kinds[1])
    )
    np.testing.assert_array_equal(other.tensor.to_array(), same.tensor.to_array())


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize("biases", [False, 1.0])
def test_of_zeros_the_error_is_the_residual_itself(method, biases):
    _, x = problem()
    start = td.complete(x, rank=2, biases=biases, rng=0).tensor
    rules = {"rank": 2, "method": method, "biases": biases, "regularization": 1.0}
    fit = td.complete(0 * x, init=start, max_iter=40, tol=0, **rules)
    assert fit.status != Status.NONFINITE
    z = fit.tensor.to_array()
    assert fit.error == pytest.approx(np.linalg.norm(z[~np.isnan(x)]), rel=1e-12)
    assert np.max(np.abs(z)) < 1e-3


def test_biases_do_not_see_what_is_held_out():
    x = np.ones((6, 6))
    x[0, 0] = 1e6
    for seed in range(3):
        z = td.complete(x, rank=1, biases=True, holdout=0.4, rng=seed, regularization=1e3).tensor
        assert float(z.mean) == pytest.approx(1) or float(z.mean) > 1e4


def test_the_error_is_relative_to_the_data_with_biases_too():
    _, x = problem(noise=0.5)
    fit = td.complete(1e200 * (x + 100), rank=2, biases=True, regularization=1e200, rng=0)
    rest = np.nan_to_num((x + 100) - 1e-200 * fit.tensor.to_array())
    assert fit.error == pytest.approx(
        np.linalg.norm(rest) / np.linalg.norm(np.nan_to_num(x + 100)), rel=1e-10
    )


def test_the_callback_sees_the_matrix_at_its_own_scale_and_stops_the_iteration():
    _, x = problem()
    seen = []

    def stop(progress):
        seen.append(progress)
        return progress.iteration == 3

    fit = td.complete(1e100 * x, rank=K, rng=0, callback=stop)
    assert fit.status == Status.INTERRUPTED
    assert fit.n_iter == 3
    np.testing.assert_array_equal(seen[-1].tensor.to_array(), fit.tensor.to_array())


def test_a_completion_is_a_start():
    truth, x = problem()
    first = td.complete(x, rank=K, rng=0, max_iter=5)
    again = td.complete(x, rank=K, init=first.tensor, tol=0)
    at_once = td.complete(x, rank=K, rng=0, tol=0)
    assert abs(first.n_iter + again.n_iter - at_once.n_iter) <= 2
    np.testing.assert_allclose(again.tensor.to_array(), truth, atol=1e-10)


def test_the_whole_matrix_is_truncated_by_svd():
    truth, _ = problem()
    x = truth + 0.3 * np.random.default_rng(2).standard_normal(truth.shape)
    fit = td.complete(x, rank=2, tol=1e-14, max_iter=2000, rng=0)
    best = td.truncated_svd(x, rank=2).to_array()
    np.testing.assert_allclose(fit.tensor.to_array(), best, atol=1e-6 * np.linalg.norm(x))


def test_nothing_but_zeros_is_completed_by_zeros():
    for x in (np.zeros((3, 4)), np.where(np.eye(3) > 0, 0, np.nan)):
        fit = td.complete(x, rank=2)
        assert fit.status == Status.CONVERGED
        assert fit.error == 0
        assert not fit.tensor.to_array().any()


def test_one_entry_and_constant_data_are_fitted():
    fit = td.complete(COO(np.array([[1], [2]]), np.array([5.0]), (3, 4)), rank=1, rng=0)
    assert fit.tensor.to_array()[1, 2] == pytest.approx(5)
    fit = td.complete(np.where(np.eye(4) > 0, np.nan, 7.0), rank=2, biases=True, rng=0)
    np.testing.assert_allclose(fit.tensor.to_array(), 7, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_the_precision_stays(dtype):
    truth, x = problem()
    x = x.astype(dtype) * (1 + 2j if "complex" in dtype else 1)
    fit = td.complete(x, rank=K, tol=1e-6, rng=0)
    assert fit.tensor.dtype == dtype
    assert fit.tensor.row_bias.dtype == dtype
    expected = truth * (1 + 2j if "complex" in dtype else 1)
    assert np.linalg.norm(fit.tensor.to_array() - expected) < 1e-3 * np.linalg.norm(expected)


def test_inputs_are_left_alone():
    _, x = problem()
    sparse = scipy.sparse.coo_array(np.nan_to_num(x))
    before = [x.copy(), sparse.data.copy(), sparse.coords[0].copy()]
    td.complete(x, rank=1, max_iter=2, biases=True)
    td.complete(sparse, rank=1, max_iter=2, biases=True)
    for old, new in zip(before, (x, sparse.data, sparse.coords[0]), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("rules", "error", "message"),
    [
        ({"rank": 0}, ValueError, "rank must be an int between 1 and 30, got 0"),
        ({"rank": 31}, ValueError, "rank must be an int between 1 and 30, got 31"),
        ({"rank": 2.5}, TypeError, "rank must be"),
        ({"rank": 2, "regularization": -1}, ValueError, "regularization must be"),
        ({"rank": 2, "method": "magic"}, ValueError, "method must be"),
        ({"rank": 2, "init": "magic"}, ValueError, "init must be"),
        ({"rank": 2, "duplicates": "sum"}, ValueError, "duplicates must be"),
        ({"rank": 2, "biases": -1}, ValueError, "biases must be"),
        ({"rank": 2, "max_iter": 0}, ValueError, "max_iter must be"),
        ({"rank": 2, "tol": "small"}, TypeError, "tol must be"),
        ({"rank": 2, "tol": np.nan}, ValueError, "tol must be"),
        ({"rank": 2, "by_count": 3}, TypeError, "by_count must be"),
        ({"rank": 2, "nonnegative": "yes"}, TypeError, "nonnegative must be"),
        ({"rank": 2, "callback": 3}, TypeError, "callback must be"),
        ({"rank": 2, "rng": "seed"}, TypeError, "rng must be"),
    ],
)
def test_a_bad_option_gets_one_clear_error(rules, error, message):
    with pytest.raises(error, match=message):
        td.complete(problem()[1], **rules)


def test_a_start_has_the_precision_of_the_data_after_it():
    _, x = problem(noise=0.3)
    start = td.complete(x, rank=2, rng=0, max_iter=2).tensor
    narrow = td.Completion(*(part.astype(np.float32) for part in start))
    for method in ("als", "riemannian", "soft_impute", "soft_impute_als"):
        for data, init in ((x, narrow), (x.astype(np.float32), start)):
            fit = td.complete(data, rank=2, method=method, init=init, max_iter=2)
            assert fit.tensor.dtype == data.dtype


def test_a_start_that_is_none_gets_one_clear_error():
    _, x = problem()
    start = td.complete(x, rank=2, rng=0, max_iter=2).tensor
    torch = pytest.importorskip("torch")
    for init, error, message in (
        (start._replace(left=start.left * np.nan), ValueError, "init.left has 80 non-finite"),
        (start._replace(right=start.right * 1j), TypeError, "init.right is complex"),
        (td.Completion(*map(torch.asarray, start)), TypeError, "from one library"),
    ):
        with pytest.raises(error, match=message):
            td.complete(x, rank=2, init=init)


@pytest.mark.parametrize("method", ["als", "riemannian", "scaled_gd", "soft_impute"])
def test_a_penalty_beyond_all_bounds_makes_zeros(method):
    _, x = problem()
    fit = td.complete(x, rank=2, method=method, regularization=1e308, rng=0)
    assert fit.status in (Status.CONVERGED, Status.MAX_ITER)
    assert fit.error == pytest.approx(1)
    assert np.linalg.norm(fit.tensor.to_array()) < 1e-6


def test_a_penalty_counts_beside_the_scales_of_data_and_weights_together():
    """Either one alone would take it out of the range, or down to numbers of few digits."""
    _, x = problem(noise=0.5)
    known, rules = ~np.isnan(x), {"rank": 2, "rng": 0, "max_iter": 5, "tol": -1}
    expected = td.complete(x, weights=known, regularization=0.7, **rules).tensor.to_array()
    scale, heavy = 2.0**300, 2.0**-1060
    found = td.complete(
        x * scale, weights=known * heavy, regularization=0.7 * (heavy * scale), **rules
    ).tensor.to_array()
    np.testing.assert_allclose(found / scale, expected, rtol=1e-9, atol=1e-10)
    units = Units(600, 2.0**-900)
    assert units.penalty(3 * 2.0**-700, by_count=False) == 3 * 2.0**-400
    assert units.penalty(3 * 2.0**-700, by_count=True) == 0
    assert Units(-600, 2.0**900).penalty(2.0**700, by_count=False) == 2.0**400
    assert Units(-600, 1.0).penalty(2.0**700, by_count=False) == np.inf


@pytest.mark.parametrize("by_count", [False, True])
def test_light_weights_bear_a_penalty_beyond_them(by_count):
    _, x = problem()
    weights = 1e-300 * ~np.isnan(x)
    fit = td.complete(x, rank=2, weights=weights, regularization=0.1, by_count=by_count, rng=0)
    assert (fit.error < 0.6) == by_count


@pytest.mark.parametrize("holdout", [None, 0.2])
@pytest.mark.parametrize("method", [*METHODS, "nonnegative"])
def test_the_callback_is_told_the_error_of_what_it_is_shown(method, holdout):
    _, x = problem(noise=0.5)
    x, seen = 3 + x, []
    rules = {"rank": 5, "regularization": 2.0, "tol": -1, "max_iter": 9}
    rules |= {"nonnegative": True} if method == "nonnegative" else {"method": method}
    fit = td.complete(x, holdout=holdout, rng=0, callback=seen.append, **rules)
    np.testing.assert_array_equal(seen[-1].tensor.to_array(), fit.tensor.to_array())
    digits = 16 * np.finfo(x.dtype).eps
    assert seen[-1].error == pytest.approx(fit.error, abs=digits)
    if holdout is None:
        errors = [np.linalg.norm(np.nan_to_num(x - p.tensor.to_array())) for p in seen]
        errors /= np.linalg.norm(np.nan_to_num(x))
        np.testing.assert_allclose([p.error for p in seen], errors, rtol=0, atol=digits)


@pytest.mark.parametrize(("method", "passes"), [("als", 1), ("als_cg", 0), ("soft_impute", 0)])
def test_the_callback_costs_no_pass_over_the_entries_where_a_step_has_told(
    method, passes, monkeypatch
):
    """That of `als` tells half of the digits at least, and not all."""
    _, x = problem(noise=0.5)
    calls = []
    error = Posed.error
    monkeypatch.setattr(Posed, "error", lambda *given: calls.append(0) or error(*given))
    td.complete(x, rank=2, method=method, tol=-1, max_iter=3, rng=0, callback=lambda _: None)
    assert len(calls) == 1 + 3 * passes


@pytest.mark.parametrize("exponent", [-100, 100])
@pytest.mark.parametrize("method", list(METHODS))
def test_a_start_is_the_matrix_whatever_its_factors_share(method, exponent):
    """In single precision squares of these leave the range; what a step finds is the same."""
    x = problem(noise=0.5)[1].astype("float32")
    start = td.complete(x, rank=3, rng=0, max_iter=2).tensor
    powers = np.float32(2.0) ** np.asarray([exponent, -exponent], "float32")
    turned = start._replace(left=start.left * powers[0], right=start.right * powers[1])
    rules = {"rank": 3, "method": method, "regularization": 0.5, "tol": -1, "max_iter": 2}
    expected, found = (td.complete(x, init=z, **rules).tensor for z in (start, turned))
    np.testing.assert_allclose(found.to_array(), expected.to_array(), atol=2e-2)


def test_a_start_of_another_shape_is_refused():
    _, x = problem()
    start = td.complete(x, rank=2, rng=0).tensor
    with pytest.raises(ValueError, match=r"init must have shape \(40, 30\) and rank 3"):
        td.complete(x, rank=3, init=start)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_nonnegative_factors_are_of_real_entries(xp, dtype):
    x = xp.asarray(np.array([[1 + 1j, 2 + 2j], [3 + 3j, 6 + 6j]], dtype))
    with pytest.raises(TypeError, match="nonnegative=True asks for real entries"):
        td.complete(x, rank=1, nonnegative=True)
