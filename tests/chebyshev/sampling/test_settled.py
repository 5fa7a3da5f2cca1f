"""Where series end, and those that do not within reach."""

import numpy as np
import pytest

from tdecomp.chebyshev._points import points
from tdecomp.chebyshev._sampling._settled import falls_like_a_power, settled_length

T = points(1025)
AT = np.linspace(-0.9, 0.9, 40)
X = T[:, None] - AT


@pytest.mark.parametrize("f", [np.abs, np.sign, lambda x: np.abs(x) ** 3])
def test_kinks_and_jumps_fall_like_powers(f):
    assert falls_like_a_power(f(X))
    assert settled_length(f(X), 1e-13) is None


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.exp(-5000 * x**2),
        lambda x: np.exp(-500000 * x**2),
        lambda x: np.tanh(100 * x),
        lambda x: np.tanh(300 * x),
        lambda x: 1 / (1 + 10000 * x**2),
        lambda x: np.cos(300 * x),
        lambda x: np.cos(900 * x),
        lambda x: 0 * x,
        lambda x: np.random.default_rng(0).standard_normal(x.shape),
    ],
)
def test_smooth_functions_and_noise_do_not(f):
    assert not falls_like_a_power(f(X))
