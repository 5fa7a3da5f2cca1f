"""Low rank plus sparse is a matrix like others."""

import pickle

import numpy as np
import pytest

import tdecomp as td
from tdecomp.completion.robust import LowRankPlusSparse
from tdecomp.testing import gaussian


def example(xp):
    left, right = (xp.asarray(gaussian(shape, rng=1)) for shape in ((5, 2), (2, 4)))
    dense = np.zeros((5, 4))
    dense[1, 2], dense[4, 0] = 3.0, -1.0
    sparse = td.ops.from_dense(xp.asarray(dense))
    return LowRankPlusSparse(td.LowRank(left, right), sparse)


def test_it_is_the_sum_of_its_parts(xp):
    x = example(xp)
    dense = xp.to_numpy(x.low_rank.to_array()) + xp.to_numpy(x.sparse.to_array())
    np.testing.assert_array_equal(xp.to_numpy(x.to_array()), dense)
    np.testing.assert_array_equal(xp.to_numpy(x.to_array(slice(1, 3))), dense[1:3])
    assert (x.shape, x.modes, x.rank, x.dtype) == ((5, 4), 2, 2, x.low_rank.left.dtype)


def test_its_error_can_be_measured():
    x = example_without_sparse()
    assert float(td.relative_error(2 * x.to_array(), x)) == pytest.approx(0.5)


@pytest.mark.parametrize("shape", [(4,), (4, 3), (2, 4, 3)])
def test_products_do_not_form_it(xp, shape):
    x, y = example(xp), gaussian(shape, rng=2)
    expected = xp.to_numpy(x.to_array()) @ y
    np.testing.assert_allclose(xp.to_numpy(x @ xp.asarray(y)), expected, rtol=0, atol=1e-14)


def test_lists_and_complex_vectors_are_multiplied():
    x = example(np)
    for y in ([1.0, 2.0, 0.0, -1.0], gaussian((4,), rng=1, dtype="complex128")):
        np.testing.assert_allclose(x @ y, x.to_array() @ np.asarray(y), rtol=0, atol=1e-14)


def test_nothing_sparse_is_fine():
    x = example_without_sparse()
    np.testing.assert_array_equal(x @ np.ones(4), x.low_rank @ np.ones(4))
    assert td.n_parameters(x) == 5 * 2 + 2 * 4


def example_without_sparse():
    low = td.LowRank(gaussian((5, 2)), gaussian((2, 4)))
    return LowRankPlusSparse(low, td.ops.from_dense(np.zeros((5, 4))))


def test_it_pickles():
    x = example_without_sparse()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(x)).to_array(), x.to_array())
