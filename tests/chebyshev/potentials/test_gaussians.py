"""Sums of Gaussians: as short as published ones, with the error that they say."""

import numpy as np
import pytest

from tdecomp import ToleranceError
from tdecomp.chebyshev.potentials import GaussianSum, gaussian_sum, newton, slater, yukawa

# Terms for 1/r on [1/n, 2 sqrt 3] at errors of 1e-4, 1e-6, 1e-8.
TERMS = {256: (19, 28, 37), 1024: (22, 33, 42), 4096: (25, 37, 48), 16384: (28, 41, 53)}


def worst(g, kernel, count=20_011):
    r = np.geomspace(*g.interval, count)
    return float(np.max(np.abs(g(r) / kernel(r) - 1)))


@pytest.mark.parametrize("n", TERMS)
def test_the_newton_kernel_takes_no_more_terms_than_published(n):
    for rtol, terms in zip((1e-4, 1e-6, 1e-8), TERMS[n], strict=True):
        fit = newton(1 / n, 2 * 3**0.5, rtol=rtol)
        assert fit.tensor.rank <= terms
        assert fit.error <= rtol
        assert worst(fit.tensor, lambda r: 1 / r) <= 1.0001 * fit.error
        assert np.all(np.diff(fit.tensor.exponents) > 0)


@pytest.mark.parametrize(
    ("fit", "kernel"),
    [
        (yukawa(0.2, 0.1, 50.0, rtol=1e-7), lambda r: np.exp(-0.2 * r) / r),
        (slater(1.0, 0.01, 20.0, rtol=1e-7), lambda r: np.exp(-r)),
        (gaussian_sum(lambda r: 1 / (1 + r), 0.01, 10.0, rtol=1e-7), lambda r: 1 / (1 + r)),
        (gaussian_sum(lambda r: -np.exp(-(r**2)), 0.1, 3.0, rtol=1e-7), lambda r: -np.exp(-r * r)),
        (newton(0.01, 10.0, rtol=1e-12), lambda r: 1 / r),
    ],
    ids=["yukawa", "slater", "shifted", "gaussian", "twelve digits"],
)
def test_the_error_is_that_at_any_distance(fit, kernel):
    assert worst(fit.tensor, kernel) <= 1.0001 * fit.error + 1e-15
    assert fit.error <= 1e-7


def test_one_term_fewer_is_not_enough():
    fit = newton(0.01, 10.0, rtol=1e-6)
    with pytest.raises(ToleranceError, match="was reached") as info:
        newton(0.01, 10.0, rtol=1e-6, max_terms=fit.tensor.rank - 1)
    assert 1e-6 < info.value.reachable < 1e-5


def test_weights_are_positive_on_request():
    for fit in (newton(0.01, 10.0, positive=True), slater(1.0, 0.1, 10.0, positive=True)):
        assert np.all(fit.tensor.weights > 0)
        assert fit.error <= 1e-8
    with pytest.raises(ToleranceError):
        gaussian_sum(lambda r: np.log(2 + r), 1.0, 9.0, positive=True, max_terms=20)


def test_below_a_floor_errors_are_relative_to_it():
    r = np.geomspace(0.1, 100, 5001)
    whole, above = (
        yukawa(1.0, 0.1, 100.0, rtol=1e-6),
        yukawa(1.0, 0.1, 100.0, rtol=1e-6, floor=0.01),
    )
    assert above.tensor.rank < whole.tensor.rank / 2
    exact = np.exp(-r) / r
    errors = np.abs(above.tensor(r) - exact) / np.maximum(exact, 0.01)
    assert errors.max() <= 1.0001 * above.error <= 1.0001e-6
    wave = gaussian_sum(np.cos, 0.1, 6.0, rtol=1e-6, floor=1.0)
    assert np.abs(wave.tensor(r[r < 6]) - np.cos(r[r < 6])).max() <= 1e-6


def test_the_scale_of_lengths_does_not_matter():
    one, two = newton(0.1, 10.0).tensor, newton(0.1 * 2.0**40, 10 * 2.0**40).tensor
    assert one.rank == two.rank
    assert np.abs(two.exponents * 2.0**80 / one.exponents - 1).max() <= 1e-12


def test_values_are_those_of_the_library_of_distances(xp):
    g = newton(0.1, 10.0).tensor
    r = np.linspace(0.5, 9, 12).reshape(3, 4)
    found = g(xp.asarray(r))
    assert np.abs(xp.to_numpy(found) * r - 1).max() <= 1e-8
    assert g(xp.asarray(r, "float32")).dtype == xp.asarray(r, "float32").dtype


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: newton(1, 1), ValueError, "0 < rmin < rmax, got 1.0 and 1.0"),
        (lambda: newton(0, 1), ValueError, "rmin < rmax"),
        (lambda: newton(2, 1), ValueError, "rmin < rmax"),
        (lambda: newton(1, np.inf), ValueError, "finite"),
        (lambda: newton(1e-160, 1), ValueError, "choose another unit of length"),
        (lambda: newton(1, 1e160), ValueError, "choose another unit of length"),
        (lambda: gaussian_sum(lambda r: r.astype(str), 1, 2), ValueError, "one real number"),
        (lambda: newton(1, "2"), TypeError, "rmax must be a number"),
        (lambda: newton(1, 2, rtol=0), ValueError, "rtol"),
        (lambda: newton(1, 2, max_terms=0), ValueError, "max_terms"),
        (
            lambda: newton(0.01, 10, rtol=1e-15, max_terms=90),
            ToleranceError,
            "more digits than there are",
        ),
        (lambda: yukawa(-1, 1, 2), ValueError, "rate must be a number >= 0"),
        (lambda: slater(np.nan, 1, 2), ValueError, "rate"),
        (lambda: gaussian_sum(3, 1, 2), TypeError, "kernel must be callable"),
        (lambda: gaussian_sum(lambda r: r[:2], 1, 2), ValueError, "one real number for each"),
        (lambda: gaussian_sum(lambda r: 1j * r, 1, 2), ValueError, "one real number"),
        (lambda: gaussian_sum(lambda r: 0 * r, 1, 2), ValueError, r"kernel\(1\) is 0.0.*floor="),
        (lambda: newton(1, 2, floor=-1), ValueError, "floor must be a number >= 0"),
        (lambda: gaussian_sum(lambda r: r + np.nan, 1, 2), ValueError, "finite, and not zero"),
        (lambda: newton(0.1, 1).tensor([1.0, np.nan]), ValueError, r"r\[1\]"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_kernel_may_overwrite_what_it_is_given():
    fit = gaussian_sum(lambda r: np.divide(1, r, out=r), 0.1, 10.0, rtol=1e-6)
    assert fit.tensor.rank == newton(0.1, 10.0, rtol=1e-6).tensor.rank


def test_exponents_that_single_precision_lacks_are_refused():
    g = newton(1e-26, 1e-24, rtol=1e-2).tensor
    assert float(g(1e-25)) == pytest.approx(1e25, rel=1e-2)
    with pytest.raises(ValueError, match="no numbers of float32: choose another unit"):
        g(np.float32(1e-25))


def test_a_sum_is_a_plain_tuple():
    weights, exponents, interval = GaussianSum(np.ones(1), np.zeros(1), (1.0, 2.0))
    assert weights.shape == exponents.shape == (1,)
    assert interval == (1.0, 2.0)
