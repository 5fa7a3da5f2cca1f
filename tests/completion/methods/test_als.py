"""Alternating least squares: what sweeps keep, what they reach, and what they are safe from."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp._xp import namespace
from tdecomp.completion import _masked
from tdecomp.completion._masked import misfit, solve_and_judge, solve_rows
from tdecomp.completion._nonnegative import descend_rows
from tdecomp.completion._observed import Side

XP = namespace(np.ones(1))
METHODS = pytest.mark.parametrize("method", ["als", "als_cg"])


def incoherent(m, n, k, condition, rng):
    """A matrix of singular values between 1 and 1 / `condition`."""
    u, v = (np.linalg.qr(rng.choice([-1.0, 1.0], (size, k)))[0] for size in (m, n))
    return (u * np.linspace(1, 1 / condition, k)) @ v.T


def seen(x, share, rng):
    """The matrix with NaN for what is not known."""
    return np.where(rng.random(x.shape) < share, x, np.nan)


def noisy(seed=0, m=50, n=40):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((m, 3)) @ rng.standard_normal((3, n))
    return seen(x + 0.3 * rng.standard_normal((m, n)), 0.4, rng)


def objective(x, tensor, ridge, by_count=False):
    """What is minimised, by its definition."""
    known = ~np.isnan(x)
    loss = np.sum((np.where(known, x, 0) - known * tensor.to_array()) ** 2)
    rows, columns = (known.sum(axis=axis) if by_count else 1.0 for axis in (1, 0))
    left, right = (np.sum(f**2, axis=axis) for f, axis in ((tensor.left, 1), (tensor.right, 0)))
    return loss + ridge * (np.sum(rows * left) + np.sum(columns * right))


def side_of(x):
    """Known entries of a matrix by rows."""
    owners, others = np.nonzero(~np.isnan(x))
    starts = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=x.shape[0]))])
    return Side(starts.astype(np.int64), others.astype(np.int32), x[owners, others], None)


@METHODS
def test_a_matrix_of_condition_20_is_recovered_from_five_times_its_freedoms(method):
    rng, (m, n, k) = np.random.default_rng(1), (400, 300, 4)
    x = incoherent(m, n, k, 20, rng)
    share = 5 * k * (m + n - k) / (m * n)
    fit = td.complete(seen(x, share, rng), rank=k, method=method, tol=0, max_iter=300, rng=0)
    assert fit.status == td.Status.CONVERGED
    assert np.linalg.norm(fit.tensor.to_array() - x) < 1e-8 * np.linalg.norm(x)


@METHODS
def test_what_is_a_hundredth_of_the_largest_is_found_from_six_times_the_freedoms(method):
    rng = np.random.default_rng(0)
    u, v = (np.linalg.qr(rng.standard_normal((size, 8)))[0] for size in (600, 400))
    x = (u * np.geomspace(1, 1e-2, 8)) @ v.T
    fit = td.complete(seen(x, 0.2, rng), rank=8, method=method, tol=1e-10, rng=0)
    assert fit.status == td.Status.CONVERGED
    assert fit.error < 1e-13


@METHODS
@pytest.mark.parametrize("by_count", [False, True])
def test_no_sweep_raises_the_objective(method, by_count):
    x, values = noisy(), []
    td.complete(
        x, rank=4, method=method, regularization=0.1, by_count=by_count, tol=-1, max_iter=40,
        rng=0, callback=lambda p: values.append(objective(x, p.tensor, 0.1, by_count)),
    )  # fmt: skip
    assert np.max(np.diff(values) / values[:-1]) < 1e-10
    assert values[-1] < 0.95 * values[0]


@METHODS
def test_the_limit_is_stationary(method):
    x, ridge = noisy(), 0.5
    z = td.complete(
        x, rank=3, method=method, regularization=ridge, tol=-1, max_iter=500, rng=0
    ).tensor
    rest = np.where(np.isnan(x), 0, x - z.to_array())
    slopes = rest @ z.right.T - ridge * z.left, z.left.T @ rest - ridge * z.right
    assert max(np.linalg.norm(s) for s in slopes) < 1e-6 * np.linalg.norm(z.left)


@METHODS
def test_all_that_is_known_of_gives_the_truncated_svd(method):
    x = np.random.default_rng(0).standard_normal((30, 20)) @ np.diag(2.0 ** -np.arange(20))
    z = td.complete(x, rank=3, method=method, tol=-1, max_iter=100, rng=0).tensor
    best = td.linalg.truncated_svd(x, rank=3).to_array()
    np.testing.assert_allclose(z.to_array(), best, atol=1e-8)


@pytest.mark.parametrize("noise", [0.0, 1e-7, 0.3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_loss_that_comes_with_a_solution_is_true(dtype, noise):
    """Also where all digits of the loss before cancel."""
    rng = np.random.default_rng(4)
    left, right = rng.standard_normal((30, 3)), rng.standard_normal((40, 3))
    x = left @ right.T + noise * rng.standard_normal((30, 40))
    side = side_of(np.where(rng.random(x.shape) < 0.5, x, np.nan))
    side = side._replace(values=side.values.astype(dtype))
    left, right = rng.standard_normal((30, 3)).astype(dtype), right.astype(dtype)
    penalty = np.full((30, 3), 1e-3 if noise == 0.3 else 0, dtype)
    left, loss = solve_and_judge(side, left, right, penalty, XP)
    assert left.dtype == dtype
    digits = float(np.sqrt(np.finfo(dtype).eps))
    assert loss == pytest.approx(misfit(side, left, right, XP), rel=digits)


def test_a_loss_below_the_numbers_of_single_precision_is_doubted_all_the_same(monkeypatch):
    """As zeros both would be alike, and a negative one a sum of squares."""
    side = side_of(np.asarray([[1.0, 2.0], [3.0, np.nan]]))
    side = side._replace(values=side.values.astype("float32"))
    left = right = np.ones((2, 1), "float32")
    monkeypatch.setattr(_masked, "_solved", lambda *_: (left, -1e-60, 1e-60))
    assert solve_and_judge(side, left, right, np.zeros_like(left), XP)[1] == 5


@METHODS
def test_rows_and_columns_may_be_named_in_any_order(method):
    x, rng = noisy(), np.random.default_rng(3)
    rows, columns = rng.permutation(x.shape[0]), rng.permutation(x.shape[1])
    zeros = td.completion.Completion(*start(x, rng), np.zeros(()), *map(np.zeros, x.shape))
    moved = zeros._replace(left=zeros.left[rows], right=zeros.right[:, columns])
    rules = {"rank": 3, "method": method, "regularization": 0.2, "tol": -1, "max_iter": 5}
    one = td.complete(x, init=zeros, **rules).tensor.to_array()
    other = td.complete(x[rows][:, columns], init=moved, **rules).tensor.to_array()
    np.testing.assert_allclose(other, one[rows][:, columns], atol=1e-10)


def start(x, rng):
    return rng.standard_normal((x.shape[0], 3)), rng.standard_normal((3, x.shape[1]))


@METHODS
def test_the_limit_of_the_transpose_is_the_transpose(method):
    x = noisy()
    rules = {"rank": 3, "method": method, "regularization": 0.5, "tol": -1, "max_iter": 400}
    one, other = (td.complete(y, rng=0, **rules).tensor.to_array() for y in (x, x.T))
    np.testing.assert_allclose(other.T, one, atol=1e-6)


@pytest.mark.parametrize("native", [True, False], ids=["kernels", "twins"])
def test_a_row_with_fewer_entries_than_the_rank_changes_as_little_as_need_be(native, monkeypatch):
    if not native:
        monkeypatch.setattr(_masked, "compiled", lambda *_: False)
    rng = np.random.default_rng(0)
    x = np.full((3, 20), np.nan)
    x[0, :4], x[2] = rng.standard_normal(4), rng.standard_normal(20)
    left, right = rng.standard_normal((3, 7)), rng.standard_normal((20, 7))
    found = solve_rows(side_of(x), left, right, np.zeros((3, 7)), XP)
    change = np.linalg.lstsq(right[:4], x[0, :4] - right[:4] @ left[0])[0]
    np.testing.assert_allclose(right[:4] @ found[0], x[0, :4], rtol=1e-10)
    # Along what the entries do not see there is rounding over its bound, 4 k.
    assert np.linalg.norm(found[0] - left[0] - change) < np.linalg.norm(change) / 7
    assert not found[1].any()
    np.testing.assert_allclose(found[2], np.linalg.lstsq(right, x[2])[0], rtol=1e-10, atol=1e-10)


def test_rows_that_lie_on_a_line_leave_no_trace_of_rounding():
    x = np.ones((6, 30)) * np.arange(1.0, 7)[:, None]
    left, right = np.zeros((6, 5)), np.ones((30, 5)) * (1 + 1e-9 * np.eye(30, 5))
    found = solve_rows(side_of(x), left, right, np.zeros((6, 5)), XP)
    assert np.max(abs(found)) < 10
    np.testing.assert_allclose(found @ right.T, x, rtol=1e-6)


def test_one_row_may_hold_most_entries():
    rng = np.random.default_rng(0)
    x = np.where(rng.random((4, 20_000)) < 0.01, rng.standard_normal((4, 20_000)), np.nan)
    x[2] = rng.standard_normal(20_000)
    left, right = rng.standard_normal((4, 3)), rng.standard_normal((20_000, 3))
    found = solve_rows(side_of(x), left, right, np.zeros((4, 3)), XP)
    for row, values in zip(found, x, strict=True):
        known = ~np.isnan(values)
        best = np.linalg.lstsq(right[known], values[known])[0]
        np.testing.assert_allclose(row, best, rtol=1e-10, atol=1e-13)


def test_nonnegative_factors_fit_a_nonnegative_matrix():
    rng = np.random.default_rng(0)
    x, values = seen(rng.random((40, 3)) @ rng.random((3, 30)), 0.5, rng), []
    fit = td.complete(
        x, rank=3, nonnegative=True, tol=1e-7, max_iter=2000, rng=0,
        callback=lambda p: values.append(objective(x, p.tensor, 0.0)),
    )  # fmt: skip
    assert min(fit.tensor.left.min(), fit.tensor.right.min()) >= 0
    assert np.max(np.diff(values)) <= 1e-10 * values[0]
    assert fit.error < 0.01


@pytest.mark.parametrize("xp", ["numpy", "array-api-strict", "torch"], indirect=True)
def test_a_nonnegative_row_satisfies_the_conditions_of_a_minimum(xp):
    rng = np.random.default_rng(0)
    x, right = rng.random((5, 12)), rng.random((12, 3))
    x[2] = np.nan
    starts, indices, values, *_ = side_of(x)
    index = np.int32 if xp.name == "numpy" else np.int64
    side = Side(xp.asarray(starts), xp.asarray(indices.astype(index)), xp.asarray(values), None)
    left, penalty = xp.asarray(np.ones((5, 3))), xp.asarray(np.full((5, 3), 0.1))
    for _ in range(60):
        left = descend_rows(side, left, xp.asarray(right), penalty, xp.namespace)
    found = xp.to_numpy(left)
    assert not found[2].any()
    slope = (np.where(np.isnan(x), 0, x - found @ right.T)) @ right - 0.1 * found
    assert found.min() >= 0
    assert np.max(slope[[0, 1, 3, 4]]) < 1e-8
    assert np.max(abs(slope * found)) < 1e-8


def test_single_precision_reaches_its_own_rounding():
    rng = np.random.default_rng(1)
    x = incoherent(200, 150, 3, 10, rng)
    known = seen(x, 0.3, rng).astype(np.float32)
    fit = td.complete(known, rank=3, tol=0, max_iter=200, rng=0)
    assert fit.tensor.dtype == np.float32
    assert np.linalg.norm(fit.tensor.to_array() - x) < 1e-5 * np.linalg.norm(x)
