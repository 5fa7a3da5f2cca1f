"""The parts of weighted low rank: slopes, curvatures, lines, majorants, balanced factors."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp._iterate import iterate
from tdecomp.completion._dense._alternating import Alternating
from tdecomp.completion._dense._factors import Pair, balanced, orthonormal
from tdecomp.completion._dense._line import lowest
from tdecomp.completion._dense._majorant import Majorant
from tdecomp.completion._dense._objective import Objective
from tdecomp.completion._dense._quasi_newton import QuasiNewton
from tdecomp.completion._dense._rows import _DAMPING, _SHIFT, _groups, metric, solved
from tdecomp.completion._dense._separable import closed
from tdecomp.completion._dense._starts import (
    _candidates,
    _stretched,
    best_of_several,
    drawn,
    plain,
)
from tdecomp.completion._dense._step import reported

EPS = np.finfo(float).eps
M, N, K = 9, 7, 3
TYPES = ["float64", "complex128"]


def gaussian(rng, shape, dtype):
    values = rng.standard_normal(shape)
    return values + 1j * rng.standard_normal(shape) if dtype == "complex128" else values


def problem(dtype, penalty=0.3, seed=0):
    rng = np.random.default_rng(seed)
    x, weights = gaussian(rng, (M, N), dtype), rng.random((M, N)) * (rng.random((M, N)) > 0.2)
    total = float(np.sum(weights * np.abs(x) ** 2))
    pair = Pair(gaussian(rng, (M, K), dtype), gaussian(rng, (N, K), dtype))
    return Objective(x, weights, penalty, total, np), pair


def value(objective, left, right):
    gap = np.abs(objective.values - left @ right.T) ** 2
    penalty = objective.penalty * (np.linalg.norm(left) ** 2 + np.linalg.norm(right) ** 2)
    return float(np.sum(objective.weights * gap) + penalty)


def moved(xp, objective, pair):
    """Return an objective and factors as arrays of another library."""
    parts = (xp.asarray(part) for part in (objective.values, objective.weights))
    there = Objective(*parts, objective.penalty, objective.total, xp.namespace)
    return there, Pair(*map(xp.asarray, pair))


@pytest.mark.when_compiled(dtype="complex128")
@pytest.mark.parametrize("dtype", TYPES)
def test_the_coefficients_of_a_line_are_the_objective_along_it(xp, dtype):
    objective, pair = problem(dtype)
    _, step = problem(dtype, seed=1)
    there, point = moved(xp, objective, pair)
    lines = there.along(*point, *map(xp.asarray, step))
    for t in (-1.5, 0.0, 0.3, 2.0):
        truth = value(objective, *pair.moved(t, step))
        found = float(lines.sum(axis=0) @ t ** np.arange(5))
        assert found == pytest.approx(truth, rel=200 * EPS)


@pytest.mark.when_compiled(dtype="complex128")
@pytest.mark.parametrize("dtype", TYPES)
def test_from_known_slopes_a_line_is_the_same_but_for_its_constant(xp, dtype):
    objective, pair = problem(dtype)
    _, step = problem(dtype, seed=1)
    there, point = moved(xp, objective, pair)
    found = there.ahead(point, Pair(*map(xp.asarray, step)), there.slopes(*point))
    whole = objective.along(*pair, *step).sum(axis=0)
    assert found[0] == 0
    np.testing.assert_allclose(found[1:], whole[1:], rtol=0, atol=200 * EPS * np.abs(whole).max())


@pytest.mark.when_compiled(dtype="complex128")
@pytest.mark.parametrize("dtype", TYPES)
def test_slopes_are_those_of_the_objective_along_every_line(xp, dtype):
    objective, pair = problem(dtype)
    there, point = moved(xp, objective, pair)
    slopes = there.slopes(*point)
    misfit = value(objective, *pair) - objective.excess(*pair)
    assert slopes.misfit == pytest.approx(misfit, rel=100 * EPS)
    for seed in (1, 2):
        _, step = problem(dtype, seed=seed)
        linear = objective.along(*pair, *step).sum(axis=0)[1]
        descent = (xp.to_numpy(slopes.left), xp.to_numpy(slopes.right))
        found = -2 * sum(np.vdot(s, g).real for s, g in zip(step, descent, strict=True))
        assert found == pytest.approx(linear, rel=1e-12)


@pytest.mark.when_compiled(dtype="complex128")
@pytest.mark.parametrize("dtype", TYPES)
def test_the_misfit_and_the_overlaps_of_a_model_add_up_to_the_total(xp, dtype):
    objective, pair = problem(dtype, penalty=0.0)
    there, point = moved(xp, objective, pair)
    misfit, (gap, square) = there.misfit(*point), there.overlaps(*point)
    z, weights = pair.left @ pair.right.T, objective.weights
    assert misfit == pytest.approx(value(objective, *pair), rel=100 * EPS)
    assert square == pytest.approx(np.sum(weights * np.abs(z) ** 2), rel=100 * EPS)
    size = misfit + square
    assert misfit + 2 * gap + square == pytest.approx(objective.total, abs=100 * EPS * size)


@pytest.mark.parametrize("dtype", TYPES)
def test_slabs_add_up(monkeypatch, dtype):
    objective, pair = problem(dtype)
    _, step = problem(dtype, seed=1)
    whole, line = objective.slopes(*pair), objective.along(*pair, *step)
    monkeypatch.setattr("tdecomp.completion._dense._objective._SLAB", 2 * N)
    for one, other in zip(whole, objective.slopes(*pair), strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-13 * np.max(np.abs(one)))
    np.testing.assert_allclose(objective.along(*pair, *step), line, rtol=1e-12, atol=1e-12)


@pytest.mark.when_compiled(dtype="complex128")
@pytest.mark.parametrize("dtype", TYPES)
def test_curvatures_are_those_of_the_rows(xp, dtype):
    objective, pair = problem(dtype)
    there, point = moved(xp, objective, pair)
    ((rows, found),) = there.curvatures(point.right)
    found = xp.to_numpy(found)
    assert rows == slice(0, M)
    for i in range(M):
        heavy = objective.weights[i][:, None] * pair.right
        truth = pair.right.conj().T @ heavy + objective.penalty * np.eye(K)
        np.testing.assert_allclose(found[i], truth, rtol=0, atol=50 * EPS * np.abs(truth).max())


@pytest.mark.parametrize("dtype", TYPES)
def test_blocks_of_curvatures_add_up(monkeypatch, dtype):
    objective, pair = problem(dtype)
    slopes = objective.slopes(*pair).left
    ((_, whole),) = objective.curvatures(pair.right)
    steps = [f(objective, pair.right, slopes) for f in (solved, applied)]
    monkeypatch.setattr("tdecomp.completion._dense._objective._BLOCK", 1)
    monkeypatch.setattr("tdecomp.completion._dense._objective._LEAST", 2)
    rows, blocks = zip(*objective.curvatures(pair.right), strict=True)
    assert [part.stop - part.start for part in rows] == [2, 2, 2, 2, 1]
    np.testing.assert_allclose(np.concatenate(blocks), whole, rtol=0, atol=20 * EPS * N)
    for f, step in zip((solved, applied), steps, strict=True):
        np.testing.assert_allclose(f(objective, pair.right, slopes), step, rtol=1e-9, atol=1e-12)


def applied(objective, right, slopes):
    return metric(objective, right).applied(slopes)


@pytest.mark.when_compiled(dtype="complex128")
@pytest.mark.parametrize("dtype", TYPES)
def test_groups_of_columns_lose_nothing_where_rows_differ_by_a_factor(xp, monkeypatch, dtype):
    objective, pair = problem(dtype, penalty=0.0)
    objective.weights[...] = np.outer(np.geomspace(1, 1e-3, M), np.geomspace(1e-2, 1, N))
    slopes = objective.slopes(*pair).left
    there, point = moved(xp, objective, pair)
    pairs = [slice(0, 2), slice(2, K)]
    monkeypatch.setattr("tdecomp.completion._dense._rows._groups", lambda *_: pairs)
    found = metric(there, point.right)
    assert not found.whole
    steps = xp.to_numpy(found.applied(xp.asarray(slopes)))
    ((_, curvatures),) = objective.curvatures(pair.right)
    for i, curvature in enumerate(curvatures):
        truth = np.linalg.solve(curvature, slopes[i]) / (1 + _DAMPING)
        np.testing.assert_allclose(steps[i], truth, rtol=0, atol=1e-11 * np.abs(truth).max())


@given(m=st.integers(1, 5000), n=st.integers(1, 5000), part=st.floats(0, 1))
def test_groups_are_all_columns_of_no_more_memory_than_data_and_weights(m, n, part):
    k = max(1, round(part * min(m, n)))
    groups = _groups(m, n, k)
    assert [i for group in groups for i in range(k)[group]] == list(range(k))
    widest = max(group.stop - group.start for group in groups)
    assert k <= 8 or (m + n) * k * widest <= 2 * m * n


def test_a_sweep_takes_memory_of_the_factors_and_a_block(monkeypatch):
    rng, (m, n, k) = np.random.default_rng(0), (2000, 40, 16)
    x, right, slopes = (rng.standard_normal(shape) for shape in ((m, n), (n, k), (m, k)))
    objective = Objective(x, x**2, 0.1, float(np.sum(x**4)), np)
    monkeypatch.setattr("tdecomp.completion._dense._objective._BLOCK", 1)
    monkeypatch.setattr("tdecomp.completion._dense._objective._LEAST", 32)
    tracemalloc.start()
    try:
        solved(objective, right, slopes)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < m * k**2 * 8 / 4  # half of it would be the curvatures of all rows, halved


@pytest.mark.when_compiled(dtype="complex128")
@pytest.mark.parametrize("dtype", TYPES)
def test_a_row_solves_its_own_least_squares_problem(xp, dtype):
    objective, pair = problem(dtype, penalty=0.0)
    there, point = moved(xp, objective, pair)
    slopes = there.slopes(*point).left
    step = xp.to_numpy(solved(there, point.right, slopes))
    damped = xp.to_numpy(metric(there, point.right).applied(slopes))
    for i in range(M):
        root = np.sqrt(objective.weights[i])
        design = root[:, None] * pair.right
        truth = np.linalg.lstsq(design, root * objective.values[i])[0]
        np.testing.assert_allclose(pair.left[i] + step[i], truth, rtol=0, atol=1e-9)
        # Damped as by so many more observations of each unknown on its own.
        extra = _DAMPING**0.5 * np.diag(np.linalg.norm(design, axis=0))
        gap = np.concatenate([root * objective.values[i] - design @ pair.left[i], np.zeros(K)])
        truth = np.linalg.lstsq(np.concatenate([design, extra]), gap)[0]
        np.testing.assert_allclose(damped[i], truth, rtol=0, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_a_row_with_fewer_entries_than_unknowns_fits_them_and_changes_no_more_than_it_must(seed):
    objective, pair = problem("float64", penalty=0.0, seed=seed)
    objective.weights[0] = 0
    objective.weights[1, 1:] = 0
    objective.weights[1, 0] = 2.0**-600
    step = solved(objective, pair.right, objective.slopes(*pair).left)
    assert not np.any(step[0])
    assert (pair.left[1] + step[1]) @ pair.right[0] == pytest.approx(objective.values[1, 0])
    # Least where columns are measured in their own units: as the diagonal of the curvature says.
    least = 1 / pair.right[0]
    # The curvature is singular, and right to three roundings of k entries in a row; what is added
    # to it is _SHIFT times as much.
    np.testing.assert_allclose(step[1] / step[1][0], least / least[0], rtol=4 / _SHIFT)


def test_where_nothing_is_rounded_that_least_change_is_found_but_for_the_damping():
    objective, pair = problem("float64", penalty=0.0)
    objective.weights[1] = 0
    objective.weights[1, 0], objective.values[1, 0] = 2.0**-600, 1.0
    pair.left[1], pair.right[0] = 0.0, [1.0, -2.0, 0.5]
    step = solved(objective, pair.right, objective.slopes(*pair).left)
    np.testing.assert_allclose(step[1], np.asarray([1, -0.5, 2]) / K, rtol=_SHIFT * K * EPS)


@pytest.mark.when_compiled(dtype="complex128")
@pytest.mark.parametrize("dtype", TYPES)
def test_a_majorised_half_solves_the_majorised_problem(xp, dtype):
    objective, pair = problem(dtype)
    there, point = moved(xp, objective, pair)
    majorant = Majorant.of(there.weights, xp.namespace)
    rows, columns = (xp.to_numpy(part) for part in majorant[:2])
    step = xp.to_numpy(majorant.solved(there, point.right, there.slopes(*point).left))
    z = pair.left @ pair.right.T
    y = z + objective.weights / np.outer(rows, columns) * (objective.values - z)
    below = np.sqrt(objective.penalty) * np.eye(K)
    for i in range(M):
        root = np.sqrt(rows[i] * columns)
        tall = np.concatenate([root[:, None] * pair.right, below])
        truth = np.linalg.lstsq(tall, np.concatenate([root * y[i], np.zeros(K)]))[0]
        np.testing.assert_allclose(pair.left[i] + step[i], truth, rtol=0, atol=1e-10)


@given(seed=st.integers(0, 1000), spread=st.sampled_from([0.0, 1.0, 8.0]))
def test_a_majorant_is_above_the_weights_and_touches_them_in_every_row_and_column(seed, spread):
    rng = np.random.default_rng(seed)
    weights = np.exp(spread * rng.standard_normal((M, N))) * (rng.random((M, N)) > 0.3)
    weights[3], weights[:, 2] = 0, 0
    majorant = Majorant.of(weights, np)
    ratio = weights / np.outer(majorant.rows, majorant.columns)
    assert np.all(ratio <= 1 + 4 * EPS)
    seen = weights > 0
    np.testing.assert_allclose(ratio.max(axis=0)[seen.any(axis=0)], 1, rtol=4 * EPS)
    assert Majorant.of(weights.T, np).turned.rows.shape == (M,)


def test_the_majorant_of_weights_of_rank_one_is_the_weights():
    rows, columns = np.geomspace(1, 1e-8, M), np.geomspace(1e-5, 1, N)
    majorant = Majorant.of(np.outer(rows, columns), np)
    product = np.outer(majorant.rows, majorant.columns)
    np.testing.assert_allclose(product, np.outer(rows, columns), rtol=8 * EPS)


@pytest.mark.when_compiled(dtype="complex128")
@pytest.mark.parametrize("dtype", TYPES)
def test_factors_are_balanced_at_the_same_product(xp, dtype):
    _, pair = problem(dtype)
    pair = Pair(pair.left * [1, 1e-3, 1e3], pair.right * [1e2, 1, 0])
    product = pair.left @ pair.right.T
    size = np.linalg.norm(product)
    point = Pair(*map(xp.asarray, pair))
    even = [xp.to_numpy(part) for part in balanced(point, xp.namespace)]
    one = [xp.to_numpy(part) for part in orthonormal(point, xp.namespace)]
    for left, right in (even, one):
        assert np.linalg.norm(left @ right.T - product) <= 100 * EPS * size
    sizes = [np.linalg.norm(part, axis=0) for part in even]
    np.testing.assert_allclose(*sizes, rtol=0, atol=1e-9 * sizes[0][0])
    nuclear = np.linalg.svd(product, compute_uv=False).sum()
    assert sum(np.sum(s**2) for s in sizes) == pytest.approx(2 * nuclear, rel=1e-9)
    np.testing.assert_allclose(one[0].conj().T @ one[0], np.eye(K), atol=50 * EPS)


@given(
    coefficients=st.lists(st.floats(-1e3, 1e3), min_size=5, max_size=5),
    scale=st.sampled_from([1e-100, 1.0, 1e100]),
)
def test_no_point_of_a_line_is_lower_than_the_lowest(coefficients, scale):
    line = np.asarray(coefficients) * scale
    line[4] = abs(line[4]) + scale
    t, gain = lowest(line)
    assert gain >= 0
    near = np.polynomial.Polynomial(line)
    grid = np.linspace(-3, 3, 61)
    size = np.abs(line) @ np.maximum(3.0, abs(t)) ** np.arange(5)
    assert near(t) <= near(grid).min() + 1e-12 * size
    assert near(0) - near(t) == pytest.approx(gain, abs=1e-13 * size)


def test_a_gain_below_the_rounding_of_the_objective_is_still_seen():
    t, gain = lowest(np.asarray([1.0, -2e-20, 1e-20, 0.0, 0.0]))
    assert t == pytest.approx(1.0)
    assert gain == pytest.approx(1e-20)
    assert lowest(np.zeros(5)) == (0.0, 0.0)
    assert lowest(np.asarray([1.0, 0.0, 1.0, 0.0, 1.0]))[1] == 0.0


@pytest.mark.parametrize("method", ["gradient", "als", "em"])
@pytest.mark.parametrize("dtype", TYPES)
def test_all_methods_find_the_closed_solution_for_weights_of_rank_one(method, dtype):
    rng = np.random.default_rng(0)
    factors = (gaussian(rng, (n, N), dtype) for n in (M, N))
    (u, _), (v, _) = (np.linalg.qr(factor) for factor in factors)
    x = (u * np.asarray([8.0, 4.0, 2.0, 0.3, 0.2, 0.1, 0.1])) @ v.T
    rows, columns = np.geomspace(1, 1e-4, M), np.geomspace(1e-2, 1, N)
    x /= np.sqrt(rows)[:, None] * np.sqrt(columns)
    weights = np.outer(rows, columns)
    objective = Objective(x, weights, 0.0, float(np.sum(weights * np.abs(x) ** 2)), np)
    solver = QuasiNewton(objective)
    if method != "gradient":
        solver = Alternating(objective, majorised=method == "em")
    start = solver.begun(drawn(objective, K, rng))
    fit = iterate(solver.step, start, max_iter=300, tol=0.0)
    best = closed(objective, K)
    roots = np.sqrt(weights)
    gap = roots * (best.left @ best.right.T - fit.tensor.pair.left @ fit.tensor.pair.right.T)
    assert np.linalg.norm(gap) <= 1e-9 * np.sqrt(objective.total)


def test_of_two_majorants_the_smaller_one_is_taken():
    rng = np.random.default_rng(0)
    heavy = np.exp(2 * rng.standard_normal((40, 30)))
    holes = (rng.random((40, 30)) < 0.3) * 1.0
    for weights, begins in ((heavy, heavy.mean(axis=0)), (holes, holes.max(axis=0))):
        rows = (weights / begins).max(axis=1)
        columns = (weights / rows[:, None]).max(axis=0)
        majorant = Majorant.of(weights, np)
        product = np.outer(majorant.rows, majorant.columns)
        np.testing.assert_allclose(product, np.outer(rows, columns), rtol=1e-12)


@pytest.mark.parametrize("penalty", [0.0, 0.3])
@pytest.mark.parametrize("dtype", TYPES)
def test_a_start_has_the_length_that_the_objective_likes_best(penalty, dtype):
    objective, _ = problem(dtype, penalty)
    pair = plain(objective, K, np.random.default_rng(0))
    height, start = _stretched(objective, Pair(pair.left, 5 * pair.right))
    assert height == pytest.approx(value(objective, *start), rel=1e-12)
    for factor in (0.99, 1.01):
        assert value(objective, factor * start.left, factor * start.right) >= height
    assert height <= objective.total


@pytest.mark.parametrize("kind", ["even", "uneven", "holes"])
def test_the_best_start_is_the_best_of_its_kind(kind):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((M, 2)) @ rng.standard_normal((2, N)) + 0.1
    weights = {
        "even": 1 + 0.1 * rng.random((M, N)),
        "uneven": np.exp(2 * rng.standard_normal((M, 1)) + rng.standard_normal((M, N))),
        "holes": (rng.random((M, N)) < 0.5) * 1.0,
    }[kind]
    objective = Objective(
        weights.astype(bool) * x, weights, 0.0, float(np.sum(weights * x**2)), np
    )
    reached = value(objective, *best_of_several(objective, 2, rng))
    others = [value(objective, *pair) for pair in _candidates(objective, 2, rng)]
    assert len(others) == (2 if kind == "even" else 5)  # means that are alike are tried once
    assert reached <= min(others) * (1 + 1e-9)
    assert reached <= value(objective, *plain(objective, 2, rng)) * (1 + 1e-9)


def test_one_short_step_does_not_stop():
    objective, _ = problem("float64")
    step = reported(objective, None, misfit=1.0, excess=3.0, gains=(0.0, 0.25))
    assert step.change == 0.25
    assert step.error == pytest.approx(objective.total**-0.5)
    assert step.merit == pytest.approx(2 * objective.total**-0.5)
    assert step.verdict is None


@pytest.mark.parametrize(("method", "most"), [("gradient", 120), ("als", 100)])
def test_steps_are_few_where_rows_have_fewer_entries_than_unknowns(method, most):
    # Without renewal after short steps 257, without damping 155; plain sweeps 154.
    rng = np.random.default_rng(1)
    x = rng.standard_normal((40, K)) @ rng.standard_normal((K, 30))
    weights = rng.random((40, 30)) * (rng.random((40, 30)) < rng.beta(0.7, 1.0, (40, 1)))
    assert steps(method, x, weights) <= most


def test_what_the_past_has_taught_saves_half_the_steps(monkeypatch):
    x, weights = noisy()
    learnt = steps("gradient", x, weights)
    monkeypatch.setattr("tdecomp.completion._dense._quasi_newton._MEMORY", 0)
    monkeypatch.setattr("tdecomp.completion._dense._quasi_newton._BENT", np.inf)
    assert learnt <= 0.7 * steps("gradient", x, weights)


def test_most_steps_are_whole_and_need_no_line(monkeypatch):
    lines, ahead = [], Objective.ahead
    monkeypatch.setattr(
        Objective, "ahead", lambda self, *args: lines.append(1) or ahead(self, *args)
    )
    made = steps("gradient", *noisy(), tol=1e-7)
    assert made >= 8
    assert len(lines) <= made // 3


def test_a_metric_is_renewed_without_forgetting_the_past(monkeypatch):
    monkeypatch.setattr("tdecomp.completion._dense._quasi_newton._LASTING", 2)
    x, weights = noisy()
    solver = QuasiNewton(Objective(x, weights, 0.0, float(np.sum(weights * x**2)), np))
    state = solver.begun(drawn(solver.objective, K, np.random.default_rng(0)))
    ages, kept = [], []
    for _ in range(5):
        state = solver.step(state).state
        ages.append(state.age)
        kept.append(len(state.past))
    assert ages == [1, 2, 1, 2, 1]
    assert kept == [1, 2, 3, 4, 5]


def noisy():
    """Return data with more noise than signal, and even weights."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, K)) @ rng.standard_normal((K, 30))
    return x + 1.5 * rng.standard_normal((40, 30)), rng.random((40, 30))


def steps(method, x, weights, tol=1e-12):
    """Return how many steps a method makes from a start at random."""
    objective = Objective((weights > 0) * x, weights, 0.0, float(np.sum(weights * x**2)), np)
    solver = QuasiNewton(objective)
    if method == "als":
        solver = Alternating(objective, majorised=False)
    start = solver.begun(drawn(objective, K, np.random.default_rng(0)))
    return iterate(solver.step, start, max_iter=1000, tol=tol).n_iter
