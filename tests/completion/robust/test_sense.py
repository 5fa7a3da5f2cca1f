"""Sensing by gradient descent: what over-parameterisation costs, and how to get it back."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp.completion.robust import LinearMeasurements, RankOneMeasurements, sense
from tdecomp.completion.robust._sense import _asymmetric_step, _symmetric_step, corrected
from tdecomp.testing import gaussian

N, RANK = 30, 3
SIGMA = np.diag([1.0] * RANK + [0.0] * (N - RANK))
# The map of the theorems' population limit: every entry, by itself.
EVERYTHING = LinearMeasurements(lambda x: x.reshape(-1), lambda v: v.reshape(N, N), (N, N), N * N)


def curve(columns, steps, **options):
    """Return the error after each step, and the fit."""
    errors = []
    options = {"tol": 0, "rng": 0, "max_iter": steps} | options
    fit = sense(
        SIGMA.reshape(-1),
        EVERYTHING,
        rank=columns,
        callback=lambda p: errors.append(p.error * RANK**0.5),
        **options,
    )
    return np.array(errors), fit


def test_with_more_columns_than_rank_the_symmetric_error_falls_like_one_over_t():
    errors, fit = curve(5, 4000, symmetric=True, init_scale=0.5)
    at = np.array([500, 1000, 2000, 4000])
    slope = np.polyfit(np.log(at), np.log(errors[at - 1]), 1)[0]
    assert -1.15 <= slope <= -0.85
    assert fit.status is td.Status.MAX_ITER


def test_with_as_many_columns_as_rank_it_falls_geometrically():
    errors, fit = curve(3, 400, symmetric=True, init_scale=0.5)
    assert fit.status is td.Status.CONVERGED
    assert errors[-1] < 1e-13


def test_unequal_starts_give_a_rate_proportional_to_the_square_of_their_size():
    constants = []
    for alpha, steps in ((0.5, 900), (0.3, 2000), (0.2, 4000)):
        errors, _ = curve(5, steps, init_scale=alpha, correction=False)
        inside = np.flatnonzero((errors < 1e-2) & (errors > 1e-9))
        rate = -np.polyfit(inside, np.log(errors[inside]), 1)[0]
        constants.append(rate / alpha**2)
    assert 0 < min(constants)
    assert max(constants) <= 2 * min(constants)


def test_one_correction_makes_the_rate_independent_of_the_start():
    counts = [int(np.argmax(curve(5, 1500, init_scale=alpha)[0] < 1e-10)) for alpha in (0.2, 0.02)]
    assert 0 < counts[0] < 500
    # Only the time to grow depends on the start, and by its logarithm.
    assert counts[1] < 3 * counts[0]


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_correction_leaves_the_product_and_makes_an_isometry(xp, dtype):
    left, right = (gaussian((8, 3), rng=k, dtype=dtype) for k in (0, 1))
    f, g = (xp.to_numpy(x) for x in corrected(*map(xp.asarray, (left, right)), 0.4, xp.namespace))
    product = left @ right.conj().T
    assert np.linalg.norm(f @ g.conj().T - product) <= 1e-12 * np.linalg.norm(product)
    np.testing.assert_allclose(f.conj().T @ f, 0.16 * np.eye(3), atol=1e-14)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_imbalance_changes_by_the_square_of_the_step_exactly(dtype):
    f, g, d = (gaussian(s, rng=k, dtype=dtype) for k, s in enumerate([(8, 3), (6, 3), (8, 6)]))
    eta = 0.1
    ahead = _asymmetric_step(f, g, d, eta, np)
    before, after = (x.conj().T @ x - y.conj().T @ y for x, y in ((f, g), ahead))
    gd, fd = g.conj().T @ d.conj().T, f.conj().T @ d
    expected = eta**2 * (gd @ gd.conj().T - fd @ fd.conj().T)
    np.testing.assert_allclose(after - before, expected, atol=1e-12)


def test_a_symmetric_step_is_gradient_descent():
    """Against finite differences of a quarter of the squared distance."""
    x, sigma = gaussian((6, 2), rng=0), gaussian((6, 6), rng=1)
    sigma = sigma + sigma.T

    def loss(z):
        return np.sum((z @ z.T - sigma) ** 2) / 4

    moved = _symmetric_step(x, x @ x.T - sigma, 1.0, np)
    direction, h = gaussian((6, 2), rng=2), 1e-6
    slope = (loss(x + h * direction) - loss(x - h * direction)) / (2 * h)
    assert np.vdot(x - moved, direction) == pytest.approx(slope, rel=1e-7)


def test_gaussian_measurements_recover_what_symmetric_descent_still_lacks():
    rng = np.random.default_rng(0)
    stack = rng.standard_normal((900, 15, 15))
    truth = np.diag([1.0, 1, 0, 0, 0] * 3)
    truth[3:] = 0
    y = np.tensordot(stack, truth, 2)
    slow = sense(y, stack, rank=4, symmetric=True, init_scale=0.5, max_iter=500, rng=0)
    fast = sense(y, stack, rank=4, max_iter=500, rng=0)
    assert np.linalg.norm(fast.tensor.to_array() - truth) < 1e-8
    assert np.linalg.norm(slow.tensor.to_array() - truth) > 1e-3


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_products_of_rank_one_do_as_well(dtype):
    a, b = gaussian((400, 8), rng=0, dtype=dtype), gaussian((400, 6), rng=1, dtype=dtype)
    truth = gaussian((8, 1), rng=2, dtype=dtype) @ gaussian((1, 6), rng=3, dtype=dtype)
    y = np.sum(a.conj() * (b @ truth.T), axis=1)
    fit = sense(y, RankOneMeasurements(a, b), rank=2, rng=0, step=0.1)
    assert np.linalg.norm(fit.tensor.to_array() - truth) <= 1e-7 * np.linalg.norm(truth)


def test_with_fewer_columns_than_rank_descent_ends_at_the_truncated_svd():
    x = td.testing.matrix(N, N, [3.0, 2.0, 1.0, 0.3] + [0.0] * (N - 4), rng=0)
    fit = sense(x.reshape(-1), EVERYTHING, rank=2, rng=0)
    best = td.truncated_svd(x, rank=2).to_array()
    assert fit.status is td.Status.CONVERGED
    np.testing.assert_allclose(fit.tensor.to_array(), best, atol=1e-8)


def test_one_factor_ends_at_the_positive_part():
    v = np.linalg.qr(gaussian((N, 3), rng=0))[0]
    x = (v * [2.0, 1.0, -3.0]) @ v.T
    fit = sense(x.reshape(-1), EVERYTHING, rank=2, symmetric=True, rng=0)
    positive = (v[:, :2] * [2.0, 1.0]) @ v[:, :2].T
    np.testing.assert_allclose(fit.tensor.to_array(), positive, atol=1e-8)


def test_noise_sets_the_error_not_the_status():
    rng = np.random.default_rng(0)
    stack = rng.standard_normal((900, 10, 10))
    truth = np.outer(rng.standard_normal(10), rng.standard_normal(10))
    noise = 0.1 * rng.standard_normal(900)
    y = np.tensordot(stack, truth, 2) + noise
    fit = sense(y, stack, rank=3, rng=0, tol=1e-5)
    assert fit.status is td.Status.CONVERGED
    assert fit.error <= np.linalg.norm(noise) / np.linalg.norm(y)


def test_steps_that_are_too_long_are_reported():
    rng = np.random.default_rng(0)
    stack = rng.standard_normal((200, 5, 5))
    y = np.tensordot(stack, np.eye(5), 2)
    with np.errstate(all="ignore"):
        fit = sense(y, stack, rank=2, step=10.0, init_scale=1.0, rng=0)
    assert fit.status is td.Status.NONFINITE
    assert np.all(np.isfinite(fit.tensor.to_array()))
