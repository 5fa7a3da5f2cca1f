"""Transforms between values and coefficients: those of NumPy's Chebyshev series."""

import numpy as np
import pytest
from numpy.polynomial import chebyshev

from tdecomp._xp import namespace
from tdecomp.chebyshev._points import points
from tdecomp.chebyshev._transform import coefficients, values
from tdecomp.testing import gaussian

SHAPES = [(1,), (2,), (3,), (4, 3), (9, 2, 3), (33, 2)]


@pytest.mark.when_compiled(shape=(4, 3))
@pytest.mark.parametrize("shape", SHAPES)
def test_values_are_those_of_the_series_and_lead_back(xp, shape, dtype):
    c = gaussian(shape, dtype=dtype)
    given = xp.asarray(c)
    found = values(given, namespace(given))
    assert found.dtype == given.dtype
    expected = np.moveaxis(chebyshev.chebval(points(shape[0]), c), -1, 0)
    slack = 20 * shape[0] * np.finfo(dtype).eps
    assert np.abs(xp.to_numpy(found) - expected).max() <= slack
    back = xp.to_numpy(coefficients(found, namespace(given)))
    assert np.abs(back - c).max() <= slack


def test_an_analytic_function_has_the_coefficients_of_bessel():
    from scipy.special import iv

    c = coefficients(np.exp(points(24)), namespace(np.empty(0)))
    expected = iv(np.arange(24), 1.0) * np.where(np.arange(24) == 0, 1, 2)
    assert np.abs(c - expected).max() <= 1e-15


@pytest.mark.parametrize("xp", ["torch", "jax"], indirect=True)
def test_programs_compile_and_gradients_are_the_adjoint(xp):
    v, weight = gaussian((9, 2)), gaussian((9, 2), rng=1)
    run = xp.jit(lambda v: coefficients(v, namespace(v)))
    expected = coefficients(v, namespace(v))
    assert np.abs(xp.to_numpy(run(xp.asarray(v))) - expected).max() <= 1e-14
    gradient = xp.gradient(lambda v: (coefficients(v, namespace(v)) * xp.asarray(weight)).sum(), v)
    matrix = coefficients(np.eye(9), namespace(v))
    assert np.abs(gradient - matrix.T @ weight).max() <= 1e-14
