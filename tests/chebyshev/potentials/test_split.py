"""Range separation: nothing is lost, and what is short-range ends."""

import numpy as np
import pytest

from tdecomp.chebyshev.potentials import GaussianSum, newton, split
from tdecomp.chebyshev.potentials._split import as_sum, cutoff

G = newton(0.05, 20.0, rtol=1e-8).tensor


@pytest.mark.parametrize("sigma", [0.2, 1.0, 3.0])
def test_the_parts_are_the_whole(sigma):
    long, short = split(G, sigma=sigma)
    assert np.all(long.exponents <= sigma**-2)
    assert np.all(short.exponents > sigma**-2)
    r = np.geomspace(0.05, 20, 99)
    assert np.abs((long(r) + short(r)) / G(r) - 1).max() <= 1e-13


@pytest.mark.parametrize("rtol", [1e-4, 1e-8])
def test_beyond_the_cut_nothing_is_left_and_just_before_it_something_is(rtol):
    _, short = split(G, sigma=1.0)
    end = cutoff(G, short, rtol)
    assert 2 < end < 8
    beyond = np.linspace(end, 20, 500)
    assert np.abs(short(beyond) / G(beyond)).max() <= rtol
    assert cutoff(G, short, rtol / 100) > end


def test_without_sharp_gaussians_there_is_no_cut():
    long, short = split(G, sigma=1e-3)
    assert (long.rank, short.rank) == (G.rank, 0)
    assert cutoff(G, short, 1e-6) == 0


def test_terms_are_sorted_from_the_widest_on():
    g = as_sum(GaussianSum([1, 2], [3, 0], (1.0, 2.0)))
    assert g.weights.tolist() == [2.0, 1.0]
    assert g.exponents.tolist() == [0.0, 3.0]
    assert split(g, sigma=1.0)[0].weights.tolist() == [2.0]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: split(G, sigma=0), ValueError, "sigma must be a length between 0 and"),
        (lambda: split(G, sigma=-1.0), ValueError, "sigma"),
        (lambda: split(G, sigma=np.nan), ValueError, "sigma"),
        (lambda: split(G, sigma=1e4), ValueError, "the widest Gaussian, got"),
        (lambda: split(G, sigma="1"), TypeError, "sigma must be a number"),
        (lambda: split(newton(0.1, 1), sigma=1), TypeError, "take the tensor of what was"),
        (lambda: split(3, sigma=1), TypeError, "g must be a GaussianSum, got int"),
        (lambda: as_sum(GaussianSum([1], [1, 2], (1, 2))), ValueError, "as many weights"),
        (lambda: as_sum(GaussianSum([], [], (1, 2))), ValueError, "at least one"),
        (lambda: as_sum(GaussianSum([1], [-1], (1, 2))), ValueError, "not negative"),
        (lambda: as_sum(GaussianSum([1], [1], None)), TypeError, "interval must be a tuple"),
        (lambda: as_sum(GaussianSum([1], [1], (2, 1))), ValueError, "0 < rmin < rmax"),
        (lambda: as_sum(GaussianSum([np.nan], [1], (1, 2))), ValueError, "finite weights"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
