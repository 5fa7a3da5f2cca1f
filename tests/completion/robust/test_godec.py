"""GoDec: monotone, exact, of the rank and the number of outliers asked for."""

import time
from itertools import combinations

import numpy as np
import pytest

import tdecomp as td
from tdecomp.completion.robust import godec


def instance(n=60, m=50, rank=3, density=0.05, *, size=1.0):
    rng = np.random.default_rng(0)
    u, v = (np.linalg.qr(rng.standard_normal((k, rank)))[0] for k in (n, m))
    low = np.sqrt(n * m) * u @ v.T
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


@pytest.mark.parametrize("size", [1e20, 1e250])
def test_beside_outliers_beyond_all_digits_of_the_rest_godec_finds_it_to_its_own(size):
    low, sparse = instance(size=size)
    fit = godec(low + sparse, rank=3, cardinality=int(np.count_nonzero(sparse)), rng=0, tol=0.0)
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


def test_the_callback_is_told_the_steps_and_the_time_of_the_race_too():
    low, sparse = instance()
    godec(low + sparse, rank=3, cardinality=100, max_iter=1)  # what is loaded late is loaded
    seen, shares, begin = [], [], time.monotonic()

    def watch(progress):
        seen.append(progress.iteration)
        shares.append(progress.elapsed / (time.monotonic() - begin))

    fit = godec(low + sparse, rank=3, cardinality=100, callback=watch)
    assert seen == list(range(seen[0], fit.n_iter + 1))
    assert 0.5 < shares[0] <= 1  # the first step after the race is one of 21


def test_one_step_is_a_step():
    low, sparse = instance()
    fit = godec(low + sparse, rank=3, cardinality=100, rng=0, max_iter=1)
    assert (fit.n_iter, fit.status) == (1, td.Status.MAX_ITER)
    assert godec(low + sparse, rank=3, cardinality=100, rng=0, max_iter=5).n_iter == 5
