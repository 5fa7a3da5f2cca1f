"""Errors have the variances of theory, from both sides, and costs are what they are told."""

import numpy as np
import pytest
from scipy import stats

from tdecomp.completion.sampling import (
    LengthSquaredMatrix,
    LengthSquaredVector,
    _rejection,
    combine,
    inner,
    recommend,
    sampled_matmul,
    sampled_svd,
    transform,
)
from tdecomp.completion.sampling._rows import drawn_rows
from tdecomp.completion.sampling._svd import small_matrix

RUNS, DRAWS = 300, 30_000


def unequal(kind):
    """Return a matrix of full rank whose rows differ in norm, by a factor of a thousand if so."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((25, 4)) @ rng.standard_normal((4, 15))
    a = a + 0.3 * rng.standard_normal((25, 15))
    if kind == "complex":
        return a * np.exp(2j * np.pi * rng.random(a.shape))
    return a * np.geomspace(1, 1e-3, 25)[:, None] if kind == "unequal" else a


def dense(rows):
    """Form the sampled rows."""
    return rows.columns(np.arange(rows.matrix.shape[1])) * 2.0**rows.unit


def gram(a):
    return a.conj().T @ a


def mean_square(errors):
    """Return the mean of squared norms, and five standard errors of it."""
    squares = np.asarray([np.linalg.norm(error) ** 2 for error in errors])
    return squares.mean(), 5 * squares.std() / np.sqrt(squares.size)


@pytest.mark.parametrize("kind", ["equal", "unequal", "complex"])
def test_gram_matrices_of_samples_have_the_variance_of_theory_and_no_bias(kind):
    a, r, c = unequal(kind), 12, 9
    held, rng = LengthSquaredMatrix(a), np.random.default_rng(1)
    of_rows = [gram(dense(drawn_rows(held, r, rng))) for _ in range(RUNS)]
    rows = drawn_rows(held, r, rng)
    whole, formed = gram(a), dense(rows)
    of_columns = [gram(small_matrix(rows, c, rng).conj().T * 2.0**rows.unit) for _ in range(RUNS)]
    for exact, found, count in (
        (whole, of_rows, r),
        (gram(formed.conj().T), of_columns, c),
    ):
        variance = (np.trace(exact).real ** 2 - np.linalg.norm(exact) ** 2) / count
        mean, margin = mean_square([x - exact for x in found])
        assert abs(mean - variance) < margin
        assert margin < 0.6 * variance  # else it would prove nothing
        bias = np.linalg.norm(np.mean(found, axis=0) - exact)
        assert bias < 3 * np.sqrt(variance / RUNS)


@pytest.mark.parametrize("kind", ["equal", "unequal", "complex"])
def test_values_and_projections_are_off_by_the_gaps_of_the_gram_matrices_at_most(kind):
    a, k = unequal(kind), 3
    held, exact = LengthSquaredMatrix(a), np.linalg.svd(a, compute_uv=False)
    tails = []
    for seed in range(20):
        found = sampled_svd(held, rank=k, samples=(20, 20), rng=seed)
        rng = np.random.default_rng(seed)
        rows = drawn_rows(held, 20, rng)
        r, c = dense(rows), small_matrix(rows, 20, rng) * 2.0**rows.unit
        first, second = gram(a) - gram(r), gram(r.conj().T) - gram(c.conj().T)
        weyl = np.linalg.norm(first, 2) + np.linalg.norm(second, 2)
        assert np.all(np.abs(found.S**2 - exact[: found.rank] ** 2) <= weyl * (1 + 1e-12))
        square = np.linalg.norm(a - found.lowrank().to_array()) ** 2
        frobenius = np.linalg.norm(first) + np.linalg.norm(second)
        best = np.sum(exact[found.rank :] ** 2)
        assert best * (1 - 1e-12) <= square <= best + 2 * np.sqrt(found.rank) * frobenius
        tails.append(square - best)
    whole = np.linalg.norm(a) ** 2
    assert 1e-4 * whole < np.mean(tails) < 2 * np.sqrt(k) * 2 / np.sqrt(20) * whole


def test_a_row_that_is_never_drawn_is_not_seen():
    a = np.diag([1e8, 1.0, 1.0])
    found = sampled_svd(a, rank=3, samples=50, rng=0)
    assert found.rank == 1
    assert found.S[0] == pytest.approx(1e8, rel=1e-14)


@pytest.mark.parametrize("kind", ["equal", "unequal", "complex"])
def test_products_have_the_variance_of_theory_and_no_bias(kind):
    a, s = unequal(kind), 20
    b = a[:, ::2] + 1.0
    held, rng = LengthSquaredMatrix(a), np.random.default_rng(0)
    exact = a.conj().T @ b
    found = [sampled_matmul(held, b, samples=s, rng=rng).to_array() for _ in range(RUNS)]
    bound = np.linalg.norm(a) * np.linalg.norm(b)
    variance = (bound**2 - np.linalg.norm(exact) ** 2) / s
    mean, margin = mean_square([x - exact for x in found])
    assert abs(mean - variance) < margin < 0.7 * variance
    assert np.linalg.norm(np.mean(found, axis=0) - exact) < 3 * np.sqrt(variance / RUNS)


def test_inner_products_have_the_variance_of_theory_where_it_is_largest():
    x, y = np.asarray([1.0, 0.1, 0.1]), np.asarray([0.0, 1.0, -1.0])  # what counts is rare
    held, rng = LengthSquaredVector(x), np.random.default_rng(0)
    scale = np.linalg.norm(x) * np.linalg.norm(y)
    errors = [inner(held, y, samples=50, groups=1, rng=rng) - x @ y for _ in range(1000)]
    mean, margin = mean_square(errors)
    assert abs(mean - (scale**2 - (x @ y) ** 2) / 50) < margin < 0.4 * scale**2 / 50
    wrong = [abs(inner(held, y, tol=0.4, failure=0.2, rng=rng)) > 0.4 * scale for _ in range(150)]
    assert np.mean(wrong) <= 0.2


@pytest.mark.parametrize("kind", ["equal", "complex"])
def test_implicit_vectors_are_drawn_by_their_squares(kind):
    a = unequal(kind)
    f = transform(a, np.ones_like, samples=20, rank=3, at_zero=0.0, rng=0)
    for u in (sampled_svd(a, rank=3, samples=20, rng=0).vector(1), recommend(f, 4)):
        squares = np.abs(u.to_array()) ** 2
        counts = np.bincount(u.sample(DRAWS, rng=1), minlength=squares.size)
        assert stats.chisquare(counts, DRAWS * squares / squares.sum()).pvalue > 1e-4


def test_so_many_proposals_are_made_as_the_cancellation_costs(monkeypatch):
    rng = np.random.default_rng(0)
    rows, numbers = rng.standard_normal((5, 40)), np.asarray([1.0, -1.0, 2.0, 0.5, 1.0])
    asked, propose = [], _rejection._proposed
    monkeypatch.setattr(
        _rejection, "_proposed", lambda t, n, g: asked.append(n) or propose(t, n, g)
    )
    combine(numbers, LengthSquaredMatrix(rows)).sample(5000, rng=0)
    whole = np.sum(np.abs(numbers) * np.linalg.norm(rows, axis=1))
    tries = 5000 * whole**2 / np.linalg.norm(numbers @ rows) ** 2
    assert 0.9 * tries < sum(asked) < 1.5 * tries


@pytest.mark.parametrize("n", [2**10, 2**17])
def test_a_change_writes_one_path_of_each_tree(n):
    held = LengthSquaredMatrix(np.ones((8, n)))
    before = held._trees.rows.heap.copy(), held._trees.top.heap.copy()
    for way in (5, [5]):
        held.update(3 if way == 5 else [3], way, 7.0 + (way == 5))
        rows, top = held._trees.rows.heap, held._trees.top.heap
        assert np.count_nonzero(rows != before[0]) == np.log2(n) + 1
        assert np.count_nonzero(top != before[1]) == np.log2(8) + 1


def test_errors_of_functions_fall_as_the_root_of_the_number_of_samples():
    a = unequal("equal")
    held, exact = LengthSquaredMatrix(a), gram(a)
    errors = [
        np.mean([np.linalg.norm(transform(held, lambda t: t, samples=s, rng=k).to_array() - exact)
                 for k in range(10)])
        for s in (40, 640)
    ]  # fmt: skip
    assert 2.5 < errors[0] / errors[1] < 6.5  # four, in the mean
