"""Gaussian arrays are the draws of the library, on every backend."""

import numpy as np

from tdecomp.testing import gaussian


def test_a_seed_means_one_array_on_every_backend(xp, dtype):
    found = gaussian((3, 4, 2), rng=5, like=xp.asarray(np.empty(0, dtype)))
    expected = gaussian((3, 4, 2), rng=5, dtype=dtype)
    assert expected.dtype == xp.to_numpy(found).dtype == dtype
    np.testing.assert_array_equal(xp.to_numpy(found), expected)


def test_a_generator_goes_on():
    rng = np.random.default_rng(5)
    first, second = gaussian((4,), rng=rng), gaussian((4,), rng=rng)
    np.testing.assert_array_equal(np.concatenate([first, second]), gaussian((8,), rng=5))
