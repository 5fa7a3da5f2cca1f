"""Generalised CP: gradients, sparse sums, known answers, bad input."""

import numpy as np
import pytest
from scipy.optimize import check_grad

import tdecomp as td
from tdecomp import Status, cp
from tdecomp.cp import CP, gcp
from tdecomp.cp._gcp import _objective
from tdecomp.cp._gcp_minimise import Deviance, _Minimisation
from tdecomp.cp._gcp_sampled import _draw, _estimate
from tdecomp.cp._losses import LOSSES
from tdecomp.ops import COO, coo, from_dense
from tdecomp.testing import gaussian

SHAPE, RANK = (9, 8, 7), 2
BITS = ("bernoulli-odds", "bernoulli-logit")


def truth(seed=0, shape=SHAPE, rank=RANK, size=20.0):
    rng = np.random.default_rng(seed)
    return CP(np.full(rank, size), tuple(rng.random((n, rank)) for n in shape))


def data(loss, seed=0, shape=SHAPE):
    """Draws from the distribution of a loss, with a model of rank two as its mean or odds."""
    rng, m = np.random.default_rng(seed), truth(seed, shape).to_array()
    draws = {
        "gaussian": lambda: m + rng.standard_normal(shape),
        "poisson": lambda: rng.poisson(m),
        "poisson-log": lambda: rng.poisson(np.exp(m / 10)),
        "bernoulli-odds": lambda: rng.random(shape) < m / (1 + m),
        "bernoulli-logit": lambda: rng.random(shape) < 1 / (1 + np.exp(5 - m)),
        "gamma": lambda: rng.gamma(2.0, m / 2),
        "rayleigh": lambda: rng.rayleigh(m),
        "huber": lambda: m + rng.standard_t(1.5, shape),
        "negative-binomial": lambda: rng.negative_binomial(1, 1 / (1 + m)),
    }
    return np.asarray(draws[loss](), dtype=float)


def sparse_counts(seed=0):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(SHAPE) < 0.15, rng.poisson(4.0, SHAPE), 0).astype(float)


def minimisation(x, loss, weights=None, ridge=0.0):
    objective, unit, _, xp = _objective(x, weights, LOSSES[loss])
    deviance = Deviance.of(objective, ridge)
    positive = LOSSES[loss].lower == 0
    factors = [gaussian((n, RANK), rng=k) for k, n in enumerate(SHAPE)]
    factors = [np.abs(f) + 0.1 if positive else f for f in factors]
    state = _Minimisation(deviance, factors, tol=0.0, callback=None, unit=unit, xp=xp)
    return state, state.flat(factors)


def slope_error(state, point):
    """The error of the gradient against differences, relative to its norm."""
    gradient = state.evaluate(point)[1]
    gap = check_grad(lambda v: state.evaluate(v)[0], lambda v: state.evaluate(v)[1], point)
    return gap / np.linalg.norm(gradient)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_equal_finite_differences(loss):
    rng = np.random.default_rng(1)
    x, weights = data(loss), rng.integers(0, 3, SHAPE)
    assert slope_error(*minimisation(x, loss)) <= 1e-5
    assert slope_error(*minimisation(x, loss, weights, ridge=0.3)) <= 1e-5
    stored = from_dense(sparse_counts() > 0 if loss in BITS else sparse_counts())
    assert slope_error(*minimisation(stored, loss)) <= 1e-5
    assert slope_error(*minimisation(stored, loss, stored._replace(values=stored.values + 1))) <= 1e-5  # fmt: skip  # noqa: E501


