"""Single entries are those of the tensor."""

import numpy as np
import pytest

from tdecomp import tt


def test_entries_are_those_of_the_tensor(xp, train_of, ring_of, brute):
    rng, dtype = np.random.default_rng(0), "complex64"
    for fmt in (
        train_of((4, 3, 5, 2), (2, 3, 2), dtype=dtype),
        ring_of((4, 3, 5, 2), (2, 3, 1, 2), dtype=dtype),
    ):
        x = brute(fmt.cores)
        index = np.stack([rng.integers(-n, n, size=50) for n in x.shape], axis=1)
        moved = type(fmt)(tuple(map(xp.asarray, fmt.cores)))
        found = xp.to_numpy(tt.evaluate(moved, xp.asarray(index)))
        assert found.dtype == np.dtype(dtype)
        assert np.allclose(found, x[tuple(index.T)], rtol=0, atol=200 * np.finfo(dtype).eps)


def test_many_entries_are_computed_in_blocks(train_of):
    train = train_of((40, 30, 50), (20, 20))
    rng = np.random.default_rng(0)
    index = np.stack([rng.integers(0, n, size=10_000) for n in train.shape], axis=1)
    expected = train.to_array()[tuple(index.T)]
    assert np.abs(tt.evaluate(train, index) - expected).max() <= 1e-11


def test_no_rows_and_one_mode(train_of):
    train = train_of((4, 3), (2,))
    assert tt.evaluate(train, np.empty((0, 2), dtype=int)).shape == (0,)
    one = tt.TensorTrain((np.arange(5.0)[None, :, None],))
    assert tt.evaluate(one, [[3], [-1]]).tolist() == [3.0, 4.0]


@pytest.mark.parametrize(
    ("indices", "kind", "message"),
    [
        ([[0, 3]], ValueError, r"indices\[0, 1\] is 3, outside of -3 ... 2"),
        ([[0, 0], [-5, 0]], ValueError, r"indices\[1, 0\] is -5, outside of -4 ... 3"),
        ([[0, 0, 0]], ValueError, r"indices must have shape \(m, 2\)"),
        ([0, 1], ValueError, r"indices must have shape \(m, 2\)"),
        ([[0.0, 1.0]], TypeError, "indices must be ints"),
        ([[True, False]], TypeError, "indices must be ints"),
    ],
)
def test_indices_that_do_not_fit_are_named(indices, kind, message, train_of):
    with pytest.raises(kind, match=message):
        tt.evaluate(train_of((4, 3), (2,)), indices)
    with pytest.raises(kind, match=message):
        tt.evaluate(train_of((4, 3), (2,)), np.asarray(indices))


def test_jit_evaluates_too(xp, train_of):
    train = train_of((4, 3, 5), (2, 3), xp=xp)
    index = xp.asarray(np.array([[1, 2, 3], [0, 0, 4]]))
    found = xp.jit(tt.evaluate)(train, index)
    assert np.allclose(xp.to_numpy(found), xp.to_numpy(tt.evaluate(train, index)), atol=1e-14)
