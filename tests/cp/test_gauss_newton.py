"""Damped Gauss-Newton: hard problems solved, true errors, honest verdicts."""

import itertools

import numpy as np
import pytest

import tdecomp as td
from tdecomp import Status, cp
from tdecomp.cp import CP, cp_gauss_newton
from tdecomp.ops import from_dense, khatri_rao, unfold
from tdecomp.testing import gaussian

EPS = np.finfo(float).eps


def collinear(cosine, noise, *, n=50, rank=5, seed=0):
    """Columns of every factor at one angle, as in H4 of Minster et al."""
    lower = np.linalg.cholesky(np.full((rank, rank), cosine) + (1 - cosine) * np.eye(rank))
    factors = tuple(np.linalg.qr(gaussian((n, rank), rng=seed + k))[0] @ lower.T for k in range(3))
    truth = CP(np.ones(rank), factors)
    x = truth.to_array()
    error = gaussian(x.shape, rng=seed + 9)
    return x + noise * np.linalg.norm(x) / np.linalg.norm(error) * error, truth


def matrix_multiplication():
    x = np.zeros((4, 4, 4))
    for i, j, k in itertools.product(range(2), repeat=3):
        x[2 * i + j, 2 * j + k, 2 * i + k] = 1.0
    return x


def sine_of_sums(modes=4, n=32):
    x = np.zeros((n,) * modes)
    for mode in range(modes):
        x = x + np.linspace(0, 2 * np.pi, n).reshape(-1, *(1,) * (modes - 1 - mode))
    return np.sin(x)


def border():
    a, b = (gaussian((3, 6), rng=seed) for seed in (0, 1))
    terms = [[b[0], a[1], a[2]], [a[0], b[1], a[2]], [a[0], a[1], b[2]]]
    return sum(np.einsum("i,j,k->ijk", *term) for term in terms)


def true_error(x, fit):
    return float(np.linalg.norm(x - fit.tensor.to_array()) / np.linalg.norm(x))


def plain_als(x, factors, sweeps, target):
    """Alternating least squares as textbooks have it: the number of sweeps to a relative error."""
    factors = list(factors)
    for sweep in range(1, sweeps + 1):
        for mode in range(3):
            product = khatri_rao([f for k, f in enumerate(factors) if k != mode])
            factors[mode] = np.linalg.lstsq(product, unfold(x, mode).T, rcond=None)[0].T
        gap = x - CP(np.ones(factors[0].shape[1]), tuple(factors)).to_array()
        if np.linalg.norm(gap) <= target * np.linalg.norm(x):
            return sweep
    return sweeps + 1


@pytest.mark.parametrize("gap", [1e-4, 1e-7, 1e-10])
@pytest.mark.parametrize("noise", [0.0, 1e-10])
def test_collinear_components_are_fitted_to_the_noise(gap, noise):
    x, truth = collinear(1 - gap, noise)
    # How many steps rounding costs depends on the machine.
    fit = cp_gauss_newton(x, rank=5, max_iter=2000, rng=0)
    assert fit.error == pytest.approx(true_error(x, fit), rel=1e-9, abs=EPS)
    assert fit.error <= 1.05 * noise + 50 * EPS
    if gap >= 1e-4:
        assert cp.factor_match_score(fit.tensor, truth) >= 1 - 1e-4
        assert fit.status is Status.CONVERGED


def test_swamps_cost_alternating_least_squares_ten_times_more_sweeps():
    # Paatero's swamp: two components close in two modes, from a random start.
    x, truth = collinear(0.97, 0.0, n=8, rank=4, seed=3)
    start = cp.initialise(x, rank=4, init="random", rng=3)
    counts = []

    def count(progress):
        counts.append(progress.error)
        return progress.error <= 1e-6

    fit = cp_gauss_newton(x, rank=4, init=start, callback=count)
    assert fit.error <= 1e-6
    assert cp.factor_match_score(fit.tensor, truth) >= 0.99
    sweeps = 10 * len(counts)
    factors = [start.factors[0] * start.weights, *start.factors[1:]]
    assert plain_als(x, factors, sweeps, 1e-6) > sweeps


