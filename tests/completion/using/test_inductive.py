"""Features of rows and columns, and a residual of low rank that they do not explain."""

import numpy as np
import pytest
import scipy.sparse

import tdecomp as td
from tdecomp import Status
from tdecomp.completion import inductive, predict, top_n, unseen, variance
from tdecomp.io import load, save

BOTH = {"rank": 2, "residual_rank": 2, "regularization": 0.1, "residual_regularization": 0.4}


def described(seed=0, shape=(40, 30), share=0.4, own=0.5, sigma=0.05):
    """Return a matrix of features and a residual, what is known of it, and the features."""
    rng = np.random.default_rng(seed)
    m, n = shape
    p, q = rng.standard_normal((m, 4)), rng.standard_normal((n, 3))
    truth = p @ rng.standard_normal((4, 2)) @ rng.standard_normal((2, 3)) @ q.T
    truth = truth + own * rng.standard_normal((m, 2)) @ rng.standard_normal((2, n))
    x = truth + sigma * rng.standard_normal(truth.shape)
    return truth, np.where(rng.random(truth.shape) < share, x, np.nan), p, q


def objective(z, x, regularization, residual_regularization=0.0, weights=1.0):
    """Return what `inductive` minimises, by its definition."""
    left, right = z.row_features @ z.left, z.right @ z.column_features.T
    total = np.nansum(weights * (x - z.to_array()) ** 2)
    total += regularization * ((left**2).sum() + (right**2).sum())
    if z.residual_left is None:
        return total
    return total + residual_regularization * sum(
        (part**2).sum() for part in (z.residual_left, z.residual_right)
    )


def test_features_and_residual_together_recover_more_than_either():
    truth, x, p, q = described(shape=(80, 60))
    rules = {"rng": 0, "max_iter": 300}
    together, features, plain = (
        np.linalg.norm(fit.tensor.to_array() - truth)
        for fit in (
            inductive(x, p, q, **BOTH, **rules),
            inductive(x, p, q, rank=2, **rules),
            td.complete(x, rank=4, regularization=0.4, **rules),
        )
    )
    assert together < 0.1 * features
    assert together < 0.7 * plain


def test_the_objective_never_rises_and_small_penalties_cost_no_sweeps():
    _, x, p, q = described()
    weights = np.random.default_rng(1).uniform(0.5, 2, x.shape) * ~np.isnan(x)
    seen = []
    fit = inductive(
        x, p, q, rank=2, residual_rank=2, regularization=1e-3, residual_regularization=1e-2,
        weights=weights, rng=0, tol=1e-9, callback=lambda step: seen.append(step.tensor),
    )  # fmt: skip
    losses = np.asarray([objective(z, x, 1e-3, 1e-2, weights) for z in seen])
    assert (np.diff(losses) <= 1e-12 * losses[0]).all()
    assert fit.status == Status.CONVERGED
    error = np.nansum(weights * (x - fit.tensor.to_array()) ** 2) / np.nansum(weights * x**2)
    assert fit.error == pytest.approx(np.sqrt(error), rel=1e-10)


def test_a_residual_of_rank_zero_or_of_endless_penalty_is_none():
    _, x, p, q = described()
    rules = {"rank": 2, "regularization": 0.3, "rng": 0, "tol": 1e-12, "max_iter": 300}
    none = inductive(x, p, q, residual_rank=0, **rules).tensor
    assert none.residual_left is None
    assert none.residual_right is None
    assert none.rank == 2
    far = inductive(x, p, q, residual_rank=2, residual_regularization=1e9, **rules).tensor
    np.testing.assert_allclose(far.residual_left @ far.residual_right, 0, atol=1e-12)
    np.testing.assert_allclose(far.to_array(), none.to_array(), atol=1e-7)


def test_with_features_that_explain_nothing_it_is_plain_completion():
    _, x, _, q = described()
    x[:3] = np.nan
    p = np.zeros((40, 2))
    p[:3] = np.random.default_rng(1).standard_normal((3, 2))
    rules = {"regularization": 0.5, "rng": 0, "tol": 1e-13, "max_iter": 2000}
    found = inductive(x, p, q, rank=2, residual_rank=3, residual_regularization=0.5, **rules)
    plain = td.complete(x, rank=3, **rules)
    np.testing.assert_allclose(found.tensor.to_array(), plain.tensor.to_array(), atol=1e-4)
    assert found.error == pytest.approx(plain.error, rel=1e-5)
    np.testing.assert_allclose(found.tensor.explained.to_array(), 0, atol=1e-12)


