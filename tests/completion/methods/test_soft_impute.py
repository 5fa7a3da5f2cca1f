"""Soft-impute, in both forms: the minimum it reaches, what it is told by, and the path to it."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp._xp import namespace
from tdecomp.completion._methods._singular import Singular
from tdecomp.completion._methods._soft_impute import _distance, _Point
from tdecomp.completion._path import soft_impute_path

METHODS = ("soft_impute", "soft_impute_als")


def problem(m=40, n=30, rank=3, share=0.4, noise=0.3, *, seed=0, cplx=False):
    """Return noisy entries of a matrix of low rank, NaN where nothing is known."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((m, rank)) @ rng.standard_normal((rank, n))
    x = x + noise * rng.standard_normal((m, n))
    if cplx:
        x = x + 1j * x[::-1] * rng.random((m, 1))
    return np.where(rng.random((m, n)) < share, x, np.nan)


def gap(x, z, weights=None):
    """Return the weighted residual, zeros where nothing is known."""
    rest = np.where(np.isnan(x), 0.0, x - z)
    return rest if weights is None else weights * rest


def objective(x, z, lam, weights=None):
    """Return what soft-impute minimises."""
    rest = gap(x, z)
    square = np.abs(rest) ** 2 if weights is None else weights * np.abs(rest) ** 2
    return np.sum(square) + 2 * lam * np.sum(np.linalg.svd(z, compute_uv=False))


def weights_of(x, seed=1):
    return (0.2 + np.random.default_rng(seed).random(x.shape)) * ~np.isnan(x)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("weighted", "cplx"), [(False, False), (True, False), (True, True)])
def test_the_limit_satisfies_the_conditions_of_the_minimum(method, weighted, cplx):
    """In the subdifferential: the residual is lam U V* on the range, and no larger elsewhere."""
    x, lam = problem(cplx=cplx), 4.0
    weights = weights_of(x) if weighted else None
    rules = {"rank": 30, "regularization": lam, "weights": weights, "rng": 0}
    fit = td.complete(x, method=method, max_iter=3000, tol=1e-15, **rules)
    z = fit.tensor.to_array()
    slope = gap(x, z, weights)
    u, s, vh = np.linalg.svd(z)
    k = int(np.sum(s > 1e-10 * s[0]))
    assert 0 < k < 20
    assert np.linalg.norm(slope, 2) <= lam * (1 + 1e-6)
    inner = u[:, :k].conj().T @ slope @ vh[:k].conj().T
    np.testing.assert_allclose(inner, lam * np.eye(k), atol=1e-6 * lam)


@pytest.mark.parametrize("method", METHODS)
def test_the_limit_is_a_fixed_point_of_the_proximal_step(method):
    x, lam = problem(), 4.0
    fit = td.complete(
        x, rank=20, regularization=lam, method=method, max_iter=3000, tol=1e-15, rng=0
    )
    z = fit.tensor.to_array()
    u, s, vh = np.linalg.svd(z + gap(x, z), full_matrices=False)
    again = (u * np.maximum(s - lam, 0)) @ vh
    assert np.linalg.norm(again - z) < 1e-6 * np.linalg.norm(z)


