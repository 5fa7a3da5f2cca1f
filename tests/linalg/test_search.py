"""When to stop: as many products as a matrix needs, and the truth about them."""

import itertools

import numpy as np
import pytest

import tdecomp as td
from tdecomp import Progress, Status
from tdecomp.testing import matrix

INDEX = np.arange(1.0, 121.0)
SPECTRA = {
    "fast": np.geomspace(1, 1e-12, 120),
    "slow": 1 / INDEX,
    "noise floor": np.maximum(0.5**INDEX, 1e-3),
    "of low rank": np.where(INDEX <= 6, 1 / INDEX, 0.0),
}
# The probes of an operator are one product more, made before all others.
PROBES = 1


@pytest.fixture(params=SPECTRA)
def a(request):
    return matrix(160, 120, SPECTRA[request.param])


def products(held):
    """How many products were made, those of the probes aside."""
    return len(held.widths) - PROBES


@pytest.mark.parametrize(
    ("method", "power"),
    [*((method, power) for method in ("krylov", "subspace") for power in (0, 1, 3, 5)),
     ("subspace", 12)],
)  # fmt: skip
def test_power_makes_exactly_so_many_products(a, counted, power, method):
    held = counted(a)
    fit = td.randomized_svd(held, rank=5, power=power, method=method, rng=0)
    assert fit.n_iter == 2 * power + 2 == products(held)
    assert fit.status is Status.CONVERGED
    assert td.randomized_svd(a, rank=5, power=power, method=method, rng=0).n_iter == fit.n_iter


@pytest.mark.parametrize("options", [
    {"rank": 5}, {"rank": 5, "method": "subspace"}, {"rank": 30}, {"rank": 80}, {"rank": 120},
    {"rank": 5, "tol": 1e-12}, {"rtol": 0.3}, {"rtol": 0.01}, {"rtol": 1e-9},
    {"rank": 5, "rtol": 0.3}, {"rank": 5, "max_iter": 3}, {"rank": 45, "power": 4},
    {"rank": 5, "power": 12},
], ids=str)  # fmt: skip
def test_n_iter_counts_the_products_that_were_made(a, counted, options):
    held = counted(a)
    fit = td.randomized_svd(held, rng=0, **options)
    assert fit.n_iter == products(held)


def test_reading_once_means_once(a, counted):
    held = counted(a)
    td.randomized_svd(held, rank=5, method="single-pass", rng=0)
    # One product from each side, taken in one reading of the data.
    assert products(held) == 2


def test_easy_spectra_cost_two_or_three_products_and_hard_ones_what_they_need():
    count = {
        name: td.randomized_svd(matrix(160, 120, s), rank=8, rng=0).n_iter
        for name, s in SPECTRA.items()
    }
    assert count["of low rank"] == 2
    assert count["fast"] <= 4
    assert count["slow"] > 3
    assert count["noise floor"] <= count["slow"]
    loose = td.randomized_svd(matrix(160, 120, SPECTRA["slow"]), rank=8, tol=0.1, rng=0).n_iter
    assert loose < count["slow"]


def test_a_smaller_tol_costs_more_and_gives_more(a):
    fits = [td.randomized_svd(a, rank=8, tol=tol, rng=0) for tol in (0.5, 1e-2, 1e-4, 1e-8)]
    counts, errors = [fit.n_iter for fit in fits], [fit.error for fit in fits]
    assert counts == sorted(counts)
    assert all(x >= y * (1 - 1e-9) - 1e-14 for x, y in itertools.pairwise(errors))


