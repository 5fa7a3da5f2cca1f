"""GoDec and scaled gradient descent: monotone, exact, of the rank and number asked for."""

from itertools import combinations

import array_api_compat
import numpy as np
import pytest

import tdecomp as td
from tdecomp.completion.robust import godec, scaled_gd_rpca
from tdecomp.completion.robust._largest import largest, outstanding
from tdecomp.completion.robust._precondition import preconditioned

XP = array_api_compat.array_namespace(np.empty(0))


def instance(n=60, m=50, rank=3, density=0.05, *, size=1.0, condition=1.0):
    rng = np.random.default_rng(0)
    u, v = (np.linalg.qr(rng.standard_normal((k, rank)))[0] for k in (n, m))
    low = np.sqrt(n * m) * (u * np.linspace(1, 1 / condition, rank)) @ v.T
    sparse = size * rng.standard_normal((n, m)) * (rng.random((n, m)) < density)
    return low, sparse


def far(fit, low):
    return np.linalg.norm(fit.tensor.low_rank.to_array() - low) / np.linalg.norm(low)


@pytest.mark.parametrize("noise", [0.0, 0.01, 1.0])
@pytest.mark.parametrize("rank", [1, 3, 6])
def test_no_step_of_godec_raises_the_error(rank, noise):
    low, sparse = instance()
    x = low + sparse + noise * np.random.default_rng(1).standard_normal(low.shape)
    errors = []
    fit = godec(
        x,
        rank=rank,
        cardinality=200,
        rng=0,
        max_iter=60,
        callback=lambda p: errors.append(p.error),
    )
    assert len(errors) >= 3
    assert np.all(np.diff(errors) <= 1e-14)
    assert fit.tensor.rank == rank
    assert fit.tensor.sparse.nnz <= 200
    assert fit.error == pytest.approx(float(td.relative_error(x, fit.tensor)), rel=1e-6, abs=1e-14)


@pytest.mark.parametrize("size", [0.3, 1.0, 30.0, 1000.0])
def test_outliers_of_any_size_are_recovered_by_godec(size):
    low, sparse = instance(size=size)
    fit = godec(low + sparse, rank=3, cardinality=int(np.count_nonzero(sparse)), rng=0)
    assert fit.status is td.Status.CONVERGED
    assert far(fit, low) < 1e-10


def test_with_noise_godec_finds_no_worse_a_fit_than_the_truth():
    low, sparse = instance()
    noise = 0.01 * np.random.default_rng(2).standard_normal(low.shape)
    fit = godec(low + sparse + noise, rank=3, cardinality=int(np.count_nonzero(sparse)), rng=0)
    assert fit.error * np.linalg.norm(low + sparse + noise) <= np.linalg.norm(noise)


def test_without_outliers_godec_is_the_truncated_svd():
    x = td.testing.matrix(30, 20, 0.5 ** np.arange(20.0), rng=0)
    fit = godec(x, rank=4, cardinality=0, rng=0)
    best = td.truncated_svd(x, rank=4)
    np.testing.assert_allclose(fit.tensor.to_array(), best.to_array(), atol=1e-6)
    assert fit.tensor.sparse.nnz == 0


def best(x, rank, count):
    """Return the least error over all places of outliers, by alternating projections for each."""
    errors = []
    for places in combinations(range(x.size), count):
        known = ~np.isin(np.arange(x.size), places).reshape(x.shape)
        filled = np.where(known, x, 0.0)
        for _ in range(60):
            u, s, vh = np.linalg.svd(filled, full_matrices=False)
            low = (u[:, :rank] * s[:rank]) @ vh[:rank]
            filled = np.where(known, x, low)
        errors.append(np.linalg.norm((x - low)[known]))
    return min(errors) / np.linalg.norm(x)


@pytest.mark.parametrize("seed", range(4))
def test_on_tiny_matrices_godec_finds_the_best_of_all_places(seed):
    rng = np.random.default_rng(seed)
    x = np.outer(1 + rng.random(4), 1 + rng.random(3)) + 0.01 * rng.standard_normal((4, 3))
    x.flat[rng.choice(12)] += 5
    fit = godec(x, rank=1, cardinality=1, rng=0, tol=1e-12)
    assert fit.error == pytest.approx(best(x, 1, 1), rel=1e-5)


