"""Where series end: the published examples, and what must hold of any series."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp._xp import namespace
from tdecomp.chebyshev._chop import LEAST, chop
from tdecomp.chebyshev._points import points
from tdecomp.chebyshev._transform import coefficients

EPS = 2.0**-52
FALLING = 10.0 ** -np.arange(1, 51)
NOISE = np.cos(np.arange(1, 51) ** 2)


@pytest.mark.parametrize(
    ("noise", "tol", "expected"),
    [(0, EPS, 18), (1e-16, EPS, 15), (1e-13, EPS, 13), (1e-10, EPS, None), (1e-10, 1e-10, 10)],
)
def test_the_published_examples(noise, tol, expected):
    assert chop(FALLING + noise * NOISE, tol) == expected


def test_what_is_short_or_does_not_fall_has_not_settled():
    assert chop(FALLING[: LEAST - 1], EPS) is None
    assert chop(np.ones(100), EPS) is None
    assert chop(1 / np.arange(1, 200) ** 2, EPS) is None


def test_zeros_and_polynomials_end_where_they_do():
    assert chop(np.zeros(20), EPS) == 1
    assert chop(np.eye(33)[0], EPS) == 1
    assert chop(np.r_[np.ones(7), np.zeros(40)], EPS) == 7


@given(
    rate=st.floats(0.1, 3), scale=st.sampled_from([1e-200, 1.0, 1e200]), seed=st.integers(0, 99)
)
def test_what_is_left_is_below_the_tolerance_at_any_scale(rate, scale, seed):
    n = 400
    noise = 1e-17 * np.random.default_rng(seed).standard_normal(n)
    c = scale * (np.exp(-rate * np.arange(n)) + noise)
    kept = chop(c, 1e-13)
    assert kept is not None
    assert np.abs(c[kept:]).max() <= 1e-12 * scale
    assert kept <= 1 + 7 / 6 * 13 * np.log(10) / rate


@pytest.mark.parametrize(("parameter", "degree"), [(1.0, 100), (25.0, 400)])
def test_runge_is_resolved_to_rounding(parameter, degree):
    t = points(degree * 3)
    c = coefficients(1 / (1 + parameter * t**2), namespace(t))
    kept = chop(np.abs(c), EPS)
    assert kept < degree
    assert np.abs(c[kept:]).sum() <= 1e-13
