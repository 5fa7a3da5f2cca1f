"""What is drawn follows the squares, and what has changed counts."""

import copy
import pickle

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from scipy import stats

from tdecomp.completion.sampling import (
    LengthSquaredMatrix,
    LengthSquaredVector,
    _trees,
    combine,
)
from tdecomp.ops import coo

DRAWS = 100_000


def p_value(drawn, chances):
    """Return the p-value of a chi-square test; what has no chance must not be drawn."""
    counts = np.bincount(drawn, minlength=chances.size)
    assert counts[chances == 0].sum() == 0
    seen = chances > 0
    return stats.chisquare(counts[seen], drawn.size * chances[seen] / chances.sum()).pvalue


@pytest.mark.parametrize("n", [1, 2, 37, 64, 100])
def test_indices_are_drawn_by_their_squares(n):
    x = np.random.default_rng(n).standard_normal(n)
    x[3::7] = 0.0
    drawn = LengthSquaredVector(x).sample(DRAWS, rng=n)
    assert n == 1 or p_value(drawn, x**2) > 1e-4


@pytest.mark.parametrize("sparse", [False, True])
def test_entries_of_a_matrix_are_drawn_by_their_squares(sparse):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((9, 11)) * (rng.random((9, 11)) < 0.5)
    a[4] = 0.0
    rows, columns = LengthSquaredMatrix(scipy.sparse.csr_array(a) if sparse else a).sample(
        DRAWS, rng=1
    )
    assert p_value(rows * 11 + columns, a.ravel() ** 2) > 1e-4


def test_complex_entries_are_drawn_by_their_squared_magnitudes():
    rng = np.random.default_rng(5)
    x = rng.standard_normal(20) + 1j * rng.standard_normal(20)
    assert p_value(LengthSquaredVector(x).sample(DRAWS, rng=2), np.abs(x) ** 2) > 1e-4


@given(n=st.integers(1, 70), seed=st.integers(0, 99), scale=st.sampled_from([-300, -160, 0, 300]))
def test_a_change_leaves_what_building_anew_would_give(n, seed, scale):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((3, n)) * 10.0**scale
    held = LengthSquaredMatrix(a)
    for _ in range(4):
        rows, columns = rng.integers(0, 3, 5), rng.integers(0, n, 5)
        values = (
            rng.standard_normal(5) * 10.0 ** rng.choice([-300, 0, 290]) * (rng.random(5) < 0.7)
        )
        held.update(rows, columns, values)
        a[rows, columns] = values
    anew = LengthSquaredMatrix(a)
    np.testing.assert_array_equal(held.to_array(), a)
    np.testing.assert_allclose(held.norm, anew.norm, rtol=1e-14)
    np.testing.assert_allclose(held.row_norms, anew.row_norms, rtol=1e-14)
    for i in range(3):
        if np.any(a[i]):
            row = [m.row(i).sample(50, rng=seed) for m in (held, anew)]
            assert np.mean(row[0] == row[1]) >= 0.98  # but for rounding at a border
            assert np.all(a[i, row[0]] != 0)


def test_ten_thousand_changes_leave_no_drift():
    rng = np.random.default_rng(0)
    x = LengthSquaredVector(np.ones(300))
    for value in (1e8, 1e-8):
        x.update(rng.integers(0, 300, 10_000), value * rng.random(10_000))
    for j in range(300):
        x.update(j, 1.0)
    assert x.norm == np.sqrt(300)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1.0, 1e160, 1e300])
def test_no_scale_is_too_small_or_too_large(scale):
    a = np.asarray([[3.0, 0.0, 4.0], [0.0, 12.0, 0.0]])
    held = LengthSquaredMatrix(a * scale)
    assert held.norm == pytest.approx(13 * scale, rel=1e-15)
    np.testing.assert_allclose(held.row_norms, np.asarray([5.0, 12.0]) * scale, rtol=1e-15)
    rows, _ = held.sample(DRAWS, rng=0)
    assert p_value(rows, np.asarray([25.0, 144.0])) > 1e-4


def test_rows_of_very_different_scales_are_drawn_from_each():
    a = np.asarray([[3e-300, 4e-300], [3e300, 4e300]])
    held = LengthSquaredMatrix(a)
    for i in range(2):
        assert p_value(held.row(i).sample(DRAWS, rng=i), np.asarray([9.0, 16.0])) > 1e-4
    assert set(held.sample_rows(100, rng=0)) == {1}
    held.update(1, [0, 1], 0.0)
    assert held.norm == pytest.approx(5e-300, rel=1e-15)
    assert set(held.sample_rows(100, rng=0)) == {0}


def test_a_row_shares_the_trees_of_its_matrix():
    held = LengthSquaredMatrix(np.eye(3))
    row = held.row(-1)
    row.update([0, 2], [3.0, 4.0])
    assert row.norm == 5.0
    assert held.norm == np.sqrt(27.0)
    assert held[2, 0] == 3.0
    assert row[1:].tolist() == [0.0, 4.0]
    assert row.to_array().tolist() == [3.0, 0.0, 4.0]


