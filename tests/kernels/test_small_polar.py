"""Small polar factors: kernels against the SVD."""

import numpy as np
import pytest

from tdecomp._kernels import _small_polar as kernels
from tdecomp._kernels._tile import lanes
from tdecomp._xp import namespace
from tdecomp.linalg._polar._batched import _UPPER, _polynomials
from tdecomp.linalg._polar._svd import svd_polar
from tdecomp.testing import gaussian, matrix

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
COMPILED = pytest.mark.parametrize("compiled", [True, False])


@DTYPES
@pytest.mark.parametrize(
    ("n", "compiled"), [(1, True), (3, False), (8, True), (13, True), (16, True), (35, True)]
)
def test_factors_are_those_of_the_svd(dtype, n, compiled):
    tiny = np.finfo(dtype).eps
    conditions = [1.0, 1e2, 0.001 / tiny] if n > 1 else [1.0]
    a = np.stack(
        [
            matrix(n, n, np.geomspace(1, 1 / c, n) if n > 1 else [1.0], dtype=dtype)
            for c in conditions
        ]
    )
    u, h, ok = np.full_like(a, np.nan), np.full_like(a, np.nan), np.zeros(len(a), bool)
    run = kernels.small_polar if compiled else kernels.small_polar.py_func
    run(a, u, h, ok, float(tiny), _UPPER, _polynomials(tiny).astype(dtype), lanes(a.itemsize))
    assert np.all(ok)
    of_svd = svd_polar(a, xp=namespace(a))
    for k, condition in enumerate(conditions):
        assert abs(u[k] - of_svd[0][k]).max() <= 20 * n * tiny * condition
        assert abs(h[k] - of_svd[1][k]).max() <= 40 * n * tiny
        assert np.linalg.norm(u[k].T @ u[k] - np.eye(n)) <= 20 * np.sqrt(n) * tiny
        assert np.linalg.norm(a[k] - u[k] @ h[k]) <= 40 * tiny * np.linalg.norm(a[k])
    assert np.all(h == h.swapaxes(1, 2))


@DTYPES
@COMPILED
def test_what_is_nearly_singular_is_left_to_others(dtype, compiled):
    tiny = np.finfo(dtype).eps
    good = gaussian((4, 4), dtype=dtype)
    a = np.stack(
        [good, 0 * good, matrix(4, 4, [1, 1, 1, tiny / 2], dtype=dtype), np.ones_like(good)]
    )
    u, h, ok = np.full_like(a, 7), np.full_like(a, 7), np.ones(len(a), bool)
    run = kernels.small_polar if compiled else kernels.small_polar.py_func
    run(a, u, h, ok, float(tiny), _UPPER, _polynomials(tiny).astype(dtype), lanes(a.itemsize))
    assert ok.tolist() == [True, False, False, False]
    assert np.all(u[1:] == 7)
    assert np.all(h[1:] == 7)
