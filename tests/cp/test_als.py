"""Alternating least squares: its iterates, its errors, its answers to every kind of input."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdecomp as td
from tdecomp import Status
from tdecomp.cp import CP, cp_als, factor_match_score, norm
from tdecomp.ops import coo, khatri_rao, unfold
from tdecomp.testing import gaussian

EPS = np.finfo(float).eps
DTYPES = ("float32", "float64", "complex64", "complex128")


def sample(shape, rank, dtype="float64", noise=0.0, seed=100):
    factors = tuple(gaussian((n, rank), rng=seed + k, dtype=dtype) for k, n in enumerate(shape))
    x = CP(np.ones(rank), factors).to_array()
    error = gaussian(shape, rng=seed + 50, dtype=dtype)
    scaled = noise * np.linalg.norm(x) / np.linalg.norm(error) * error
    return (x + scaled).astype(dtype)


def start(shape, rank, dtype="float64", seed=0):
    factors = tuple(gaussian((n, rank), rng=seed + k, dtype=dtype) for k, n in enumerate(shape))
    return CP(np.ones(rank), factors)


def naive_sweep(x, factors):
    """One sweep as textbooks write it."""
    for mode in range(x.ndim):
        others = khatri_rao([a for k, a in enumerate(factors) if k != mode])
        solution = np.linalg.lstsq(others, unfold(x, mode).T, rcond=None)[0]
        factors = [*factors[:mode], solution.T, *factors[mode + 1 :]]
    return factors


def true_error(x, cp):
    x = np.asarray(x, np.result_type(x.dtype, np.float64))
    factors = [np.asarray(a, x.dtype) for a in cp.factors]
    model = CP(np.asarray(cp.weights, float), tuple(factors)).to_array()
    return np.linalg.norm(x - model) / np.linalg.norm(x)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("shape", [(5, 6, 7), (4, 3, 5, 4), (3, 2, 3, 2, 3), (6, 5)])
def test_plain_iterates_are_those_of_the_textbook(shape, dtype):
    x, init = sample(shape, 2, dtype, noise=0.5), start(shape, 2, dtype)
    factors = list(init.factors)
    for sweeps in range(1, 5):
        factors = naive_sweep(x, factors)
        fit = cp_als(x, rank=2, init=init, accelerate=False, tol=0, max_iter=sweeps)
        model = CP(np.ones(2), tuple(factors)).to_array()
        assert np.linalg.norm(fit.tensor.to_array() - model) <= 1e-12 * np.linalg.norm(x)
        assert fit.n_iter == sweeps


def test_plain_iterates_are_those_of_tensorly():
    decomposition = pytest.importorskip("tensorly.decomposition")
    x, init = sample((9, 10, 11), 3, noise=0.3), start((9, 10, 11), 3)
    weights, factors = decomposition.parafac(
        x, 3, n_iter_max=7, init=(init.weights, [a.copy() for a in init.factors]), tol=0
    )
    fit = cp_als(x, rank=3, init=init, accelerate=False, tol=0, max_iter=7)
    model = CP(weights, tuple(factors)).to_array()
    assert np.linalg.norm(fit.tensor.to_array() - model) <= 1e-11 * np.linalg.norm(x)


@given(
    shape=st.lists(st.integers(1, 5), min_size=2, max_size=4).map(tuple),
    dtype=st.sampled_from(DTYPES), noise=st.sampled_from([0.0, 0.3]), seed=st.integers(0, 99),
    data=st.data(),
)  # fmt: skip
def test_errors_never_rise_and_are_true(shape, dtype, noise, seed, data):
    rank = data.draw(st.integers(1, min(4, math.prod(shape) // max(shape))))
    x = sample(shape, 2, dtype, noise, seed=seed)
    seen = []
    fit = cp_als(x, rank=rank, rng=seed, max_iter=30, callback=seen.append)
    eps = np.finfo(dtype).eps
    errors = [progress.error for progress in seen]
    # A difference of squares keeps six digits; below, the error itself is measured.
    assert all(b <= a * (1 + 2e-6) + 100 * eps for a, b in itertools.pairwise(errors))
    assert abs(fit.error - true_error(x, fit.tensor)) <= 20 * eps
    assert abs(fit.error - errors[-1]) <= 2e-6 * fit.error + 20 * eps
    assert fit.tensor.dtype == np.dtype(dtype)
    assert fit.tensor.weights.dtype == np.finfo(dtype).dtype


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(8, 9, 10), (5, 6, 5, 4)])
@pytest.mark.when_compiled(shape=(5, 6, 5, 4), dtype="complex64")
def test_exact_components_are_recovered(xp, shape, dtype):
    x = sample(shape, 3, dtype)
    fit = cp_als(xp.asarray(x), rank=3, rng=7)
    assert fit.status is Status.CONVERGED
    assert fit.error <= 100 * np.finfo(dtype).eps
    found = CP(*(map_numpy(xp, part) for part in fit.tensor))
    truth = CP(
        np.ones(3), tuple(gaussian((n, 3), rng=100 + k, dtype=dtype) for k, n in enumerate(shape))
    )
    assert factor_match_score(found, truth) >= 1 - 1e4 * np.finfo(dtype).eps


def map_numpy(xp, part):
    return tuple(map(xp.to_numpy, part)) if isinstance(part, tuple) else xp.to_numpy(part)


def test_the_same_seed_gives_the_same_answer_everywhere(xp):
    x = sample((6, 7, 8), 4, noise=0.2)
    ours = cp_als(x, rank=3, n_starts=3, rng=5)
    theirs = cp_als(xp.asarray(x), rank=3, n_starts=3, rng=5)
    np.testing.assert_allclose(xp.to_numpy(theirs.tensor.weights), ours.tensor.weights, rtol=1e-6)
    assert theirs.error == pytest.approx(ours.error, rel=1e-9)


def test_acceleration_needs_far_fewer_sweeps_where_components_are_collinear():
    rng = np.random.default_rng(0)
    mix = np.linalg.cholesky(0.9 + 0.1 * np.eye(4)).T
    factors = tuple(np.linalg.qr(rng.standard_normal((20, 4)))[0] @ mix for _ in range(3))
    x = CP(np.ones(4), factors).to_array()
    x += 0.01 * np.linalg.norm(x) / 20**1.5 * rng.standard_normal(x.shape)
    plain, fast = (cp_als(x, rank=4, rng=1, accelerate=a, max_iter=3000) for a in (False, True))
    assert fast.error <= plain.error * (1 + 1e-4)
    assert 5 * fast.n_iter <= plain.n_iter


def test_a_race_on_the_core_ends_on_the_tensor_itself():
    x = sample((30, 31, 32), 4, noise=0.1)
    fit = cp_als(x, rank=4, n_starts=8, rng=0)
    again = cp_als(x, rank=4, init=fit.tensor, tol=0, max_iter=5)
    assert fit.status is Status.CONVERGED
    assert fit.error == pytest.approx(0.1 / math.hypot(1, 0.1), rel=0.02)
    assert again.error == pytest.approx(fit.error, rel=1e-6)


def test_orthogonal_transformations_keep_digits_that_normal_equations_lose():
    # sin of a sum of d arguments has rank d exactly: arXiv:2112.10855, Section 5.1.
    grid = np.linspace(0, 2 * np.pi, 10)
    x = np.sin(sum(np.ix_(*[grid] * 5)))
    least = {}
    for solver in ("auto", "cholesky", "qr"):
        seen = []
        cp_als(
            x, rank=5, rng=9, solver=solver, accelerate=False, tol=0, max_iter=60,
            callback=seen.append,
        )  # fmt: skip
        least[solver] = min(progress.error for progress in seen)
    assert max(least["qr"], least["auto"]) <= 1e-13
    assert least["cholesky"] >= 1e-12


@pytest.mark.parametrize("solver", ["auto", "cholesky", "qr"])
@pytest.mark.parametrize("rank", [1, 6])
@pytest.mark.when_compiled(rank=6)
def test_rank_deficient_data_converge(xp, solver, rank):
    x = xp.asarray(sample((5, 6, 7), 1))
    fit = cp_als(x, rank=rank, rng=0, solver=solver)
    assert fit.error <= 1e-13
    assert fit.status in {Status.CONVERGED, Status.STAGNATED}


@pytest.mark.parametrize("options", [{}, {"n_starts": 3}, {"nonnegative": True}, {"solver": "qr"}])
def test_zero_tensor(xp, options):
    fit = cp_als(xp.asarray(np.zeros((3, 4, 5))), rank=2, rng=0, **options)
    assert fit.status is Status.CONVERGED
    assert fit.error == 0
    assert np.all(xp.to_numpy(fit.tensor.to_array()) == 0)


@pytest.mark.parametrize("shape", [(6,), (1, 1, 1), (1, 6, 1, 5), (4, 1, 3), (2,) * 12])
def test_any_number_and_any_length_of_modes(xp, shape):
    x = sample(shape, 1)
    fit = cp_als(xp.asarray(x), rank=1, rng=3)
    assert fit.error <= 50 * EPS
    assert fit.tensor.shape == shape


@pytest.mark.parametrize("options", [{"solver": "qr"}, {"n_starts": 3}])
def test_a_vector_is_its_one_component(options):
    x = gaussian((9,), rng=0)
    assert cp_als(x, rank=1, rng=0, **options).error <= 1e-15


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_scale_costs_no_digit(xp, scale):
    x = sample((5, 6, 7), 2, noise=0.1)
    x /= np.max(abs(x))
    plain = cp_als(x, rank=2, rng=3)
    fit = cp_als(xp.asarray(x * scale), rank=2, rng=3)
    assert fit.error == pytest.approx(plain.error, rel=1e-6)
    np.testing.assert_allclose(
        xp.to_numpy(fit.tensor.weights) / scale, plain.tensor.weights, rtol=1e-3
    )


def test_inputs_of_every_kind():
    x = np.round(4 * sample((4, 5, 6), 2, noise=0.1)).astype(int)
    expected = cp_als(x.astype(float), rank=2, rng=1).error
    for same in (
        x, x.tolist(), np.asfortranarray(x), x[::-1][::-1], x.astype(">f8"),
        np.pad(x.astype(float), 1)[1:-1, 1:-1, 1:-1],
    ):  # fmt: skip
        assert cp_als(same, rank=2, rng=1).error == pytest.approx(expected, rel=1e-7)
    half = cp_als(x.astype(np.float16), rank=2, rng=1)
    assert half.tensor.dtype == np.float32
    assert half.error == pytest.approx(expected, rel=1e-3)
    assert cp_als(x > 0, rank=2, rng=1).tensor.dtype == np.float64


def test_a_sparse_tensor_is_fitted_like_its_dense_twin(xp):
    x = sample((8, 9, 10), 3, noise=0.2)
    x[abs(x) < 1.5] = 0
    places = np.nonzero(x)
    sparse = coo(xp.asarray(np.stack(places)), xp.asarray(x[places]), x.shape)
    dense = cp_als(x, rank=3, rng=4, accelerate=False, tol=0, max_iter=20, solver="cholesky")
    fit = cp_als(sparse, rank=3, rng=4, accelerate=False, tol=0, max_iter=20)
    assert fit.error == pytest.approx(dense.error, rel=1e-9)


@pytest.mark.parametrize("init", ["random", "hosvd", "gevd"])
def test_a_sparse_vector_is_its_one_component(init):
    x = coo([[3, 0]], [2.0, -1.0], (5,))
    for options in ({}, {"n_starts": 2}, {"weights": np.ones(5)}):
        fit = cp_als(x, rank=1, init=init, rng=0, **options)
        assert fit.error <= 4 * EPS
        assert td.relative_error(x.to_array(), fit.tensor) <= 4 * EPS


def test_fixed_modes_keep_their_factors():
    x, init = sample((5, 6, 7), 2, noise=0.1), start((5, 6, 7), 2)
    for options in ({}, {"ridge": 0.1}, {"nonnegative": [1]}, {"n_starts": 2}):
        fit = cp_als(x, rank=2, init=init, fixed=[0], rng=0, **options)
        np.testing.assert_array_equal(fit.tensor.factors[0], init.factors[0])
    fit = cp_als(x, rank=2, init=init, fixed=[-1, 0])
    for mode in (0, 2):
        np.testing.assert_array_equal(fit.tensor.factors[mode], init.factors[mode])
    best = np.linalg.lstsq(
        khatri_rao([init.factors[0], init.factors[2]]), unfold(x, 1).T, rcond=None
    )
    model = CP(np.ones(2), (init.factors[0], best[0].T, init.factors[2])).to_array()
    assert fit.error == pytest.approx(np.linalg.norm(x - model) / np.linalg.norm(x), rel=1e-12)


@pytest.mark.parametrize("solver", ["cholesky", "qr"])
def test_a_ridge_is_where_its_gradient_vanishes(solver):
    x, ridge = sample((5, 6, 7), 3, noise=0.1), 20.0
    fit = cp_als(x, rank=3, ridge=ridge, rng=0, tol=1e-14, max_iter=3000, solver=solver)
    share = fit.tensor.weights ** (1 / 3)
    factors = [a * share for a in fit.tensor.factors]
    for mode in range(3):
        others = khatri_rao([a for k, a in enumerate(factors) if k != mode])
        gradient = (factors[mode] @ others.T - unfold(x, mode)) @ others + ridge * factors[mode]
        assert np.linalg.norm(gradient) <= 1e-4 * ridge * np.linalg.norm(factors[mode])
    assert norm(fit.tensor) < norm(cp_als(x, rank=3, rng=0).tensor)


@pytest.mark.parametrize("options", [{}, {"weights": np.ones((6, 7, 8))}])
@pytest.mark.parametrize("rank", [3, 6])
def test_with_a_ridge_the_objective_has_to_converge_not_the_error(rank, options):
    # The error rises while components shrink to equal sizes; that is no stagnation.
    x, ridge = sample((6, 7, 8), 3, noise=0.1), 0.5
    fits = [
        cp_als(x, rank=rank, ridge=ridge, rng=5, tol=tol, max_iter=4000, **options)
        for tol in (1e-8, 1e-13)
    ]
    least, most = (
        (fit.error * np.linalg.norm(x)) ** 2 + ridge * 3 * np.sum(fit.tensor.weights ** (2 / 3))
        for fit in reversed(fits)
    )
    assert fits[0].status is Status.CONVERGED
    assert most <= least * (1 + 1e-4)


def test_a_ridge_means_the_same_at_every_scale():
    x = sample((5, 6, 7), 2, noise=0.1)
    plain = cp_als(x, rank=2, ridge=3.0, rng=0)
    large = cp_als(x * 2.0**700, rank=2, ridge=3.0 * 2.0 ** (700 * 4 / 3), rng=0)
    assert large.error == pytest.approx(plain.error, rel=1e-6)


def test_nonnegative_factors_meet_the_conditions_of_optimality():
    x = abs(sample((6, 7, 8), 3, noise=0.3))
    fit = cp_als(x, rank=3, nonnegative=True, rng=0, tol=1e-13, max_iter=5000)
    factors = [*fit.tensor.factors]
    factors[0] = factors[0] * fit.tensor.weights
    for mode, factor in enumerate(factors):
        others = khatri_rao([a for k, a in enumerate(factors) if k != mode])
        gradient = (factor @ others.T - unfold(x, mode)) @ others
        scale = np.linalg.norm(unfold(x, mode) @ others)
        assert np.min(factor) >= 0
        assert np.min(gradient) >= -1e-4 * scale
        assert abs(np.sum(gradient * factor)) <= 1e-4 * scale * np.linalg.norm(factor)


def test_some_modes_may_be_nonnegative():
    x = sample((6, 7, 8), 3, noise=0.1)
    fit = cp_als(x, rank=3, nonnegative=[1], rng=0)
    assert np.min(fit.tensor.factors[1]) >= 0
    assert np.min(fit.tensor.factors[0]) < 0


def test_missing_entries_are_not_looked_at():
    x = sample((8, 9, 10), 2)
    seen = np.random.default_rng(0).random(x.shape) < 0.5
    holes = np.where(seen, x, np.nan)
    fit = cp_als(holes, rank=2, weights=seen, n_starts=5, rng=0)
    assert fit.error <= 1e-9
    assert true_error(x, fit.tensor) <= 1e-8


def test_weights_of_one_change_nothing():
    x = sample((6, 7, 8), 3, noise=0.2)
    plain = cp_als(x, rank=2, init="hosvd", rng=0)
    fit = cp_als(x, rank=2, init="hosvd", rng=0, weights=np.ones(x.shape))
    assert fit.error == pytest.approx(plain.error, rel=1e-5)


def test_a_tensor_of_border_rank_is_told_degenerate():
    # The limit of rank-2 tensors with diverging components: de Silva and Lim, 2008.
    a, b = np.eye(2)
    x = sum(np.einsum("i,j,k->ijk", *t) for t in ((a, a, b), (a, b, a), (b, a, a)))
    fit = cp_als(x, rank=2, rng=0, max_iter=3000)
    assert fit.status is Status.DEGENERATE


def test_the_callback_sees_iterates_that_stay_what_they_are():
    x = sample((5, 6, 7), 3, noise=0.3)
    kept, errors = [], []

    def watch(progress):
        kept.append(progress.tensor)
        errors.append(progress.error)
        return progress.iteration == 6

    fit = cp_als(x, rank=2, rng=0, tol=0, callback=watch)
    assert fit.status is Status.INTERRUPTED
    assert fit.n_iter == len(kept) == 6
    for tensor, error in zip(kept, errors, strict=True):
        assert true_error(x, tensor) == pytest.approx(error, rel=2e-6)


def test_an_interrupt_leaves_the_latest_iterate_with_the_callback():
    x = sample((5, 6, 7), 3, noise=0.3)
    kept = []

    def watch(progress):
        kept.append(progress.tensor)
        if progress.iteration == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cp_als(x, rank=2, rng=0, tol=0, callback=watch)
    assert true_error(x, kept[-1]) < true_error(x, kept[0])


@pytest.mark.parametrize("options", [{}, {"weights": np.ones((5, 6, 7))}, {"accelerate": False}])
@pytest.mark.parametrize("scale", [1e-300, 0.0, 1e300])
def test_a_start_need_not_know_the_size_of_the_data(scale, options):
    x, init = sample((5, 6, 7), 2, noise=0.1), start((5, 6, 7), 2)
    wanted = cp_als(x, rank=2, init=init, **options)
    for weights, spread in ((scale, 1.0), (1.0, scale ** (1 / 3))):
        far = CP(weights * init.weights, tuple(a * spread for a in init.factors))
        if spread:
            fit = cp_als(x, rank=2, init=far, **options)
            assert fit.error == pytest.approx(wanted.error, rel=1e-5)
            assert fit.status is Status.CONVERGED


@pytest.mark.parametrize("weights", [None, np.ones((5, 6, 7))])
def test_zeros_are_fitted_beside_fixed_factors(weights):
    init, zeros = start((5, 6, 7), 2), np.zeros((5, 6, 7))
    fit = cp_als(zeros, rank=2, init=init, fixed=[0], weights=weights)
    assert (fit.error, fit.status) == (0.0, Status.CONVERGED)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
@pytest.mark.parametrize(
    "options",
    [{}, {"n_starts": 2}, {"solver": "qr"}, {"weights": np.ones((5, 6, 7))}, {"nonnegative": [0]}],
)
def test_fixed_factors_of_any_size(scale, options):
    x, init = sample((5, 6, 7), 2, noise=0.1), start((5, 6, 7), 2)
    wanted = cp_als(x, rank=2, init=init, fixed=[0], rng=0, **options)
    far = init._replace(factors=(init.factors[0] * scale, *init.factors[1:]))
    fit = cp_als(x, rank=2, init=far, fixed=[0], rng=0, **options)
    np.testing.assert_array_equal(fit.tensor.factors[0], far.factors[0])
    assert fit.error == pytest.approx(wanted.error, rel=1e-5)


@pytest.mark.parametrize("scale", [2.0**-700, 2.0**700])
def test_a_ridge_beside_fixed_factors_means_the_same_at_every_scale(scale):
    # Two free factors take the root of the scale each, so that the penalty grows as the scale.
    x, init = sample((5, 6, 7), 2, noise=0.1), start((5, 6, 7), 2)
    plain, scaled = (
        cp_als(x * s, rank=2, init=init, fixed=[0], ridge=5.0 * s) for s in (1.0, scale)
    )
    assert scaled.error == pytest.approx(plain.error, rel=1e-6)
    assert plain.error > 1.0001 * cp_als(x, rank=2, init=init, fixed=[0]).error


@pytest.mark.parametrize(
    "options", [{}, {"n_starts": 3}, {"nonnegative": True}, {"init": "hosvd"}]
)
def test_a_sparse_tensor_without_entries_is_zero(options):
    x = coo(np.zeros((3, 0), int), np.zeros(0), (3, 4, 5))
    fit = cp_als(x, rank=2, rng=0, **options)
    assert (fit.error, fit.status) == (0.0, Status.CONVERGED)
    assert not np.any(fit.tensor.to_array())


def test_no_sweep_over_sparse_data_measures_the_start():
    x, init = sample((4, 5, 6), 2), start((4, 5, 6), 2)
    sparse = coo(np.stack(np.nonzero(x)), x[np.nonzero(x)], x.shape)
    fit = cp_als(sparse, rank=2, init=init, max_iter=0)
    assert fit.error == pytest.approx(true_error(x, init), rel=1e-12)


def test_no_sweep_returns_the_start():
    x, init = sample((5, 6, 7), 2), start((5, 6, 7), 2)
    fit = cp_als(x, rank=2, init=init, max_iter=0)
    assert (fit.n_iter, fit.status) == (0, Status.MAX_ITER)
    assert fit.error == pytest.approx(true_error(x, init), rel=1e-12)


def test_inputs_are_not_changed():
    x, init = sample((5, 6, 7), 2, noise=0.1), start((5, 6, 7), 2)
    copies = x.copy(), [a.copy() for a in init.factors]
    cp_als(x, rank=2, init=init, n_starts=2, rng=0)
    np.testing.assert_array_equal(x, copies[0])
    for a, b in zip(init.factors, copies[1], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rank": 0}, ValueError, "rank must be an int between 1 and 30, got 0"),
        ({"rank": -1}, ValueError, "got -1"),
        ({"rank": 31}, ValueError, "between 1 and 30, got 31"),
        ({"rank": 2.5}, TypeError, "got 2.5 of type float"),
        ({"rank": True}, TypeError, "got True of type bool"),
        ({"n_starts": 0}, ValueError, "n_starts must be an int >= 1"),
        ({"init": "svd"}, ValueError, "init must be one of 'random', 'hosvd', 'gevd'"),
        ({"init": start((5, 6, 8), 2)}, ValueError, "init must have shape"),
        ({"init": start((5, 6, 7), 3)}, ValueError, "init must have shape"),
        ({"fixed": [0]}, ValueError, "pass init=, a CP"),
        ({"fixed": [0, 1, 2], "init": start((5, 6, 7), 2)}, ValueError, "leave one to fit"),
        ({"fixed": 1}, TypeError, "fixed must be a sequence of modes"),
        ({"nonnegative": 0}, TypeError, "nonnegative must be a sequence of modes, got 0"),
        ({"nonnegative": [3]}, ValueError, "nonnegative must lie between -3 and 2"),
        ({"ridge": -1.0}, ValueError, "ridge must be a number >= 0, got -1"),
        ({"ridge": math.inf}, ValueError, "ridge must be a number >= 0, got inf"),
        ({"tol": -1.0}, ValueError, "tol must be a number >= 0"),
        ({"solver": "svd"}, ValueError, "solver must be one of"),
        ({"solver": "qr", "nonnegative": True}, ValueError, "solver='qr' is for dense data"),
        ({"max_iter": -1}, ValueError, "max_iter must be an int >= 0"),
        ({"callback": 3}, TypeError, "callback must be callable"),
        ({"rng": "seed"}, TypeError, "rng must be an int"),
        ({"weights": np.ones((2, 3))}, ValueError, r"shape \(2, 3\) cannot be broadcast to x"),
        ({"weights": np.ones((1, 5, 6, 7))}, ValueError, "cannot be broadcast to x"),
        ({"weights": "yes"}, TypeError, "weights must be an array"),
        ({"weights": np.array(None)}, TypeError, "weights has dtype object"),
        ({"weights": np.eye(5), "init": "hosvd"}, ValueError, "cannot be broadcast to x"),
    ],
)
def test_options_out_of_range_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        cp_als(sample((5, 6, 7), 2), **({"rank": 2} | options))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_entries_that_are_not_finite_are_refused_by_their_place(xp, bad):
    x = sample((5, 6, 7), 2)
    x[1, 2, 3] = bad
    with pytest.raises(ValueError, match=r"x has 1 non-finite entries .* x\[1, 2, 3\].*weights="):
        cp_als(xp.asarray(x), rank=2)
    with pytest.raises(ValueError, match=r"x\[1, 2, 3\]"):
        cp_als(xp.asarray(x), rank=2, weights=xp.asarray(np.ones((5, 6, 7))))


@pytest.mark.parametrize("options", [{}, {"weights": np.ones((4, 5, 6))}])
def test_complex_factors_cannot_be_nonnegative(options):
    x = sample((4, 5, 6), 2, "complex128")
    with pytest.raises(ValueError, match="nonnegative is for real data, but x has dtype complex"):
        cp_als(x, rank=2, nonnegative=[1], **options)
    assert cp_als(x, rank=2, nonnegative=False, rng=0, **options).status is Status.CONVERGED


@pytest.mark.parametrize("modes", [np.array([0]), np.array([0, 2]), {0}, range(1), np.True_])
def test_nonnegative_modes_come_in_any_sequence(modes):
    fit = cp_als(sample((4, 5, 6), 2), rank=2, nonnegative=modes, rng=0, max_iter=20)
    assert fit.tensor.factors[0].min() >= 0


def test_what_is_no_tensor_is_refused():
    for empty in (np.zeros((3, 0, 2)), np.float64(3.0)):
        with pytest.raises(ValueError, match=r"empty|dimension"):
            cp_als(empty, rank=1)
    with pytest.raises(TypeError, match="dtype"):
        cp_als(np.array([["a"]]), rank=1)


def test_fixed_sweeps_under_jit_grad_and_vmap(xp):
    x = sample((4, 5, 6), 2, noise=0.2)
    init = start((4, 5, 6), 2)
    expected = cp_als(x, rank=2, init=init, accelerate=False, tol=0, max_iter=3)

    def error(y):
        return cp_als(y, rank=2, init=init_of(xp, init), max_iter=3).error

    if xp.name == "jax":
        import jax

        traced = jax.jit(error)(xp.asarray(x))
        several = jax.jit(jax.vmap(error))(xp.asarray(np.stack([x, 2 * x])))
        np.testing.assert_allclose(several, expected.error, rtol=1e-9)
        gradient = np.asarray(jax.jit(jax.grad(error))(xp.asarray(x)))
    elif xp.name == "torch":
        leaf = xp.asarray(x).requires_grad_()
        traced = error(leaf)
        traced.backward()
        gradient, traced = leaf.grad.cpu().numpy(), traced.detach()
    else:
        pytest.skip(f"{xp.name} has no transformations")
    assert float(traced) == pytest.approx(expected.error, rel=1e-9)
    direction, h = gaussian(x.shape, rng=9), 1e-6
    ahead, behind = (
        cp_als(x + s * h * direction, rank=2, init=init, accelerate=False, tol=0, max_iter=3).error
        for s in (1, -1)
    )
    assert np.vdot(gradient, direction) == pytest.approx((ahead - behind) / (2 * h), rel=1e-4)


def init_of(xp, init):
    return CP(xp.asarray(init.weights), tuple(xp.asarray(a) for a in init.factors))


def test_under_tracing_the_number_of_sweeps_must_be_given():
    jax = pytest.importorskip("jax")
    with pytest.raises(ValueError, match="pass max_iter="):
        jax.jit(lambda y: cp_als(y, rank=1).error)(jax.numpy.ones((2, 2, 2)))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rank": 0}, ValueError, "rank must be an int between 1 and 20, got 0"),
        ({"rank": 2.5}, TypeError, "got 2.5 of type float"),
        ({"max_iter": "a"}, TypeError, "max_iter must be an int >= 0"),
        ({"weights": np.ones((4, 5, 6))}, ValueError, "weights cannot be obeyed under tracing"),
        ({"nonnegative": True}, ValueError, "nonnegative cannot be obeyed under tracing"),
        ({"fixed": [0]}, ValueError, "fixed cannot be obeyed under tracing"),
        ({"ridge": 0.1}, ValueError, "ridge cannot be obeyed under tracing"),
        ({"n_starts": 3}, ValueError, "n_starts cannot be obeyed under tracing"),
        ({"solver": "qr"}, ValueError, "solver cannot be obeyed under tracing"),
        ({"callback": print}, ValueError, "callback cannot be obeyed under tracing"),
    ],
)
def test_under_tracing_no_option_is_silently_dropped(options, error, message):
    torch = pytest.importorskip("torch")
    x = torch.ones((4, 5, 6), requires_grad=True)
    with pytest.raises(error, match=message):
        cp_als(x, **({"rank": 2, "max_iter": 3} | options))


def test_the_pieces_fit_together():
    x = sample((6, 7, 8), 2, noise=0.1)
    fit = cp_als(x, rank=2, rng=0)
    assert float(td.relative_error(x, fit.tensor)) == pytest.approx(fit.error, rel=1e-12)
    assert td.compression_ratio(fit.tensor) == pytest.approx(6 * 7 * 8 / (2 * 22))
