"""Rows that are asked for one by one: what they are among many, read from what they pick alone."""

import numpy as np
import pytest
import scipy.sparse

import tdecomp as td
from tdecomp.completion import fold_in, predict, top_n
from tdecomp.ops import COO


def model(xp=np, m=30, n=40, k=3, dtype="float64"):
    """Return a completion with biases."""
    rng = np.random.default_rng(0)
    shapes = ((m, k), (k, n), (), (m,), (n,))
    return td.Completion(*(xp.asarray(rng.standard_normal(s).astype(dtype)) for s in shapes))


def ratings(p=12, n=40, dtype="float64"):
    """Return rows of which something is known."""
    rng = np.random.default_rng(1)
    x = scipy.sparse.random_array((p, n), density=0.3, rng=rng, format="csr")
    x.data = np.ceil(5 * x.data)
    return x.astype(dtype)


@pytest.mark.parametrize("rules", [{}, {"regularization": 0.3, "by_count": True, "biases": 2.0}])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_is_to_the_last_digit_what_it_is_among_many(rules, dtype):
    """Many entries are read from the whole factor, few from copies of what they pick."""
    z, x = model(dtype=dtype), ratings(dtype=dtype)
    assert x.nnz > 40 > x[[3]].nnz > 0
    several, alone = fold_in(z, x, **rules), fold_in(z, x[[3]], **rules)
    np.testing.assert_array_equal(alone.left[0], several.left[3])
    np.testing.assert_array_equal(alone.row_bias[0], several.row_bias[3])


@pytest.mark.parametrize("alpha", [None, 2.0])
def test_columns_are_the_rows_of_the_transpose(alpha):
    z, x = model().lowrank, ratings()[[3, 5]]
    turned = td.LowRank(z.right.T, z.left.T)
    rules = {"alpha": alpha, "regularization": 0.1}
    rows, columns = fold_in(z, x, **rules), fold_in(turned, x.T, mode="columns", **rules)
    np.testing.assert_array_equal(columns.right.T, rows.left)


def test_what_someone_did_counts_alike_among_many_and_alone():
    z, x = model().lowrank, ratings()
    rules = {"alpha": 2.0, "regularization": 0.1}
    several, alone = fold_in(z, x, **rules).left[3], fold_in(z, x[[3]], **rules).left[0]
    np.testing.assert_allclose(alone, several, rtol=1e-12)


@pytest.mark.parametrize("alpha", [None, 2.0])
def test_few_entries_are_folded_in_on_every_library(xp, alpha):
    if xp.name == "jax" and alpha is not None:
        pytest.skip("its operations are those of the other case and of test_fold_in_amounts.py")
    z, values = model(), np.array([3.0, 1.0, 2.0])
    at = np.array([[0, 0, 1], [4, 30, 7]])
    known = COO(xp.asarray(at), xp.asarray(values), (2, 40))
    found = fold_in(td.LowRank(xp.asarray(z.left), xp.asarray(z.right)), known,
                    regularization=0.7, alpha=alpha)  # fmt: skip
    for i in range(2):
        own = at[0] == i
        v, x = z.right[:, at[1, own]], values[own]
        square, slope = v @ v.T, v @ x
        if alpha is not None:
            square, slope = z.right @ z.right.T + (v * alpha * x) @ v.T, v @ (1 + alpha * x)
        expected = np.linalg.solve(square + 0.7 * np.eye(3), slope)
        np.testing.assert_allclose(xp.to_numpy(found.left)[i], expected, rtol=1e-11)


@pytest.mark.parametrize("alpha", [None, 2.0])
def test_a_model_that_was_changed_in_place_is_another_model(alpha):
    """Nothing is kept from one call to the next that could be out of date."""
    z, x = model().lowrank, ratings()[[3]]
    fold_in(z, x, alpha=alpha)
    z.right[:] = z.right[::-1] + 1
    fresh = td.LowRank(z.left.copy(), z.right.copy())
    np.testing.assert_array_equal(
        fold_in(z, x, alpha=alpha).left, fold_in(fresh, x, alpha=alpha).left
    )


def test_rows_that_are_there_take_no_part():
    z, x = model(), ratings()
    other = z._replace(
        left=np.full_like(z.left, np.nan), row_bias=np.full_like(z.row_bias, np.inf)
    )
    np.testing.assert_array_equal(fold_in(other, x).left, fold_in(z, x).left)
    wrong = z._replace(right=np.where(np.arange(40) == 39, np.nan, z.right))
    with pytest.raises(ValueError, match="model"):
        fold_in(wrong, x[[3]])


def test_entries_and_best_columns_do_not_depend_on_how_factors_are_stored():
    z = model()
    other = z._replace(left=np.asfortranarray(z.left), right=np.asfortranarray(z.right))
    at = (np.array([3, 5]), np.array([10, 20]))
    np.testing.assert_allclose(predict(other, *at), predict(z, *at), rtol=1e-14)
    for columns in (None, [7, 1, 20, 33]):
        rules = {"rows": [4, 9], "columns": columns}
        np.testing.assert_array_equal(
            top_n(other, 3, **rules).indices, top_n(z, 3, **rules).indices
        )


def test_compressed_rows_are_excluded_as_they_are_in_any_other_format():
    z = model()
    rng = np.random.default_rng(3)
    seen = scipy.sparse.random_array((30, 40), density=0.4, rng=rng, format="csr")
    for rows in (None, [7], [-1, 2, 2]):
        own, other = (top_n(z, 30, rows=rows, exclude=x) for x in (seen, seen.tocoo()))
        np.testing.assert_array_equal(own.indices, other.indices)
    twice = scipy.sparse.csr_array((np.ones(3), [5, 2, 5], [0, 3] + 29 * [3]), shape=(30, 40))
    assert not np.isin(top_n(z, 38, rows=[0], exclude=twice).indices, [2, 5]).any()
    seen.indices[0] = -1
    with pytest.raises(ValueError, match="column indices of exclude must lie between 0 and 39"):
        top_n(z, 3, exclude=seen)
    with pytest.raises(ValueError, match=r"exclude must have the shape \(30, 40\)"):
        top_n(z, 3, exclude=seen[:3])
