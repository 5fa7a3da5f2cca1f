"""Low rank with a weight for every entry: closed cases, bounds, invariances, refusals."""

import tracemalloc

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import tdecomp as td
from tdecomp.completion._dense._weighted_low_rank import weighted_low_rank

EPS = np.finfo(float).eps
METHODS = ("gradient", "als", "em")
KINDS = ("random", "fisher", "holes")
M, N, K = 14, 11, 3


def case(kind="random", dtype="float64", shape=(M, N), seed=0):
    """Return data with a decaying spectrum and noise, and weights of a kind."""
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((shape[0], K)) * [4, 2, 1]) @ rng.standard_normal((K, shape[1]))
    x = x + 0.1 * rng.standard_normal(shape)
    if dtype.startswith("complex"):
        x = x * np.exp(1j * rng.standard_normal(shape[1]))
        x = x + 0.1j * rng.standard_normal(shape)
    weights = {
        "random": rng.random(shape),
        "fisher": np.exp(2 * rng.standard_normal((shape[0], 1)) + rng.standard_normal(shape)),
        "holes": (rng.random(shape) < 0.8) * 1.0,
    }[kind]
    return x.astype(dtype), weights


def misfit(x, weights, z):
    return float(np.sqrt(np.sum(weights * np.abs(x - z) ** 2)))


def fitted(*args, **options):
    return weighted_low_rank(*args, **{"rank": K, "rng": 0, **options})


def product(fit, xp=None):
    z = fit.tensor.to_array()
    return z if xp is None else xp.to_numpy(z)


@pytest.mark.when_compiled(dtype="complex128")
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_weights_of_rank_one_give_the_weighted_svd(xp, dtype):
    x, _ = case(dtype=dtype)
    left, right = np.geomspace(1, 1e-6, M), np.geomspace(1e-3, 1, N)
    weights = np.outer(left**2, right**2)
    fit = fitted(xp.asarray(x), xp.asarray(weights))
    best = td.weighted_svd(x, left=left, right=right, rank=K).to_array()
    error = misfit(x, weights, best)
    assert fit.n_iter == 0
    assert misfit(product(fit, xp), weights, best) <= 200 * EPS * misfit(x, weights, 0)
    assert misfit(x, weights, product(fit, xp)) == pytest.approx(error, rel=1e-12)


@pytest.mark.parametrize("weights", [1.0, 3, np.full(N, 0.25), np.ones((M, 1)), np.ones((M, N))])
def test_constant_weights_of_any_shape_give_the_truncated_svd(weights):
    x, _ = case()
    best = td.truncated_svd(x, rank=K).to_array()
    assert np.linalg.norm(product(fitted(x, weights)) - best) <= 100 * EPS * np.linalg.norm(x)


def test_weights_of_rows_or_of_columns_are_broadcast():
    x, _ = case()
    rows, columns = np.linspace(1, 2, M), np.linspace(3, 1, N)
    for weights, sides in ((rows[:, None], {"left": rows}), (columns, {"right": columns})):
        roots = {side: np.sqrt(w) for side, w in sides.items()}
        best = td.weighted_svd(x, rank=K, **roots).to_array()
        assert np.linalg.norm(product(fitted(x, weights)) - best) <= 1e-13 * np.linalg.norm(x)


@pytest.mark.when_compiled(method="gradient")
@pytest.mark.parametrize("method", METHODS)
def test_weights_of_zero_and_one_complete_a_matrix(xp, method):
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((M, K)) @ rng.standard_normal((K, N)) * (1 + 0j)
    seen = rng.random(truth.shape) < 0.8
    holes = np.where(seen, truth, np.nan)
    fit = weighted_low_rank(xp.asarray(holes), xp.asarray(seen), rank=K, method=method, rng=0)
    assert np.linalg.norm(product(fit, xp) - truth) <= 1e-6 * np.linalg.norm(truth)
    assert fit.status is td.Status.CONVERGED


