"""A start of rising rank: what it reaches that others do not, and that all methods take it."""

import numpy as np
import pytest

import tdecomp as td

METHODS = ("als", "als_cg", "riemannian")


def hard(m, n, k, condition, oversampling, *, seed=0, cplx=False):
    """A matrix of singular values that fall geometrically, and a few of its entries."""
    rng = np.random.default_rng(seed)

    def basis(size):
        columns = rng.standard_normal((size, k)) + 1j * cplx * rng.standard_normal((size, k))
        return np.linalg.qr(columns if cplx else columns.real)[0]

    truth = (basis(m) * np.geomspace(1, 1 / condition, k)) @ basis(n).T
    known = np.zeros(m * n, bool)
    known[rng.choice(m * n, int(oversampling * k * (m + n - k)), replace=False)] = True
    return truth, np.where(known.reshape(m, n), truth, np.nan)


def noisy(m=40, n=30, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((m, 3)) @ rng.standard_normal((3, n))
    x += 0.3 * rng.standard_normal(x.shape)
    return np.where(rng.random(x.shape) < 0.5, x, np.nan)


def far(fit, truth):
    return np.linalg.norm(fit.tensor.to_array() - truth) / np.linalg.norm(truth)


@pytest.mark.parametrize("method", METHODS)
def test_a_condition_of_thousand_needs_twice_as_many_entries_as_freedoms(method):
    truth, x = hard(200, 150, 5, 1e3, 2)
    rules = {"rank": 5, "method": method, "tol": 1e-9, "max_iter": 300, "rng": 0}
    fit = td.complete(x, init="rising", **rules)
    assert fit.status == td.Status.CONVERGED
    assert far(fit, truth) < 1e-9
    assert far(td.complete(x, **rules), truth) > 0.1


def test_complex_entries_are_completed_as_well():
    truth, x = hard(100, 80, 4, 1e3, 2, cplx=True)
    fit = td.complete(x, rank=4, init="rising", tol=1e-9, max_iter=300, rng=0)
    assert far(fit, truth) < 1e-9


def test_what_weighs_nothing_is_not_looked_at():
    truth, x = hard(100, 80, 4, 1e2, 3)
    known = ~np.isnan(x)
    weights = known * np.random.default_rng(0).uniform(0.1, 10, x.shape)
    wrong = np.where(known, x, 1e3)
    fit = td.complete(wrong, rank=4, weights=weights, init="rising", tol=1e-9, max_iter=300, rng=0)
    assert far(fit, truth) < 1e-9


@pytest.mark.parametrize("biases", [False, 2.0])
@pytest.mark.parametrize("by_count", [False, True])
def test_with_a_penalty_the_minimum_is_that_of_other_starts(biases, by_count):
    """Of as many columns as the solution has, the problem has no other."""
    x = noisy()
    rules = {"regularization": 0.3 if by_count else 4.0, "by_count": by_count, "biases": biases}
    one, other = (
        td.complete(x, rank=8, init=init, tol=1e-12, max_iter=1000, rng=0, **rules)
        for init in ("rising", "spectral")
    )
    np.testing.assert_allclose(one.tensor.to_array(), other.tensor.to_array(), atol=1e-4)


@pytest.mark.parametrize("method", ["als", "scaled_gd", "soft_impute", "soft_impute_als"])
def test_with_all_entries_known_the_first_step_is_at_the_truncation(method):
    rng = np.random.default_rng(0)
    u, v = (np.linalg.qr(rng.standard_normal((size, 6)))[0] for size in (40, 30))
    s = 4.0 ** -np.arange(6)
    fit = td.complete((u * s) @ v.T, rank=4, method=method, init="rising", max_iter=1, rng=0)
    best = np.linalg.norm(s[4:]) / np.linalg.norm(s)
    assert fit.error == pytest.approx(best, rel=0.1)


def test_nonnegative_factors_stay_so():
    rng = np.random.default_rng(0)
    truth = rng.random((40, 3)) @ rng.random((3, 30))
    x = np.where(rng.random(truth.shape) < 0.6, truth, np.nan)
    fit = td.complete(x, rank=3, nonnegative=True, init="rising", max_iter=500, tol=0, rng=0)
    assert min(np.min(fit.tensor.left), np.min(fit.tensor.right)) >= 0
    assert far(fit, truth) < 1e-2


def test_of_rank_one_it_is_the_spectral_start():
    x = noisy()
    one, other = (
        td.complete(x, rank=1, init=init, max_iter=2, tol=-1, rng=0).tensor
        for init in ("rising", "spectral")
    )
    np.testing.assert_array_equal(one.to_array(), other.to_array())


def test_a_rank_beyond_that_of_the_matrix_does_no_harm():
    _, x = hard(60, 50, 2, 10, 6)
    fit = td.complete(x, rank=4, init="rising", tol=1e-9, max_iter=300, rng=0)
    assert fit.error < 1e-12
    zero = td.complete(0 * x, rank=4, init="rising", rng=0)
    assert not zero.tensor.to_array().any()


def test_every_library_starts_alike(xp):
    x = noisy(14, 12)
    rules = {"rank": 2, "regularization": 1.0, "init": "rising", "max_iter": 1, "rng": 0}
    found, here = (td.complete(a, **rules).tensor for a in (xp.asarray(x), x))
    np.testing.assert_allclose(xp.to_numpy(found.to_array()), here.to_array(), atol=1e-9)


def test_single_precision_has_its_own_digits():
    truth, x = hard(200, 150, 5, 1e2, 2)
    fit = td.complete(x.astype("float32"), rank=5, init="rising", tol=1e-7, max_iter=300, rng=0)
    assert fit.tensor.dtype == np.float32
    assert far(fit, truth) < 1e-4


def test_another_name_is_refused():
    with pytest.raises(ValueError, match="init must be one of 'spectral', 'rising', 'random'"):
        td.complete(noisy(), rank=2, init="falling")
