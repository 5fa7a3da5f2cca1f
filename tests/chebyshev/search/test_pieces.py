"""Functions on boxes: their series there are theirs, and what these prove holds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import chebyshev

from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._search._bounds import (
    local_values,
    lower_bounds,
    spread,
    upper_bounds,
    widest,
)
from tdecomp.chebyshev._search._pieces import Boxes, Pieces, tops
from tdecomp.chebyshev._search._polish import Objective, polished
from tdecomp.chebyshev._values._evaluate import evaluate
from tdecomp.testing import gaussian

EPS = np.finfo(np.float64).eps


def function(shape=(9, 12, 7), rank=(3, 2, 3), dtype="float64", decay=0.6):
    core = gaussian(rank, dtype=dtype)
    factors = tuple(
        gaussian(s, rng=k, dtype=dtype) * decay ** np.arange(s[0])[:, None]
        for k, s in enumerate(zip(shape, rank, strict=True))
    )
    return ChebyshevTucker(core, factors, np.tile([-1.0, 1.0], (len(shape), 1)))


def divided(f, halvings, cut=0.0):
    """The function on boxes, halved along one variable after the other, some boxes dropped."""
    pieces, boxes = Pieces(f.core, f.factors, cut=cut), Boxes([1] * len(f.factors))
    for number, k in enumerate(halvings):
        used, whole = boxes.halve(k)
        assert np.array_equal(np.bincount(whole), np.full(boxes.index.shape[0] // 2, 2))
        pieces.halve(k, used)
        boxes.keep(np.arange(boxes.index.shape[0]) % 5 != number % 5)
    return pieces, boxes


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("cut", [0.0, 1e-3])
def test_series_on_boxes_are_those_of_the_function(dtype, cut):
    f = function(dtype=dtype)
    pieces, boxes = divided(f, (0, 1, 2, 1, 0, 0, 2), cut)
    local = np.random.default_rng(0).uniform(-1, 1, (boxes.index.shape[0], 3))
    expected = evaluate(f, boxes.points(local))
    np.testing.assert_allclose(boxes.local(boxes.points(local), slice(None)), local, atol=1e-13)
    for heads in (pieces.shape, pieces.heads(0.1)):
        for rows, c, rest in pieces.blocks(boxes.index, heads):
            off = np.abs(local_values(c, local[rows]) - expected[rows])
            assert np.all(off <= rest + pieces.unit)
    assert np.prod(pieces.heads(0.1)) < np.prod(pieces.heads(1e-9)) <= np.prod(pieces.shape)
    assert np.all(rest <= 0.1 + 7 * 3 * cut)
    assert pieces.unit <= 1e6 * EPS * np.abs(expected).max()


def test_blocks_agree_with_the_whole(monkeypatch):
    f = function()
    pieces, boxes = divided(f, (0, 1, 2, 1))
    ((_, whole, _),) = pieces.blocks(boxes.index, pieces.shape)
    monkeypatch.setattr("tdecomp.chebyshev._search._pieces._BLOCK_ENTRIES", 500)
    parts = [c for _, c, _ in pieces.blocks(boxes.index, pieces.shape)]
    assert len(parts) > 2
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-13)
    again, _ = divided(f, (0, 1, 2, 1))
    np.testing.assert_allclose(again.series[1], pieces.series[1], atol=1e-13)


def test_waves_are_divided_and_slow_functions_are_not():
    wave = chebyshev.chebinterpolate(lambda t: np.cos(60 * t), 120)[:, None]
    slow = chebyshev.chebinterpolate(np.exp, 12)[:, None]
    pieces = Pieces(np.ones((1, 1)), (wave, slow))
    assert pieces.divide(1e-3, 100) == pieces.counts == [8, 1]
    assert Pieces(np.ones((1, 1)), (wave, wave)).divide(1e-3, 16) == [8, 2]
    other = Pieces(np.ones((1, 1)), (slow, slow))
    other.divide_into([4, 2])
    assert other.counts == [4, 2]


@given(st.integers(1, 30), st.integers(0, 10**6))
def test_no_series_passes_the_bound_of_ehlich_and_zeller(m, seed):
    factor = gaussian((m, 3), rng=seed)
    values = chebyshev.chebval(np.linspace(-1, 1, 2000), factor)
    most = np.max(np.abs(values), axis=1)
    assert np.all(most <= tops(factor) * (1 + 1e-12))
    assert np.all(tops(factor) <= 1.001 * np.sqrt(2) * most + 1e-12)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(0, 10**6), st.booleans())
def test_bounds_hold_on_boxes(shape, seed, turning):
    c = gaussian((6, *shape), rng=seed, dtype="complex128" if turning else "float64")
    rest = np.full(6, 0.25)
    axes = [chebyshev.chebvander(np.linspace(-1, 1, 21), p - 1) for p in shape]
    values = c
    for k, axis in enumerate(axes):
        values = np.moveaxis(np.tensordot(axis, values, axes=(1, k + 1)), 0, k + 1)
    values = values.reshape(6, -1)
    upper, _ = upper_bounds(c, rest)
    assert np.all(np.abs(values).max(axis=1) + 0.25 <= upper + 1e-12)
    if not turning:
        lower, t = lower_bounds(c, rest)
        assert np.all(lower - 1e-12 <= values.min(axis=1) - 0.25)
        assert np.all(np.abs(t) <= 1)
        assert np.all(local_values(c, t) >= lower + 0.25 - 1e-12)


def test_bounds_of_sums_of_parabolas_are_attained():
    rng = np.random.default_rng(0)
    c = np.zeros((50, 3, 3, 3))
    for k in range(3):
        c.swapaxes(1, k + 1)[:, 1:, 0, 0] = rng.standard_normal((50, 2))
    lower, t = lower_bounds(c, np.zeros(50))
    np.testing.assert_allclose(local_values(c, t), lower, atol=1e-13)
    assert np.all(spread(c, exact=2) <= 1e-12)
    assert np.all(spread(c, exact=0) > 1)


def test_the_longest_of_the_worst_is_halved():
    assert widest(np.array([1.0, 0.9, 0.2]), [0.1, 0.5, 1.0], 10) == 1
    assert widest(np.array([1.0, 0.9, 0.2]), [0.1, 2.0**-10, 2.0**-10], 10) == 0
    assert widest(np.array([1.0]), [2.0**-10], 10) is None


@pytest.mark.parametrize("squares", [False, True])
def test_descents_end_where_slopes_vanish_or_point_outward(squares):
    f = function(dtype="complex128" if squares else "float64")
    objective = Objective(f, squares=squares)
    start = np.random.default_rng(1).uniform(-1, 1, (40, 3))
    t, values = polished(objective, start)
    assert np.all(values <= objective.values(start))
    slope, curve = objective.derivatives(t)
    at_low, at_high = (t == -1) & (slope > 0), (t == 1) & (slope < 0)
    free = ~(at_low | at_high)
    scale = np.abs(curve).max()
    assert np.max(np.abs(np.where(free, slope, 0))) <= 1e-7 * scale
    assert np.any(~free)
    assert np.any(free)


def test_long_series_are_halved_by_recurrence(monkeypatch):
    f = function()
    table, _ = divided(f, (0, 1, 2, 1))
    monkeypatch.setattr("tdecomp.chebyshev._search._pieces._LONG", 4)
    recurrence, _ = divided(f, (0, 1, 2, 1))
    for k in range(3):
        np.testing.assert_allclose(recurrence.series[k], table.series[k], atol=1e-13)
