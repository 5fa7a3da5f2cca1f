"""Principal component pursuit: exact recovery, optimality, missing entries, invariances."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp.completion.robust import _shrink
from tdecomp.completion.robust import principal_component_pursuit as pcp

EPS = float(np.finfo(float).eps)


def instance(n=60, m=50, rank=3, density=0.05, *, size=1.0, seed=0, dtype="float64"):
    """A matrix of low rank, outliers of random places and signs, and their sum."""
    rng = np.random.default_rng(seed)
    low = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, m))
    sparse = size * rng.choice([-1.0, 1.0], (n, m)) * (rng.random((n, m)) < density)
    if dtype.startswith("complex"):
        low = low + 1j * rng.standard_normal((n, rank)) @ low[:rank]
        low = np.linalg.qr(low)[0][:, :rank] @ rng.standard_normal((rank, m)) * 8
        sparse = sparse * np.exp(1j * rng.uniform(0, 7, (n, m)))
    return low.astype(dtype), sparse.astype(dtype)


def far(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.mark.parametrize("size", [0.1, 1.0, 100.0])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_low_rank_and_outliers_are_recovered_exactly(size, dtype):
    low, sparse = instance(size=size, dtype=dtype)
    fit = pcp(low + sparse, tol=1e-10)
    assert fit.status is td.Status.CONVERGED
    assert fit.tensor.low_rank.rank == 3
    assert far(fit.tensor.low_rank.to_array(), low) <= 1e-8
    assert far(fit.tensor.sparse.to_array(), sparse) <= 1e-8
    assert fit.error <= 1e-10
    assert fit.error == pytest.approx(float(td.relative_error(low + sparse, fit.tensor)), abs=EPS)


@pytest.mark.parametrize(("rank", "density"), [(3, 0.05), (12, 0.1), (10, 0.3), (25, 0.0)])
def test_a_dual_matrix_certifies_the_optimum(rank, density):
    """Weak duality: any Y with spectral norm at most 1 and entries at most lambda is a bound."""
    low, sparse = instance(40, 40, rank, density)
    x, price = low + sparse, 1 / np.sqrt(40)
    last = {}
    real = td.completion.robust._pcp.iterate

    def spy(step, state, **options):
        def watched(s):
            last["state"] = s
            return step(s)

        return real(watched, state, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(td.completion.robust._pcp, "iterate", spy)
        fit = pcp(x, tol=1e-9, max_iter=3000)
    state = last["state"]
    y = state.dual * state.penalty
    assert np.abs(y).max() <= price * (1 + 1e-12)
    y = y / max(1.0, np.linalg.norm(y, 2))
    found = fit.tensor.low_rank.to_array()
    value = np.linalg.norm(found, "nuc") + price * np.abs(x - found).sum()
    assert 0 <= value - np.vdot(y, x) + 1e-12 * value <= 1e-7 * value


def by_hand(x, prices):
    """Plain alternating directions with a fixed penalty, for long."""
    penalty = x.size / (4 * np.abs(x).sum())
    sparse = y = np.zeros_like(x)
    for _ in range(1000):
        u, s, vh = np.linalg.svd(x - sparse + y, full_matrices=False)
        low = (u * np.maximum(s - 1 / penalty, 0)) @ vh
        rest = x - low + y
        sizes = np.maximum(np.abs(rest), 1e-300)
        sparse = rest * np.maximum(1 - prices / penalty / sizes, 0)
        y = rest - sparse
    return low


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_optimum_is_that_of_a_plain_solver_with_prices_and_gaps(dtype):
    x, rng = td.testing.gaussian((6, 5), rng=0, dtype=dtype), np.random.default_rng(0)
    weights = rng.uniform(0.3, 3, x.shape) * (rng.random(x.shape) < 0.8)
    prices = 0.5 * weights
    observed = np.where(weights > 0, x, 0)

    def value(low):
        return np.linalg.norm(low, "nuc") + np.sum(prices * np.abs(observed - low))

    given = np.where(weights > 0, x, np.nan)
    fit = pcp(given, weights=weights, sparsity=0.5, tol=1e-10)
    assert fit.status is td.Status.CONVERGED
    found, expected = value(fit.tensor.low_rank.to_array()), value(by_hand(observed, prices))
    assert found == pytest.approx(expected, rel=1e-9)


def test_optimality_conditions_hold_for_both_parts():
    """Y = U V* + W with norm of W below 1, and lambda sign(S) on the support of S."""
    low, sparse = instance(100, 100, 1, 0.02)
    price = 0.1
    fit = pcp(low + sparse, tol=1e-11)
    u, _, vh = fit.tensor.low_rank
    support = np.abs(fit.tensor.sparse.to_array()) > 1e-6
    target = u @ vh

    def tangent(z):
        left = u @ (u.T @ z)
        return left + (z - left) @ vh.T @ vh

    # The certificate of least squares, from both conditions in turn.
    y = target.copy()
    for _ in range(500):
        y[support] = price * np.sign(sparse[support])
        y = y - tangent(y) + target
    assert np.linalg.norm(y - tangent(y), 2) < 1
    assert np.abs(y[support] - price * np.sign(sparse[support])).max() < 1e-9
    assert np.abs(y[~support]).max() < price


def published(x, tol=1e-7):
    """The inexact method of augmented Lagrange multipliers, as its authors distribute it."""
    price, norm = 1 / np.sqrt(max(x.shape)), np.linalg.norm(x, 2)
    y, mu, sparse = x / max(norm, np.abs(x).max() / price), 1.25 / norm, np.zeros_like(x)
    while True:
        u, s, vh = np.linalg.svd(x - sparse + y / mu, full_matrices=False)
        low = (u * np.maximum(s - 1 / mu, 0)) @ vh
        rest = x - low + y / mu
        sparse = np.sign(rest) * np.maximum(np.abs(rest) - price / mu, 0)
        gap = x - low - sparse
        y, mu = y + mu * gap, mu * 1.5
        if np.linalg.norm(gap) <= tol * np.linalg.norm(x):
            return low


def test_where_the_published_iteration_stops_far_from_the_optimum_this_one_does_not():
    rng = np.random.default_rng(0)
    low = rng.standard_normal((80, 8)) @ rng.standard_normal((8, 80)) / np.sqrt(80)
    x = low + rng.choice([-1.0, 1.0], (80, 80)) * (rng.random((80, 80)) < 0.15)

    def value(part):
        return np.linalg.norm(part, "nuc") + np.abs(x - part).sum() / np.sqrt(80)

    fit = pcp(x)
    assert far(fit.tensor.low_rank.to_array(), low) < 1e-5
    assert far(published(x), low) > 1e-3
    assert value(published(x)) > value(fit.tensor.low_rank.to_array()) * (1 + 1e-4)


def test_few_triplets_are_as_good_as_all(monkeypatch):
    low, sparse = instance(160, 140, 5, 0.1)
    few = pcp(low + sparse)
    monkeypatch.setattr(_shrink, "_LARGE", 10**6)
    whole = pcp(low + sparse)
    assert few.status is whole.status is td.Status.CONVERGED
    assert abs(few.n_iter - whole.n_iter) <= 3
    assert far(few.tensor.low_rank.to_array(), whole.tensor.low_rank.to_array()) < 1e-6


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_what_is_missing_is_completed(dtype):
    low, sparse = instance(rank=2, density=0.05, size=10.0, dtype=dtype)
    known = np.random.default_rng(5).random(low.shape) < 0.7
    x = np.where(known, low + sparse, np.nan)
    fit = pcp(x, weights=known, tol=1e-9)
    assert far(fit.tensor.low_rank.to_array(), low) < 1e-6
    assert not np.any(fit.tensor.sparse.to_array()[~known])


def test_weights_are_prices_of_single_outliers():
    low, sparse = instance()
    halved = pcp(low + sparse, weights=np.full((60, 50), 0.5), sparsity=0.2)
    plain = pcp(low + sparse, sparsity=0.1)
    np.testing.assert_allclose(halved.tensor.to_array(), plain.tensor.to_array(), atol=1e-10)
    assert halved.n_iter == plain.n_iter


def test_the_price_decides_what_is_an_outlier():
    low, sparse = instance()
    counts = [pcp(low + sparse, sparsity=p).tensor.sparse.nnz for p in (0.08, 0.13, 1.0, 10.0)]
    assert counts[0] > counts[1] > counts[3]
    assert counts[3] == 0


def test_permuting_transposing_and_scaling_commute_with_it():
    low, sparse = instance()
    x = low + sparse
    fit = pcp(x, tol=1e-9)
    dense = fit.tensor.low_rank.to_array()
    rows, columns = (np.random.default_rng(1).permutation(n) for n in x.shape)
    moved = pcp(x[rows][:, columns], tol=1e-9).tensor.low_rank.to_array()
    np.testing.assert_allclose(moved, dense[rows][:, columns], atol=1e-6)
    np.testing.assert_allclose(pcp(x.T, tol=1e-9).tensor.low_rank.to_array().T, dense, atol=1e-6)
    for scale in (2.0**900, 2.0**-900):
        big = pcp(x * scale, tol=1e-9)
        np.testing.assert_allclose(big.tensor.low_rank.to_array() / scale, dense, atol=1e-6)
        assert big.n_iter == pytest.approx(fit.n_iter, abs=2)


def test_the_callback_sees_iterates_that_stay():
    low, sparse = instance(20, 15, 2)
    seen = []
    fit = pcp(low + sparse, callback=lambda p: seen.append(p) or len(seen) == 4)
    assert fit.status is td.Status.INTERRUPTED
    assert [p.iteration for p in seen] == [1, 2, 3, 4]
    error = float(td.relative_error(low + sparse, seen[2].tensor))
    assert error == pytest.approx(seen[2].error, rel=1e-10)


def test_single_precision_rests_on_its_rounding():
    """What rounding leaves of one residual does not drive the other one up."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 2)) @ rng.standard_normal((2, 50))
    x += 0.3 * rng.standard_normal(x.shape) * (rng.random(x.shape) < 0.1)
    single, double = pcp(x.astype(np.float32)), pcp(x)
    assert single.status == double.status == td.Status.CONVERGED
    assert single.n_iter < 2 * double.n_iter
    assert far(single.tensor.low_rank.to_array(), double.tensor.low_rank.to_array()) < 1e-6


def test_no_price_above_one_is_paid():
    """The spectral norm of the multiplier is one, so that its entries are no larger."""
    low, sparse = instance(30, 20, 2)
    x, dear = low + sparse, np.random.default_rng(0).random((30, 20)) < 0.3
    fits = [pcp(x, weights=np.where(dear, w, 0.2), sparsity=1.0, tol=1e-6) for w in (2, 1e300)]
    for fit in fits:
        assert fit.status is td.Status.CONVERGED
        assert not np.any(fit.tensor.sparse.to_array()[dear])
    parts = [fit.tensor.low_rank.to_array() for fit in fits]
    assert far(*parts) <= 1e-5
    for price in (1e30, 1e300):
        fit = pcp(x.astype(np.float32), sparsity=price)
        assert (fit.status, fit.tensor.sparse.nnz) == (td.Status.CONVERGED, 0)