@pytest.mark.parametrize("weighted", [False, True])
def test_both_forms_alternating_least_squares_and_geometry_reach_one_minimum(weighted):
    x, lam = problem(), 4.0
    weights = weights_of(x) if weighted else None
    rules = {"rank": 30, "regularization": lam, "weights": weights, "rng": 0}
    found = [
        objective(
            x,
            td.complete(x, method=method, max_iter=2000, tol=1e-14, **rules).tensor.to_array(),
            lam,
            weights,
        )
        for method in (*METHODS, "als", "riemannian")
    ]
    np.testing.assert_allclose(found, found[0], rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_singular_values_below_the_threshold_are_zero(method):
    x, lam = problem(), 4.0
    fit = td.complete(
        x, rank=20, regularization=lam, method=method, max_iter=3000, tol=1e-14, rng=0
    )
    left = np.linalg.norm(fit.tensor.left, axis=0)
    assert np.sum(left == 0) >= 5


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("uneven", [False, True])
def test_no_step_raises_the_objective(method, uneven):
    """Weights far from one another and a rank below that of the solution make long steps fail."""
    x, lam, rank = problem(), 2.0, 6
    weights = weights_of(x)
    if uneven:
        draw = np.random.default_rng(0)
        weights = 10 ** draw.uniform(-1, 1, (40, 1)) * 10 ** draw.uniform(-1, 1, (1, 30))
        weights, rank = weights * ~np.isnan(x), 1
    seen = []

    def watch(progress):
        seen.append(objective(x, progress.tensor.to_array(), lam, weights))

    fit = td.complete(
        x, rank=rank, regularization=lam, weights=weights, method=method, rng=0,
        max_iter=60, tol=-1, callback=watch,
    )  # fmt: skip
    assert np.all(np.diff(seen) <= 1e-10 * seen[0])
    assert seen[-1] == pytest.approx(objective(x, fit.tensor.to_array(), lam, weights), rel=1e-9)


def test_momentum_saves_steps():
    x = problem(noise=0.1)
    counts = [
        td.complete(
            x, rank=10, regularization=0.1, method=method, max_iter=2000, tol=1e-7, rng=0
        ).n_iter
        for method in METHODS
    ]
    assert 2 * counts[0] < counts[1]


def test_few_known_entries_take_few_long_steps():
    """With steps of the length that is safe for all matrices, 12 and 24 are needed."""
    x, lam = problem(200, 150, 3, 0.3), 20.0
    rules = {"rank": 20, "method": "soft_impute", "regularization": lam, "rng": 0}
    least = objective(x, td.complete(x, tol=1e-14, max_iter=500, **rules).tensor.to_array(), lam)
    for tol, most, near in ((1e-5, 10, 1e-5), (1e-10, 19, 1e-9)):
        fit = td.complete(x, tol=tol, **rules)
        assert fit.n_iter <= most
        assert objective(x, fit.tensor.to_array(), lam) < (1 + near) * least


@pytest.mark.parametrize("cplx", [False, True])
@pytest.mark.parametrize("far", [1.0, 1e-9])
def test_the_distance_of_models_keeps_its_digits(cplx, far):
    rng = np.random.default_rng(0)

    def drawn(*shape):
        part = rng.standard_normal(shape)
        return part + 1j * rng.standard_normal(shape) if cplx else part

    u, v = np.linalg.qr(drawn(30, 4))[0], np.linalg.qr(drawn(20, 4))[0]
    s = np.array([5.0, 3.0, 1.0, 0.0])
    left, right = u * s + far * drawn(30, 4), v + far * drawn(20, 4)
    expected = np.linalg.norm((u * s) @ v.T - left @ right.T)
    found = _distance(Singular(u, s, v), _Point(left, right), namespace(u))
    assert np.sqrt(found) == pytest.approx(expected, rel=1e-6)


def test_a_path_begins_at_zero_and_its_rank_grows():
    x = problem()
    path = soft_impute_path(x, rank=20, rng=0, tol=1e-9, max_iter=1000)
    known = np.where(np.isnan(x), 0.0, x)
    assert path.regularizations[0] == pytest.approx(np.linalg.norm(known, 2), rel=1e-3)
    assert path.regularizations[-1] == pytest.approx(path.regularizations[0] / 100)
    ranks = [np.sum(np.linalg.norm(fit.tensor.left, axis=0) > 1e-8) for fit in path.fits]
    assert ranks[0] <= 1
    assert ranks == sorted(ranks)
    errors = [fit.error for fit in path.fits]
    assert errors == sorted(errors, reverse=True)
    assert np.linalg.norm(path.fits[0].tensor.to_array()) < 1e-2 * np.linalg.norm(known)


@pytest.mark.parametrize("scale", [1.0, 1e100])
def test_each_fit_of_a_path_is_that_of_its_penalty(scale):
    x = problem() * scale
    weights = weights_of(x) * 7
    grid = [5.0 * scale, 60.0 * scale, 20.0 * scale]
    path = soft_impute_path(
        x, rank=20, weights=weights, regularizations=grid, rng=0, tol=1e-13, max_iter=2000
    )
    assert path.regularizations == tuple(sorted(grid, reverse=True))
    for lam, fit in zip(path.regularizations, path.fits, strict=True):
        one = td.complete(
            x, rank=20, weights=weights, regularization=lam, rng=0, tol=1e-13, max_iter=2000,
            method="soft_impute",
        )  # fmt: skip
        found = [
            objective(x / scale, z.tensor.to_array() / scale, lam / scale, weights)
            for z in (fit, one)
        ]
        assert found[0] == pytest.approx(found[1], rel=1e-9)


def test_a_callback_sees_each_penalty_and_ends_the_path():
    seen = []

    def watch(progress):
        seen.append(progress.iteration)
        return len(seen) == 3

    path = soft_impute_path(problem(), rank=5, rng=0, callback=watch)
    assert seen == [1, 2, 3]
    assert len(path.fits) == len(path.regularizations) == 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "at least"),
        ([-1.0], "regularizations"),
        (["a"], "regularizations"),
        (3.0, "regularizations must be a sequence of numbers, got 3.0"),
        ("1", "regularizations must be a sequence"),
    ],
)
def test_penalties_that_are_none_are_refused(given, message):
    with pytest.raises((ValueError, TypeError), match=message):
        soft_impute_path(problem(), rank=2, regularizations=given)


@pytest.mark.parametrize("library", ["array_api_strict", "torch"])
def test_a_path_runs_on_other_libraries(library):
    xp = pytest.importorskip(library)
    x = problem(12, 9, 2)
    path = soft_impute_path(xp.asarray(x), rank=3, regularizations=[2.0, 0.5], rng=0, max_iter=20)
    here = soft_impute_path(x, rank=3, regularizations=[2.0, 0.5], rng=0, max_iter=20)
    for fit, other in zip(path.fits, here.fits, strict=True):
        found = np.asarray(fit.tensor.to_array())
        np.testing.assert_allclose(found, other.tensor.to_array(), atol=1e-8)