@pytest.mark.parametrize("loss", LOSSES)
def test_sparse_tensors_mean_the_same_as_dense_ones(loss):
    x = (sparse_counts() > 0).astype(float) if loss in BITS else sparse_counts()
    dense, point = minimisation(x, loss)
    listed, _ = minimisation(from_dense(x), loss)
    for a, b in zip(dense.evaluate(point), listed.evaluate(point), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-9)
    one, two = (gcp(y, rank=2, loss=loss, rng=0, max_iter=5) for y in (x, from_dense(x)))
    assert 0.0 <= two.error <= 1.5
    assert np.isfinite(one.error)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_plan_multiplies_as_entries_do(monkeypatch, dtype):
    from tdecomp.cp import _gcp_objective

    x = from_dense(sparse_counts().astype(dtype))
    factors = [gaussian((n, RANK), rng=k, dtype=dtype) for k, n in enumerate(SHAPE)]
    one = _gcp_objective.Listed(x, None, LOSSES["poisson"], True, np)
    assert _gcp_objective.plan(x) is None
    monkeypatch.setattr(_gcp_objective, "_PLANNED", 0)
    two = one._replace(plan=_gcp_objective.plan(x))
    factors = [np.abs(f) for f in factors]
    for _ in range(2):
        direct, planned = one.at(factors), two.at(factors)
        assert planned.value == direct.value
        for a, b in zip(direct.products, planned.products, strict=True):
            np.testing.assert_allclose(b, a, rtol=50 * np.finfo(dtype).eps, atol=1e-5)
        factors = [f + 0.1 for f in factors]


def test_the_zeros_of_counts_are_summed_without_a_look_at_them():
    rng = np.random.default_rng(0)
    shape = (100_000, 50_000, 20_000)
    x = coo(np.stack([rng.integers(0, n, 3000) for n in shape]), rng.poisson(3.0, 3000), shape)
    fit = gcp(x, rank=2, loss="poisson", rng=0, max_iter=3)
    assert np.isfinite(fit.error)
    # Where rows and columns are scaled freely, a Poisson optimum has the total of the data.
    assert fit.tensor.shape == shape


@pytest.mark.parametrize("loss", ["poisson", "bernoulli-logit", "huber"])
def test_sampled_losses_and_gradients_are_right_on_average(loss):
    x = from_dense(sparse_counts() > 0)
    state, point = minimisation(x, loss)
    factors = [f / 3 for f in state.cut(point)]
    exact = state._deviance.objective.at(factors)
    rng, runs = np.random.default_rng(0), 400
    values, products = [], []
    for _ in range(runs):
        value, gradient = _estimate(_draw(x, 50, rng, np), factors, LOSSES[loss], SHAPE, np)
        values.append(value)
        products.append(gradient[1])
    for drawn, true in ((values, exact.value), (products, exact.products[1])):
        spread = np.std(drawn, axis=0) / runs**0.5
        # Five standard deviations.
        assert np.all(np.abs(np.mean(drawn, axis=0) - true) <= 5 * spread)


def test_samples_come_near_the_minimum():
    rng = np.random.default_rng(0)
    factors = tuple(np.where(rng.random((n, 2)) < 0.3, rng.random((n, 2)), 0.01) for n in SHAPE)
    odds = CP(np.full(2, 30.0), factors).to_array()
    x = from_dense(rng.random(SHAPE) < odds / (1 + odds))
    exact = gcp(x, rank=2, loss="bernoulli-odds", rng=0)
    seen = []
    fit = gcp(x, rank=2, loss="bernoulli-odds", rng=0, samples=100, callback=seen.append)
    assert fit.status in (Status.CONVERGED, Status.MAX_ITER)
    assert [p.error for p in seen] == sorted((p.error for p in seen), reverse=True)
    true = gcp(x, rank=2, loss="bernoulli-odds", init=fit.tensor, max_iter=1).error
    assert exact.error <= true <= exact.error + 0.1
    assert fit.error == pytest.approx(true, abs=0.1)
    assert all(np.all(f >= 0) for f in fit.tensor.factors)


def test_samples_serve_tensors_of_any_size():
    rng = np.random.default_rng(0)
    shape = (3000, 2000, 5000)
    x = coo(np.stack([rng.integers(0, n, 2000) for n in shape]), np.ones(2000), shape)
    x = x._replace(values=np.minimum(x.values, 1.0))
    fit = gcp(x, rank=2, loss="bernoulli-logit", rng=0, samples=20, max_iter=1)
    assert fit.tensor.shape == shape
    assert np.isfinite(fit.error)


