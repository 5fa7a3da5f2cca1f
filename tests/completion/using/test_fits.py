"""Fits beyond plain completion: implicit feedback, learnt penalties, features, validation."""

import numpy as np
import pytest
import scipy.sparse

import tdecomp as td
from tdecomp import Status
from tdecomp.completion import (
    cross_validate,
    implicit_als,
    inductive,
    soft_impute_path,
    top_n,
    variational_als,
)
from tdecomp.completion._entries import read
from tdecomp.completion._using import _variational
from tdecomp.completion._using._folds import divided
from tdecomp.io import load, save


def not_compiled(xp):
    """Skip a case on JAX that the table of capabilities makes on the same arrays."""
    if xp.name == "jax":
        pytest.skip("compiled for tests/testing/test_capabilities.py already")


def noisy(seed=0, share=0.5, sigma=0.3, shape=(40, 30), rank=2):
    """Return a matrix of low rank, and the same with noise and entries that are not known."""
    rng = np.random.default_rng(seed)
    m, n = shape
    truth = rng.standard_normal((m, rank)) @ rng.standard_normal((rank, n))
    x = truth + sigma * rng.standard_normal(truth.shape)
    return truth, np.where(rng.random(truth.shape) < share, x, np.nan)


def plays(seed=0, shape=(14, 9)):
    """Return how often whom has heard what."""
    return np.random.default_rng(seed).poisson(0.5, shape).astype(float)


@pytest.mark.parametrize("method", [implicit_als, variational_als])
def test_every_library_makes_the_same_sweeps(xp, method):
    not_compiled(xp)
    x, rules = plays(), {"rank": 2, "rng": 0, "max_iter": 3, "tol": -1}
    found, own = method(xp.asarray(x), **rules), method(x, **rules)
    for part, other in zip(found.tensor, own.tensor, strict=True):
        np.testing.assert_allclose(xp.to_numpy(part), other, atol=1e-11)
    assert found.error == pytest.approx(own.error, rel=1e-11)


def test_implicit_feedback_is_completion_of_all_entries_with_weights():
    x = plays()
    rules = {"rank": 2, "regularization": 0.5, "tol": 1e-12, "max_iter": 300, "rng": 0}
    found = implicit_als(x, alpha=2.0, **rules)
    z, weights, wanted = found.tensor.to_array(), 1 + 2 * x, (x > 0) * 1.0
    start = td.Completion(*found.tensor, np.zeros(()), np.zeros(14), np.zeros(9))
    # Several minima: from where this one ends, the other does not move.
    other = td.complete(wanted, weights=weights, **(rules | {"init": start, "max_iter": 3}))
    np.testing.assert_allclose(other.tensor.to_array(), z, atol=1e-4)
    error = np.sqrt((weights * (wanted - z) ** 2).sum() / (weights * wanted).sum())
    assert found.error == pytest.approx(error, rel=1e-9)


def test_a_sweep_of_implicit_feedback_solves_for_each_row_in_turn():
    x, rng = plays(), np.random.default_rng(1)
    start = td.LowRank(rng.standard_normal((14, 2)), rng.standard_normal((2, 9)))
    fit = implicit_als(x, rank=2, regularization=0.3, init=start, max_iter=1)
    # It starts as that matrix, from factors that share it evenly.
    u, s, vh = td.truncated_svd(start.to_array(), rank=2)
    u, v = u * np.sqrt(s), vh.T * np.sqrt(s)
    for own, other, r in ((u, v, x), (v, u, x.T)):
        for i in range(own.shape[0]):
            a = (other.T * (1 + r[i])) @ other + 0.3 * np.eye(2)
            own[i] = np.linalg.solve(a, other.T @ ((1 + r[i]) * (r[i] > 0)))
    # The factors of that matrix are balanced then.
    np.testing.assert_allclose(fit.tensor.to_array(), u @ v.T, atol=1e-12)
    sizes = [np.linalg.norm(part) for part in fit.tensor]
    np.testing.assert_allclose(*sizes, rtol=1e-12)


def test_implicit_feedback_never_rises_and_its_error_is_true_where_nothing_is_left():
    x, seen = plays(2), []
    implicit_als(
        x, rank=3, regularization=0.2, rng=0, tol=-1, max_iter=15,
        callback=lambda p: seen.append(p.tensor),
    )  # fmt: skip
    losses = [
        ((1 + x) * ((x > 0) - z.to_array()) ** 2).sum()
        + 0.2 * ((z.left**2).sum() + (z.right**2).sum())
        for z in seen
    ]
    assert (np.diff(losses) <= 1e-10 * losses[0]).all()
    fit = implicit_als(np.kron(np.eye(2), np.ones((3, 4))), rank=2, rng=0, tol=0, max_iter=300)
    rest = np.kron(np.eye(2), np.ones((3, 4))) - fit.tensor.to_array()
    assert fit.error < 1e-12
    assert fit.error == pytest.approx(np.linalg.norm(rest) / np.sqrt(48), abs=1e-15)


