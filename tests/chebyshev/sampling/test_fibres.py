"""Fibres: nested, spanned by few, and interpolated at few points."""

import numpy as np
import pytest
from numpy.polynomial import chebyshev

from tdecomp.chebyshev._points import points
from tdecomp.chebyshev._sampling import _fibres
from tdecomp.chebyshev._sampling._fibres import Fibres
from tdecomp.chebyshev._sampling._sampler import Sampler

BOX = np.array([[-1.0, 1.0]] * 3)


def anchors(count, rng=0):
    return np.random.default_rng(rng).uniform(-1, 1, (count, 3))


def fibres(f, k=1, count=8):
    ask = Sampler(f, BOX, np.empty(0), 10**7)
    return Fibres(ask, k, anchors(count)), ask


def missing(basis, values):
    """What interpolation leaves of other fibres, the largest magnitude of each."""
    return np.max(np.abs(values - basis.values @ values[basis.nodes]), axis=0)


def rank_two(x, y, z):
    return np.exp(y) * (x + 2) + np.sin(3 * y) * np.cos(z)


def test_values_are_those_along_the_variable():
    lines, ask = fibres(lambda x, y, z: x + 10 * y + 100 * z, k=2, count=3)
    a = anchors(3)
    expected = a[:, 0] + 10 * a[:, 1] + 100 * points(17)[:, None]
    assert np.abs(lines.values - expected).max() <= 1e-13
    assert (lines.count, lines.n, ask.evaluations) == (3, 17, 51)


def test_refining_asks_for_new_points_only():
    lines, ask = fibres(rank_two)
    before = lines.values.copy()
    lines.refine()
    assert (lines.n, ask.evaluations) == (33, 33 * 8)
    assert np.all(lines.values[::2] == before)
    assert np.abs(lines.values - lines.along(lines.anchors)).max() <= 1e-15


def test_pivots_span_all_fibres():
    lines, _ = fibres(rank_two)
    chosen = lines.pivots(1e-13)
    assert chosen.size == 2
    lines.keep(chosen)
    assert lines.count == 2
    lines.settle(1e-14)
    basis = lines.basis()
    assert np.abs(basis.values[basis.nodes] - np.eye(2)).max() <= 1e-14
    fresh = lines.along(anchors(20, rng=1))
    assert np.all(missing(basis, fresh) <= 1e-13)
    assert np.all(missing(basis, np.cos(40 * lines.points)[:, None]) > 0.1)
    t = np.linspace(-1, 1, 50)
    exact = rank_two(0.3, t, -0.2)
    at_nodes = rank_two(0.3, lines.points[basis.nodes], -0.2)
    assert np.abs(chebyshev.chebval(t, basis.series).T @ at_nodes - exact).max() <= 1e-13


def test_at_least_one_fibre_is_kept_of_nothing():
    lines, _ = fibres(lambda x, y, z: 0 * x + 0 * y + 0 * z)
    lines.keep(lines.pivots(1e-13))
    assert lines.count == 1
    lines.settle(1e-14)
    assert lines.length == 1


@pytest.mark.parametrize(("steepness", "n"), [(1.0, 65), (25.0, 257), (400.0, 1025)])
def test_series_settle_when_they_are_resolved(steepness, n):
    lines, ask = fibres(lambda x, y, z: 1 / (1 + steepness * y**2) + 0 * x * z, count=1)
    lines.settle(1e-15)
    assert lines.n == n
    assert ask.evaluations == n
    basis = lines.basis()
    t = np.linspace(-1, 1, 999)
    scaled = chebyshev.chebval(t, basis.series[:, 0]) * lines.values[basis.nodes[0], 0]
    assert np.abs(scaled - 1 / (1 + steepness * t**2)).max() <= 1e-13


def test_what_jumps_never_settles(monkeypatch):
    monkeypatch.setattr(_fibres, "_MOST", 257)
    lines, _ = fibres(lambda x, y, z: np.sign(y - 0.1) + 0 * x * z, count=1)
    lines.settle(1e-13)
    assert lines.length is None
    assert lines.n == 257


def test_complex_fibres_are_interpolated_too():
    lines, _ = fibres(lambda x, y, z: np.exp(2j * y * x) + z)
    lines.keep(lines.pivots(1e-12))
    lines.settle(1e-14)
    basis = lines.basis()
    assert np.iscomplexobj(basis.series)
    known = lines.along(lines.anchors)
    assert np.all(missing(basis, known) <= 1e-12)


def test_fibres_that_are_known_are_not_asked_for_again():
    lines, ask = fibres(rank_two)
    new = anchors(2, rng=5)
    values = lines.along(new)
    before = ask.evaluations
    lines.append(new, values)
    assert ask.evaluations == before
    assert lines.count == 10
    assert np.all(lines.values[:, 8:] == values)


def test_fibres_that_are_spanned_are_asked_at_few_points():
    lines, ask = fibres(rank_two)
    for _ in range(3):
        lines.refine()
    lines.keep(lines.pivots(1e-12))
    before = ask.evaluations
    lines.offer(anchors(6, rng=5), 1e-12)
    assert (lines.count, lines.tried) == (2, 8)
    assert ask.evaluations - before <= 6 * 33 < 6 * lines.n
    # One that is not spanned is asked at all points, and joins in.
    lines.ask.f = lambda x, y, z: rank_two(x, y, z) + x * y**3
    before = ask.evaluations
    lines.offer(anchors(6, rng=6), 1e-12)
    assert (lines.count, lines.tried) == (3, 14)
    joined = lines.along(lines.anchors[2:])
    assert np.array_equal(lines.values[:, 2:], joined)


def test_noise_of_steep_functions_is_no_fibre():
    lines, _ = fibres(lambda x, y, z: np.cos(50 * np.pi * (x + y + z)))
    lines.settle(1e-14)
    assert lines.n == 513
    assert lines.count == 2


@pytest.mark.parametrize("power", [1, 2, 3])
def test_series_that_fall_slowly_are_not_level(power):
    # Coefficients fall like that power and one more: what is left of the series is to be small.
    lines, _ = fibres(lambda x, y, z: np.abs(y - 0.3) ** power + 0 * x * z, count=1)
    tol = 1e-5
    lines.settle(tol)
    basis = lines.basis()
    t = np.linspace(-1, 1, 5001)
    scaled = chebyshev.chebval(t, basis.series[:, 0]) * lines.values[basis.nodes[0], 0]
    assert np.abs(scaled - np.abs(t - 0.3) ** power).max() <= 150 * tol


def test_noise_that_is_level_ends_a_series():
    def noisy(x, y, z):
        return np.exp(y) + 1e-6 * np.sin(1e6 * (y + 1.1) ** 2) + 0 * x * z

    lines, _ = fibres(noisy, count=1)
    lines.settle(1e-9)
    assert lines.length <= 20
    assert lines.n <= 65
