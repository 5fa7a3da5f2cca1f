"""Ranks that spend a budget: against every combination there is."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tdecomp.compress import _knapsack, allocate
from tdecomp.linalg import breakeven_rank

values = st.one_of(
    st.floats(1e-100, 10),
    st.sampled_from([0.0, 1.0, 2.0, 1e-6, 1e3]),  # ties and gaps
)


@st.composite
def matrices(draw, most=4, longest=9):
    """Shapes and spectra of a few small matrices."""
    shapes = draw(
        st.lists(
            st.tuples(st.integers(1, longest), st.integers(1, longest)), min_size=1, max_size=most
        )
    )
    spectra = [
        sorted(draw(st.lists(values, min_size=k, max_size=k)), reverse=True)
        for k in (draw(st.integers(1, min(shape))) for shape in shapes)
    ]
    return spectra, shapes


def options(spectrum, shape, unit=1.0):
    """Every rank that makes a matrix smaller, and dense: number of parameters, squared error."""
    m, n = shape
    squares = [(s / unit) ** 2 for s in spectrum]
    small = [
        (r, r * (m + n), math.fsum(squares[r:]))
        for r in range(1, breakeven_rank(m, n) + 1)
        if r <= len(spectrum)
    ]
    return [*small, (None, m * n, 0.0)]


def combinations(spectra, shapes, budget, units=None):
    units = units or [1.0] * len(shapes)
    every = [options(*each) for each in zip(spectra, shapes, units, strict=True)]
    for chosen in itertools.product(*every):
        if sum(cost for _, cost, _ in chosen) <= budget:
            yield tuple(rank for rank, _, _ in chosen), math.fsum(error for *_, error in chosen)


def parameters(ranks, shapes):
    return sum(
        m * n if r is None else r * (m + n) for r, (m, n) in zip(ranks, shapes, strict=True)
    )


def limits(shapes):
    least = sum(m * n if breakeven_rank(m, n) < 1 else m + n for m, n in shapes)
    return least, sum(m * n for m, n in shapes)


@given(data=matrices(), share=st.floats(0, 1), relative=st.booleans())
@settings(max_examples=300)
def test_no_combination_of_ranks_is_better(data, share, relative):
    spectra, shapes = data
    least, most = limits(shapes)
    budget = least + round(share * (most - least))
    units = [np.linalg.norm(s) or 1.0 for s in spectra] if relative else None
    found = allocate(spectra, shapes, budget, normalise="relative" if relative else "absolute")
    best = min(error for _, error in combinations(spectra, shapes, budget, units))
    size = max(sum(s[0] ** 2 for s in spectra), 1e-300) if not relative else 1.0
    assert found.error**2 <= best + 1e-13 * size
    assert found.bound <= found.error
    assert found.bound**2 >= found.error**2 - 1e-12 * size
    assert found.parameters == parameters(found.ranks, shapes) <= budget


@given(data=matrices(), share=st.floats(0, 1))
@settings(max_examples=100)
def test_energy_has_the_least_of_largest_errors(data, share):
    spectra, shapes = data
    least, most = limits(shapes)
    budget = least + round(share * (most - least))
    found = allocate(spectra, shapes, budget, rule="energy")
    assert found.parameters == parameters(found.ranks, shapes) <= budget

    def largest(ranks):
        return max(
            0.0 if r is None else np.linalg.norm(s[r:]) / (np.linalg.norm(s) or 1.0)
            for r, s in zip(ranks, spectra, strict=True)
        )

    best = min(largest(ranks) for ranks, _ in combinations(spectra, shapes, budget))
    assert largest(found.ranks) <= best + 1e-12


@given(
    data=matrices(most=6, longest=40),
    share=st.floats(0, 1),
    rule=st.sampled_from(["uniform", "energy", "optimal"]),
)
@settings(max_examples=150)
def test_the_budget_is_kept_and_nothing_grows(data, share, rule):
    spectra, shapes = data
    least, most = limits(shapes)
    budget = least + round(share * (most - least))
    found = allocate(spectra, shapes, budget, rule=rule)
    assert found.parameters == parameters(found.ranks, shapes) <= budget
    assert found.bound <= found.error * (1 + 1e-12)
    for rank, (m, n) in zip(found.ranks, shapes, strict=True):
        assert rank is None or 1 <= rank <= breakeven_rank(m, n)
    if budget == most:
        assert found.error == 0.0


@pytest.mark.parametrize("keep", [0.1, 0.37, 0.5, 0.9])
def test_uniform_is_the_formula_of_the_papers(keep):
    shapes = [(60, 40), (60, 40), (100, 30), (30, 100)]
    ranks = allocate([np.ones(30)] * 4, shapes, keep=keep, rule="uniform").ranks
    for rank, (m, n) in zip(ranks, shapes, strict=True):
        assert rank >= math.floor(keep * m * n / (m + n))
    # The largest common fraction that fits: none could be one larger.
    budget = keep * sum(m * n for m, n in shapes)
    reached = min((r + 1) * (m + n) / (m * n) for r, (m, n) in zip(ranks, shapes, strict=True))
    more = [math.floor(reached * m * n / (m + n) + 1e-9) for m, n in shapes]
    assert parameters(more, shapes) > budget


def test_equal_matrices_are_treated_alike():
    s = np.geomspace(1, 0.01, 20)
    for rule in ("uniform", "energy", "optimal"):
        ranks = allocate([s] * 5, [(20, 30)] * 5, 5 * 7 * 50, rule=rule).ranks
        assert ranks == (7,) * 5


def test_equal_shapes_take_the_largest_values_first():
    rng = np.random.default_rng(0)
    spectra = [np.sort(rng.exponential(size=30))[::-1] * scale for scale in (1, 2, 5)]
    ranks = allocate(spectra, [(30, 300)] * 3, 40 * 330).ranks
    pooled = sorted(((v, k) for k, s in enumerate(spectra) for v in s), reverse=True)[:40]
    assert ranks == tuple(sum(k == index for _, k in pooled) for index in range(3))


def test_a_larger_error_gets_a_larger_rank():
    s = np.geomspace(1, 0.01, 20)
    budget = 14 * 50
    before = allocate([s, s], [(20, 30)] * 2, budget).ranks
    after = allocate([s, 3 * s], [(20, 30)] * 2, budget).ranks
    assert after[0] < before[0] <= before[1] < after[1]
    assert allocate([s, 3 * s], [(20, 30)] * 2, budget, normalise="relative").ranks == before
    assert allocate([s, s], [(20, 30)] * 2, budget, weights=[1, 9]).ranks == after


def test_what_is_worth_nothing_gets_the_least():
    s = np.geomspace(1, 0.01, 20)
    found = allocate([s, s], [(20, 30)] * 2, 700, weights=[1, 0])
    assert found.ranks[1] == 1
    found = allocate([s, np.zeros(20)], [(20, 30)] * 2, 1200)
    assert found.ranks == (None, 1)
    assert found.error == 0.0


def test_a_flat_spectrum_stays_dense_and_a_steep_one_pays():
    steep, flat = np.geomspace(1, 1e-8, 40), np.ones(40)
    found = allocate([steep, flat], [(40, 40)] * 2, keep=0.75)
    assert found.ranks[1] is None
    assert found.ranks[0] == 10


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_the_scale_does_not_matter(scale):
    rng = np.random.default_rng(0)
    spectra = [np.sort(rng.exponential(size=20))[::-1] for _ in range(4)]
    shapes = [(20, 30), (25, 20), (20, 70), (20, 20)]
    plain = allocate(spectra, shapes, keep=0.5)
    scaled = allocate([s * scale for s in spectra], shapes, keep=0.5)
    assert scaled.ranks == plain.ranks
    assert scaled.error == pytest.approx(plain.error * scale)


def test_spectra_may_come_from_any_library(xp):
    spectra = [np.array([3.0, 2.0, 1.0]), np.array([5.0, 0.1, 0.01])]
    here = allocate(spectra, [(3, 9), (9, 3)], 36)
    there = allocate([xp.asarray(s) for s in spectra], [(3, 9), (9, 3)], 36)
    assert here == there


def network(seed=0):
    """Forty matrices of the shapes of a small encoder, with the spectra of trained weights."""
    rng = np.random.default_rng(seed)
    shapes = [(384, 384)] * 25 + [(1536, 384)] * 6 + [(384, 1536)] * 6 + [(30522, 384), (512, 384)]
    spectra = [
        np.sort(np.arange(1, 385) ** -rng.uniform(0.2, 0.8) + rng.exponential(0.01, 384))[::-1]
        * rng.uniform(0.5, 3)
        for _ in shapes
    ]
    return spectra, shapes


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_a_network_is_solved_to_proven_optimality(keep):
    spectra, shapes = network()
    found = allocate(spectra, shapes, keep=keep)
    assert found.error == pytest.approx(found.bound, rel=1e-12)
    for rule in ("uniform", "energy"):
        other = allocate(spectra, shapes, keep=keep, rule=rule)
        assert found.error <= other.error
        assert other.bound == found.bound


def test_a_bound_is_kept_even_where_the_search_is_cut_short(monkeypatch):
    rng = np.random.default_rng(3)
    shapes = [tuple(int(x) for x in rng.integers(50, 800, 2)) for _ in range(60)]
    spectra = [
        np.sort(np.arange(1.0, min(shape) + 1) ** -0.4 + rng.exponential(0.01, min(shape)))[::-1]
        for shape in shapes
    ]
    whole = allocate(spectra, shapes, keep=0.5)
    assert whole.bound == whole.error
    monkeypatch.setattr(_knapsack, "_STATES", 2)
    cut = allocate(spectra, shapes, keep=0.5)
    assert cut.parameters <= 0.5 * sum(m * n for m, n in shapes)
    assert cut.bound <= whole.error <= cut.error <= 1.05 * cut.bound


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([[1.0]], [(3, 3), (4, 4)], 9), {}, "1 spectra for 2 shapes"),
        (([[1.0]], [(3, 3)], 5), {}, "rank 1 everywhere takes 6 of 9 numbers, keep=0.6667"),
        (([[1.0]], [(3, 3)]), {}, "either budget= .* or keep="),
        (([[1.0]], [(3, 3)], 9), {"keep": 0.5}, "either budget= .* or keep="),
        (([[1.0]], [(3, 3)]), {"keep": 1.5}, "keep must lie between 0 and 1, got 1.5"),
        (([[1.0]], [(3, 3)]), {"keep": 0}, "keep must lie between 0 and 1, got 0"),
        (([[1.0]], [(3, 3)], -4), {}, "budget must be an int >= 0, got -4"),
        (([[1.0]], [(3, 0)], 9), {}, r"shapes\[0\] must be an int >= 1, got 0"),
        (([[1.0, 2.0]], [(3, 3)], 9), {}, r"spectra\[0\] must hold singular values"),
        (([[1.0, -2.0]], [(3, 3)], 9), {}, r"spectra\[0\] must hold singular values"),
        (([[1.0, math.nan]], [(3, 3)], 9), {}, r"spectra\[0\] has 1 non-finite"),
        (([[1.0] * 4], [(3, 3)], 9), {}, "has 4 values, its matrix has at most 3"),
        (([[1.0]], [(3, 3)], 9), {"rule": "greedy"}, "rule must be one of 'optimal'"),
        (([[1.0]], [(3, 3)], 9), {"normalise": "yes"}, "normalise must be one of"),
        (([[1.0]], [(3, 3)], 9), {"weights": [1, 2]}, "2 weights for 1 matrices"),
        (([[1.0]], [(3, 3)], 9), {"weights": [-1]}, "weights must be finite and nonnegative"),
    ],
)
def test_bad_input_is_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        allocate(*arguments, **options)


def test_a_budget_is_an_int():
    with pytest.raises(TypeError, match="budget must be an int"):
        allocate([[1.0]], [(3, 3)], 8.5)


def test_no_matrices_take_no_numbers():
    assert allocate([], [], 0) == ((), 0, 0.0, 0.0)
    assert allocate([], [], 5, rule="uniform").ranks == ()
