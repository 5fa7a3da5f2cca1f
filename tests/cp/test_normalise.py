"""The normal form, and the match of components."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp import cp
from tdecomp.cp import CP

EPS = np.finfo(float).eps
DTYPES = ("float32", "float64", "complex64", "complex128")
shapes = st.lists(st.integers(1, 5), min_size=1, max_size=5).map(tuple)
cases = st.tuples(shapes, st.integers(1, 5), st.sampled_from(DTYPES), st.integers(0, 20))


def gap(a, b):
    """The largest difference between two decompositions, part by part."""
    parts = zip((a.weights, *a.factors), (b.weights, *b.factors), strict=True)
    return max(float(np.abs(x - y).max()) for x, y in parts)


@given(case=cases)
def test_the_normal_form_is_the_same_tensor_in_canonical_parts(case, random_cp, dense):
    shape, rank, dtype, seed = case
    x = random_cp(shape, rank, dtype=dtype, seed=seed)
    normal = cp.normalise(x)
    eps = np.finfo(dtype).eps
    scale = normal.weights.max()
    assert np.abs(dense(normal) - dense(x)).max() <= 40 * len(shape) * eps * rank * scale
    assert normal.weights.dtype == np.zeros(0, dtype).real.dtype
    assert np.all(normal.weights >= 0)
    assert np.all(np.diff(normal.weights) <= 0)
    for factor in normal.factors:
        assert factor.dtype == dtype
        assert np.abs(np.linalg.norm(factor, axis=0) - 1).max() <= 10 * eps
    for factor in normal.factors[:-1]:
        top = factor[np.abs(factor).argmax(axis=0), range(rank)]
        assert np.abs(top - np.abs(top)).max() <= 4 * eps


@given(case=cases)
def test_normalising_twice_changes_nothing(case, random_cp):
    shape, rank, dtype, seed = case
    once = cp.normalise(random_cp(shape, rank, dtype=dtype, seed=seed))
    assert gap(cp.normalise(once), once) <= 20 * np.finfo(dtype).eps * max(1, once.weights[0])


@given(case=cases)
def test_it_forgets_scalings_and_the_order(case, random_cp):
    shape, rank, dtype, seed = case
    x = random_cp(shape, rank, dtype=dtype, seed=seed)
    rng = np.random.default_rng(seed)
    order, rest, factors = rng.permutation(rank), x.weights, []
    for factor in x.factors:
        scale = rng.uniform(0.5, 2.0, rank) * rng.choice([-1, 1], rank)
        if np.dtype(dtype).kind == "c":
            scale = scale * np.exp(1j * rng.uniform(0, 6, rank))
        rest = rest / scale
        factors.append((factor * scale).astype(dtype))
    other = cp.permute(CP(rest, tuple(factors)), order)
    one, two = cp.normalise(x), cp.normalise(other)
    assert gap(one, two) <= 100 * np.finfo(dtype).eps * max(1, one.weights[0])


def test_a_factor_times_a_number_is_the_weight_times_it(random_cp):
    x = random_cp((3, 4), 2)
    one, two = cp.normalise(x), cp.normalise(x._replace(weights=-3 * x.weights))
    assert np.allclose(two.weights, 3 * one.weights)
    assert np.allclose(two.factors[0], one.factors[0])
    assert np.allclose(two.factors[1], -one.factors[1])


def test_ties_are_broken_by_the_index_and_not_by_rounding():
    third = np.array([[1.0], [-1.0], [1.0]]) / 3
    for scale in (1.0, -1.0, 1 / 7, -np.pi):
        x = cp.normalise(CP(np.ones(1), (third * scale, np.ones((2, 1)))))
        assert np.allclose(x.factors[0][:, 0], np.array([1, -1, 1]) / np.sqrt(3))


def test_zero_components_stay_zero():
    x = CP(np.array([0.0, 1.0, 2.0]), (np.ones((2, 3)), np.array([[1.0, 0.0, -1.0]])))
    normal = cp.normalise(x)
    assert np.allclose(normal.weights, [2 * np.sqrt(2), 0, 0])
    assert np.array_equal(normal.factors[1], [[-1.0, 1.0, 0.0]])
    assert gap(cp.normalise(normal), normal) <= 4 * EPS


def brute_score(a, b, weights):
    """The definition, by all permutations."""
    one, two = cp.normalise(a), cp.normalise(b)
    best = 0.0
    for order in itertools.permutations(range(max(a.rank, b.rank)), min(a.rank, b.rank)):
        total = 0.0
        for r, s in enumerate(order):
            i, j = (r, s) if a.rank <= b.rank else (s, r)
            cosine = np.prod([abs(np.vdot(f[:, i], g[:, j]))
                              for f, g in zip(one.factors, two.factors, strict=True)])  # fmt: skip
            v, w = one.weights[i], two.weights[j]
            total += cosine * (1 - abs(v - w) / max(v, w) if weights else 1.0)
        best = max(best, total / len(order))
    return best


@given(ranks=st.tuples(st.integers(1, 4), st.integers(1, 4)), seed=st.integers(0, 20),
       dtype=st.sampled_from(["float64", "complex128"]), weights=st.booleans())  # fmt: skip
def test_the_score_is_the_best_over_all_orders(ranks, seed, dtype, weights, random_cp):
    a, b = (random_cp((3, 2, 4), r, dtype=dtype, seed=seed + 30 * k) for k, r in enumerate(ranks))
    got = cp.factor_match_score(a, b, compare_weights=weights)
    assert got == pytest.approx(brute_score(a, b, weights), abs=1e-13)


def test_the_score_agrees_with_pyttb(random_cp):
    pyttb = pytest.importorskip("pyttb")
    a, b = random_cp((5, 4, 3), 3), random_cp((5, 4, 3), 3, seed=40)
    theirs = [pyttb.ktensor([np.array(f, order="F") for f in x.factors],
                            np.abs(x.weights)) for x in (a, b)]  # fmt: skip
    for penalty in (True, False):
        greedy = theirs[0].score(theirs[1], weight_penalty=penalty)[0]
        score = cp.factor_match_score(a, b, compare_weights=penalty)
        # Theirs pairs greedily, which is never better, and best where components are near.
        assert score >= greedy - 1e-13
    near = CP(a.weights * 1.1, tuple(f + 1e-2 for f in a.factors))
    theirs[1] = pyttb.ktensor([np.array(f, order="F") for f in near.factors], np.abs(near.weights))
    assert cp.factor_match_score(a, near) == pytest.approx(theirs[0].score(theirs[1])[0])


def test_congruences_are_cosines_between_components(xp, random_cp, dense, moved):
    a, b = (random_cp((3, 4, 2), r, dtype="complex128", seed=r) for r in (2, 3))
    got = xp.to_numpy(cp.congruence(moved(a, xp.asarray), moved(b, xp.asarray)))
    for r, s in itertools.product(range(2), range(3)):
        x, y = dense(cp.permute(a, [r])).ravel(), dense(cp.permute(b, [s])).ravel()
        true = np.vdot(x, y) / np.linalg.norm(x) / np.linalg.norm(y)
        assert abs(got[r, s] - true) <= 20 * EPS


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_aligning_finds_the_components_again(xp, dtype, random_cp, moved):
    x = random_cp((5, 4, 6), 4, dtype=dtype)
    noisy = CP(x.weights, tuple(f + 1e-3 * random_cp(f.shape, 1).to_array() for f in x.factors))
    shuffled = cp.permute(cp.normalise(noisy), [2, 0, 3, 1])
    aligned = cp.align(moved(shuffled, xp.asarray), moved(x, xp.asarray))
    aligned = moved(aligned, xp.to_numpy)
    assert np.abs(aligned.to_array() - noisy.to_array()).max() <= 1e-13
    cosines = cp.congruence(aligned, x)
    assert np.all(np.abs(np.diag(cosines)) >= 1 - 1e-4)
    for k in range(2):
        inner = np.sum(np.conj(x.factors[k]) * aligned.factors[k], axis=0)
        assert np.all(np.abs(inner - np.abs(inner)) <= 1e-13)
    again = cp.align(aligned, x)
    assert gap(again, aligned) <= 1e-13


@pytest.mark.parametrize("ranks", [(4, 2), (2, 4)])
def test_aligning_decompositions_of_different_rank(ranks, random_cp):
    x = random_cp((5, 4, 6), 4)
    some = [cp.permute(x, list(range(3, 3 - r, -1))) for r in ranks]
    aligned = cp.align(some[0], some[1])
    assert np.allclose(aligned.to_array(), some[0].to_array())
    matched = np.abs(np.diag(cp.congruence(aligned, some[1])[:2, :4]))
    assert matched.size == 2
    assert np.allclose(matched, 1.0) or ranks == (2, 4)


def test_scores_of_zeros_and_of_norms_out_of_range(random_cp):
    nothing = CP(np.zeros(1), (np.ones((2, 1)), np.ones((3, 1))))
    something = CP(np.ones(1), nothing.factors)
    assert cp.factor_match_score(nothing, nothing) == 1.0
    assert cp.factor_match_score(nothing, something) == 0.0
    x = random_cp((3, 4, 2), 2)
    huge = CP(x.weights, tuple(f * 1e200 for f in x.factors))
    assert cp.factor_match_score(huge, huge) == pytest.approx(1.0)
    assert cp.factor_match_score(huge, x) == pytest.approx(0.0)
    assert cp.factor_match_score(huge, x, compare_weights=False) == pytest.approx(1.0)
