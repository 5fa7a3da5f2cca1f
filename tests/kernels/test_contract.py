"""Contractions with a few dozen columns: kernels against the products of NumPy."""

import numpy as np
import pytest

from tdecomp._kernels import _contract as kernels
from tdecomp._kernels._tile import ROWS, VECTOR_BITS, lanes
from tdecomp.ops import khatri_rao
from tdecomp.testing import gaussian


def both(kernel):
    """The compiled kernel, and the function that it was made from."""
    return kernel, kernel.py_func


@pytest.fixture(params=["float32", "float64"])
def setting(request):
    """A dtype, the numbers in a vector, and a number of columns of every panel: 4, 2 and 1."""
    lane = lanes(np.dtype(request.param).itemsize)
    return request.param, lane, 7 * lane


def close(found, expected, sizes, dtype):
    """Whether sums differ by rounding only."""
    return np.all(abs(found - expected) <= 8 * np.finfo(dtype).eps * sizes)


def test_a_vector_has_a_whole_number_of_lanes():
    assert lanes(8) * 64 == VECTOR_BITS
    assert lanes(4) == 2 * lanes(8)
    assert set(ROWS) == {1, 2, 4}


def test_right_product(setting):
    dtype, lane, width = setting
    x, b = gaussian((101, 23), dtype=dtype), gaussian((23, width), rng=1, dtype=dtype)
    for kernel in both(kernels.right_product):
        out = np.full((101, width), np.nan, dtype)
        kernel(x, b, lane, out)
        assert close(out, x @ b, abs(x) @ abs(b), dtype)


@pytest.mark.parametrize("shares", [1, 3])
@pytest.mark.parametrize("stripe", [7, 64])
def test_left_product(setting, shares, stripe):
    dtype, lane, width = setting
    a, b = gaussian((5, width), dtype=dtype), gaussian((9, width), rng=1, dtype=dtype)
    x, joined = gaussian((45, 29), rng=2, dtype=dtype), khatri_rao([a, b])
    for kernel in both(kernels.left_product):
        out = np.full((shares, 29, width), np.nan, dtype)
        kernel(x, a, b, lane, stripe, out)
        assert close(out.sum(axis=0), x.T @ joined, abs(x.T) @ abs(joined), dtype)


def test_middle_product(setting):
    dtype, lane, width = setting
    x, b = gaussian((6, 37, 11), dtype=dtype), gaussian((37, width), rng=1, dtype=dtype)
    expected, sizes = (np.einsum("ijk,jr->ikr", f(x), f(b)) for f in (np.array, abs))
    for kernel in both(kernels.middle_product):
        out = np.full((6, 11, width), np.nan, dtype)
        kernel(x, b, lane, out)
        assert close(out, expected, sizes, dtype)


@pytest.mark.parametrize("block", [8, 48])
def test_squared_gap(setting, block):
    dtype, lane, _ = setting
    x, left = gaussian((53, 2 * lane), dtype=dtype), gaussian((53, 5), rng=1, dtype=dtype)
    right = gaussian((5, 2 * lane), rng=2, dtype=dtype)
    expected = np.sum((x.astype(float) - left.astype(float) @ right) ** 2)
    for kernel in both(kernels.squared_gap):
        out = np.full(-(-53 // block), np.nan)
        kernel(x, left, right, lane, block, out)
        assert out.sum() == pytest.approx(expected, rel=20 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("chunks", [1, 4])
def test_contractions_column_by_column(setting, chunks):
    dtype, _, width = setting
    t = gaussian((6, 7, width), dtype=dtype)
    a, b = gaussian((6, width), rng=1, dtype=dtype), gaussian((7, width), rng=2, dtype=dtype)
    first, last = np.empty((7, width), dtype), np.empty((6, width), dtype)
    for k in (0, 1):
        both(kernels.contract_first)[k](t, a, first, chunks)
        both(kernels.contract_last)[k](t, b, last)
        assert close(first, (t * a[:, None]).sum(0), (abs(t) * abs(a[:, None])).sum(0), dtype)
        assert close(last, (t * b).sum(1), (abs(t) * abs(b)).sum(1), dtype)


def test_reading_ahead_never_leaves_the_array():
    # The last rows ask for memory that lies behind the array: a request, not a reading.
    for rows in range(1, 20):
        x = np.ones((rows, 3))
        out = np.empty((rows, lanes(8)))
        kernels.right_product(x, np.ones((3, lanes(8))), lanes(8), out)
        assert np.all(out == 3)
