"""Chebyshev points: nested, symmetric, the extrema of a polynomial."""

import numpy as np
import pytest
from numpy.polynomial import chebyshev

from tdecomp.chebyshev._points import points


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 17, 64, 129])
def test_they_are_symmetric_to_the_bit_and_end_at_the_ends(n):
    t = points(n)
    assert t.shape == (n,)
    assert np.all(t == -t[::-1])
    assert np.all(np.diff(t) > 0)
    if n > 1:
        assert (t[0], t[-1]) == (-1.0, 1.0)


@pytest.mark.parametrize("n", [2, 5, 33])
def test_they_are_extrema(n):
    values = chebyshev.chebval(points(n), np.eye(n)[-1])
    assert np.abs(values - (-1.0) ** np.arange(n)[::-1]).max() <= 1e-13


@pytest.mark.parametrize("n", [2, 9, 65])
def test_finer_points_contain_them(n):
    assert np.abs(points(2 * n - 1)[::2] - points(n)).max() <= 1e-16
