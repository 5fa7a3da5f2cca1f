"""Every loss is what its formula says, and what is said about it holds."""

import numpy as np
import pytest
import scipy.stats

from tdecomp import cp
from tdecomp.cp._losses import LOSSES, named

NONNEGATIVE = {"poisson", "bernoulli-odds", "gamma", "rayleigh", "negative-binomial"}
BITS = {"bernoulli-odds", "bernoulli-logit"}
ALL = {**LOSSES, "huber 0.3": cp.huber(0.3), "negative-binomial 4": cp.negative_binomial(4.0)}


def samples(name):
    """Data and models of the domains of a loss, none at a kink."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, 50) if name in BITS else rng.integers(1, 9, 50)
    m = rng.uniform(0.1, 5.0, 50) if name.split()[0] in NONNEGATIVE else rng.uniform(-3, 3, 50)
    return x.astype(float), m


@pytest.mark.parametrize("name", ALL)
def test_the_derivative_is_the_derivative(name):
    x, m = samples(name)
    h = 1e-5
    slope = (ALL[name].value(x, m + h) - ALL[name].value(x, m - h)) / (2 * h)
    np.testing.assert_allclose(ALL[name].derivative(x, m), slope, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", ALL)
def test_no_model_is_better_than_the_best(name):
    x, m = samples(name)
    best = ALL[name].best(x)
    least = ALL[name].value(x, best)
    for other in (m, best * 1.01 + 1e-3, best * 0.99):
        assert np.all(least <= ALL[name].value(x, other) + 1e-8)


@pytest.mark.parametrize("name", [name for name, loss in ALL.items() if loss.zeros])
def test_the_loss_of_zeros_is_a_polynomial(name):
    m = samples(name)[1]
    linear, square = ALL[name].zeros
    np.testing.assert_allclose(ALL[name].value(0 * m, m), linear * m + square * m**2, atol=1e-9)


@pytest.mark.parametrize("name", [name for name, loss in ALL.items() if loss.rescaled])
@pytest.mark.parametrize("unit", [0.25, 64.0])
def test_rescaled_losses_have_the_same_minimisers(name, unit):
    x, m = samples(name)
    other = np.abs(m) + 0.5
    m = np.abs(m) + 1.0
    small, degree = ALL[name].rescaled(unit)
    direct = ALL[name].value(x, m) - ALL[name].value(x, other)
    scaled = small.value(x / unit, m / unit) - small.value(x / unit, other / unit)
    np.testing.assert_allclose(unit**degree * scaled, direct, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("failures", [0.5, 1.0, 7.0])
def test_rare_and_frequent_successes_have_poisson_and_gamma_losses(failures):
    x, m, other = np.random.default_rng(0).uniform(0.5, 2, (3, 50))

    def change(loss):
        return loss.value(x, m) - loss.value(x, other)

    loss = cp.negative_binomial(failures)
    rare, frequent = loss.rescaled(1e-300), loss.rescaled(1e300)
    poisson = failures * (m - other) - x * np.log(m / other)
    np.testing.assert_allclose(change(rare[0]), poisson, rtol=1e-9, atol=1e-9)
    gamma = failures * np.log(m / other) + x * (1 / m - 1 / other)
    np.testing.assert_allclose(change(frequent[0]), gamma, rtol=1e-9, atol=1e-9)
    assert (rare[1], frequent[1]) == (1.0, 0.0)


def test_losses_are_negative_log_likelihoods():
    x, m = np.arange(6.0), np.linspace(0.5, 2.0, 6)
    pairs = [
        ("poisson", scipy.stats.poisson(m).logpmf(x)),
        ("poisson-log", scipy.stats.poisson(np.exp(m)).logpmf(x)),
        ("negative-binomial", scipy.stats.nbinom(1, 1 / (1 + m)).logpmf(x)),
        ("gamma", scipy.stats.gamma(1.0, scale=m).logpdf(x)),
    ]
    for name, log in pairs:
        gap = ALL[name].value(x, m) + log
        # Up to what does not depend on the model.
        moved = ALL[name].value(x, m + 0.3) - ALL[name].value(x, m)
        again = {
            "poisson": scipy.stats.poisson(m + 0.3).logpmf(x),
            "poisson-log": scipy.stats.poisson(np.exp(m + 0.3)).logpmf(x),
            "negative-binomial": scipy.stats.nbinom(1, 1 / (1.3 + m)).logpmf(x),
            "gamma": scipy.stats.gamma(1.0, scale=m + 0.3).logpdf(x),
        }[name]
        assert np.all(np.isfinite(gap))
        np.testing.assert_allclose(moved, log - again, atol=1e-8)


@pytest.mark.parametrize("name", ALL)
def test_extreme_models_stay_finite(name):
    x, _ = samples(name)
    for m in (0.0, 1e4) if ALL[name].lower == 0 else (-1e4, 0.0, 1e4):
        model = np.full(x.shape, m)
        assert np.all(np.isfinite(ALL[name].value(x, model)))
        assert np.all(np.isfinite(ALL[name].derivative(x, model)))


@pytest.mark.parametrize("name", ALL)
def test_losses_take_arrays_of_every_library(xp, name):
    x, m = samples(name)
    for function in (ALL[name].value, ALL[name].derivative):
        got = xp.to_numpy(function(xp.asarray(x), xp.asarray(m)))
        np.testing.assert_allclose(got, function(x, m), rtol=1e-12)
    np.testing.assert_allclose(xp.to_numpy(ALL[name].best(xp.asarray(x))), ALL[name].best(x))


def test_what_is_no_loss_is_refused():
    refusals = [
        (lambda: named("l1"), ValueError, "loss must be one of 'gaussian'"),
        (lambda: named(abs), TypeError, "loss must be one of"),
        (lambda: named(LOSSES["poisson"]._replace(lower=1.0)), ValueError, "0 or -inf"),
        (
            lambda: named(LOSSES["poisson"]._replace(derivative=3)),
            TypeError,
            "loss.derivative must",
        ),
        (lambda: cp.huber(0.0), ValueError, "delta must be a positive number"),
        (lambda: cp.huber("big"), TypeError, "delta must be a number"),
        (lambda: cp.negative_binomial(-1.0), ValueError, "failures must be a positive number"),
    ]
    for call, error, message in refusals:
        with pytest.raises(error, match=message):
            call()