@given(
    kind=st.sampled_from(KINDS),
    method=st.sampled_from(METHODS),
    dtype=st.sampled_from(["float64", "complex128"]),
    seed=st.integers(0, 10**6),
    rank=st.integers(1, 5),
)
def test_nothing_with_a_closed_form_is_better(kind, method, dtype, seed, rank):
    x, weights = case(kind, dtype, seed=seed)
    fit = fitted(x, weights, method=method, rank=rank)
    rows, columns = np.sqrt(weights.mean(axis=1)), np.sqrt(weights.mean(axis=0))
    known = x if kind != "holes" else weights * x
    reached = misfit(x, weights, product(fit))
    for sides in ({}, {"left": rows}, {"right": columns}, {"left": rows, "right": columns}):
        other = td.weighted_svd(known, rank=rank, **sides).to_array()
        assert reached <= misfit(x, weights, other) * (1 + 1e-12)
    assert fit.error == pytest.approx(reached / misfit(x, weights, 0), rel=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", [*METHODS, "groups"])
@pytest.mark.parametrize("penalty", [0.0, 0.5])
def test_no_step_raises_the_objective(monkeypatch, kind, method, penalty):
    if method == "groups":
        method = "gradient"
        pairs = [slice(0, 2), slice(2, K)]
        monkeypatch.setattr("tdecomp.completion._dense._rows._groups", lambda *_: pairs)
    x, weights = case(kind)
    x /= np.abs(x).max() * 0.99  # at unit scale factors are shown as they are
    seen = []

    def watch(progress):
        factors = progress.tensor
        size = sum(np.linalg.norm(factor) ** 2 for factor in factors)
        gap = misfit(x, weights, factors.to_array()) ** 2
        seen.append(gap + penalty * np.abs(weights).mean() * size)

    fitted(
        x,
        weights,
        method=method,
        regularization=penalty * np.abs(weights).mean(),
        callback=watch,
        tol=1e-12,
        max_iter=40,
        init="random",
    )
    assert len(seen) > 3
    assert np.all(np.diff(seen) <= 1e-13 * seen[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_slopes_vanish_at_the_solution(kind, method, dtype):
    x, weights = case(kind, dtype)
    fit = fitted(x, weights, method=method, tol=0.0, max_iter=3000)
    left, right = fit.tensor
    gap = weights * (x - left @ right)
    slopes = gap @ right.conj().T, left.conj().T @ gap
    sizes = np.sqrt(weights) * np.abs(x)
    for slope, factor in zip(slopes, (right, left), strict=True):
        scale = np.linalg.norm(sizes) * np.linalg.norm(np.sqrt(weights).max() * factor)
        assert np.linalg.norm(slope) <= 1e-7 * scale


@pytest.mark.parametrize("method", METHODS)
def test_a_penalty_on_equal_weights_shrinks_singular_values(method):
    x, _ = case()
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    threshold = (s[2] + s[3]) / 2
    best = (u * np.maximum(s - threshold, 0)) @ vh
    options = {"rank": 5, "regularization": threshold, "method": method, "tol": 1e-13}
    fit = fitted(x, np.ones((M, N)), **options)
    assert np.linalg.norm(product(fit) - best) <= 1e-5 * s[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_a_penalty_makes_the_problem_that_of_the_nuclear_norm(kind, method):
    x, weights = case(kind)
    penalty = 0.3 * np.linalg.norm(weights * x, 2)
    fit = fitted(x, weights, rank=N, regularization=penalty, method=method, tol=1e-14)
    z = product(fit)
    slope = weights * (x - z)
    assert np.linalg.norm(slope, 2) <= penalty * (1 + 1e-4)
    aligned = np.sum(slope * z)
    nuclear = np.linalg.svd(z, compute_uv=False).sum()
    assert aligned == pytest.approx(penalty * nuclear, rel=1e-4)


@pytest.mark.parametrize("start", ["best", "zero"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_under_a_penalty_columns_of_zeros_are_left_where_one_pays(start, method, dtype):
    # From data of rank one no method leaves rank one by itself, nor from zero.
    rng = np.random.default_rng(9)
    x = np.outer(rng.standard_normal(M), rng.standard_normal(N))
    weights = np.exp(2 * rng.standard_normal((M, N)))
    x = x * np.exp(1j * np.arange(N)) if dtype == "complex128" else x
    penalty = 0.05 * np.linalg.norm(weights * x, 2)
    nothing = td.LowRank(np.zeros((M, 5)), np.zeros((5, N)))
    init = nothing if start == "zero" else start
    seen = []
    options = {"regularization": penalty, "method": method, "init": init, "tol": 1e-12}
    watch = lambda progress: seen.append(progress.iteration)  # noqa: E731
    fit = fitted(x, weights, rank=5, callback=watch, **options)
    assert fit.status is td.Status.CONVERGED
    assert np.linalg.norm(weights * (x - product(fit)), 2) <= penalty * (1 + 1e-4)
    assert seen == list(range(1, fit.n_iter + 1))


def test_a_large_penalty_leaves_nothing():
    x, weights = case()
    fit = fitted(x, weights, regularization=2 * np.linalg.norm(weights * x, 2))
    assert np.linalg.norm(product(fit)) <= 1e-4 * np.linalg.norm(x)
    assert fit.error == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("data", "heavy"), [(1e200, 1e-200), (1e-250, 1e250), (2.0**-900, 3.0)])
def test_scales_of_data_and_weights_pass_through(method, data, heavy):
    x, weights = case()
    fit = fitted(x, weights, method=method, regularization=0.5)
    scaled = fitted(x * data, weights * heavy, method=method, regularization=0.5 * data * heavy)
    assert scaled.error == pytest.approx(fit.error, rel=1e-6)
    gap = np.linalg.norm(product(scaled) / data - product(fit))
    assert gap <= 1e-3 * np.linalg.norm(product(fit))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_transposed_problem_has_the_transposed_solution(method, kind):
    x, weights = case(kind)
    fit = fitted(x, weights, method=method, tol=1e-13)
    turned = fitted(x.T, weights.T, method=method, tol=1e-13)
    assert turned.error == pytest.approx(fit.error, rel=1e-8)
    gap = np.sqrt(weights) * (product(turned).T - product(fit))
    assert np.linalg.norm(gap) <= 1e-4 * misfit(x, weights, 0)


@pytest.mark.parametrize("method", METHODS)
def test_rows_and_columns_without_weight_are_zero_and_change_nothing(method):
    x, weights = case()
    wide, heavy = np.full((M + 2, N + 1), np.nan), np.zeros((M + 2, N + 1))
    rows, columns = np.delete(np.arange(M + 2), [0, 5]), np.delete(np.arange(N + 1), 4)
    wide[np.ix_(rows, columns)], heavy[np.ix_(rows, columns)] = x, weights
    fit = fitted(wide, heavy, method=method, tol=1e-13)
    z = product(fit)
    assert np.abs(z[[0, 5]]).max() <= 20 * EPS * np.abs(z).max()
    assert np.abs(z[:, 4]).max() <= 20 * EPS * np.abs(z).max()
    plain = fitted(x, weights, method=method, tol=1e-13)
    assert fit.error == pytest.approx(plain.error, rel=1e-8)
    assert np.linalg.norm(z[np.ix_(rows, columns)] - product(plain)) <= 1e-4 * np.linalg.norm(x)


@pytest.mark.when_compiled(what="what is seen")
@pytest.mark.parametrize("what", ["weights", "data", "what is seen"])
def test_nothing_to_fit_gives_zero(xp, what):
    x, weights = case("holes")
    x = {"weights": x, "data": 0 * x, "what is seen": np.where(weights > 0, 0.0, np.inf)}[what]
    fit = fitted(xp.asarray(x), xp.asarray(0 * weights if what == "weights" else weights))
    assert not np.any(product(fit, xp))
    assert fit[1:] == (0.0, 0, td.Status.CONVERGED)


@pytest.mark.parametrize("kind", KINDS)
def test_a_general_minimiser_finds_nothing_better_nearby(kind):
    x, weights = case(kind)
    fit = fitted(x, weights, tol=1e-12)
    roots = np.sqrt(weights)

    def gaps(flat):
        left, right = flat[: M * K].reshape(M, K), flat[M * K :].reshape(K, N)
        return (roots * (left @ right - x)).ravel()

    start = np.concatenate([factor.ravel() for factor in fit.tensor])
    found = scipy.optimize.least_squares(gaps, start, xtol=1e-14, ftol=1e-14, gtol=1e-14)
    assert np.sqrt(2 * found.cost) >= misfit(x, weights, product(fit)) * (1 - 1e-9)


@pytest.mark.when_compiled(method="als")
@pytest.mark.parametrize("method", METHODS)
def test_methods_agree_on_every_library(xp, method):
    x, weights = case("fisher", "complex128")
    fit = fitted(xp.asarray(x), xp.asarray(weights), method=method, tol=1e-10)
    error = fitted(x, weights, tol=1e-12).error
    assert fit.error == pytest.approx(error, rel=1e-6)
    assert misfit(x, weights, product(fit, xp)) == pytest.approx(
        fit.error * misfit(x, weights, 0), rel=1e-10
    )


@pytest.mark.when_compiled(dtype="float32")
def test_dtypes_are_kept(xp, dtype):
    x, weights = case("holes", dtype)
    fit = fitted(xp.asarray(x), xp.asarray(weights), init="random")
    left, right = map(xp.to_numpy, fit.tensor)
    assert left.dtype == right.dtype == dtype
    tolerance = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(left.conj().T @ left, np.eye(K), rtol=0, atol=tolerance)
    assert fit.error == pytest.approx(fitted(x.astype(complex), weights).error, rel=1e-4)


def test_the_error_is_true_in_single_precision():
    x, weights = (part.astype("float32") for part in case(shape=(600, 200)))
    fit = fitted(x, weights, max_iter=2, init="svd")
    x, weights, z = (part.astype("float64") for part in (x, weights, product(fit)))
    truth = misfit(x, weights, z) / misfit(x, weights, 0)
    assert fit.error == pytest.approx(truth, rel=2e-6)


@pytest.mark.parametrize("shape", [(), (N,), (M, 1)])
def test_a_penalty_takes_weights_that_are_broadcast(shape):
    x, _ = case()
    weights = np.random.default_rng(0).random(shape) + 0.5
    fit = fitted(x, weights, regularization=1.0, tol=1e-12)
    full = fitted(x, np.broadcast_to(weights, (M, N)).copy(), regularization=1.0, tol=1e-12)
    np.testing.assert_array_equal(product(fit), product(full))
    assert fit.n_iter > 0


@pytest.mark.parametrize("init", ["best", "svd", "random"])
@pytest.mark.parametrize("n_starts", [1, 3])
def test_the_same_seed_gives_the_same_answer(init, n_starts):
    x, weights = case("holes")
    one, other = (fitted(x, weights, init=init, n_starts=n_starts) for _ in range(2))
    np.testing.assert_array_equal(one.tensor.left, other.tensor.left)
    assert one[1:] == other[1:]


@pytest.mark.parametrize("method", METHODS)
def test_a_race_leaves_a_point_where_slopes_vanish(method):
    # The first entry alone is stationary, and no minimum.
    x = np.diag([10.0, 4.0, 3.9])
    weights = np.asarray([[1.0, 1, 1], [1, 2, 1], [1, 1, 9.0]])
    trapped = td.LowRank(np.asarray([[1.0], [0], [0]]), np.asarray([[10.0, 0, 0]]))
    options = {"rank": 1, "init": trapped, "method": method, "rng": 0, "tol": 1e-12}
    alone = weighted_low_rank(x, weights, **options)
    raced = weighted_low_rank(x, weights, n_starts=6, **options)
    assert alone.error == pytest.approx(np.sqrt(168.89 / 268.89), rel=1e-9)
    root = np.sqrt(weights)
    gaps = lambda flat: (root * (np.outer(flat[:3], flat[3:]) - x)).ravel()  # noqa: E731
    rng = np.random.default_rng(0)
    best = min(scipy.optimize.least_squares(gaps, rng.standard_normal(6)).cost for _ in range(10))
    assert raced.error == pytest.approx(np.sqrt(2 * best / 268.89), rel=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_no_start_of_ones_own_is_spoilt(method):
    x, weights = case()
    rng = np.random.default_rng(1)
    start = td.LowRank(rng.standard_normal((M, K)), rng.standard_normal((K, N)))
    fit = fitted(x, weights, method=method, init=start, max_iter=1)
    assert fit.n_iter == 1
    assert misfit(x, weights, product(fit)) < misfit(x, weights, start.to_array())
    there = fitted(x, weights, method=method, tol=1e-12).tensor
    again = fitted(x, weights, method=method, init=there)
    assert again.n_iter <= 3
    reached = misfit(x, weights, there.to_array())
    assert misfit(x, weights, product(again)) <= reached * (1 + 20 * EPS)


@pytest.mark.parametrize("method", METHODS)
def test_exact_data_of_smaller_rank_is_found_exactly(method):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((M, 2)) @ rng.standard_normal((2, N))
    fit = fitted(x, rng.random((M, N)), rank=4, method=method)
    assert fit.error <= 1e-8
    assert fit.status is td.Status.CONVERGED


@pytest.mark.parametrize("method", ["gradient", "als"])
def test_rows_with_fewer_entries_than_unknowns_hold_nothing_up(method):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((40, 4)) @ rng.standard_normal((4, 30))
    weights = rng.random((40, 30)) * (rng.random((40, 30)) < rng.beta(0.7, 1.0, (40, 1)))
    assert np.sum(np.count_nonzero(weights, axis=1) < 4) >= 5
    assert fitted(x, weights, rank=4, method=method).error <= 1e-10
    x = x + 0.1 * rng.standard_normal(x.shape)
    fit = fitted(x, weights, rank=4, method=method)
    assert fit.status is td.Status.CONVERGED
    assert fit.error <= 1.0001 * fitted(x, weights, rank=4, method="em", max_iter=300).error


@pytest.mark.parametrize("shape", [(1, N), (M, 1), (1, 1)])
def test_modes_of_size_one_are_allowed(shape):
    x, weights = case(shape=shape)
    assert fitted(x, weights, rank=1).error <= 1e-12


@pytest.mark.parametrize("method", METHODS)
def test_weights_over_thirty_decades_keep_what_is_heavy(method):
    x, _ = case()
    weights = 10.0 ** np.random.default_rng(0).uniform(-30, 0, (M, N))
    fit = fitted(x, weights, method=method, max_iter=100)
    assert np.all(np.isfinite(product(fit)))
    rows, columns = np.sqrt(weights.mean(axis=1)), np.sqrt(weights.mean(axis=0))
    other = td.weighted_svd(x, left=rows, right=columns, rank=K).to_array()
    assert fit.error * misfit(x, weights, 0) <= misfit(x, weights, other)


@pytest.mark.parametrize("method", METHODS)
def test_rows_of_weights_far_apart_stay_of_the_size_of_the_data(method):
    # Roundings of light rows, divided by roots of their weights, were larger than all else.
    x, weights = case()
    weights = weights * np.geomspace(1e-150, 1e150, M)[:, None]
    fit = fitted(x, weights, method=method)
    z = product(fit)
    assert fit.error <= 100 * EPS
    assert np.linalg.norm(z - x) <= 10 * np.linalg.norm(x)
    np.testing.assert_allclose(z[-1], x[-1], rtol=0, atol=100 * EPS * np.abs(x).max())


@pytest.mark.parametrize("method", METHODS)
def test_large_entries_that_weigh_nearly_nothing_do_not_spoil_the_others(method):
    rng = np.random.default_rng(0)
    x, weights = case()
    x, weights = (
        x * 10.0 ** rng.uniform(-90, 90, x.shape),
        weights * 10.0 ** rng.uniform(-300, 0, x.shape),
    )
    fit = fitted(x, weights, method=method)
    assert fit.error <= 1 + 100 * EPS


def test_products_of_weights_that_underflow_are_of_rank_one_still():
    x, _ = case()
    rng = np.random.default_rng(2)
    left = np.geomspace(1, 1e-154, M) * rng.uniform(1, 2, M)
    right = np.geomspace(1, 1e-4, N) * rng.uniform(1, 2, N)
    fit = fitted(x, np.outer(left**2, right**2))
    assert fit.n_iter == 0


@pytest.mark.writable
def test_inputs_of_any_kind_are_taken_and_left_alone(xp):
    x, weights = case()
    a, b = xp.asarray(x), xp.asarray(weights)
    fitted(a, b, max_iter=2)
    np.testing.assert_array_equal(xp.to_numpy(a), x)
    np.testing.assert_array_equal(xp.to_numpy(b), weights)


def test_lists_integers_and_other_layouts_are_arrays():
    x, weights = case()
    x = np.round(10 * x)
    truth = fitted(x, weights).error
    swapped = x.astype(x.dtype.newbyteorder())
    for same in (x.tolist(), x.astype(int), np.asfortranarray(x), swapped, x[::-1][::-1]):
        assert fitted(same, weights.tolist()).error == pytest.approx(truth, rel=1e-6)
    assert fitted(x.astype("float16"), weights).tensor.dtype == np.float32


@pytest.mark.parametrize(("x", "weights", "options", "kind", "message"), [
    (None, -1.0, {}, ValueError, r"weights must be nonnegative, got -1.0"),
    (None, np.full((M, N), 1j), {}, TypeError, r"weights must be real"),
    (None, np.ones((M, 2)), {}, ValueError, r"weights of shape \(14, 2\) cannot be broadcast"),
    (None, np.full(N, np.nan), {}, ValueError, r"weights has 11 non-finite"),
    (np.full((M, N), np.nan), 1.0, {}, ValueError, r"x has 154 non-finite .* x\[0, 0\]"),
    (np.ones(3), 1.0, {}, ValueError, r"x must have 2 dimensions"),
    (np.ones((0, 3)), 1.0, {}, ValueError, r"x is empty"),
    (scipy.sparse.eye_array(4), 1.0, {}, TypeError, r"x must be an array"),
    (None, None, {"rank": 0}, ValueError, r"rank must be an int between 1 and 11, got 0"),
    (None, None, {"rank": N + 1}, ValueError, r"rank must be .* got 12"),
    (None, None, {"rank": 2.5}, TypeError, r"rank must be .* got 2.5"),
    (None, None, {"rank": True}, TypeError, r"rank must be .* got True"),
    (None, None, {"method": "svd"}, ValueError, r"method must be one of 'gradient', 'als', 'em'"),
    (None, None, {"init": "zeros"}, ValueError, r"init must be one of 'best', 'svd', 'random'"),
    (None, None, {"init": 3}, TypeError, r"init must be a LowRank or one of"),
    (None, None, {"init": td.LowRank(np.ones((M, 2)), np.ones((2, N)))}, ValueError,
     r"init.left must have shape \(14, 3\), got \(14, 2\)"),
    (None, None, {"init": td.LowRank(np.full((M, K), 1j), np.ones((K, N)))}, TypeError,
     r"init.left is complex, x is real"),
    (None, None, {"init": td.LowRank(np.ones((M, K)), np.full((K, N), np.inf))}, ValueError,
     r"init.right has 33 non-finite"),
    (None, None, {"init": td.LowRank(np.full((M, K), 1e150), np.full((K, N), 1e150))}, ValueError,
     r"init is too large"),
    (None, None, {"regularization": -1.0}, ValueError, r"regularization must be a number >= 0"),
    (None, None, {"n_starts": 0}, ValueError, r"n_starts must be an int >= 1"),
    (None, None, {"max_iter": 0}, ValueError, r"max_iter must be an int >= 1"),
    (None, None, {"tol": "small"}, TypeError, r"tol must be a number"),
    (None, None, {"callback": 3}, TypeError, r"callback must be callable"),
    (None, None, {"rng": "seed"}, TypeError, r"rng must be"),
])  # fmt: skip
def test_what_is_wrong_is_named(x, weights, options, kind, message):
    good, heavy = case()
    with pytest.raises(kind, match=message):
        fitted(good if x is None else x, heavy if weights is None else weights, **options)


def test_a_number_that_is_none_is_refused_only_where_it_counts():
    x, weights = case()
    x[2, 3] = np.inf
    with pytest.raises(ValueError, match=r"x has 1 non-finite .* x\[2, 3\]"):
        fitted(x, weights)
    weights[2, 3] = 0
    assert np.all(np.isfinite(product(fitted(x, weights))))


def test_libraries_do_not_mix():
    torch = pytest.importorskip("torch")
    x, weights = case()
    with pytest.raises(TypeError, match="one library"):
        fitted(x, torch.asarray(weights))


def test_gradients_are_refused_with_a_reason():
    torch = pytest.importorskip("torch")
    x, weights = map(torch.asarray, case())
    with pytest.raises(ValueError, match="steps cannot be judged by values"):
        fitted(x, weights.requires_grad_())


def test_a_callback_stops():
    x, weights = case("holes")
    fit = fitted(x, weights, tol=0.0, callback=lambda progress: progress.iteration == 3)
    assert fit.n_iter == 3
    assert fit.status is td.Status.INTERRUPTED


def test_gradients_of_large_rank_take_a_small_multiple_of_the_memory_of_the_input():
    rng, (m, n, k) = np.random.default_rng(0), (700, 500, 90)
    x, weights = rng.standard_normal((m, n)), rng.random((m, n))
    tracemalloc.start()
    try:
        weighted_low_rank(x, weights, rank=k, max_iter=2, tol=0.0, rng=0)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 5 * (x.nbytes + weights.nbytes)
    assert (m + n) * k**2 * x.itemsize > 2 * most  # the inverses of all curvatures alone


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("rank", "scale"), [(1, 0.3), (2, 1.0)])
def test_parts_that_no_weight_connects_are_fitted_each(xp, method, rank, scale):
    """The leading vectors of the whole leave rounding to other parts, and steps divide by it."""
    rng = np.random.default_rng(0)
    x, weights = np.zeros((2, 30, 20))
    for part, size in ((np.s_[:15, :10], 1.0), (np.s_[15:, 10:], scale)):
        x[part] = size * rng.standard_normal((15, rank)) @ rng.standard_normal((rank, 10))
        weights[part] = rng.uniform(0.5, 2, (15, 10))
    fit = weighted_low_rank(xp.asarray(x), xp.asarray(weights), rank=rank, method=method, rng=0)
    assert fit.error < 1e-12
    assert np.max(abs(xp.to_numpy(fit.tensor.to_array()))) < 2 * np.max(abs(x))
