"""Test matrices have the singular values that they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp.testing import LAPACK_SHAPES, SPECTRA, graded, matrix, spectrum


def assert_spectrum(a, s):
    """Compare normwise: rounding moves every value by at most `eps` times the largest."""
    eps = np.finfo(a.dtype).eps
    wide = a.astype(np.result_type(a.dtype, np.float64))
    found = np.linalg.svd(wide, compute_uv=False)
    expected = np.zeros(found.size)
    expected[: len(s)] = s
    np.testing.assert_allclose(found, expected, rtol=0, atol=4 * eps * max(a.shape, default=1))


@pytest.mark.parametrize("shape", LAPACK_SHAPES, ids=str)
def test_the_grid_of_lapack(shape):
    a = matrix(*shape, "geometric")
    assert a.shape == shape
    if 0 not in shape:
        assert_spectrum(a, spectrum("geometric", min(shape)))


def test_the_grid_is_that_of_lapack():
    assert len(LAPACK_SHAPES) == len(set(LAPACK_SHAPES)) == 64
    assert {m for m, _ in LAPACK_SHAPES} == {0, 1, 2, 3, 10, 16, 30, 40}


@given(kind=st.sampled_from(SPECTRA), seed=st.integers(0, 2**32))
def test_every_spectrum_in_every_dtype(dtype, kind, seed):
    for shape in ((9, 5), (5, 9), (6, 6), (1, 4)):
        a = matrix(*shape, kind, rng=seed, dtype=dtype)
        assert a.dtype == dtype
        assert a.flags.c_contiguous
        assert_spectrum(a, spectrum(kind, min(shape)))


def test_a_seed_means_one_matrix_on_every_backend(xp, dtype):
    a = matrix(5, 4, "polynomial", rng=3, dtype=dtype)
    b = matrix(5, 4, "polynomial", rng=3, like=xp.asarray(np.empty(0, dtype)))
    np.testing.assert_array_equal(xp.to_numpy(b), a)
    assert xp.to_numpy(b).dtype == dtype


def test_few_values_leave_the_rest_zero():
    a = matrix(6, 5, [2.0, 1.0])
    assert np.linalg.matrix_rank(a) == 2
    assert_spectrum(a, [2.0, 1.0])
    assert not np.any(matrix(3, 2, []))


def test_complex_matrices_are_complex():
    assert np.linalg.norm(matrix(5, 4, "flat", dtype="complex128").imag) > 0.5


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_scales_are_reached_by_multiplying(scale):
    a = matrix(5, 4, "flat") * scale
    assert_spectrum(a / scale, np.ones(4))


def test_the_bases_are_uniform():
    # The first entry of a uniform unit vector of length n has mean 0 and variance 1/n.
    rng = np.random.default_rng(0)
    entries = np.array([matrix(4, 1, "flat", rng=rng)[0, 0] for _ in range(2000)])
    assert abs(entries.mean()) < 5 / np.sqrt(4 * 2000)
    assert abs(np.mean(entries**2) - 1 / 4) < 5 * np.sqrt(1 / 16 / 2000)


@given(shape=st.sampled_from([(9, 5), (5, 5), (7, 1)]), condition=st.floats(1.0, 1e14))
def test_graded_columns_bound_the_singular_values(shape, condition):
    a = graded(*shape, condition=condition)
    d = np.geomspace(1.0, 1.0 / condition, shape[1])
    s = np.linalg.svdvals(a)
    slack = 1e-13
    assert np.all(s <= d * (1 + 1e-12) + slack)
    assert np.all(s >= d / 2 - slack)


def test_graded_columns_in_every_dtype(xp, dtype):
    a = xp.to_numpy(graded(6, 8, like=xp.asarray(np.empty(0, dtype)), condition=1e6))
    assert a.dtype == dtype
    np.testing.assert_array_equal(a, graded(6, 8, dtype=dtype, condition=1e6))
    lengths = np.linalg.norm(a.astype(complex), axis=0)
    np.testing.assert_allclose(lengths[0] / lengths[-1], 1e6, rtol=10)


@pytest.mark.parametrize("s", [[1.0, 1.0, 1.0], [[1.0]], 1.0])
def test_spectra_that_do_not_fit_are_refused(s):
    with pytest.raises(ValueError, match="s must be a vector of at most 2 values"):
        matrix(2, 3, s)
