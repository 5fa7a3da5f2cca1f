"""Scaled gradient descent: exact, as fast as the theorem says for every condition number."""

import array_api_compat
import numpy as np
import pytest

import tdecomp as td
from tdecomp.completion.robust import principal_component_pursuit, scaled_gd_rpca
from tdecomp.completion.robust._largest import outstanding

XP = array_api_compat.array_namespace(np.empty(0))


def instance(n=60, m=50, rank=3, density=0.05, *, size=1.0, condition=1.0):
    rng = np.random.default_rng(0)
    u, v = (np.linalg.qr(rng.standard_normal((k, rank)))[0] for k in (n, m))
    low = np.sqrt(n * m) * (u * np.linspace(1, 1 / condition, rank)) @ v.T
    sparse = size * rng.standard_normal((n, m)) * (rng.random((n, m)) < density)
    return low, sparse


def far(fit, low):
    return np.linalg.norm(fit.tensor.low_rank.to_array() - low) / np.linalg.norm(low)


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
    convex = principal_component_pursuit(x, tol=1e-9)
    descent = scaled_gd_rpca(x, rank=2, outliers=0.12, tol=1e-9)
    gap = convex.tensor.low_rank.to_array() - descent.tensor.low_rank.to_array()
    assert np.linalg.norm(gap) <= 1e-6 * np.linalg.norm(low)
