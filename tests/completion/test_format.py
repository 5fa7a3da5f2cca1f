"""A completion is a matrix of low rank with offsets."""

import numpy as np
import pytest

import tdecomp as td


def model(xp, m=4, n=3, k=2):
    rng = np.random.default_rng(0)
    parts = [rng.standard_normal(shape) for shape in ((m, k), (k, n), (), (m,), (n,))]
    return td.Completion(*(xp.asarray(part) for part in parts)), parts


def test_it_is_what_it_stands_for(xp):
    z, (left, right, mean, b, c) = model(xp)
    dense = mean + b[:, None] + c + left @ right
    assert z.shape == (4, 3)
    assert z.rank == 2
    assert z.modes == 2
    np.testing.assert_allclose(xp.to_numpy(z.to_array()), dense, atol=1e-15)
    np.testing.assert_allclose(xp.to_numpy(z.to_array(slice(1, 3))), dense[1:3], atol=1e-15)
    np.testing.assert_allclose(xp.to_numpy(z.lowrank.to_array()), dense, atol=1e-15)
    x = np.arange(3.0)
    np.testing.assert_allclose(xp.to_numpy(z @ xp.asarray(x)), dense @ x, atol=1e-14)
    assert td.relative_error(xp.asarray(dense), z) < 1e-15
    assert td.n_parameters(z) == 4 * 2 + 2 * 3 + 1 + 4 + 3


def test_numpy_does_not_take_it_for_a_stack_of_arrays():
    from tests.conftest import backend

    with pytest.raises(TypeError):
        np.ones(4) @ model(backend("numpy"))[0]
