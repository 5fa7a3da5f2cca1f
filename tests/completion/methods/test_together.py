"""Offsets that are fitted with the factors: one objective, which no sweep raises."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp._xp import namespace
from tdecomp.completion._entries import read
from tdecomp.completion._observed import Side
from tdecomp.completion._pose import Options, pose
from tdecomp.completion._together import divided, facing, joined
from tdecomp.completion._units import in_units

M, N, RIDGE, OWN = 40, 30, 1.5, 2.0
METHODS = pytest.mark.parametrize("method", ["als", "als_cg"])


def noisy(seed=0):
    """A matrix of low rank with offsets and noise, of which half is known."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((M, 3)) @ rng.standard_normal((3, N)) + 5
    x += rng.standard_normal((M, 1)) + rng.standard_normal(N)
    x += 0.3 * rng.standard_normal(x.shape)
    return np.where(rng.random(x.shape) < 0.5, x, np.nan)


def objective(x, z, weights=1.0, by_count=False):
    """What is minimised, by its definition."""
    heavy = weights * ~np.isnan(x)
    rows, columns = (heavy.sum(axis=axis) if by_count else 1.0 for axis in (1, 0))
    left, right = np.sum(abs(z.left) ** 2, axis=1), np.sum(abs(z.right) ** 2, axis=0)
    return (
        np.sum(heavy * np.nan_to_num(abs(x - z.to_array())) ** 2)
        + RIDGE * (np.sum(rows * left) + np.sum(columns * right))
        + OWN * (np.sum(abs(z.row_bias) ** 2) + np.sum(abs(z.column_bias) ** 2))
    )


def test_joined_factors_have_the_offsets_in_their_product():
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((5, 4)), rng.standard_normal((6, 4))
    xp = namespace(left)
    factors = joined(left, right, xp)
    expected = left[:, :3] @ right[:, :3].T + left[:, 3:] + right[:, 3]
    np.testing.assert_allclose(factors[0] @ factors[1].T, expected, atol=1e-14)
    for found, part in zip(
        divided(*factors), (left[:, :3], right[:, :3], left[:, 3], right[:, 3]), strict=True
    ):
        np.testing.assert_array_equal(found, part)


@METHODS
@pytest.mark.parametrize("by_count", [False, True])
def test_no_sweep_raises_the_common_objective(method, by_count):
    x, values = noisy(), []
    weights = (0.5 + np.random.default_rng(1).random(x.shape)) * ~np.isnan(x)
    td.complete(
        x, rank=4, method=method, regularization=RIDGE, by_count=by_count, biases=OWN,
        weights=weights, tol=-1, max_iter=30, rng=0,
        callback=lambda p: values.append(objective(x, p.tensor, weights, by_count)),
    )  # fmt: skip
    assert np.max(np.diff(values) / values[:-1]) < 1e-12
    assert values[-1] < values[0]


@METHODS
def test_the_limit_is_stationary_in_factors_and_offsets(method):
    x = noisy()
    z = td.complete(
        x, rank=3, method=method, regularization=RIDGE, biases=OWN, tol=-1, max_iter=400, rng=0
    ).tensor
    rest = np.nan_to_num(x - z.to_array())
    slopes = (
        rest @ z.right.T - RIDGE * z.left,
        z.left.T @ rest - RIDGE * z.right,
        rest.sum(axis=1) - OWN * z.row_bias,
        rest.sum(axis=0) - OWN * z.column_bias,
    )
    assert max(np.max(abs(slope)) for slope in slopes) < 1e-6
    assert float(z.mean) == pytest.approx(np.nanmean(x), rel=1e-12)


