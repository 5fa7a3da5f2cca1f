"""Balanced factors: the same matrix, the least penalty, and few sweeps however small that is."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp._xp import namespace
from tdecomp.completion._entries import read
from tdecomp.completion._methods._als import als
from tdecomp.completion._methods._balanced import _with_ones, balanced, evened
from tdecomp.completion._methods._judged import judged
from tdecomp.completion._pose import Options, pose
from tdecomp.completion._units import in_units
from tdecomp.linalg._thin import mixed_columns

M, N = 40, 30


def noisy(seed=0, share=0.4):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((M, 3)) @ rng.standard_normal((3, N))
    x += 0.1 * rng.standard_normal(x.shape)
    return np.where(rng.random(x.shape) < share, x, np.nan)


def posed(x, *, by_count=False, biases=None, nonnegative=False):
    """A problem, and factors that nobody would choose."""
    rng = np.random.default_rng(1)
    xp, entries = read(x, None)
    options = Options(3, 0.3, by_count, nonnegative, biases, biases is not None, "spectral", rng)
    problem = pose(*in_units(entries, xp), options, xp).problem
    k = problem.left.shape[1]
    mix = np.eye(k)
    mix[:3, :3] = np.diag([5.0, 0.1, 3.0]) @ (rng.random((3, 3)) if not nonnegative else np.eye(3))
    return problem, problem.left @ mix, problem.right @ np.linalg.inv(mix).T


def penalty(problem, left, right):
    return np.sum(problem.row_penalty * abs(left) ** 2) + np.sum(
        problem.column_penalty * abs(right) ** 2
    )


@pytest.mark.parametrize("by_count", [False, True])
def test_the_penalty_of_balanced_factors_is_the_nuclear_norm(by_count):
    problem, left, right = posed(noisy(), by_count=by_count)
    first, second = balanced(problem, left, right)
    np.testing.assert_allclose(first @ second.T, left @ right.T, atol=1e-11)
    roots = [np.sqrt(p[:, :1]) for p in (problem.row_penalty, problem.column_penalty)]
    weighted = roots[0] * (left @ right.T) * roots[1].T
    least = 2 * np.linalg.norm(weighted, "nuc")
    assert penalty(problem, first, second) == pytest.approx(least, rel=1e-12)
    assert penalty(problem, left, right) > 1.1 * least


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
@pytest.mark.parametrize("deficient", [False, True])
def test_every_library_evens_factors(xp, dtype, deficient):
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((size, 4)).astype(dtype) for size in (9, 7))
    if dtype == "complex128":
        left, right = left + 1j * rng.standard_normal(left.shape), right * (1 - 2j)
    left[:, 0] *= 100
    if deficient:
        left[:, 3] = left[:, 2]
    one = xp.asarray(np.ones((1, 1), left.real.dtype))
    first, second = (
        xp.to_numpy(part)
        for part in evened(xp.asarray(left), xp.asarray(right), (one, one), 4, xp.namespace)
    )
    product, eps = left @ right.T, float(np.finfo(dtype).eps)
    assert first.dtype == second.dtype == np.dtype(dtype)
    assert np.max(abs(first @ second.T - product)) < 100 * eps * np.linalg.norm(left) * 10
    found = np.linalg.norm(first) ** 2 + np.linalg.norm(second) ** 2
    # What weighs less than a power 3/8 of eps is not quite balanced.
    assert found == pytest.approx(2 * np.linalg.norm(product, "nuc"), rel=20 * eps**0.375)


def test_what_offsets_and_factors_can_tell_alike_goes_where_it_costs_least():
    problem, left, right = posed(noisy() + 3, biases=2.0)
    left[:, :3] += 0.5
    first, second = balanced(problem, left, right)
    matrices = [
        u[:, :3] @ v[:, :3].T + u[:, 3:] + v[:, 3] for u, v in ((left, right), (first, second))
    ]
    np.testing.assert_allclose(matrices[1], matrices[0], atol=1e-11)
    assert penalty(problem, first, second) < penalty(problem, left, right)
    # Both gauges together have no descent left once they are repeated.
    for _ in range(60):
        first, second = balanced(problem, first, second)
    again = balanced(problem, first, second)
    assert penalty(problem, *again) == pytest.approx(penalty(problem, first, second), rel=1e-9)
    heavy = problem.row_penalty[:, :3]
    slope = 2.0 * second[:, :3].T @ second[:, 3] - np.sum(heavy * first[:, :3], axis=0)
    assert np.max(abs(slope)) < 1e-4 * np.sum(heavy * abs(first[:, :3]))


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_products_with_ones_need_no_ones(dtype):
    rng = np.random.default_rng(0)
    right = rng.standard_normal((N, 4)).astype(dtype)
    right = right + 1j * rng.standard_normal(right.shape) if dtype == "complex128" else right
    other = (np.arange(N) % 5 > 0).astype(dtype)[:, None]
    right = right * other
    joined = np.concatenate([right[:, :-1], other], axis=1)
    square, slope = _with_ones(right, other, namespace(right))
    np.testing.assert_allclose(square, joined.conj().T @ joined, atol=1e-13)
    np.testing.assert_allclose(slope, joined.conj().T @ right[:, -1:], atol=1e-13)


def test_rows_and_columns_without_entries_stay_zero():
    x = noisy() + 3
    x[4], x[:, 2] = np.nan, np.nan
    z = td.complete(x, rank=3, regularization=0.1, biases=2.0, rng=0, max_iter=4, tol=-1).tensor
    assert not z.left[4].any()
    assert not z.right[:, 2].any()
    assert z.row_bias[4] == z.column_bias[2] == 0


def test_nonnegative_factors_stay_so_and_share_their_sizes():
    problem, left, right = posed(abs(noisy()), nonnegative=True)
    left[:, 1] = 0
    first, second = balanced(problem, left, right)
    assert min(first.min(), second.min()) >= 0
    np.testing.assert_allclose(first @ second.T, left @ right.T, atol=1e-12)
    sizes = [np.linalg.norm(part, axis=0)[[0, 2]] for part in (first, second)]
    np.testing.assert_allclose(*sizes, rtol=1e-12)


@pytest.mark.parametrize("method", ["als", "als_cg"])
@pytest.mark.parametrize(
    "rules", [{}, {"by_count": True}, {"biases": True}, {"by_count": True, "biases": 0.5}], ids=str
)
def test_a_small_penalty_costs_no_sweeps(method, rules):
    fit = td.complete(
        noisy(share=0.6), rank=3, method=method, regularization=0.01, tol=1e-9, max_iter=60,
        rng=0, **rules,
    )  # fmt: skip
    assert fit.status == td.Status.CONVERGED


def test_mixed_columns_are_a_product_in_runs():
    rng = np.random.default_rng(0)
    for rows in (30, 20_000):
        a, x = rng.standard_normal((rows, 8)), rng.standard_normal((8, 8))
        found = mixed_columns(a[:, ::-1], x)
        assert found.flags.c_contiguous
        np.testing.assert_allclose(found, a[:, ::-1] @ x, atol=1e-12)


@pytest.mark.parametrize("biases", [None, 2.0])
def test_a_sweep_is_judged_by_the_factors_that_it_leaves(biases):
    problem, left, right = posed(noisy(), biases=biases)
    solver = als(problem._replace(left=left, right=right))
    found = solver.step(solver.state)
    factors = found.state.left, found.state.right
    assert found.merit == pytest.approx(judged(problem, *factors, None).merit, rel=1e-12)


def test_without_a_penalty_factors_stay():
    problem, left, right = posed(noisy())
    problem = problem._replace(regularization=0.0)
    assert all(a is b for a, b in zip(balanced(problem, left, right), (left, right), strict=True))


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_factors_are_balanced_by_a_positive_definite_change_and_then_stay(dtype):
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((size, 4)).astype(dtype) for size in (9, 7))
    if dtype == "complex128":
        left, right = left + 1j * rng.standard_normal(left.shape), right * (1 - 2j)
    xp, one = namespace(left), np.ones((1, 1))
    first, second = evened(left, right, (one, one), 4, xp)
    gram, other = first.conj().T @ first, second.conj().T @ second
    np.testing.assert_allclose(gram, other.conj(), atol=1e-12 * np.linalg.norm(gram))
    change = np.linalg.lstsq(left, first)[0]
    np.testing.assert_allclose(change, change.conj().T, atol=1e-12 * np.linalg.norm(change))
    assert np.linalg.eigvalsh(change)[0] > 0
    third, fourth = evened(first, second, (one, one), 4, xp)
    np.testing.assert_allclose(third, first, atol=1e-12 * np.linalg.norm(first))
    np.testing.assert_allclose(fourth, second, atol=1e-12 * np.linalg.norm(second))