def test_a_change_and_a_draw_read_no_sums_of_other_rows(monkeypatch):
    rows = np.arange(100)
    held = LengthSquaredMatrix(scipy.sparse.csr_array((rows + 1.0, (rows, rows % 5))))
    monkeypatch.setattr(_trees, "roots", lambda *_: pytest.fail("all sums were read"))
    held.update(7, 2, 3.0)
    held.update([7, 8], [2, 3], 5.0)
    held.sample(3, rng=0)
    held.sample_columns([7, 8], rng=0)
    assert held[7, 2] == 5.0


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("sparse", [False, True])
def test_one_entry_at_a_time_gives_what_all_at_once_give(dtype, sparse):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((5, 7)).astype(dtype)
    given = scipy.sparse.csr_array(a) if sparse else a
    single, batch = LengthSquaredMatrix(given), LengthSquaredMatrix(given)
    rows, columns = rng.integers(0, 5, 40), rng.integers(-7, 7, 40)
    values = rng.standard_normal(40) * 10.0 ** rng.choice([-30, 0, 30], 40)
    for i, j, value in zip(rows, columns, values, strict=True):
        single.update(i, j, value)
        batch.update([i], [j], [value])
    np.testing.assert_array_equal(single.to_array(), batch.to_array())
    np.testing.assert_array_equal(single.row_norms, batch.row_norms)
    np.testing.assert_array_equal(single.sample(200, rng=1), batch.sample(200, rng=1))
    with pytest.raises(ValueError, match="values has 1 non-finite"):
        LengthSquaredMatrix(np.ones((2, 2), "float32")).update(0, 0, 1e300)


def test_a_gradient_that_would_be_wrong_is_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="x is drawn from by its values and has no derivative"):
        LengthSquaredMatrix(torch.ones(2, 2, requires_grad=True))
    weights, fixed = torch.ones(2, requires_grad=True), LengthSquaredMatrix(torch.eye(2))
    combine(weights, fixed).query([1])[0].backward()
    assert weights.grad.tolist() == [0.0, 1.0]


def test_no_places_are_no_change():
    held = LengthSquaredMatrix(np.eye(3))
    held.update([], [], [])
    assert held.norm == np.sqrt(3)


def test_a_vector_is_not_counted_through_until_it_fails():
    for held in (LengthSquaredVector([1.0]), LengthSquaredMatrix([[1.0]])):
        with pytest.raises(TypeError, match="not iterable"):
            list(held)


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_a_copy_has_trees_of_its_own(copied):
    held = LengthSquaredMatrix(np.eye(3))
    other = copied(held)
    other.update(0, 0, 9.0)
    assert (held.norm, other.norm) == (np.sqrt(3), np.sqrt(83))


def test_the_last_of_several_values_for_one_place_stays():
    x = LengthSquaredVector(np.zeros(4))
    x.update([1, 1, -3, 2], [5.0, 6.0, 7.0, 8.0])
    assert x.to_array().tolist() == [0.0, 7.0, 8.0, 0.0]
    assert x.norm == np.sqrt(113.0)


def test_what_is_given_is_neither_kept_nor_changed():
    x = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    held = LengthSquaredMatrix(x)
    held.update(0, 0, 9.0)
    assert x[0, 0] == 0.0
    x[1, 2] = 77.0
    assert held[1, 2] == 5.0
    np.testing.assert_array_equal(held.to_array(), [[9.0, 1.0, 2.0], [3.0, 4.0, 5.0]])


@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
def test_a_sparse_matrix_is_the_dense_one_without_its_zeros(kind):
    rng = np.random.default_rng(3)
    a = rng.standard_normal((6, 9)) * (rng.random((6, 9)) < 0.4)
    a[0], a[3, 4] = 0.0, 2.0
    held = LengthSquaredMatrix(
        coo(np.nonzero(a), a[a != 0], a.shape)
        if kind == "coo"
        else scipy.sparse.csr_array(a).asformat(kind)
    )
    dense = LengthSquaredMatrix(a)
    rows, columns = rng.integers(0, 6, 80), rng.integers(0, 9, 80)
    np.testing.assert_array_equal(held[rows, columns], a[rows, columns])
    np.testing.assert_array_equal(held.to_array((slice(1, 5), [2, -1])), a[1:5][:, [2, -1]])
    np.testing.assert_allclose(held.row_norms, dense.row_norms, rtol=1e-15)
    np.testing.assert_allclose(held @ a.T, a @ a.T, rtol=0, atol=1e-14)
    held.update(3, 4, -8.0)
    assert held[3, 4] == -8.0
    with pytest.raises(ValueError, match=r"\(0, 2\) is not stored in this sparse matrix"):
        held.update([3, 0], [4, 2], [1.0, 5.0])
    assert held[3, 4] == -8.0