def test_strassens_seven_products_are_found():
    x = matrix_multiplication()
    fits = [cp_gauss_newton(x, rank=7, init="random", rng=seed) for seed in range(8)]
    found = [fit for fit in fits if fit.error <= 1e-14 and fit.status is Status.CONVERGED]
    assert len(found) >= 3
    for fit in fits:
        assert fit.error == pytest.approx(true_error(x, fit), rel=1e-6, abs=4 * EPS)


@pytest.mark.parametrize("seed", range(3))
def test_the_sine_of_a_sum_has_as_many_components_as_terms(seed):
    x = sine_of_sums()
    fit = cp_gauss_newton(x, rank=4, init="random", rng=seed)
    assert fit.status is Status.CONVERGED
    assert true_error(x, fit) <= 1e-13


def test_a_tensor_of_border_rank_two_is_reported_as_degenerate():
    x = border()
    fit = cp_gauss_newton(x, rank=2, init="random", rng=0, max_iter=100)
    assert fit.status is Status.DEGENERATE
    assert np.min(cp.congruence(fit.tensor, fit.tensor)) < -0.99
    assert np.max(fit.tensor.weights) > 10 * np.linalg.norm(x)
    assert fit.error == pytest.approx(true_error(x, fit), rel=1e-6)
    # Three components are exact.
    assert cp_gauss_newton(x, rank=3, init="random", rng=1).error <= 1e-12


def test_a_ridge_keeps_components_bounded():
    x = border()
    for ridge in (1e-2, 1e-4):
        fit = cp_gauss_newton(x, rank=2, init="random", rng=0, ridge=ridge, tol=1e-13)
        assert fit.status is Status.CONVERGED
        even = [f * fit.tensor.weights ** (1 / 3) for f in fit.tensor.factors]
        gap = CP(np.ones(2), tuple(even)).to_array() - x
        for mode, factor in enumerate(even):
            others = [f for k, f in enumerate(even) if k != mode]
            gradient = unfold(gap, mode) @ khatri_rao(others) + ridge * factor
            assert np.linalg.norm(gradient) <= 1e-3 * ridge * np.linalg.norm(factor)


def test_every_backend(xp):
    dtype = "complex128"
    factors = tuple(gaussian((5, 3), rng=k, dtype=dtype) for k in range(3))
    x = CP(np.ones(3, np.zeros(0, dtype).real.dtype), factors).to_array()
    fit = cp_gauss_newton(xp.asarray(x), rank=3, init="random", rng=1)
    assert fit.tensor.dtype == xp.asarray(x).dtype
    back = CP(xp.to_numpy(fit.tensor.weights), tuple(map(xp.to_numpy, fit.tensor.factors)))
    assert np.linalg.norm(back.to_array() - x) <= 100 * np.finfo(dtype).eps * np.linalg.norm(x)
    assert fit.status is Status.CONVERGED


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_scales(scale):
    x, truth = collinear(0.9, 0.0, n=6, rank=3)
    fit = cp_gauss_newton(x * scale, rank=3, rng=0)
    assert fit.error <= 1e-13
    assert cp.factor_match_score(fit.tensor, truth, compare_weights=False) >= 1 - 1e-9
    assert fit.tensor.weights[0] / scale == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("shape", "rank"), [((5,), 1), ((1, 1, 1), 1), ((4, 5), 3), ((2,) * 12, 2), ((3, 1, 4), 3)]
)
def test_all_numbers_of_modes(shape, rank):
    x = CP(np.ones(rank), tuple(gaussian((n, rank), rng=k) for k, n in enumerate(shape)))
    fit = cp_gauss_newton(x.to_array(), rank=rank, init="hosvd", rng=0)
    assert true_error(x.to_array(), fit) <= 1e-10


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_single_precision(dtype):
    x, _ = collinear(0.9, 0.0, n=20)
    fit = cp_gauss_newton(x.astype(dtype), rank=5, init="random", rng=0)
    assert fit.tensor.dtype == dtype
    assert fit.status is Status.CONVERGED
    assert fit.error <= 100 * np.finfo(dtype).eps