def test_explicit_zeros_are_what_is_not_stored_and_empty_rows_score_nothing():
    x = plays()
    x[3] = 0
    sparse = scipy.sparse.coo_array(x)
    with_zeros = scipy.sparse.coo_array((x.ravel(), np.indices(x.shape).reshape(2, -1)), x.shape)
    fits = [implicit_als(part, rank=2, regularization=0.1, rng=0) for part in (sparse, with_zeros)]
    np.testing.assert_allclose(*(fit.tensor.to_array() for fit in fits), atol=1e-12)
    assert fits[0].error == pytest.approx(fits[1].error)
    assert (fits[0].tensor.left[3] == 0).all()
    assert top_n(fits[0].tensor, 2, rows=[3]).indices.tolist() == [[0, 1]]


def test_learnt_penalties_recover_better_than_no_penalty_at_too_high_a_rank():
    truth, x = noisy()
    found, plain, best = (
        np.linalg.norm(fit.tensor.to_array() - truth)
        for fit in (
            variational_als(x, rank=6, rng=0),
            td.complete(x, rank=6, rng=0),
            td.complete(x, rank=2, rng=0),
        )
    )
    assert found < 0.5 * plain
    assert found < 1.05 * best


@pytest.mark.parametrize("biases", [False, True])
def test_no_step_raises_the_free_energy_and_the_noise_is_found(monkeypatch, biases):
    truth, x = noisy(shape=(60, 50))
    states, step = [], _variational.step
    weights = np.random.default_rng(3).uniform(0.5, 2, x.shape) * ~np.isnan(x)
    x = truth + (x - truth) / np.sqrt(np.where(weights > 0, weights, 1))

    def spied(*arguments):
        states.append(step(*arguments).state)
        return step(*arguments)

    monkeypatch.setattr(_variational, "step", spied)
    variational_als(
        x + 2 * biases, rank=3, rng=0, tol=-1, max_iter=40, weights=weights, biases=biases
    )
    energies = np.asarray([state.energy for state in states])
    assert (np.diff(energies) <= 1e-12).all()
    # The scales of values, a power of four, and of weights.
    exponent = np.floor(np.log2(np.nanmax(np.abs(x + 2 * biases)))) // 2 * 2
    heaviest = 2.0 ** np.floor(np.log2(weights.max()))
    noise = states[-1].noise * 4.0**exponent * heaviest
    assert noise == pytest.approx(0.3**2, rel=0.1)


def test_what_is_exact_is_recovered_at_too_high_a_rank():
    truth, x = noisy(sigma=0, shape=(20, 15), share=0.6)
    fit = variational_als(x, rank=4, rng=0)
    assert fit.status == Status.CONVERGED
    assert np.linalg.norm(fit.tensor.to_array() - truth) < 1e-10 * np.linalg.norm(truth)


def test_random_factors_that_vanish_are_no_last_word():
    """Zeros are a local minimum, of which the free energy is larger than that of a model."""
    x, sweeps = np.arange(20.0).reshape(5, 4), []
    fit = variational_als(
        x, rank=2, init="random", rng=0, callback=lambda p: sweeps.append((p.iteration, p.tensor))
    )
    assert fit.status == Status.CONVERGED
    assert fit.error < 0.1
    assert [number for number, _ in sweeps] == list(range(1, fit.n_iter + 1))
    np.testing.assert_array_equal(sweeps[-1][1].to_array(), fit.tensor.to_array())
    spectral = variational_als(x, rank=2)
    np.testing.assert_allclose(fit.tensor.to_array(), spectral.tensor.to_array(), rtol=1e-2)


@pytest.mark.parametrize("max_iter", [20, 300])
def test_zeros_are_the_answer_to_noise_from_every_start(max_iter):
    x = np.random.default_rng(0).standard_normal((30, 20))
    fit = variational_als(x, rank=3, init="random", rng=0, max_iter=max_iter)
    assert fit.error > 0.99
    assert fit.n_iter <= max_iter
    assert fit.status == (Status.CONVERGED if max_iter == 300 else Status.MAX_ITER)


def test_data_and_posterior_mean_scale_together():
    _, x = noisy()
    fits = [
        variational_als(c * x, rank=3, rng=0, max_iter=10, biases=True).tensor.to_array() / c
        for c in (1.0, 4.0**-300, 4.0**200)
    ]
    np.testing.assert_allclose(fits[1], fits[0], rtol=1e-12)
    np.testing.assert_allclose(fits[2], fits[0], rtol=1e-12)