def test_up_to_the_penalty_of_features_a_residual_of_full_rank_leaves_them_nothing_to_say():
    _, x, p, q = described(shape=(8, 6), share=0.6, sigma=0.3)
    rules = {"regularization": 0.5, "rng": 0, "tol": 1e-6, "max_iter": 400}
    z = inductive(x, p, q, rank=3, residual_rank=6, residual_regularization=0.5, **rules).tensor
    plain = td.complete(x, rank=6, **rules).tensor
    least = np.nansum((x - plain.to_array()) ** 2) + 0.5 * (
        (plain.left**2).sum() + (plain.right**2).sum()
    )
    assert objective(z, x, 0.5, 0.5) == pytest.approx(least, rel=2e-3)


@pytest.mark.parametrize("scale", [4.0**-250, 4.0**250])
def test_data_and_both_penalties_scale_together(scale):
    _, x, p, q = described(shape=(15, 12))
    rules = {"rank": 2, "residual_rank": 1, "rng": 0, "max_iter": 5, "tol": -1}

    def fitted(c):
        return inductive(
            c * x, p, q, regularization=0.2 * c, residual_regularization=0.5 * c, **rules
        ).tensor

    one, other = fitted(1.0), fitted(scale)
    np.testing.assert_allclose(other.to_array() / scale, one.to_array(), rtol=1e-10, atol=1e-12)
    part = other.explained.to_array() / scale
    np.testing.assert_allclose(part, one.explained.to_array(), rtol=1e-10, atol=1e-12)


def test_rows_without_entries_have_the_part_of_features_alone():
    truth, x, p, q = described(own=0.2)
    x[[3, 17]], x[:, 5] = np.nan, np.nan
    z = inductive(x, p, q, **BOTH, rng=0).tensor
    rows, columns = unseen(x)
    assert (z.residual_left[rows] == 0).all()
    assert (z.residual_right[:, columns] == 0).all()
    assert (z.residual_left[0] != 0).all()
    said = z.explained.to_array()
    np.testing.assert_allclose(z.to_array()[rows], said[rows], atol=1e-14)
    new = z.explained._replace(row_features=p[rows])
    np.testing.assert_allclose(new.to_array(), said[rows], atol=1e-14)
    assert np.linalg.norm(said[rows] - truth[rows]) < 0.5 * np.linalg.norm(truth[rows])


def test_every_library_makes_the_same_sweeps(xp):
    if xp.name == "jax":
        pytest.skip("compiled for tests/testing/test_capabilities.py already")
    _, x, p, q = described(shape=(9, 8), share=0.7)
    rules = BOTH | {"residual_rank": 1, "rng": 0, "max_iter": 2, "tol": -1}
    found = inductive(*(xp.asarray(part) for part in (x, p, q)), **rules)
    own = inductive(x, p, q, **rules)
    for part, other in zip(found.tensor, own.tensor, strict=True):
        np.testing.assert_allclose(xp.to_numpy(part), other, atol=1e-10)
    assert found.error == pytest.approx(own.error, rel=1e-10)


def test_complex_data_have_complex_residuals():
    truth, x, p, q = described(sigma=0, share=0.6)
    turned = x * np.exp(1j * np.arange(30))  # of each column by a phase of its own: rank is kept
    rules = BOTH | {"regularization": 1e-6, "residual_regularization": 1e-5, "max_iter": 400}
    found = inductive(turned, p, q * np.exp(1j * np.arange(30))[:, None], **rules, rng=0, tol=1e-9)
    expected = truth * np.exp(1j * np.arange(30))
    assert found.tensor.residual_left.dtype == np.complex128
    assert np.linalg.norm(found.tensor.to_array() - expected) < 1e-4 * np.linalg.norm(expected)


def test_the_units_of_a_feature_do_not_hide_others():
    _, x, p, q = described()
    rules = {"rank": 2, "regularization": 0.2, "rng": 0, "max_iter": 20, "tol": -1}
    one = inductive(x.astype(np.float32), p.astype(np.float32), q.astype(np.float32), **rules)
    seconds = (p * [1e9, 1, 1, 1e-9]).astype(np.float32)
    other = inductive(x.astype(np.float32), seconds, q.astype(np.float32), **rules)
    assert other.tensor.dtype == np.float32
    np.testing.assert_allclose(other.tensor.to_array(), one.tensor.to_array(), atol=2e-4)


