"""The kernel multiplies fibres as NumPy does once they are gathered."""

import numpy as np
import pytest

pytest.importorskip("numba")

from tdecomp._kernels._fibres import multiply_contiguous, multiply_strided


@pytest.mark.parametrize(
    ("dtype", "compiled"),
    [
        ("float32", False),
        ("float64", False),
        ("complex64", False),
        ("complex128", False),
        ("float64", True),
        ("complex64", True),
    ],
)
@pytest.mark.parametrize("count", [1, 4, 11])
def test_fibres_times_factors(dtype, compiled, count):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 40, 5)).astype(dtype)
    x = x + (1j * x[::-1] if np.dtype(dtype).kind == "c" else 0)
    factors = rng.standard_normal((count, 6)).astype(dtype)
    i, k = rng.integers(0, 3, count), rng.integers(0, 5, count)
    strided, contiguous = (np.full((40, 6), np.nan, dtype) for _ in range(2))
    functions = multiply_strided, multiply_contiguous
    one, other = functions if compiled else (function.py_func for function in functions)
    one(x.reshape(-1), 200 * i + k, 5, factors, strided)
    turned = np.ascontiguousarray(np.moveaxis(x, 1, 2)).reshape(-1)
    other(turned, 200 * i + 40 * k, factors, contiguous)
    wanted = x[i, :, k].T @ factors
    for out in (strided, contiguous):
        assert np.abs(out - wanted).max() <= 32 * np.finfo(dtype).eps * np.abs(wanted).max()
