"""Series of Gaussians: the formula of Bessel, a bound for any centre, bases for all of them."""

import numpy as np
import pytest
from numpy.polynomial import chebyshev

from tdecomp._xp import namespace
from tdecomp.chebyshev._legendre import root
from tdecomp.chebyshev._points import points
from tdecomp.chebyshev._transform import coefficients
from tdecomp.chebyshev.potentials._basis import length, size, variable

RATES = [0.0, 1e-3, 0.3, 1.0, 5.0, 30.0]


def series(rate, centre, n):
    values = np.exp(-((rate * (points(n) - centre)) ** 2))
    return coefficients(values, namespace(values))


@pytest.mark.parametrize("rate", RATES)
def test_coefficients_are_those_of_the_formula_of_bessel(rate):
    from scipy.special import ive

    n = length(rate, 1e-15) + 2
    j = np.arange(0, n, 2) // 2
    expected = np.where(j == 0, 1, 2) * (-1.0) ** j * ive(j, rate**2 / 2)
    found = series(rate, 0.0, n)
    assert np.abs(found[::2] - expected).max() <= 3e-15
    assert np.abs(found[1::2]).max(initial=0) <= 1e-15


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("tol", [1e-4, 1e-12])
def test_the_length_is_enough_for_any_centre_and_near_the_rule(rate, tol):
    n = length(rate, tol)
    for centre in (0.0, -0.7, 1.0, 1.3):
        assert np.abs(series(rate, centre, 2 * n + 20)[n:]).sum() <= tol
    if rate >= 5:
        rule = 2 * rate * np.sqrt(-np.log(tol)) + 2
        assert rule - 2 <= n <= 1.25 * rule


@pytest.mark.parametrize("rate", RATES)
def test_sizes_are_norms(rate):
    c = root(300) @ series(rate, 0.0, 300)
    assert size(rate) == pytest.approx(np.linalg.norm(c), rel=1e-12)


@pytest.mark.parametrize("centres", [(-3.0, 5.0), (2.0, 2.0), (-200.0, 300.0)])
def test_gaussians_with_centres_in_the_range_lie_in_the_basis(centres):
    exponents, tol = np.array([0.0, 0.01, 0.3, 2.0]), 1e-10
    v = variable((-3.0, 5.0), centres, exponents, np.ones(4), tol)
    scaled = root(v.factor.shape[0]) @ v.factor
    assert np.abs(scaled.T @ scaled - np.eye(scaled.shape[1])).max() <= 1e-12
    assert v.factor.shape[1] <= v.factor.shape[0]
    t = np.linspace(-1, 1, 333)
    for y in (centres[0], 1.2345 if centres[0] < centres[1] else 2.0, centres[1]):
        for p, scale in zip(exponents, v.scales, strict=True):
            at = 1 + 4 * scale.points
            z = scale.embedding @ (scale.projection @ np.exp(-p * (at - y) ** 2))
            found = chebyshev.chebval(t, v.factor @ z)
            assert np.abs(found - np.exp(-p * (1 + 4 * t - y) ** 2)).max() <= 100 * tol


def test_fewer_functions_than_coefficients_do():
    v = variable((-1.0, 1.0), (-1.0, 1.0), 4.0 ** np.arange(5.0), np.ones(5), 1e-6)
    lengths = [s.points.size for s in v.scales]
    assert lengths == sorted(lengths)
    assert v.factor.shape[1] < 0.8 * v.factor.shape[0]
