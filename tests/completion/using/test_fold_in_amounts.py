"""New rows of a fit to what was done: all zeros count, and none is formed."""

import numpy as np
import pytest
import scipy.sparse

import tdecomp as td
from tdecomp.completion import fold_in, implicit_als, top_n
from tdecomp.ops import COO


def plays(seed=0, shape=(14, 9)):
    """Return how often whom has heard what."""
    return np.random.default_rng(seed).poisson(0.6, shape).astype(float)


def model(xp=np, shape=(14, 9), rank=3, dtype="float64"):
    """Return factors that no data had a part in."""
    rng = np.random.default_rng(7)
    m, n = shape
    left, right = rng.standard_normal((m, rank)), rng.standard_normal((rank, n))
    return td.LowRank(xp.asarray(left.astype(dtype)), xp.asarray(right.astype(dtype)))


def by_definition(right, x, alpha, ridge):
    """Solve for each row with all of its columns, zeros too."""
    weights, wanted = 1 + alpha * x, (x > 0) * 1.0
    rows = [
        np.linalg.solve((right * w) @ right.T + ridge * np.eye(right.shape[0]), right @ (w * p))
        for w, p in zip(weights, wanted, strict=True)
    ]
    return np.asarray(rows)


@pytest.mark.parametrize("mode", ["rows", "columns"])
def test_amounts_are_folded_in_with_all_zeros_on_every_library(xp, mode):
    z, x = model(xp), plays(1, (4, 9))
    x[2] = 0
    right = xp.to_numpy(z.right)
    new = xp.asarray(x)
    if mode == "columns":
        z, new = td.LowRank(xp.matrix_transpose(z.right), xp.matrix_transpose(z.left)), new.T
    found = fold_in(z, new, alpha=2.5, regularization=0.3, mode=mode)
    rows = found.left if mode == "rows" else xp.matrix_transpose(found.right)
    expected = by_definition(right, x, 2.5, 0.3)
    np.testing.assert_allclose(xp.to_numpy(rows), expected, rtol=1e-12, atol=1e-13)
    assert (xp.to_numpy(rows)[2] == 0).all()


def test_who_was_there_comes_back_as_the_half_step_made_them():
    """Without a penalty the last half step of a fit, that of columns, is what it returns."""
    x = plays()
    z = implicit_als(x, rank=3, alpha=2.0, rng=0, max_iter=4, tol=-1).tensor
    again = fold_in(z, x, alpha=2.0, mode="columns")
    np.testing.assert_allclose(again.right, z.right, rtol=1e-11, atol=1e-12)
    rules = {"alpha": 2.0, "regularization": 0.4}
    z = implicit_als(x, rank=3, rng=0, max_iter=3000, tol=0, **rules).tensor
    rows = fold_in(z, scipy.sparse.csr_array(x[3:6]), **rules)
    np.testing.assert_allclose(rows.left, z.left[3:6], atol=1e-6)


def test_it_is_folding_in_all_entries_with_their_weights():
    z, x = model(), plays(2, (6, 9))
    known = fold_in(z, (x > 0) * 1.0, weights=1 + 3 * x, regularization=0.2)
    np.testing.assert_allclose(
        fold_in(z, x, alpha=3, regularization=0.2).left, known.left, rtol=1e-11, atol=1e-13
    )


def test_no_other_rows_have_a_smaller_objective():
    z, x, rng = model(), plays(3, (5, 9)), np.random.default_rng(0)
    found = fold_in(z, x, alpha=2.0, regularization=0.5)

    def objective(left):
        missed = (x > 0) - left @ z.right
        return ((1 + 2.0 * x) * missed**2).sum() + 0.5 * (left**2).sum()

    least = objective(found.left)
    for size in (1e-3, 1e-1, 1.0):
        assert objective(found.left + size * rng.standard_normal(found.left.shape)) > least


def test_a_list_of_events_is_folded_in_and_best_columns_leave_it_out():
    rng = np.random.default_rng(4)
    who, what = rng.integers(0, 5, 16), rng.integers(0, 9, 16)
    events = COO(np.stack([who, what]), np.ones(16), (5, 9))
    table = np.zeros((5, 9))
    np.add.at(table, (who, what), 1.0)
    rules = {"alpha": 4.0, "regularization": 0.1}
    found = fold_in(model(), events, duplicates="sum", **rules)
    own = fold_in(model(), table, **rules)
    np.testing.assert_allclose(found.left, own.left, rtol=1e-12)
    best = top_n(found, 3, exclude=events).indices
    scores = np.where(table > 0, -np.inf, own.left @ model().right)
    np.testing.assert_array_equal(best, np.argsort(-scores, axis=1)[:, :3])


@pytest.mark.parametrize("scale", [1e-300, 1e-140, 1e140, 1e300])
def test_rows_follow_the_scale_of_the_model(scale):
    z, x = model(), plays(5, (4, 9))
    big = td.LowRank(z.left, z.right * scale)
    found = fold_in(big, x, alpha=2.0).left
    np.testing.assert_allclose(found * scale, fold_in(z, x, alpha=2.0).left, rtol=1e-11)