@pytest.mark.parametrize("scale", [4.0**-500, 4.0**500])
def test_penalties_of_a_path_follow_the_units_of_data_and_of_weights(scale):
    _, x = noisy(shape=(12, 10))
    known = 1.0 * ~np.isnan(x)
    rules = {"rank": 3, "rng": 0, "max_iter": 20}
    own = soft_impute_path(x, weights=known, **rules)
    other = soft_impute_path(scale * x, weights=known / scale, **rules)
    np.testing.assert_allclose(other.regularizations, own.regularizations, rtol=1e-12)
    for one, fit in zip(own.fits, other.fits, strict=True):
        assert fit.error == pytest.approx(one.error, rel=1e-9)
    given = soft_impute_path(scale * x, weights=known / scale, regularizations=[1.0], **rules)
    plain = soft_impute_path(x, weights=known, regularizations=[1.0], **rules)
    assert given.fits[0].error == pytest.approx(plain.fits[0].error, rel=1e-9)


def test_with_the_identity_for_features_completion_is_plain():
    _, x = noisy(sigma=0.1, shape=(15, 12))
    rules = {"rank": 2, "regularization": 0.3, "tol": 1e-13, "max_iter": 1000, "rng": 0}
    found = inductive(x, np.eye(15), np.eye(12), **rules).tensor
    plain = td.complete(x, **rules).tensor
    np.testing.assert_allclose(found.to_array(), plain.to_array(), atol=1e-6)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_features_let_far_fewer_entries_determine_a_matrix(dtype):
    rng = np.random.default_rng(0)

    def draw(*shape):
        turn = 1 + 1j if dtype == "complex128" else 1
        return rng.standard_normal(shape) * turn

    p, q = draw(200, 4), draw(150, 5)
    p = np.concatenate([p, p[:, :1]], axis=1)  # a feature that says nothing new
    truth = p @ draw(5, 2) @ draw(2, 5) @ q.T
    x = np.where(rng.random(truth.shape) < 0.01, truth, np.nan)
    assert np.count_nonzero(~np.isnan(x)) < 2 * sum(x.shape)  # not even the unknowns of rank one
    fit = inductive(x, p, q, rank=2, tol=1e-12, rng=0)
    assert fit.status == Status.CONVERGED
    np.testing.assert_allclose(fit.tensor.to_array(), truth, atol=1e-8 * np.abs(truth).max())
    assert td.relative_error(truth, fit.tensor) < 1e-8
    new = fit.tensor._replace(row_features=2 * p[:1])
    np.testing.assert_allclose(new.to_array()[0], 2 * truth[0], atol=1e-8 * np.abs(truth).max())
    np.testing.assert_allclose(fit.tensor @ np.ones(150), truth.sum(1), rtol=1e-6, atol=1e-8)


def test_the_penalty_of_coefficients_is_that_of_factors_whatever_the_units_of_features():
    _, x = noisy(shape=(15, 12))
    rng = np.random.default_rng(1)
    p, q = rng.standard_normal((15, 4)), rng.standard_normal((12, 3))
    rules = {"rank": 2, "regularization": 0.5, "rng": 0, "max_iter": 20, "tol": -1}
    one = inductive(x, p, q, **rules).tensor.to_array()
    other = inductive(x, p * [1, 10, 0.1, 5], q @ rng.standard_normal((3, 3)), **rules)
    np.testing.assert_allclose(other.tensor.to_array(), one, atol=1e-7)


def test_no_part_has_all_of_a_row_or_of_a_column():
    rng = np.random.default_rng(0)
    x = np.where(rng.random((30, 20)) < 0.12, 1.0, np.nan)
    x[4], x[4, 3] = np.nan, 2.0
    _, entries = read(x)
    for seed in range(5):
        parts = divided(entries, 3, np.random.default_rng(seed))
        for part in range(3):
            left = parts != part
            assert set(entries.rows[left]) == set(entries.rows)
            assert set(entries.columns[left]) == set(entries.columns)
        assert (parts[entries.rows == 4] == -1).all()
        sizes = np.bincount(parts[parts >= 0], minlength=3)
        assert sizes.max() - sizes.min() < 0.3 * parts.size


def test_validation_finds_the_rank_and_refits_everything():
    truth, x = noisy(sigma=0.1, share=0.6)
    seen = []
    found = cross_validate(
        x, ranks=[3, 1, 2], regularizations=[0.1, 1.0], folds=3, rng=0, callback=seen.append,
        choose="simplest",
    )  # fmt: skip
    assert found.ranks == (1, 2, 3)
    assert found.regularizations == (1.0, 0.1)
    assert found.best[0] == found.simplest[0] == found.fit.tensor.rank == 2
    assert len(seen) == seen[-1].done == seen[0].total == 18
    np.testing.assert_allclose(found.mean, found.scores.mean(0))
    np.testing.assert_allclose(found.standard_error, found.scores.std(0, ddof=1) / np.sqrt(3))
    assert np.linalg.norm(found.fit.tensor.to_array() - truth) < 0.1 * np.linalg.norm(truth)