def test_both_methods_find_the_minimum_of_the_convex_problem():
    """With as many columns as the solution needs, factors and offsets have no other minimum."""
    x = noisy()
    rules = {"rank": 10, "regularization": 6.0, "biases": OWN, "tol": -1, "max_iter": 600}
    fits = [
        td.complete(x, method=method, init=init, rng=3, **rules).tensor
        for method, init in (("als", "spectral"), ("als_cg", "random"))
    ]
    assert np.linalg.matrix_rank(fits[0].to_array(), tol=1e-4) < 10
    np.testing.assert_allclose(fits[1].to_array(), fits[0].to_array(), atol=1e-6)
    np.testing.assert_allclose(fits[1].row_bias, fits[0].row_bias, atol=1e-6)


def test_every_library_fits_the_same(xp):
    x = noisy()
    rules = {"rank": 2, "regularization": RIDGE, "biases": OWN, "tol": -1, "max_iter": 3}
    start = td.complete(x, rng=0, **rules).tensor
    expected = td.complete(x, init=start, **rules).tensor
    found = td.complete(
        xp.asarray(x), init=td.Completion(*(xp.asarray(part) for part in start)), **rules
    ).tensor
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(xp.to_numpy(one), other, atol=1e-10)


@METHODS
def test_a_fit_that_starts_where_one_has_ended_stays(method):
    x = noisy()
    rules = {"rank": 3, "method": method, "regularization": RIDGE, "biases": OWN}
    z = td.complete(x, rng=0, tol=-1, max_iter=400, **rules).tensor
    again = td.complete(x, init=z, tol=1e-10, **rules)
    assert again.n_iter == 2
    np.testing.assert_allclose(again.tensor.to_array(), z.to_array(), atol=1e-6)
    np.testing.assert_allclose(again.tensor.row_bias, z.row_bias, atol=1e-6)


def test_together_is_lower_than_one_after_the_other():
    x = noisy()
    rules = {"rank": 3, "regularization": RIDGE, "biases": OWN, "tol": 1e-9, "max_iter": 400}
    together, after = (
        objective(x, td.complete(x, rng=0, method=method, **rules).tensor)
        for method in ("als", "soft_impute_als")
    )
    assert together < 0.99 * after


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_offsets_have_the_precision_of_the_data(dtype):
    x = noisy().astype(dtype) * (0.6 + 0.8j if dtype == "complex128" else 1)
    fit = td.complete(x, rank=2, regularization=RIDGE, biases=OWN, rng=0)
    assert {part.dtype for part in fit.tensor} == {np.dtype(dtype)}
    exact = td.complete(noisy(), rank=2, regularization=RIDGE, biases=OWN, rng=0).tensor
    expected = exact.to_array() * (0.6 + 0.8j if dtype == "complex128" else 1)
    np.testing.assert_allclose(fit.tensor.to_array(), expected, atol=1e-2)


def test_nonnegative_factors_and_other_methods_take_what_offsets_alone_leave():
    x = noisy()
    alone = td.complete(x, rank=1, regularization=1e9, biases=OWN, rng=0).tensor
    for rules in ({"nonnegative": True}, {"method": "soft_impute"}, {"method": "riemannian"}):
        z = td.complete(x, rank=2, biases=OWN, rng=0, max_iter=2, **rules).tensor
        np.testing.assert_allclose(z.row_bias, alone.row_bias, atol=1e-6)


def test_what_is_fixed_is_subtracted_and_ones_stand_in_its_place():
    x = noisy()
    rows, columns = np.nonzero(~np.isnan(x))
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=M))])
    side = Side(starts, columns.astype(np.int32), x[rows, columns], None)
    right = np.random.default_rng(0).standard_normal((N, 3))
    seen, fixed = facing(side, right, namespace(x))
    np.testing.assert_array_equal(seen.rest(namespace(x)), x[rows, columns] - right[columns, 2])
    assert seen.values is side.values
    np.testing.assert_array_equal(fixed, np.column_stack([right[:, :2], np.ones(N)]))


def test_the_booleans_of_numpy_are_yes_and_no():
    x, rules = noisy(), {"rank": 2, "max_iter": 2, "rng": 0}
    for answer in (False, True):
        found, own = (td.complete(x, biases=b, **rules).tensor for b in (np.bool_(answer), answer))
        np.testing.assert_array_equal(found.row_bias, own.row_bias)
        assert (found.row_bias != 0).any() == answer


