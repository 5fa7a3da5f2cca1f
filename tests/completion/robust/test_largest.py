"""The largest entries, of a matrix and of its rows and columns."""

import numpy as np
import pytest

from tdecomp.completion.robust._largest import largest, outstanding


@pytest.mark.parametrize("count", [0, 1, 3, 4, 6])
def test_the_largest_entries_are_counted_exactly_ties_included(xp, count):
    x = np.array([[1.0, -2.0, 2.0], [2.0, 0.5, -3.0]])
    kept = xp.to_numpy(largest(xp.asarray(x), count, xp.namespace))
    order = [(1, 2), (0, 1), (0, 2), (1, 0), (0, 0), (1, 1)][:count]
    expected = np.zeros_like(x)
    for place in order:
        expected[place] = x[place]
    np.testing.assert_array_equal(kept, expected)


def test_outstanding_entries_stand_out_of_row_and_column(xp):
    x = np.array([[9.0, 1.0, 1.0], [8.0, 2.0, 1.0], [1.0, 1.0, 7.0]])
    kept = xp.to_numpy(outstanding(xp.asarray(x), 1 / 3, xp.namespace))
    np.testing.assert_array_equal(kept, np.diag([9.0, 0, 7.0]))
    assert not np.any(xp.to_numpy(outstanding(xp.asarray(x), 0.0, xp.namespace)))
