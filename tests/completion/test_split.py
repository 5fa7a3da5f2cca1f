"""What is set aside leaves every row and column something to be fitted from."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp.completion._entries import read
from tdecomp.completion._split import set_aside


def test_the_parts_are_all_and_no_row_or_column_is_left_without(xp):
    rng = np.random.default_rng(1)
    dense = np.where(rng.random((30, 20)) < 0.4, rng.standard_normal((30, 20)), np.nan)
    namespace, entries = read(xp.asarray(dense))
    kept, aside = set_aside(entries, 0.25, np.random.default_rng(0), namespace)
    total = entries.values.shape[0]
    assert aside.values.shape[0] == round(0.25 * total)
    known = ~np.isnan(dense)
    marks = np.zeros(dense.shape, int)
    for part in (kept, aside):
        rows, columns = xp.to_numpy(part.rows), xp.to_numpy(part.columns)
        marks[rows, columns] += 1
        np.testing.assert_array_equal(xp.to_numpy(part.values), dense[rows, columns])
        assert (np.diff(rows * 20 + columns) > 0).all()
    np.testing.assert_array_equal(marks, known)
    rows, columns = xp.to_numpy(kept.rows), xp.to_numpy(kept.columns)
    assert set(rows) == set(np.nonzero(known)[0])
    assert set(columns) == set(np.nonzero(known)[1])


def test_nothing_is_set_aside_that_is_the_last_of_its_row_or_column():
    namespace, entries = read(np.diag([1.0, 2, 3]) + np.where(np.eye(3) > 0, 0, np.nan))
    kept, aside = set_aside(entries, 0.5, np.random.default_rng(0), namespace)
    assert kept.values.tolist() == [1, 2, 3]
    assert aside.values.shape == (0,)


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5])
def test_a_share_lies_between_none_and_all(share):
    with pytest.raises(ValueError, match="holdout must be"):
        td.complete(np.ones((3, 3)), rank=1, holdout=share)


def test_what_is_held_out_is_not_fitted_even_where_it_is_among_the_entries(xp):
    rng = np.random.default_rng(0)
    x = np.where(rng.random((20, 15)) < 0.6, rng.standard_normal((20, 15)), np.nan)
    held = ~np.isnan(x) & (rng.random(x.shape) < 0.2)
    judge, rest = np.where(held, x, np.nan), np.where(held, np.nan, x)
    spoilt = np.where(held, x + 100, x)
    rules = {"rank": 2, "regularization": 0.5, "rng": 0}
    one, other, third = (
        td.complete(xp.asarray(known), holdout=xp.asarray(judge), **rules)
        for known in (x, spoilt, rest)
    )
    expected = xp.to_numpy(third.tensor.to_array())
    for fit in (one, other):
        np.testing.assert_allclose(xp.to_numpy(fit.tensor.to_array()), expected, atol=1e-10)
        assert fit.error == pytest.approx(third.error, rel=1e-10)


def test_something_is_left_to_fit_and_something_to_judge_by():
    with pytest.raises(ValueError, match="none is left to be fitted"):
        td.complete(np.ones((3, 3)), rank=1, holdout=np.ones((3, 3)))
    with pytest.raises(ValueError, match="sets nothing aside"):
        td.complete(np.where(np.eye(3) > 0, 1.0, np.nan), rank=1, holdout=0.5)