@pytest.mark.parametrize("scale", [4.0**-498, 4.0**498])
def test_validation_follows_the_scale_of_the_data(scale):
    _, x = noisy(shape=(12, 10))
    rules = {"ranks": [1, 2], "folds": 2, "rng": 0}
    one, other = (cross_validate(c * x, regularizations=[0.1 * c], **rules) for c in (1.0, scale))
    assert other.best == (one.best[0], one.best[1] * scale)
    np.testing.assert_allclose(other.mean / scale, one.mean, rtol=1e-6)
    np.testing.assert_allclose(other.standard_error / scale, one.standard_error, rtol=1e-5)


def test_validation_with_clip_and_weights_scores_what_predict_says_and_can_be_stopped():
    _, x = noisy()
    weights = np.random.default_rng(1).random(x.shape) * ~np.isnan(x)
    found = cross_validate(
        x, ranks=[1, 2], regularizations=[1.0], folds=2, clip=(-1e-9, 1e-9), weights=weights,
        rng=0, callback=lambda trial: trial.done == 3,
    )  # fmt: skip
    assert np.isnan(found.scores).sum() == 1
    assert found.best == (1, 1.0)  # the only one that both folds have judged
    assert np.isnan(found.standard_error[1, 0])
    values = np.nan_to_num(x)
    size = np.sqrt((weights * values**2).sum() / weights.sum())
    assert found.mean[0, 0] == pytest.approx(size, rel=0.2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: implicit_als(-x, rank=1), ValueError, r"x must be nonnegative, got -.* at \("),
        (lambda x: implicit_als(x * 1j, rank=1), TypeError, "real and nonnegative"),
        (lambda x: implicit_als(x, rank=6), ValueError, "rank must be an int between 1 and 5"),
        (lambda x: implicit_als(x, rank=1, alpha=0), ValueError, "nothing tells entries apart"),
        (lambda x: implicit_als(x, rank=1, alpha=1e309), ValueError, "alpha"),
        (lambda x: variational_als(x * 1j, rank=1), TypeError, "x must be real"),
        (lambda x: variational_als(x, rank=0), ValueError, "rank must be"),
        (lambda x: variational_als(x, rank=1, biases=5.0), TypeError, "biases must be a bool"),
        (lambda x: inductive(x, 0 * x, x.T, rank=1), ValueError, "row_features are all zero"),
        (lambda x: inductive(x, x[:2], x.T, rank=1), ValueError, "row_features must have 6 rows"),
        (lambda x: inductive(x, x, np.ones((5, 2)), rank=2), ValueError, "between 1 and 1"),
        (lambda x: cross_validate(x, ranks=[7], regularizations=[1]), ValueError, "ranks must be"),
        (lambda x: cross_validate(x, ranks=[], regularizations=[1]), ValueError, "ranks is empty"),
        (lambda x: cross_validate(x, ranks=1, regularizations=[1]), TypeError, "ranks must be a"),
        (
            lambda x: cross_validate(x, ranks=[1], regularizations=[-1]),
            ValueError,
            "regularizations must be a number >= 0",
        ),
        (
            lambda x: cross_validate(0 * x[:1, :1], ranks=[1], regularizations=[1]),
            ValueError,
            "too few for 5 folds",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(np.random.default_rng(0).random((6, 5)) + 1)


@pytest.mark.parametrize("method", [variational_als, implicit_als])
def test_one_entry_and_constant_data_are_no_trouble(method):
    one = scipy.sparse.coo_array(([2.0], ([1], [2])), shape=(3, 4))
    for x in (one, np.ones((4, 3))):
        fit = method(x, rank=1, rng=0)
        assert np.isfinite(fit.tensor.to_array()).all()
        assert np.isfinite(fit.error)


def test_a_completion_is_saved_and_loaded_with_its_biases(tmp_path):
    _, x = noisy()
    z = td.complete(x, rank=2, biases=True, rng=0).tensor
    z_features = inductive(x, np.ones((40, 1)), np.ones((30, 1)), rank=1).tensor
    for k, fmt in enumerate((z, z_features)):
        for suffix in ("npz", "safetensors"):
            path = tmp_path / f"{k}.{suffix}"
            save(path, fmt)
            found = load(path)
            assert type(found) is type(fmt)
            for part, other in zip(found, fmt, strict=True):
                np.testing.assert_array_equal(part, other)
                assert np.shape(part) == np.shape(other)
