"""The calculus of series: that of NumPy, and the theorems of calculus."""

import numpy as np
import pytest
from numpy.polynomial import chebyshev

from tdecomp._xp import namespace
from tdecomp.chebyshev import _series
from tdecomp.chebyshev._series import (
    antiderivative,
    derivative,
    inner_products,
    integrals,
    polynomials,
)
from tdecomp.testing import gaussian

SIZES = [1, 2, 3, 4, 5, 8, 17, 40]


@pytest.mark.when_compiled(n=5, columns=(3,))
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("columns", [(), (3,), (2, 2)])
def test_derivatives_and_integrals_are_those_of_numpy(xp, n, columns, dtype):
    c = gaussian((n, *columns), dtype=dtype)
    given, eps = xp.asarray(c), np.finfo(dtype).eps
    found = derivative(given, namespace(given))
    assert found.dtype == given.dtype
    expected = chebyshev.chebder(c)
    assert np.abs(xp.to_numpy(found) - expected).max() <= 4 * n**2 * eps
    found = xp.to_numpy(antiderivative(given, namespace(given)))
    assert found.dtype == dtype
    assert np.abs(found - chebyshev.chebint(c, lbnd=-1)).max() <= 20 * eps
    back = xp.to_numpy(derivative(xp.asarray(found), namespace(given)))
    assert np.abs(back - c).max() <= 4 * n**2 * eps


@pytest.mark.when_compiled(n=5)
@pytest.mark.parametrize("n", SIZES)
def test_polynomials_are_those_of_numpy(xp, n):
    t = np.linspace(-1, 1, 12).reshape(3, 4)
    given = xp.asarray(t)
    found = xp.to_numpy(polynomials(given, n, namespace(given)))
    assert np.abs(found - chebyshev.chebvander(t, n - 1)).max() <= 1e-15 * n**2


@pytest.mark.when_compiled(m=2, n=5)
@pytest.mark.parametrize(("m", "n"), [(1, 1), (2, 5), (7, 4)])
def test_inner_products_are_integrals_of_products(xp, m, n):
    like = xp.asarray(np.zeros(1))
    module = namespace(like)
    a, b = gaussian(m), gaussian(n, rng=1)
    weights = xp.to_numpy(integrals(m + n - 1, like.dtype, like, module))
    expected = weights @ chebyshev.chebmul(a, b)
    products = xp.to_numpy(inner_products(m, n, like.dtype, like, module))
    assert a @ products @ b == pytest.approx(expected, abs=1e-14)
    nodes, quadrature = np.polynomial.legendre.leggauss(20)
    exact = quadrature @ chebyshev.chebvander(nodes, m + n - 2)
    assert np.abs(weights - exact).max() <= 1e-14


def test_inner_products_are_well_conditioned():
    module = namespace(np.empty(0))
    square = inner_products(64, 64, module.float64, np.empty(0), module)
    assert np.all(square == square.T)
    assert 70 <= np.linalg.cond(square) <= 90


def test_values_come_in_blocks(monkeypatch):
    c, t = gaussian((6, 2)), np.linspace(-1, 1, 11)
    whole = _series.summed_at(t, c, namespace(c))
    monkeypatch.setattr(_series, "_BLOCK_ENTRIES", 24)
    assert np.abs(_series.summed_at(t, c, namespace(c)) - whole).max() <= 1e-15
    assert np.abs(whole - chebyshev.chebval(t, c).T).max() <= 1e-14


def test_the_integral_of_a_derivative_is_a_difference():
    c = gaussian((12, 3))
    module = namespace(c)
    d = derivative(c, module)
    found = integrals(11, c.dtype, c, module) @ d
    ends = chebyshev.chebval(1.0, c) - chebyshev.chebval(-1.0, c)
    assert np.abs(found - ends).max() <= 1e-12


@pytest.mark.parametrize("count", [1, 2, 3, 6, 129, 1000])
def test_polynomials_keep_their_digits_near_the_ends(count):
    away = 10.0 ** -np.arange(0, 17.0)
    t = np.concatenate([1 - away, away - 1])
    found = polynomials(t, count, namespace(t))
    assert found.shape == (34, count)
    theta = 2 * np.arcsin(np.sqrt((1 - np.abs(t.astype(np.longdouble))) / 2))
    exact = np.cos(np.arange(count) * theta[:, None])
    exact *= np.where(t[:, None] < 0, (-1.0) ** np.arange(count), 1.0)
    assert np.max(np.abs(found - exact)) <= (2 + count / 4) * np.finfo(float).eps