@pytest.mark.parametrize("loss", LOSSES)
def test_weights_and_coordinates_of_observations_mean_the_same(loss):
    x = data(loss)
    seen = np.random.default_rng(3).random(SHAPE) < 0.6
    holes = np.where(seen, x, np.nan)
    places = np.nonzero(seen)
    listed = coo(places, x[places], SHAPE)
    start = truth(5, size=1.0)
    options = {"rank": 2, "loss": loss, "init": start, "max_iter": 8}
    one = gcp(holes, weights=seen, **options)
    two = gcp(listed, weights=listed._replace(values=np.ones(listed.nnz)), **options)
    assert two.error == pytest.approx(one.error, rel=1e-6)
    assert cp.factor_match_score(one.tensor, two.tensor) == pytest.approx(1.0, abs=1e-4)


def test_integer_weights_are_repetitions():
    rng = np.random.default_rng(0)
    x, weights = data("poisson"), rng.integers(1, 4, SHAPE)
    state, point = minimisation(x, "poisson", weights)
    sums = state._deviance.objective.at(state.cut(point))
    total = 0.0
    for k in range(1, 4):
        part, _ = minimisation(x, "poisson", (weights >= k).astype(float))
        total += part._deviance.objective.at(state.cut(point)).value
    assert sums.value == pytest.approx(total)


def test_the_gaussian_loss_is_least_squares():
    x = data("gaussian")
    fit = gcp(x, rank=2, loss="gaussian", rng=0, tol=1e-13)
    best = cp.cp_gauss_newton(x, rank=2)
    assert float(td.relative_error(x, fit.tensor)) == pytest.approx(best.error, rel=1e-6)
    misfit = np.sum((x - fit.tensor.to_array()) ** 2)
    assert fit.error == pytest.approx(misfit / np.sum((x - x.mean()) ** 2))


@pytest.mark.parametrize("loss", LOSSES)
def test_the_error_is_the_part_of_the_deviance_that_is_left(loss):
    x = data(loss)
    fit = gcp(x, rank=2, loss=loss, rng=0, max_iter=30)
    value, best = LOSSES[loss].value, LOSSES[loss].best(x)
    low, high = max(best.min(), -30.0), min(best.max(), 200.0)
    grid = np.concatenate([np.linspace(low, high, 4001), np.linspace(low, min(high, 3.0), 4001)])
    null = min(float(np.sum(value(x, np.full(SHAPE, c)))) for c in grid)
    least = float(np.sum(value(x, best)))
    mine = float(np.sum(value(x, fit.tensor.to_array())))
    assert fit.error == pytest.approx((mine - least) / (null - least), rel=1e-3)
    assert fit.error < 1.0


@pytest.mark.parametrize(
    "loss", ["gaussian", "poisson", "bernoulli-odds", "bernoulli-logit", "gamma", "rayleigh"]
)
def test_no_loss_is_above_that_of_pyttb_from_the_same_start(loss):
    pyttb = pytest.importorskip("pyttb")
    from pyttb.gcp.handles import Objectives
    from pyttb.gcp.optimizers import LBFGSB

    x, start = data(loss), truth(7)
    optimizer = LBFGSB(factr=1e2, pgtol=1e-9, maxiter=3000)
    init = pyttb.ktensor([np.array(f, order="F") for f in start.factors], start.weights)
    with np.errstate(over="ignore", invalid="ignore"):
        objective = Objectives[loss.upper().replace("-", "_")]
        theirs, _, _ = pyttb.gcp_opt(
            pyttb.tensor(x), 2, objective, optimizer, init=init, printitn=0
        )
    fit = gcp(x, rank=2, loss=loss, init=start, tol=1e-12, max_iter=3000)
    value = LOSSES[loss].value
    mine, other = (float(np.sum(value(x, np.maximum(m, LOSSES[loss].lower))))
                   for m in (fit.tensor.to_array(), theirs.full().data))  # fmt: skip
    # Odds of bits that are all equal run away: neither gets to the end.
    assert mine <= other + (1e-3 if loss in BITS else 1e-6) * abs(other)