def test_the_callback_counts_the_steps_of_the_race_too():
    low, sparse = instance()
    seen = []
    fit = godec(low + sparse, rank=3, cardinality=100, callback=lambda p: seen.append(p.iteration))
    assert seen == list(range(seen[0], fit.n_iter + 1))


def test_one_step_is_a_step():
    low, sparse = instance()
    fit = godec(low + sparse, rank=3, cardinality=100, rng=0, max_iter=1)
    assert (fit.n_iter, fit.status) == (1, td.Status.MAX_ITER)
    assert godec(low + sparse, rank=3, cardinality=100, rng=0, max_iter=5).n_iter == 5


@pytest.mark.parametrize("count", [0, 1, 3, 4, 6])
def test_the_largest_entries_are_counted_exactly_ties_included(xp, count):
    x = np.array([[1.0, -2.0, 2.0], [2.0, 0.5, -3.0]])
    kept = xp.to_numpy(largest(xp.asarray(x), count, xp.namespace))
    order = [(1, 2), (0, 1), (0, 2), (1, 0), (0, 0), (1, 1)][:count]
    expected = np.zeros_like(x)
    for place in order:
        expected[place] = x[place]
    np.testing.assert_array_equal(kept, expected)


def test_outstanding_entries_stand_out_of_row_and_column(xp):
    x = np.array([[9.0, 1.0, 1.0], [8.0, 2.0, 1.0], [1.0, 1.0, 7.0]])
    kept = xp.to_numpy(outstanding(xp.asarray(x), 1 / 3, xp.namespace))
    np.testing.assert_array_equal(kept, np.diag([9.0, 0, 7.0]))
    assert not np.any(xp.to_numpy(outstanding(xp.asarray(x), 0.0, xp.namespace)))


@pytest.mark.parametrize("x", [np.ones((20, 15)), np.kron([[1.0, 0], [0, 0]], np.ones((8, 7)))])
def test_entries_that_are_all_alike_are_no_outliers(x):
    fit = scaled_gd_rpca(x, rank=1)
    np.testing.assert_allclose(fit.tensor.low_rank.to_array(), x, atol=1e-7)
    assert np.max(np.sum(outstanding(x, 0.1, XP) != 0, axis=1)) <= 2


def test_scaled_descent_takes_about_as_many_steps_for_every_condition_number():
    steps = []
    for condition in (1.0, 2.0, 5.0):
        low, sparse = instance(200, 200, 3, 0.01, condition=condition)
        fit = scaled_gd_rpca(low + sparse, rank=3, outliers=0.03, tol=1e-9)
        assert fit.status is td.Status.CONVERGED
        assert far(fit, low) < 1e-8
        steps.append(fit.n_iter)
    assert max(steps) <= 1.2 * min(steps) <= 90


def test_without_outliers_the_error_falls_as_the_theorem_says():
    """The factor is 1 - 0.6 eta at most; the first step of a spectral start is exact."""
    low, sparse = instance(60, 60, 3, 0.003)
    errors = []
    scaled_gd_rpca(
        low + sparse, rank=3, outliers=0.02, tol=1e-9, callback=lambda p: errors.append(p.error)
    )
    assert (errors[12] / errors[2]) ** 0.1 <= 0.7


def test_scaled_descent_ends_where_pursuit_does():
    low, sparse = instance(80, 60, 2, 0.05, size=5.0)
    x = low + sparse
    convex = td.completion.robust.principal_component_pursuit(x, tol=1e-9)
    descent = scaled_gd_rpca(x, rank=2, outliers=0.12, tol=1e-9)
    gap = convex.tensor.low_rank.to_array() - descent.tensor.low_rank.to_array()
    assert np.linalg.norm(gap) <= 1e-6 * np.linalg.norm(low)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_preconditioner_is_the_inverse_gram_matrix(dtype):
    rng = np.random.default_rng(0)
    g, r = (rng.standard_normal((7, 3)) + 1j * rng.standard_normal((7, 3)) for _ in range(2))
    g, r = (x.astype(dtype) if dtype.startswith("c") else x.real.copy() for x in (g, r))
    found = preconditioned(g, r, XP)
    np.testing.assert_allclose(found, g @ np.linalg.inv(r.conj().T @ r), rtol=1e-11, atol=1e-12)


def test_the_preconditioner_survives_factors_that_vanish():
    assert np.all(np.isfinite(preconditioned(np.ones((4, 2)), np.zeros((4, 2)), XP)))
