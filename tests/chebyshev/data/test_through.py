"""Series through values: what is missed of values left out is known, and stays honest."""

import numpy as np
import pytest
from numpy.polynomial import chebyshev

from tdecomp.chebyshev._data import _through
from tdecomp.chebyshev._data._through import through

T = np.linspace(-1, 1, 41)


def missed_at_most(t, values, function, factor):
    """Assert that the error anywhere is at most a multiple of what is said to be missed."""
    series, missed = through(t, values[:, None])
    at = np.linspace(-1, 1, 500)
    error = chebyshev.chebval(at, series[:, 0]) - function(at)
    scale = np.sqrt(np.mean(values**2))
    assert np.sqrt(np.mean(error**2)) <= factor * missed * scale
    return missed


def test_leaving_out_is_done_without_doing_it():
    values = np.random.default_rng(0).standard_normal((41, 2))
    tested = np.array([3, 17, 30])
    _, error = _through._least_squares(T, values, tested, 0.0)
    errors = []
    for m in range(1, 20):
        square = 0.0
        for i in tested:
            kept = np.arange(41) != i
            fitted = np.linalg.lstsq(
                chebyshev.chebvander(T[kept], m - 1), values[kept], rcond=None
            )[0]
            square += np.sum((chebyshev.chebval(T[i], fitted) - values[i]) ** 2)
        noise = np.linalg.pinv(chebyshev.chebvander(T, m - 1))
        spread = np.sqrt(np.sum((_through.root(m) @ noise) ** 2) * 41 / 2 / m)
        errors.append(np.sqrt(square / 3) * max(1, spread))
    assert error == pytest.approx(min(errors), rel=1e-9)


@pytest.mark.parametrize("complex_too", [False, True])
def test_polynomials_of_few_coefficients_come_back(complex_too):
    series = np.random.default_rng(0).standard_normal((7, 3)) + 0.0
    if complex_too:
        series = series * np.array([1, 1j, 1 - 2j])
    found, missed = through(T, chebyshev.chebvander(T, 6) @ series)
    assert found.shape == (7, 3)
    assert found.dtype == series.dtype
    assert np.abs(found - series).max() <= 1e-13
    assert missed <= 1e-13


@pytest.mark.parametrize(
    "function",
    [np.exp, lambda t: np.cos(9 * t), lambda t: 1 / (1 + 25 * t**2), lambda t: abs(t - 0.2) ** 3],
)
@pytest.mark.parametrize("n", [20, 41, 100])
def test_errors_are_those_that_are_told(function, n):
    t = np.linspace(-1, 1, n)
    missed_at_most(t, function(t), function, 3)
    random = np.sort(np.r_[-1, 1, np.random.default_rng(n).uniform(-1, 1, n - 2)])
    missed_at_most(random, function(random), function, 30)


def test_noise_is_told_from_the_function():
    noise = np.random.default_rng(0).standard_normal(200)
    t = np.linspace(-1, 1, 200)
    missed = missed_at_most(t, np.exp(t) + 0.01 * noise, np.exp, 0.5)
    assert missed * np.sqrt(np.mean(np.exp(2 * t))) == pytest.approx(0.01, rel=0.3)


def test_terms_that_are_small_are_left_out():
    values = np.exp(T)[:, None]
    assert through(T, values, 1e-3).series.shape[0] < through(T, values, 1e-9).series.shape[0]