def test_rates_of_counts_are_recovered_better_than_by_squares():
    shape, rank = (20, 25, 30), 3
    rates = truth(2, shape, rank, size=2.0)
    x = np.random.default_rng(0).poisson(rates.to_array())
    poisson, squares = (
        max((gcp(x, rank=rank, loss=loss, rng=seed) for seed in range(3)), key=lambda f: -f.error)
        for loss in ("poisson", "gaussian")
    )
    scores = [cp.factor_match_score(fit.tensor, rates) for fit in (poisson, squares)]
    assert scores[0] > 0.85
    assert scores[0] > scores[1]
    assert all(np.all(f >= 0) for f in poisson.tensor.factors)
    # At an optimum over a scale, the model has the total of the data.
    assert float(np.sum(poisson.tensor.to_array())) == pytest.approx(np.sum(x), rel=1e-4)


def test_outliers_do_not_move_the_huber_loss():
    clean = truth(1, (12, 11, 10))
    x = clean.to_array() + 0.01 * gaussian((12, 11, 10), rng=3)
    hit = np.random.default_rng(0).random(x.shape) < 0.05
    x = np.where(hit, 500.0, x)
    start = cp.initialise(np.where(hit, np.median(x), x), rank=2, init="hosvd", rng=0)
    robust, squares = (gcp(x, rank=2, loss=loss, init=start) for loss in (cp.huber(0.05), "gaussian"))  # fmt: skip  # noqa: E501
    errors = [float(td.relative_error(clean.to_array(), f.tensor)) for f in (robust, squares)]
    assert errors[0] <= 0.01
    assert errors[1] >= 10 * errors[0]


def test_missing_counts_are_predicted():
    rates = truth(3, (15, 16, 17), 2, size=50.0)
    x = np.random.default_rng(0).poisson(rates.to_array()).astype(float)
    seen = np.random.default_rng(1).random(x.shape) < 0.3
    fit = gcp(np.where(seen, x, np.nan), rank=2, loss="poisson", weights=seen, rng=0)
    gap = (fit.tensor.to_array() - rates.to_array())[~seen]
    assert np.linalg.norm(gap) <= 0.15 * np.linalg.norm(rates.to_array()[~seen])


@pytest.mark.parametrize("init", ["random", "hosvd", "gevd"])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_start_serves_every_loss(init, loss):
    fit = gcp(data(loss), rank=2, loss=loss, init=init, rng=0)
    assert fit.error < 1.0
    assert fit.status in (Status.CONVERGED, Status.STAGNATED, Status.MAX_ITER)
    if LOSSES[loss].lower == 0:
        assert all(np.all(f >= 0) for f in fit.tensor.factors)


@pytest.mark.parametrize("scale", [1e-300, 1e-3, 1e10, 1e30, 1e300])
def test_odds_of_any_size_are_found(scale):
    # Where f(x, m) has its minimum at m = x, exact data are their own best model.
    rng = np.random.default_rng(0)
    x = CP(np.ones(2), tuple(rng.random((n, 2)) for n in (5, 6, 7))).to_array()
    fit = cp.gcp(x * scale, rank=2, loss="negative-binomial", rng=0)
    assert fit.error <= 1e-6
    assert np.linalg.norm(fit.tensor.to_array() / scale - x) <= 1e-3 * np.linalg.norm(x)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
@pytest.mark.parametrize("loss", ["gaussian", "poisson", "gamma", "rayleigh", "huber"])
def test_scales(scale, loss):
    x = data(loss)
    power = 2.0 ** round(np.log2(scale))
    losses = [cp.huber(d) if loss == "huber" else loss for d in (1.0, power)]
    one = gcp(x, rank=2, loss=losses[0], rng=0, max_iter=20)
    two = gcp(x * power, rank=2, loss=losses[1], rng=0, max_iter=20)
    assert two.error == pytest.approx(one.error, rel=1e-9)
    np.testing.assert_allclose(two.tensor.weights / power, one.tensor.weights, rtol=1e-9)