@pytest.mark.parametrize("tol", [1e-1, 1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("method", ["krylov", "subspace"])
@pytest.mark.parametrize("name", ["slow", "noise floor", "fast"])
def test_the_excess_stays_near_what_was_asked(name, method, tol):
    a = matrix(160, 120, SPECTRA[name])
    best = np.linalg.norm(SPECTRA[name][8:])
    excesses = []
    for seed in range(10):
        fit = td.randomized_svd(a, rank=8, tol=tol, method=method, max_iter=200, rng=seed)
        assert fit.status is Status.CONVERGED
        excesses.append(np.linalg.norm(a - fit.tensor.to_array()) / best - 1)
    # An estimate: right on average, and never wrong by more than some ten times.
    assert np.mean(excesses) <= 3 * tol
    assert max(excesses) <= 10 * tol


def test_the_limit_is_kept_and_told(a, counted):
    for most in (2, 3, 4):
        held = counted(a)
        fit = td.randomized_svd(held, rank=5, tol=0.0, max_iter=most, rng=0)
        assert products(held) <= most
        assert fit.status in (Status.MAX_ITER, Status.CONVERGED)
    fit = td.randomized_svd(
        matrix(160, 120, SPECTRA["slow"]), rank=5, tol=1e-12, max_iter=3, rng=0
    )
    assert (fit.status, fit.n_iter) == (Status.MAX_ITER, 3)
    assert "max_iter" in fit.status.message


def test_a_tolerance_missed_is_no_convergence():
    a = np.random.default_rng(0).standard_normal((700, 600))
    fit = td.randomized_svd(a, rtol=0.3, max_iter=4, rng=0)
    error = np.linalg.norm(a - fit.tensor.to_array()) / np.linalg.norm(a)
    assert fit.error == pytest.approx(error, rel=1e-6)
    assert error > 0.3
    assert fit.status is Status.MAX_ITER


def test_by_default_rtol_is_met_however_many_directions_it_takes():
    a = np.random.default_rng(0).standard_normal((1300, 1200))
    fit = td.randomized_svd(a, rtol=0.45, rng=0)
    assert np.linalg.norm(a - fit.tensor.to_array()) <= 0.45 * np.linalg.norm(a)
    assert fit.status is Status.CONVERGED


@pytest.mark.parametrize(
    "options", [{"rank": 5, "tol": 1e-12}, {"rtol": 1e-3}, {"rank": 5, "power": 4}]
)
def test_the_callback_sees_the_progress_and_may_stop(options):
    a = matrix(400, 300, 1 / np.arange(1.0, 301.0))
    seen = []
    fit = td.randomized_svd(a, rng=0, callback=seen.append, **options)
    assert all(isinstance(progress, Progress) for progress in seen)
    counts = [progress.iteration for progress in seen]
    assert counts == list(range(counts[0], counts[0] + len(counts)))
    assert all(np.isfinite(progress.error) and progress.elapsed >= 0 for progress in seen)
    # No error is known after the first product; a step may make two.
    assert len(seen) >= fit.n_iter / 2

    stopped = td.randomized_svd(
        a, rng=0, callback=lambda progress: progress.iteration >= 2, **options
    )
    assert stopped.status is Status.INTERRUPTED
    assert stopped.n_iter <= 4
    error = np.linalg.norm(a - stopped.tensor.to_array()) / np.linalg.norm(a)
    assert stopped.error == pytest.approx(error, rel=1e-6)


def test_a_callback_that_raises_is_heard(a):
    class Interrupt(Exception):
        pass

    def callback(_):
        raise Interrupt

    with pytest.raises(Interrupt):
        td.randomized_svd(a, rank=3, power=2, rng=0, callback=callback)


@pytest.mark.parametrize("rank", [55, 60, 61, 100, 120])
def test_where_a_space_would_fill_the_whole_the_answer_is_exact(a, rank):
    fit = td.randomized_svd(a, rank=rank, rng=0)
    best = np.linalg.norm(np.linalg.svd(a, compute_uv=False)[rank:]) / np.linalg.norm(a)
    assert fit.error == pytest.approx(best, rel=1e-9, abs=1e-14)
    assert fit.status is Status.CONVERGED


def test_the_smaller_rank_wins():
    a = matrix(400, 300, 0.5 ** np.arange(300.0))
    assert td.randomized_svd(a, rank=10, rtol=0.1, rng=0).tensor.rank == 4
    assert td.randomized_svd(a, rank=2, rtol=0.1, rng=0).tensor.rank == 2


@pytest.mark.parametrize("most", [2, 3, 5])
@pytest.mark.parametrize("method", ["krylov", "subspace"])
def test_the_limit_is_kept_on_a_large_matrix(most, method):
    # Large enough for a draft in single precision, which must leave a product for its end.
    a = matrix(1100, 1000, 1 / np.arange(1.0, 101.0))
    fit = td.randomized_svd(a, rank=5, tol=1e-9, max_iter=most, method=method, rng=0)
    assert fit.n_iter <= most
    error = np.linalg.norm(a - fit.tensor.to_array()) / np.linalg.norm(a)
    assert fit.error == pytest.approx(error, rel=1e-6)


@pytest.mark.parametrize("rank", [100, 140, 180])
@pytest.mark.parametrize("method", ["krylov", "subspace"])
def test_the_excess_is_small_however_small_the_optimum(rank, method):
    # At rank 180 the best error lies below the square root of eps: no down-date sees it.
    s = 10.0 ** -(np.arange(600.0) / 20)
    a = matrix(620, 600, s)
    fit = td.randomized_svd(a, rank=rank, method=method, rng=0)
    error = np.linalg.norm(a - fit.tensor.to_array())
    assert error <= 1.01 * np.linalg.norm(s[rank:]) + 100 * np.finfo(float).eps


def test_a_draft_whose_gains_drown_in_rounding_goes_on_by_its_ratio():
    i = np.arange(1000)
    s = np.where(i < 50, 1 - i / 100, 0) + 0.05 * np.sqrt(1 - i / 1000)
    fit = td.randomized_svd(matrix(1100, 1000, s), rank=50, tol=1e-9, rng=0)
    best = np.sqrt(np.sum(s[50:] ** 2) / np.sum(s**2))
    assert fit.n_iter <= 8
    assert fit.error <= (1 + 1e-9) * best


@pytest.mark.parametrize("power", [16, 17, 18])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_a_space_that_almost_fills_the_whole_stays_orthonormal(power, dtype):
    fit = td.randomized_svd(np.eye(400, dtype=dtype), rank=10, power=power, rng=1)
    u, s, _ = fit.tensor
    tiny = 400 * np.finfo(dtype).eps
    assert np.linalg.norm(u.conj().T @ u - np.eye(10)) <= tiny
    assert np.all(s <= 1 + tiny)
    assert fit.error == pytest.approx(np.sqrt(390 / 400), rel=1e-5)
