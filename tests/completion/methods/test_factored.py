"""Methods for a fixed rank, from scaled gradients to geometry: recovery, symmetry, safety."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp import Status

FIXED = ("riemannian", "scaled_gd")
ALL = (*FIXED, "soft_impute", "soft_impute_als")
BY_COUNT = ("riemannian", "scaled_gd")


def conditioned(m, n, rank, kappa, share, *, seed=0, cplx=False):
    """Return an incoherent matrix of that condition number, and what is known of it."""
    rng = np.random.default_rng(seed)

    def basis(size):
        signs = np.sign(rng.standard_normal((size, rank)))
        signs = signs + 1j * np.sign(rng.standard_normal((size, rank))) if cplx else signs
        return np.linalg.svd(signs, full_matrices=False)[0]

    truth = (basis(m) * np.linspace(1, 1 / kappa, rank)) @ basis(n).T
    return truth, np.where(rng.random((m, n)) < share, truth, np.nan)


def far(fit, truth):
    return np.linalg.norm(fit.tensor.to_array() - truth) / np.linalg.norm(truth)


@pytest.mark.parametrize("cplx", [False, True])
@pytest.mark.parametrize("method", ALL)
def test_a_matrix_of_condition_twenty_is_recovered(method, cplx):
    truth, x = conditioned(120, 80, 3, 20, 0.4, cplx=cplx)
    assert np.sum(~np.isnan(x)) > 5 * 3 * (120 + 80 - 3)
    fit = td.complete(x, rank=3, method=method, tol=0, max_iter=2000, rng=0)
    assert far(fit, truth) < 1e-8
    assert fit.status == Status.CONVERGED


@pytest.mark.parametrize("method", ALL)
def test_with_all_entries_known_the_best_approximation_is_found(method):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((30, 4)) @ rng.standard_normal((4, 20))
    x += 0.1 * rng.standard_normal(x.shape)
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    fit = td.complete(x, rank=4, method=method, tol=0, max_iter=500, rng=0)
    assert far(fit, (u[:, :4] * s[:4]) @ vh[:4]) < 1e-7
    assert fit.error == pytest.approx(np.linalg.norm(s[4:]) / np.linalg.norm(s), rel=1e-10)


@pytest.mark.parametrize("method", ALL)
def test_the_transpose_is_completed_to_the_transpose(method):
    _, x = conditioned(50, 40, 3, 5, 0.6)
    x = x + 0.01 * np.random.default_rng(1).standard_normal(x.shape)
    rules = {"rank": 3, "method": method, "tol": 1e-15, "max_iter": 1500, "rng": 0}
    fit, turned = (td.complete(a, regularization=0.01, **rules) for a in (x, x.T))
    assert far(turned, fit.tensor.to_array().T) < 1e-5


@pytest.mark.parametrize("method", ALL)
def test_data_and_penalty_scale_together(method):
    _, x = conditioned(50, 40, 3, 5, 0.6)
    rules = {"rank": 3, "method": method, "tol": -1, "max_iter": 9, "rng": 0}
    one = td.complete(x, regularization=0.1, **rules).tensor.to_array()
    other = td.complete(x * 1e150, regularization=0.1 * 1e150, **rules).tensor.to_array()
    np.testing.assert_allclose(other / 1e150, one, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("method", FIXED)
@pytest.mark.parametrize("lam", [0.0, 0.05])
def test_no_step_raises_the_objective_on_uneven_data(method, lam):
    """Rows and columns of a few entries and of very many; a step that does not fit is cut."""
    rng = np.random.default_rng(0)
    share = np.outer(rng.pareto(1.0, 150) + 0.2, rng.pareto(1.0, 100) + 0.2) * 0.08
    x = rng.standard_normal((150, 3)) @ rng.standard_normal((3, 100))
    x = np.where(rng.random(x.shape) < share, x + rng.standard_normal(x.shape), np.nan)
    known = ~np.isnan(x)
    seen = []

    def watch(progress):
        z = progress.tensor
        rest = np.where(known, x - z.to_array(), 0)
        penalty = np.linalg.norm(z.left) ** 2 + np.linalg.norm(z.right) ** 2
        seen.append(np.sum(rest**2) + lam * penalty)

    td.complete(
        x, rank=5, method=method, regularization=lam, rng=0, tol=-1, max_iter=80, callback=watch
    )
    assert np.all(np.isfinite(seen))
    assert np.all(np.diff(seen) <= 1e-10 * seen[0])


@pytest.mark.parametrize("method", FIXED)
def test_the_limit_is_stationary(method):
    """Both halves of the gradient vanish, weights and ridge included."""
    _, x = conditioned(50, 40, 3, 5, 0.6)
    rng = np.random.default_rng(1)
    x = x + 0.01 * rng.standard_normal(x.shape)
    weights = (0.2 + rng.random(x.shape)) * ~np.isnan(x)
    lam = 0.02
    fit = td.complete(
        x, rank=3, method=method, regularization=lam, weights=weights, tol=1e-15, max_iter=2000,
        rng=0,
    )  # fmt: skip
    z = fit.tensor
    rest = weights * np.where(np.isnan(x), 0.0, x - z.to_array())
    for slope, factor in ((rest @ z.right.T, z.left), (rest.T @ z.left, z.right.T)):
        assert np.linalg.norm(slope - lam * factor) < 1e-6 * lam * np.linalg.norm(factor)


@pytest.mark.parametrize("rank", [2, 5, 20])
def test_geometry_reaches_the_penalised_minimum_below_at_and_above_its_rank(rank):
    """As near as alternating least squares at the same tolerance."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 3)) @ rng.standard_normal((3, 30))
    x = np.where(rng.random(x.shape) < 0.4, x + 0.3 * rng.standard_normal(x.shape), np.nan)
    lam = 4.0

    def reached(method, tol):
        rules = {"rank": rank, "regularization": lam, "max_iter": 1000, "rng": 0}
        fit = td.complete(x, method=method, tol=tol, **rules)
        z = fit.tensor
        penalty = np.linalg.norm(z.left) ** 2 + np.linalg.norm(z.right) ** 2
        assert fit.status == Status.CONVERGED
        return np.nansum((x - z.to_array()) ** 2) + lam * penalty

    least = reached("als", 1e-15)
    for tol, gap in ((1e-5, 1e-4), (1e-10, 1e-9)):
        assert abs(reached("riemannian", tol) - least) < gap * least