@pytest.mark.parametrize("loss", ["poisson", "bernoulli-logit"])
def test_every_backend(xp, loss):
    sparse = loss == "bernoulli-logit"
    x = data(loss, shape=(6, 6, 6))
    host = from_dense(x) if sparse else x
    move = xp.asarray
    other = COO(move(host.indices), move(host.values), host.shape) if sparse else move(x)
    options = {"rank": 2, "loss": loss, "rng": 0, "max_iter": 4}
    one, two = gcp(host, **options), gcp(other, **options)
    assert two.error == pytest.approx(one.error, rel=1e-6)
    assert two.tensor.dtype == move(np.zeros(1)).dtype
    np.testing.assert_allclose(xp.to_numpy(two.tensor.weights), one.tensor.weights, rtol=1e-4)


def test_single_precision():
    x = data("poisson").astype("f4")
    fit = gcp(x, rank=2, loss="poisson", rng=0)
    assert fit.tensor.dtype == np.float32
    double = gcp(x.astype(float), rank=2, loss="poisson", rng=0)
    assert fit.error == pytest.approx(double.error, rel=1e-3)


def test_callbacks_see_every_step_and_interrupt():
    x, seen = data("poisson"), []

    def stop(progress):
        seen.append(progress)
        return len(seen) == 5

    fit = gcp(x, rank=2, loss="poisson", rng=0, callback=stop)
    assert fit.status is Status.INTERRUPTED
    assert fit.n_iter == 5
    assert [p.iteration for p in seen] == [1, 2, 3, 4, 5]
    assert [p.error for p in seen] == sorted((p.error for p in seen), reverse=True)
    assert fit.error == pytest.approx(seen[-1].error)
    again = gcp(x, rank=2, loss="poisson", init=seen[1].tensor, max_iter=1)
    assert again.error <= seen[1].error
    assert gcp(x, rank=2, loss="poisson", rng=0, max_iter=2).status is Status.MAX_ITER


def test_constant_and_zero_tensors():
    for loss in ("gaussian", "poisson", "bernoulli-odds"):
        for x in (np.zeros((3, 4, 5)), np.ones((3, 4, 5))):
            fit = gcp(x, rank=1, loss=loss, rng=0)
            assert np.all(np.isfinite(fit.tensor.to_array()))
            assert np.isfinite(fit.error) or fit.error > 0
    fit = gcp(np.ones((3, 4, 5)), rank=1, rng=0)
    assert np.allclose(fit.tensor.to_array(), 1.0, atol=1e-4)


@pytest.mark.parametrize("shape", [(6,), (4, 5), (1, 3, 1), (2,) * 12])
def test_all_numbers_of_modes(shape):
    x = np.random.default_rng(0).poisson(5.0, shape)
    fit = gcp(x, rank=1, loss="poisson", rng=0)
    assert fit.tensor.shape == shape
    assert np.isfinite(fit.error)
    listed = from_dense(x)
    for weights in (None, listed._replace(values=np.ones(listed.nnz))):
        again = gcp(listed, rank=1, loss="poisson", rng=0, weights=weights, max_iter=5)
        assert again.tensor.shape == shape


def test_a_loss_that_is_not_finite_is_reported():
    broken = cp.Loss(lambda x, m: np.where(np.isfinite(m), np.inf, x), lambda x, m: 0 * m + 0 * x)
    fit = gcp(data("gaussian"), rank=2, loss=broken, rng=0)
    assert fit.status is Status.NONFINITE
    assert all(np.all(np.isfinite(f)) for f in fit.tensor.factors)