def test_the_zero_tensor(xp):
    fit = cp_gauss_newton(xp.asarray(np.zeros((3, 4, 5))), rank=2)
    assert (fit.error, fit.status, fit.n_iter) == (0.0, Status.CONVERGED, 0)
    assert np.all(xp.to_numpy(fit.tensor.to_array()) == 0)


def test_callbacks_see_true_errors_and_interrupt():
    x, _ = collinear(0.99, 1e-2, n=20)
    seen = []

    def stop(progress):
        seen.append(progress)
        return len(seen) == 4

    fit = cp_gauss_newton(x, rank=5, init="random", rng=0, callback=stop)
    assert fit.status is Status.INTERRUPTED
    for progress in seen:
        error = float(td.relative_error(x, progress.tensor))
        assert progress.error == pytest.approx(error, rel=1e-9)
    assert [p.error for p in seen] == sorted((p.error for p in seen), reverse=True)
    kept = seen[0].tensor.to_array()
    assert float(np.linalg.norm(kept - x)) == pytest.approx(seen[0].error * np.linalg.norm(x))


def test_forms_of_input():
    x = np.arange(24).reshape(2, 3, 4)
    frozen = x.astype(float)
    frozen.setflags(write=False)
    for form in (x, x.tolist(), np.asfortranarray(x), x.astype(">f8"), frozen):
        fit = cp_gauss_newton(form, rank=3, rng=0)
        assert fit.error <= 1e-12
    assert cp_gauss_newton(x.astype("f2"), rank=3, rng=0).tensor.dtype == np.float32


def test_a_tensor_that_no_bounded_components_make_is_degenerate_from_the_start():
    # The sum i + j + k is the limit of differences of exponentials.
    x = np.add.outer(np.add.outer(np.arange(2.0), np.arange(3.0)), np.arange(4.0))
    fit = cp_gauss_newton(x, rank=2, rng=0)
    assert fit.status is Status.DEGENERATE
    assert fit.error <= 1e-6


def test_what_does_not_fit_is_refused(random_cp):
    x = gaussian((3, 4, 5), rng=0)
    refusals = [
        ({"rank": 13}, ValueError, "rank must be an int between 1 and 12"),
        ({"rank": 0}, ValueError, "rank must be"),
        ({"rank": -1}, ValueError, "rank must be"),
        ({"rank": True}, TypeError, "rank must be"),
        ({"rank": 2.5}, TypeError, "rank must be"),
        ({"rank": 2, "ridge": -1.0}, ValueError, "ridge must be a number >= 0"),
        ({"rank": 2, "tol": -1.0}, ValueError, "tol must be a number >= 0"),
        ({"rank": 2, "callback": 3}, TypeError, "callback must be callable, got 3"),
        ({"rank": 2, "ridge": np.inf}, ValueError, "ridge must be a number >= 0"),
        ({"rank": 2, "tol": "small"}, TypeError, "tol must be"),
        ({"rank": 2, "max_iter": 0}, ValueError, "max_iter must be"),
        ({"rank": 2, "init": random_cp((3, 4, 5), 3)}, ValueError, "init must have"),
    ]
    for options, error, message in refusals:
        with pytest.raises(error, match=message):
            cp_gauss_newton(x, **options)
    with pytest.raises(ValueError, match="non-finite"):
        cp_gauss_newton(np.full((3, 3, 3), np.inf), rank=2)
    with pytest.raises(TypeError, match="cp_als takes sparse"):
        cp_gauss_newton(from_dense(x), rank=2)


def test_an_enormous_ridge_leaves_nothing():
    x = np.random.default_rng(0).standard_normal((4, 5, 6))
    fit = cp_gauss_newton(x, rank=2, ridge=1e300, rng=0)
    assert fit.error == pytest.approx(1.0, abs=1e-6)