def test_features_may_be_sparse_in_any_library():
    _, x, p, q = described(shape=(12, 9))
    p = np.where(p > 0, p, 0.0)
    expected = inductive(x, p, q, rank=2, rng=0).tensor.to_array()
    coo = td.COO(np.stack(np.nonzero(p)), p[p > 0], p.shape)
    np.testing.assert_array_equal(inductive(x, coo, q, rank=2, rng=0).tensor.to_array(), expected)
    torch = pytest.importorskip("torch")
    there = [torch.asarray(part) for part in (x, p, q)]
    there[1] = there[1].to_sparse()
    found = inductive(*there, rank=2, rng=0).tensor.to_array()
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-9, atol=1e-9)


def test_features_may_be_sparse():
    _, x, _, q = described(shape=(15, 12))
    kinds = np.eye(3)[np.arange(15) % 3]
    fits = [
        inductive(x, part, q, rank=2, rng=0, max_iter=5)
        for part in (kinds, scipy.sparse.csr_array(kinds), scipy.sparse.csr_matrix(kinds))
    ]
    for fit in fits[1:]:
        np.testing.assert_array_equal(fit.tensor.to_array(), fits[0].tensor.to_array())


@pytest.mark.parametrize("residual", [False, True])
def test_what_was_fitted_is_looked_up_ranked_measured_and_saved(tmp_path, residual):
    _, x, p, q = described(shape=(15, 12))
    z = inductive(x, p, q, **(BOTH if residual else {"rank": 2}), rng=0, max_iter=5).tensor
    dense = z.to_array()
    assert z.rank == (4 if residual else 2) == z.lowrank.rank
    np.testing.assert_allclose(z.to_array(slice(3, 7)), dense[3:7], atol=1e-14)
    np.testing.assert_allclose(predict(z, [3, -1], [2, 5]), dense[[3, -1], [2, 5]], atol=1e-13)
    best = top_n(z, 1, exclude=~np.isnan(x)).indices[:, 0]
    np.testing.assert_array_equal(best, np.where(np.isnan(x), dense, -np.inf).argmax(1))
    np.testing.assert_allclose(z @ np.ones(12), dense.sum(1), atol=1e-12)
    assert td.relative_error(dense, z) < 1e-14
    for suffix in ("npz", "safetensors"):
        save(tmp_path / f"z.{suffix}", z)
        found = load(tmp_path / f"z.{suffix}")
        assert type(found) is type(z)
        np.testing.assert_array_equal(found.to_array(), dense)
    with pytest.raises(TypeError, match="got Inductive; pass its lowrank"):
        variance(z, x, 0, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"residual_rank": 2}, "residual_rank needs residual_regularization="),
        ({"residual_regularization": 1.0}, "residual_regularization needs residual_rank="),
        ({"residual_rank": -1}, "residual_rank must be an int >= 0"),
        ({"residual_rank": 6, "residual_regularization": 1.0}, "between 0 and 5, got 6"),
        ({"residual_rank": 1, "residual_regularization": -1.0}, "must be a number >= 0"),
    ],
)
def test_a_residual_that_makes_no_sense_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        inductive(np.ones((6, 5)), np.ones((6, 1)), np.ones((5, 1)), rank=1, **options)


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_data_that_features_explain_wholly_leave_nothing(value):
    z = inductive(
        np.full((6, 5), value), np.ones((6, 1)), np.ones((5, 1)), rank=1, residual_rank=2,
        residual_regularization=0.1, rng=0,
    )  # fmt: skip
    np.testing.assert_allclose(z.tensor.to_array(), value, atol=1e-12)
    np.testing.assert_allclose(z.tensor.explained.to_array(), value, atol=1e-12)
    assert z.status == Status.CONVERGED


@pytest.mark.parametrize("power", [-600, 600])
def test_units_of_data_and_of_weights_may_be_far_apart(power):
    """Their product alone counts for the penalty, and it stays where it is."""
    _, x, p, q = described()
    weights = np.where(np.isnan(x), 0.0, 1.0)
    rules = {"rng": 0, "max_iter": 5, "tol": -1}
    plain = inductive(x, p, q, weights=weights, **BOTH, **rules)
    scaled = inductive(x * 2.0**power, p, q, weights=weights * 2.0**-power, **BOTH, **rules)
    assert scaled.error == pytest.approx(plain.error, rel=1e-13)
    expected = plain.tensor.to_array() * 2.0**power
    np.testing.assert_allclose(scaled.tensor.to_array(), expected, rtol=1e-12)


def test_of_zeros_an_error_is_the_residual_itself():
    p, q = np.ones((4, 1)), np.ones((3, 1))
    fit = inductive(np.zeros((4, 3)), p, q, rank=1, rng=0, max_iter=1)
    assert fit.error <= np.linalg.norm(fit.tensor.to_array()) * (1 + 1e-14)
