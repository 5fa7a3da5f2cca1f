"""Odd polynomials near one: optimal, as published, and what they make of intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp.linalg import cans_coefficients, minimax_coefficients
from tdecomp.linalg._polar._coefficients import MUON, image
from tdecomp.linalg._polar._minimax import critical_points, evaluate, minimax

# The Polar Express, arXiv:2505.16932: all eight published steps, without the factor 1.01.
PUBLISHED = """
    8.28721201814563 -23.595886519098837 17.300387312530933
    4.107059111542203 -2.9478499167379106 0.5448431082926601
    3.9486908534822946 -2.908902115962949 0.5518191394370137
    3.3184196573706015 -2.488488024314874 0.51004894012372
    2.300652019954817 -1.6689039845747493 0.4188073119525673
    1.891301407787398 -1.2679958271945868 0.37680408948524835
    1.8750014808534479 -1.2500016453999487 0.3750001645474248
    1.875 -1.25 0.375
"""
# Printed by PyTorch to six digits; the last three are of intervals as short as rounding.
PYTORCH = [
    (8.237312, -23.157747, 16.680568), (4.082442, -2.893048, 0.525285),
    (3.926348, -2.854747, 0.531802), (3.298219, -2.424542, 0.486320),
    (2.297037, -1.636626, 0.400263), (1.876381, -1.234790, 0.358919),
    (1.856442, -1.213245, 0.356800), (1.856435, -1.213237, 0.356799),
    (1.856431, -1.213229, 0.356795), (1.874995, -1.249991, 0.374995),
]  # fmt: skip


def composed(coefficients, x):
    for p in coefficients:
        x = evaluate(p, x)
    return x


@given(
    degree=st.sampled_from([3, 5]),
    ratio=st.floats(-9, -0.05).map(lambda e: 10.0**e),
    upper=st.floats(0.1, 2.0),
)
def test_the_error_of_the_best_polynomial_alternates(degree, ratio, upper):
    p = minimax(ratio * upper, upper, degree)
    x = [ratio * upper, *critical_points(p.coefficients), upper]
    gaps = [1 - evaluate(p.coefficients, point) for point in x]
    assert len(x) == (degree + 3) // 2
    signs = (-1.0) ** np.arange(len(x))
    assert np.abs(np.array(gaps) - signs * p.error).max() <= 1e-11
    # No other one is nearer: it would have to cross at every sign change, a degree too often.
    inside = np.linspace(ratio * upper, upper, 2001)
    assert np.abs(1 - evaluate(p.coefficients, inside)).max() <= p.error + 1e-11


def test_short_intervals_have_the_taylor_polynomial_of_their_centre():
    for degree, order in ((3, 2), (5, 3)):
        p = minimax(0.7 * (1 - 1e-7), 0.7 * (1 + 1e-7), degree)
        assert p.error <= 10 * 1e-7**order + 4e-16
        assert evaluate(p.coefficients, 0.7) == pytest.approx(1.0, abs=4e-16)


def test_the_published_tables_come_out():
    published = np.array(PUBLISHED.split(), dtype=float).reshape(8, 3)
    found = minimax_coefficients(1e-3, steps=8, cushion=0.02407327424182761)
    assert np.abs(np.array(found.coefficients) - published).max() <= 1e-10
    torch = minimax_coefficients(1e-3, steps=10, cushion=0.02, safety=1.01)
    gaps = np.abs(np.array(torch.coefficients) - PYTORCH)
    assert gaps[:7].max() <= 6e-7
    assert gaps.max() <= 1e-5


@pytest.mark.parametrize(("lower", "errors"), [
    (1e-2, [9.2e-1, 7.1e-1, 2.7e-1, 1.25e-2, 1.2e-6]),
    (1e-3, [0.9915, 0.9646, 0.8598, 0.5459, 0.1134, 9.2e-4, 4.8e-10]),
])  # fmt: skip
def test_errors_are_those_of_the_paper(lower, errors):
    found = [minimax_coefficients(lower, steps=k + 1).error for k in range(len(errors))]
    assert found == pytest.approx(errors, rel=0.03)


@pytest.mark.parametrize("degree", [3, 5])
@pytest.mark.parametrize("cushion", [0.0, 0.05])
def test_the_error_of_a_composition_is_the_one_reported(degree, cushion):
    found = minimax_coefficients(1e-3, steps=6, degree=degree, cushion=cushion)
    y = composed(found.coefficients, np.geomspace(1e-3, 1, 20001))
    assert np.abs(1 - y).max() == pytest.approx(found.error, rel=1e-4)


def test_a_cushion_keeps_small_values_from_being_drowned():
    def shrinking(cushion):
        """How much more the largest values are shrunk than others, by the worst step."""
        worst, low, high = 0.0, 1e-6, 1.0
        for p in minimax_coefficients(1e-6, steps=8, cushion=cushion).coefficients:
            x = np.geomspace(low, high, 4001)
            y = evaluate(p, x)
            worst = max(worst, np.max((x / high) / (y / y.max())))
            low, high = image((p,), low, high)
        return worst

    assert shrinking(0.02407327424182761) <= 8.5
    assert shrinking(0.0) >= 1e3


def test_a_given_error_is_reached_by_the_longest_interval():
    for degree, steps, lower, slope in ((3, 7, 8.93e-4, 832), (5, 4, 2.14e-3, 348)):
        found = cans_coefficients(0.3, steps=steps, degree=degree)
        assert found.lower == pytest.approx(lower, rel=2e-3)
        assert found.error == pytest.approx(0.3, abs=1e-9)
        assert found.error <= 0.3
        assert np.prod([p[0] for p in found.coefficients]) == pytest.approx(slope, rel=2e-3)
        longer = minimax_coefficients(0.99 * found.lower, steps=steps, degree=degree)
        assert longer.error > 0.3
    # The published cubics, to the digits that they hold.
    first = cans_coefficients(0.3, steps=7).coefficients[0]
    assert first == pytest.approx((5.181702879894027, -5.177039351076183), abs=3e-3)


@given(st.lists(st.tuples(*[st.floats(-3, 3)] * 3), min_size=1, max_size=3))
def test_an_image_is_that_of_all_points(coefficients):
    low, high = image(tuple(coefficients), 0.0, 1.0)
    y = composed(coefficients[:1], np.linspace(0.0, 1.0, 2001))
    for p in coefficients[1:]:
        y = evaluate(p, np.linspace(y.min(), y.max(), 2001))
    size = max(abs(low), abs(high), 1.0)
    assert low <= y.min() + 1e-9 * size
    assert high >= y.max() - 1e-9 * size
    assert low == pytest.approx(y.min(), abs=1e-3 * size)
    assert high == pytest.approx(y.max(), abs=1e-3 * size)


def test_five_steps_for_an_interval_beat_the_five_of_muon():
    best = minimax_coefficients(1e-3, steps=5)
    muon = composed((MUON,) * 5, np.geomspace(1e-3, 1, 100001))
    assert best.error == pytest.approx(0.113, abs=1e-3)
    assert np.abs(1 - muon).max() == pytest.approx(0.529, abs=1e-3)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: minimax_coefficients(0.0, steps=3), "lower must lie between 0 and 1"),
    (lambda: minimax_coefficients(1.0, steps=3), "lower"),
    (lambda: minimax_coefficients(float("nan"), steps=3), "lower"),
    (lambda: minimax_coefficients(0.1, steps=0), "steps"),
    (lambda: minimax_coefficients(0.1, steps=2, degree=4), "degree must be 3 or 5"),
    (lambda: minimax_coefficients(0.1, steps=2, cushion=1.0), "cushion"),
    (lambda: minimax_coefficients(0.1, steps=2, safety=0.9), "safety"),
    (lambda: cans_coefficients(1.5, steps=2), "delta must lie between 0 and 1"),
    (lambda: cans_coefficients(0.3, steps=2, degree=7), "degree"),
])  # fmt: skip
def test_bad_options_are_named(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