def test_every_library_draws_the_same(xp):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((4, 3))
    a[2] = 0.0
    ours, theirs = LengthSquaredMatrix(a), LengthSquaredMatrix(xp.asarray(a))
    for held in (ours, theirs):
        held.update([0, 3, 1], [1, 2, 0], [1e200, 3.0, 0.5])
    assert theirs.norm == ours.norm
    assert theirs.dtype == xp.float64
    np.testing.assert_array_equal(xp.to_numpy(theirs.to_array()), ours.to_array())
    np.testing.assert_array_equal(xp.to_numpy(theirs.row_norms), ours.row_norms)
    found, expected = (held.sample(200, rng=1) for held in (theirs, ours))
    for here, there in zip(found, expected, strict=True):
        np.testing.assert_array_equal(xp.to_numpy(here), there)


@pytest.mark.parametrize(
    ("given", "kept"), [("int32", "float64"), ("bool", "float64"), ("float16", "float32"),
                        (">f8", "float64"), ("float32", "float32"), ("complex64", "complex64")]
)  # fmt: skip
def test_dtypes_are_promoted_as_everywhere(given, kept):
    held = LengthSquaredMatrix(np.eye(3).astype(given))
    assert str(held.dtype) == kept
    assert held.norm == pytest.approx(np.sqrt(3))


def test_zero_can_be_held_but_not_drawn_from():
    held = LengthSquaredMatrix(np.zeros((2, 3)))
    assert held.norm == 0.0
    for nothing in (held, held.row(0)):
        with pytest.raises(ValueError, match="all entries are zero: there is nothing to draw"):
            nothing.sample(1, rng=0)
        nothing.sample(0, rng=0)
    held.update(1, 2, 1e-200)
    assert [int(i[0]) for i in held.sample(1, rng=0)] == [1, 2]
    with pytest.raises(ValueError, match="row 0 is zero: there is nothing to draw"):
        held.sample_columns([1, 0], rng=0)
    empty = LengthSquaredMatrix(scipy.sparse.csr_array((2, 3)))
    assert empty.norm == 0.0
    assert float(empty[1, 1]) == 0.0
    with pytest.raises(ValueError, match="is not stored"):
        empty.update(0, 0, 1.0)


REFUSED = [
    (
        lambda: LengthSquaredMatrix(scipy.sparse.csr_array([[np.nan]])),
        ValueError,
        r"at x.data\[0\]",
    ),
    (lambda: LengthSquaredVector(np.eye(2)), ValueError, "x must have 1 dimensions"),
    (lambda: LengthSquaredMatrix(np.ones(2)), ValueError, "x must have 2 dimensions"),
    (lambda: LengthSquaredMatrix(np.ones((0, 2))), ValueError, "x is empty"),
    (lambda: LengthSquaredVector([1.0, np.nan]), ValueError, r"at x\[1\]"),
    (lambda: LengthSquaredMatrix(np.asarray([["a"]])), TypeError, "x has dtype"),
    (lambda: LengthSquaredMatrix("abc"), TypeError, "x must be an array"),
    (lambda: LengthSquaredMatrix(coo([[0], [0], [0]], [1.0])), ValueError, "must be a matrix"),
    (lambda: LengthSquaredMatrix(np.eye(2)).sample(-1), ValueError, "size must be an int >= 0"),
    (lambda: LengthSquaredMatrix(np.eye(2)).sample(2.5), TypeError, "size must be an int >= 0"),
    (lambda: LengthSquaredMatrix(np.eye(2)).sample(2, rng=0.5), TypeError, "rng must be an int"),
    (lambda: LengthSquaredMatrix(np.eye(2)).update(0, 0, np.inf), ValueError, "values"),
    (lambda: LengthSquaredMatrix(np.eye(2)).update(0, 0, 1j), TypeError, "values are complex"),
    (lambda: LengthSquaredMatrix(np.eye(2)).update(0, [0, 1], [1.0] * 3), ValueError, "values"),
    (lambda: LengthSquaredMatrix(np.eye(2)).update(0, 2, 1.0), ValueError, "must lie between"),
    (lambda: LengthSquaredMatrix(np.eye(2))[0], TypeError, "takes two indices"),
    (lambda: LengthSquaredMatrix(np.eye(2))[[0, 1], [0]], ValueError, "equally many"),
    (lambda: LengthSquaredMatrix(np.eye(2)).sample_columns(0), TypeError, "rows must be a vector"),
    (lambda: LengthSquaredMatrix(np.eye(2)).row(2), ValueError, "must lie between"),
    (lambda: LengthSquaredVector([1.0])[0.5], TypeError, "must be a slice, an int"),
]


@pytest.mark.parametrize(("call", "kind", "message"), REFUSED)
def test_bad_input_is_named(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