def test_a_loss_of_ones_own():
    x = data("gaussian")
    mine = cp.Loss(lambda x, m: (m - x) ** 2, lambda x, m: 2 * (m - x))
    one, two = (gcp(x, rank=2, loss=loss, rng=0, max_iter=9) for loss in (mine, "gaussian"))
    assert one.error == pytest.approx(two.error, rel=1e-2)
    positive = gcp(x - 5.0, rank=2, loss=mine._replace(lower=0.0), rng=0)
    assert all(np.all(f >= 0) for f in positive.tensor.factors)


def test_a_ridge_shrinks():
    x = data("gaussian")
    weights = [gcp(x, rank=2, ridge=r, rng=0).tensor.weights for r in (0.0, 10.0, 1e3)]
    penalties = [3 * np.sum(w ** (2 / 3)) for w in weights]
    assert penalties[0] > penalties[1] > penalties[2]


def test_forms_of_input():
    x = data("poisson").astype(int)
    frozen = x.astype(float)
    frozen.setflags(write=False)
    expected = gcp(frozen, rank=2, loss="poisson", rng=0, max_iter=5).error
    for form in (x, x.tolist(), np.asfortranarray(x), x.astype(">f8"), x.astype("u1")):
        fit = gcp(form, rank=2, loss="poisson", rng=0, max_iter=5)
        assert fit.error == pytest.approx(expected)


def test_what_does_not_fit_is_refused():
    x = data("poisson")
    hole = np.where(np.arange(9)[:, None, None] == 4, 0.0, np.ones(SHAPE))
    dotted = x.copy()
    dotted[1, 2, 3] = np.nan
    refusals = [
        (x, {"rank": 0}, ValueError, "rank must be"),
        (x, {"rank": True}, TypeError, "rank must be"),
        (x, {"rank": 2, "loss": "l1"}, ValueError, "loss must be one of"),
        (-x, {"rank": 2, "loss": "poisson"}, ValueError, "entries between 0 and inf"),
        (x, {"rank": 2, "loss": "bernoulli-odds"}, ValueError, "entries between 0 and 1"),
        (x + 1j, {"rank": 2}, TypeError, "x is complex"),
        (dotted, {"rank": 2}, ValueError, r"x has 1 non-finite .* x\[1, 2, 3\]; .*weights="),
        (dotted, {"rank": 2, "weights": np.ones(SHAPE)}, ValueError, r"x\[1, 2, 3\]"),
        (x, {"rank": 2, "weights": -hole}, ValueError, "weights must be nonnegative"),
        (x, {"rank": 2, "weights": hole}, ValueError, "mode 0"),
        (x, {"rank": 2, "weights": np.ones(5)}, ValueError, "cannot be broadcast"),
        (x, {"rank": 2, "ridge": -1}, ValueError, "ridge must be"),
        (x, {"rank": 2, "max_iter": 0}, ValueError, "max_iter must be"),
        (x, {"rank": 3, "init": truth()}, ValueError, "init must have"),
        (x, {"rank": 2, "samples": 10}, ValueError, "samples= is for sparse tensors"),
        (from_dense(x), {"rank": 2, "samples": 0}, ValueError, "samples must be"),
    ]
    for value, options, error, message in refusals:
        with pytest.raises(error, match=message):
            gcp(value, **options)
    negative = truth()._replace(weights=np.array([1.0, -1.0]))
    with pytest.raises(ValueError, match="init must be nonnegative"):
        gcp(x, rank=2, loss="poisson", init=negative)
    huge = coo(np.zeros((3, 1), int), [1.0], (10_000, 10_000, 10_000))
    with pytest.raises(ValueError, match="too many to sum"):
        gcp(huge, rank=2, loss="bernoulli-logit")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"callback": 3}, TypeError, "callback must be callable, got 3"),
        ({"tol": -1.0}, ValueError, "tol must be a number >= 0, got -1"),
        ({"ridge": np.nan}, ValueError, "ridge must be a number >= 0, got nan"),
    ],
)
def test_loops_are_not_entered_with_options_that_cannot_be(options, error, message):
    with pytest.raises(error, match=message):
        gcp(np.ones((3, 4, 5)), rank=1, **options)
