"""What gains say: bounds, and the geometric series of the last two."""

import math

import numpy as np
import pytest

import tdecomp as td
from tdecomp.linalg._excess import Trend
from tdecomp.testing import matrix


def test_without_two_gains_the_bound_is_all_there_is():
    trend = Trend().grown(5.0).judged(0.3, 1.0)
    assert trend.excess == 0.3
    assert trend.grown(0.1).judged(0.4, 1.0).excess == 0.3


def test_gains_that_shrink_geometrically_are_summed_up():
    left, ratio = 2.0, 0.1
    gains = [7.0, *(ratio**k for k in range(4))]
    trend = Trend()
    for gain in gains:
        trend = trend.grown(gain)
    rest = sum(ratio**k for k in range(4, 40))
    assert trend.judged(math.inf, left).excess == pytest.approx(rest / (2 * left))
    assert trend.judged(math.inf, left).ratio == pytest.approx(ratio)


def test_gains_that_grow_say_nothing():
    trend = Trend().grown(7.0).grown(0.1).grown(0.2)
    assert trend.judged(0.5, 1.0).excess == 0.5


@pytest.mark.parametrize("oversample", [10, 30, 46, 62, 78])
@pytest.mark.parametrize("tol", [1e-8, 1e-10, 1e-12])
@pytest.mark.parametrize("method", ["krylov", "subspace"])
def test_an_excess_below_the_digits_of_the_norm_is_not_taken_on_trust(method, tol, oversample):
    # Here eps times the squared norm is a ten-millionth of what the best approximation leaves.
    s = np.maximum(10.0 ** (-np.arange(400.0) / 12), 1e-15)
    a = matrix(450, 400, s)
    best = np.linalg.norm(s[50:])
    for seed in range(3):
        fit = td.randomized_svd(
            a, rank=50, tol=tol, oversample=oversample, method=method, rng=seed
        )
        excess = np.linalg.norm(a - fit.tensor.to_array()) / best - 1
        # The error itself is known to about 1e-16 / best, relative to itself.
        assert excess <= 10 * tol + 1e-11