@pytest.mark.parametrize("kappa", [1, 20])
def test_the_steps_of_scaled_gradients_do_not_depend_on_the_condition(kappa):
    truth, x = conditioned(400, 400, 5, kappa, 0.3)
    fit = td.complete(
        x, rank=5, method="scaled_gd", rng=0, tol=-1, max_iter=200,
        callback=lambda progress: bool(far(Shown(progress.tensor), truth) <= 1e-10),
    )  # fmt: skip
    assert 0.8 * 72 <= fit.n_iter <= 1.2 * 74


class Shown:
    """What `far` looks at."""

    def __init__(self, tensor):
        self.tensor = tensor


def test_scaled_gradients_converge_as_fast_where_the_rank_is_too_large():
    """The excess columns shrink with the error, and are never divided by."""
    truth, x = conditioned(120, 80, 2, 5, 1.0)
    fits = [
        td.complete(x, rank=rank, method="scaled_gd", init="random", rng=0, tol=0, max_iter=500)
        for rank in (2, 5)
    ]
    assert max(far(fit, truth) for fit in fits) < 1e-10
    assert fits[1].n_iter < 3 * fits[0].n_iter


@pytest.mark.parametrize("axis", [0, 1, None])
@pytest.mark.parametrize("method", FIXED)
def test_weights_of_rows_and_columns_are_taken_out_however_uneven(method, axis):
    truth, x = conditioned(60, 40, 3, 2, 1.0)
    rng = np.random.default_rng(0)
    rows, columns = 10.0 ** rng.uniform(-6, 6, (60, 1)), 10.0 ** rng.uniform(-6, 6, (1, 40))
    weights = {0: rows, 1: columns, None: np.sqrt(rows * columns)}[axis]
    fit = td.complete(x, rank=3, method=method, weights=weights, tol=0, max_iter=500, rng=0)
    assert far(fit, truth) < 1e-9
    assert fit.status == Status.CONVERGED