@pytest.mark.parametrize("alpha", [None, 2.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1e-4, 1e-12, 1e-25])
def test_rows_of_a_tiny_model_are_what_its_penalty_makes_of_them(scale, dtype, alpha):
    """Where nothing but the penalty counts, rows are sums over it: none is any larger."""
    z, x = model(dtype=dtype), plays(5, (4, 9)).astype(dtype)
    tiny = td.LowRank(z.left, z.right * scale)
    found = fold_in(tiny, x, alpha=alpha, regularization=1e8).left
    wanted = x if alpha is None else (1 + alpha * x) * (x > 0)
    np.testing.assert_allclose(found / scale * 1e8, wanted @ z.right.T, rtol=1e-5, atol=1e-5)


def test_amounts_of_any_size_are_weights():
    z = model()
    x = np.zeros((2, 9))
    x[0, 4], x[1, 4] = 1e300, 1e-300
    found = fold_in(z, x, alpha=1.0, regularization=1.0) @ np.eye(9)
    assert found[0, 4] == pytest.approx(1.0, rel=1e-12)
    plain = by_definition(z.right, x[1:], 0.0, 1.0) @ z.right
    np.testing.assert_allclose(found[1:], plain, rtol=1e-12)


def test_single_precision_stays_and_a_model_of_deficient_rank_serves():
    z = model(dtype="float32")
    found = fold_in(z, plays().astype("float32"), alpha=1.0, regularization=0.1)
    assert found.dtype == np.float32
    expected = by_definition(z.right.astype(float), plays(), 1.0, 0.1)
    np.testing.assert_allclose(found.left, expected, atol=1e-5)
    flat = td.LowRank(np.ones((4, 2)), np.ones((2, 9)))
    rows = fold_in(flat, plays(), alpha=1.0).left
    shortest = by_definition(np.ones((1, 9)), plays(), 1.0, 0.0) / 2
    np.testing.assert_allclose(rows, np.repeat(shortest, 2, axis=1), rtol=1e-12, atol=1e-14)


def test_nothing_done_and_rank_zero_and_no_rows_are_served():
    nothing = fold_in(model(), scipy.sparse.csr_array((3, 9)), alpha=1.0)
    np.testing.assert_array_equal(nothing.to_array(), np.zeros((3, 9)))
    assert fold_in(model(), np.zeros((0, 9)), alpha=1.0).shape == (0, 9)
    flat = td.LowRank(np.zeros((4, 0)), np.zeros((0, 9)))
    assert fold_in(flat, plays(), alpha=1.0).left.shape == (14, 0)
    np.testing.assert_array_equal(fold_in(model(), plays(), alpha=0.0).left, 0.0)
    again = fold_in(
        fold_in(model(), plays(), alpha=1.0), plays(6, (14, 2)), alpha=1, mode="columns"
    )
    assert again.shape == (14, 2)


OFFSETS = td.Completion(*model(), np.array(1.0), np.zeros(14), np.zeros(9))


@pytest.mark.parametrize(
    ("z", "options", "error", "message"),
    [
        (model(), {"weights": np.ones((14, 9))}, ValueError, "alpha= stands for weights"),
        (model(), {"by_count": True}, ValueError, "by_count=True .* alpha="),
        (model(), {"biases": 2.0}, ValueError, "biases= .* alpha="),
        (model(), {"alpha": -1.0}, ValueError, "alpha must be a number >= 0"),
        (model(), {"alpha": "a"}, TypeError, "alpha must be a number"),
        (model(), {"alpha": 1e308}, ValueError, "overflows"),
        (OFFSETS, {}, ValueError, "a model without offsets"),
        (td.LowRank(1j * model().left, model().right), {}, TypeError, "model must be real"),
    ],
)
def test_what_makes_no_sense_of_amounts_is_refused(z, options, error, message):
    with pytest.raises(error, match=message):
        fold_in(z, 5 * plays(), **({"alpha": 1.0} | options))
    with pytest.raises(ValueError, match=r"x must be nonnegative, got -1\.0 at \(0, 2\)"):
        fold_in(model(), np.eye(1, 9, 2) * -1, alpha=1.0)


def test_events_at_one_place_are_told_to_be_added_up():
    events = COO(np.array([[0, 2, 2], [1, 4, 4]]), np.ones(3), (5, 9))
    message = r"x has several entries at \(2, 4\); pass duplicates=\"sum\" to add up"
    for call in (
        lambda **rules: fold_in(model(), events, alpha=1.0, **rules),
        lambda **rules: implicit_als(events, rank=1, **rules),
    ):
        with pytest.raises(ValueError, match=message):
            call()
        call(duplicates="sum")


def test_sums_of_duplicates_are_amounts_only():
    with pytest.raises(ValueError, match="'error', 'mean'"):
        fold_in(model(), plays(), duplicates="sum")
