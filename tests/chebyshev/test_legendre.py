"""Coefficients in Legendre polynomials: what the triangle says, at any length, in both ways."""

import numpy as np
import pytest

from tdecomp._xp import namespace
from tdecomp.chebyshev import _legendre
from tdecomp.chebyshev._legendre import _ratios, root, to_chebyshev, to_legendre
from tdecomp.testing import gaussian

NODES, WEIGHTS = np.polynomial.legendre.leggauss(40)


def test_the_root_is_that_of_inner_products():
    upper = root(7)
    p = np.polynomial.chebyshev.chebvander(NODES, 6)
    assert np.abs(upper.T @ upper - p.T @ (WEIGHTS[:, None] * p)).max() <= 1e-14
    assert not upper.flags.writeable


def test_ratios_of_gamma_functions_are_exact_to_rounding():
    k = np.arange(1, 200, dtype=np.longdouble)
    exact = np.sqrt(np.arccos(np.longdouble(-1))) * np.append(1, np.cumprod((2 * k - 1) / (2 * k)))
    assert np.abs(_ratios(0.0, 200) / exact - 1).max() <= 8 * np.finfo(float).eps


@pytest.mark.when_compiled(count=9, dtype="complex64")
@pytest.mark.parametrize("count", [3, 4, 9, 150])
def test_long_series_become_what_the_triangle_makes_of_short_ones(xp, dtype, count, monkeypatch):
    c = gaussian((count, 2), dtype=dtype)
    z = (root(count) @ c).astype(dtype)
    monkeypatch.setattr(_legendre, "_LONG", 1)
    slack = 20 * np.finfo(dtype).eps
    for change, x, expected in ((to_legendre, c, z), (to_chebyshev, z, c)):
        given = xp.asarray(x)
        found = xp.to_numpy(change(given, namespace(given)))
        assert found.dtype == dtype
        assert np.abs(found - expected).max() <= slack * np.sqrt(count) * np.abs(expected).max()


def test_very_long_series_come_back():
    c = gaussian((20_000, 1))
    z = to_legendre(c, namespace(c))
    assert np.abs(to_chebyshev(z, namespace(c)) - c).max() <= 1e-12
    # The norm by values at Legendre's points is that of the coefficients.
    low = to_legendre(np.concatenate([c[:40], np.zeros((1960, 1))]), namespace(c))
    squares = np.polynomial.chebyshev.chebval(NODES, c[:40, 0]) ** 2
    assert np.sum(low**2) == pytest.approx(WEIGHTS @ squares, rel=1e-13)
    assert np.abs(low[40:]).max() <= 1e-13 * np.abs(low).max()