@METHODS
def test_offsets_that_may_not_move_leave_the_factors_of_the_centred_matrix(method):
    x = noisy()
    rules = {"rank": 3, "method": method, "tol": 1e-10, "max_iter": 300, "rng": 0}
    found = td.complete(x, biases=1e300, regularization=RIDGE, **rules)
    alone = td.complete(x - found.tensor.mean, regularization=RIDGE, **rules)
    assert found.status == alone.status == td.Status.CONVERGED
    products = (z.left @ z.right for z in (found.tensor, alone.tensor))
    np.testing.assert_allclose(*products, atol=1e-5)
    assert np.max(np.abs(found.tensor.row_bias)) < 1e-12


@METHODS
def test_a_ridge_that_nearly_vanishes_is_none_beside_offsets_without_one(method):
    x, rules = noisy(), {"rank": 2, "method": method, "biases": 0}
    tiny, none = (td.complete(x, rng=0, regularization=r, **rules) for r in (1e-320, 0.0))
    assert tiny.error == pytest.approx(none.error, rel=1e-3)


@METHODS
def test_factors_that_cost_nothing_take_over_what_they_can_tell_of_offsets(method):
    x = noisy()
    rules = {"rank": 3, "method": method, "biases": 0.3, "rng": 0}
    fit = td.complete(x, tol=1e-9, max_iter=60, **rules)
    assert fit.status == td.Status.CONVERGED
    z = fit.tensor
    features = np.column_stack([z.left, np.ones(M)]), np.column_stack([z.right.T, np.ones(N)])
    # Else a share of them would be told by the others for less.
    np.testing.assert_allclose(features[0][:, :3].T @ z.row_bias, 0, atol=1e-3)
    np.testing.assert_allclose(features[1][:, :3].T @ z.column_bias, 0, atol=1e-3)


@METHODS
def test_a_ridge_below_the_numbers_of_the_data_is_none(method):
    x = noisy().astype("float32")
    fit = td.complete(x, rank=2, method=method, biases=0, regularization=1e-50, rng=0, max_iter=5)
    assert 0 < fit.error < 0.5


def test_a_start_with_another_mean_is_the_same_matrix():
    x, rng = 1e3 * noisy(), np.random.default_rng(0)
    z = td.Completion(*(rng.standard_normal(s) for s in ((M, 2), (2, N), (), (M,), (N,))))
    xp, entries = read(x)
    options = Options(2, 1.0, False, False, OWN, True, z, rng)
    start = pose(*in_units(entries, xp), options, xp)
    factors = start.problem.joined(start.problem.left, start.problem.right)
    np.testing.assert_allclose(start.completion(factors).to_array(), z.to_array(), atol=1e-10)


@pytest.mark.parametrize(
    ("name", "part"),
    [("row_bias", np.zeros(3)), ("column_bias", np.zeros((N, 1))), ("mean", np.zeros(2))],
)
def test_a_start_of_which_a_part_does_not_fit_is_refused(name, part):
    z = td.complete(noisy(), rank=2, biases=True, rng=0, max_iter=1).tensor
    with pytest.raises(ValueError, match=f"init.{name} must have shape"):
        td.complete(noisy(), rank=2, biases=True, init=z._replace(**{name: part}))


@pytest.mark.parametrize("seed", [11, 487, 701])
def test_rows_that_nothing_determines_do_not_blow_up(seed):
    rng, errors = np.random.default_rng(seed), []
    x = rng.standard_normal((6, 1)) + rng.standard_normal(4) + 3
    x[rng.random((6, 4)) < 0.6] = np.nan
    weights = 10.0 ** rng.uniform(-3, 3, (6, 4)) * ~np.isnan(x)
    td.complete(
        x, rank=3, method="als_cg", biases=1e3, weights=weights, rng=0, tol=1e-9,
        callback=lambda p: errors.append(p.error),
    )  # fmt: skip
    assert max(errors) < 0.1
