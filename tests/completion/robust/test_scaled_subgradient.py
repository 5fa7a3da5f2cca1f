"""Scaled subgradients: any condition number, any share of outliers, real and complex."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp.completion.robust import scaled_subgradient
from tdecomp.testing import gaussian


def far(fit, truth):
    return np.linalg.norm(fit.tensor.to_array() - truth)


def lopsided(condition, m=700, outliers=0.2, seed=0):
    """A matrix of given condition, seen by a Gaussian map, a fifth of it wrong."""
    rng = np.random.default_rng(seed)
    u, v = (np.linalg.qr(rng.standard_normal((n, 3)))[0] for n in (14, 10))
    truth = (u * np.linspace(1, 1 / condition, 3)) @ v.T
    stack = rng.standard_normal((m, 14, 10))
    y = np.tensordot(stack, truth, 2)
    wrong = rng.permutation(m)[: int(outliers * m)]
    spoiled = np.zeros(m)
    spoiled[wrong] = 10 * np.abs(y).max() * rng.uniform(-1, 1, wrong.size)
    return truth, stack, y + spoiled, np.abs(spoiled).sum()


@pytest.mark.parametrize("lengths", ["optimum", "estimate", "decay"])
def test_the_condition_number_does_not_matter(lengths):
    counts = []
    for condition in (1.0, 5.0, 20.0):
        truth, stack, y, optimum = lopsided(condition)
        options = {"optimum": {"optimum": optimum}, "estimate": {}, "decay": {"decay": 0.95}}
        fit = scaled_subgradient(y, stack, rank=3, outliers=0.25, **options[lengths])
        assert far(fit, truth) < (1e-6 if lengths == "optimum" else 1e-7) * np.linalg.norm(truth)
        assert fit.error == pytest.approx(optimum / np.abs(y).sum(), rel=1e-6)
        counts.append(fit.n_iter)
    assert max(counts) <= 1.5 * min(counts)


def test_exactly_the_share_that_is_told_may_be_wrong():
    """0.82 times 500 is above 410 in floating point: no sum of residuals may take one more."""
    truth, stack, y, _ = lopsided(1.0, 500, 0.18)
    fit = scaled_subgradient(y, stack, rank=3, outliers=0.18)
    assert fit.status is td.Status.CONVERGED
    assert far(fit, truth) < 1e-8 * np.linalg.norm(truth)


@pytest.mark.parametrize("outliers", [0.0, 0.1, 0.3])
def test_the_more_is_wrong_the_longer_it_takes_but_it_is_found(outliers):
    truth, stack, y, _ = lopsided(10.0, 900, outliers)
    fit = scaled_subgradient(y, stack, rank=3, outliers=max(outliers + 0.05, 0.1))
    assert fit.status is td.Status.CONVERGED
    assert far(fit, truth) < 1e-8 * np.linalg.norm(truth)


def test_complex_matrices_are_recovered():
    rng = np.random.default_rng(0)
    stack = gaussian((500, 8, 6), rng=0, dtype="complex128")
    truth = gaussian((8, 2), rng=1, dtype="complex128") @ gaussian(
        (2, 6), rng=2, dtype="complex128"
    )
    y = np.einsum("pij,ij->p", stack.conj(), truth)
    y[::6] += 100 * rng.standard_normal(y[::6].size)
    fit = scaled_subgradient(y, stack, rank=2)
    assert far(fit, truth) <= 1e-8 * np.linalg.norm(truth)


@pytest.mark.parametrize("rank", [4, 6])
def test_more_columns_than_the_matrix_has_rank_do_no_harm(rank):
    truth, stack, y, _ = lopsided(2.0)
    fit = scaled_subgradient(y, stack, rank=rank, outliers=0.25)
    assert far(fit, truth) < 1e-6 * np.linalg.norm(truth)


def test_where_columns_lose_one_another_nothing_explodes_and_nothing_is_promised():
    """With all columns there are, in a space of few dimensions, factors are nearly singular."""
    rng = np.random.default_rng(0)
    u, stack = rng.standard_normal((8, 2)), rng.standard_normal((220, 8, 8))
    y = np.tensordot(stack, u @ u.T, 2)
    y[::10] += 100 * rng.standard_normal(22)
    fit = scaled_subgradient(y, stack, rank=8)
    assert fit.error < 1
    assert fit.status is not td.Status.CONVERGED or far(fit, u @ u.T) < 1e-6


def test_a_step_that_is_cut_and_ends_at_the_solution_has_converged():
    """Of one number p = l r a cut step makes (1 + sqrt(2))^2 p."""
    start = td.LowRank(np.full((1, 1), 2**0.5 - 1), np.full((1, 1), 2**0.5 - 1))
    fit = scaled_subgradient(np.ones(1), np.ones((1, 1, 1)), rank=1, optimum=0.0, init=start)
    assert (fit.n_iter, fit.status) == (1, td.Status.CONVERGED)
    assert fit.tensor.to_array()[0, 0] == pytest.approx(1, rel=8 * np.finfo(float).eps)