def test_scaled_gradients_do_not_claim_a_minimum_under_weights_of_all_magnitudes():
    _, x = conditioned(60, 40, 3, 2, 1.0)
    weights = 10.0 ** np.random.default_rng(0).uniform(-300, 300, x.shape)
    rules = {"rank": 3, "weights": weights, "tol": 1e-9, "max_iter": 200, "rng": 0}
    fit = td.complete(x, method="scaled_gd", **rules)
    assert np.all(np.isfinite(fit.tensor.to_array()))
    assert fit.error > 10 * td.complete(x, method="als", **rules).error
    assert fit.status in (Status.MAX_ITER, Status.STAGNATED)


@pytest.mark.parametrize("method", BY_COUNT)
def test_the_penalty_by_count_is_that_of_alternating_least_squares(method):
    _, x = conditioned(50, 40, 3, 5, 0.6)
    x[0, 1:] = np.nan
    rules = {"rank": 3, "regularization": 1e-4, "by_count": True, "tol": 1e-15, "rng": 0}
    one = td.complete(x, method="als", max_iter=3000, **rules)
    other = td.complete(x, method=method, max_iter=3000, **rules)
    assert far(other, one.tensor.to_array()) < 1e-5


@pytest.mark.parametrize("method", ALL)
def test_methods_run_on_every_library(method, xp):
    _, x = conditioned(14, 12, 2, 3, 0.8, seed=3)
    rules = {"rank": 2, "method": method, "tol": -1, "max_iter": 2, "rng": 0}
    fit, here = (td.complete(a, regularization=0.01, **rules) for a in (xp.asarray(x), x))
    np.testing.assert_allclose(
        xp.to_numpy(fit.tensor.to_array()), here.tensor.to_array(), atol=1e-9
    )


@pytest.mark.parametrize(
    ("method", "asked"),
    [(method, "nonnegative") for method in ALL]
    + [(method, "by_count") for method in ALL if method not in BY_COUNT],
)
def test_what_a_method_cannot_do_is_refused_by_name(method, asked):
    _, x = conditioned(14, 12, 2, 3, 0.8)
    with pytest.raises(ValueError, match=f'method="{method}" .*{asked}=False'):
        td.complete(x, rank=2, method=method, **{asked: True})


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (2, 2), (1, 1)])
def test_thin_matrices_and_zero_are_completed(method, shape):
    x = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    rank = min(shape)
    fit = td.complete(x, rank=rank, method=method, rng=0, tol=0, max_iter=300)
    np.testing.assert_allclose(fit.tensor.to_array(), x, atol=1e-6)
    fit = td.complete(0 * x, rank=rank, method=method, rng=0)
    np.testing.assert_allclose(fit.tensor.to_array(), 0 * x, atol=1e-100)


@pytest.mark.parametrize("method", ALL)
def test_single_precision_reaches_its_own_digits(method):
    truth, x = conditioned(120, 80, 3, 5, 0.5)
    fit = td.complete(x.astype(np.float32), rank=3, method=method, tol=0, max_iter=500, rng=0)
    assert fit.tensor.dtype == np.float32
    assert far(fit, truth) < 1e-4


@pytest.mark.parametrize("method", ["als", "als_cg", "scaled_gd"])
@pytest.mark.parametrize("cplx", [False, True])
def test_differences_of_the_objective_vanish_at_the_limit(method, cplx):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((12, 9)) * (1 + 1j * cplx) + 1j * cplx * rng.random((12, 9))
    weights = rng.random(x.shape) * (rng.random(x.shape) < 0.7)
    rules = {"weights": weights, "regularization": 0.4, "rng": 0, "max_iter": 3000, "tol": 1e-15}
    z = td.complete(x, rank=2, method=method, **rules).tensor
    step = 1e-4

    def objective(left, right):
        penalty = np.sum(np.abs(left) ** 2) + np.sum(np.abs(right) ** 2)
        return np.sum(weights * np.abs(x - left @ right) ** 2) + 0.4 * penalty

    for _ in range(4):
        ways = [rng.standard_normal(f.shape) * (1 + 1j * cplx) for f in (z.left, z.right)]
        ahead, back = (
            objective(z.left + t * ways[0], z.right + t * ways[1]) for t in (step, -step)
        )
        here = objective(z.left, z.right)
        assert abs(ahead - back) / (2 * step) < 1e-5 * here
        assert ahead + back > 2 * here
