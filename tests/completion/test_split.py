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
