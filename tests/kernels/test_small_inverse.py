"""Small inverses: those of LAPACK."""

import numpy as np
import pytest

from tdecomp._kernels import _small_inverse as kernels
from tdecomp._kernels._tile import lanes
from tdecomp.testing import gaussian

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
COMPILED = pytest.mark.parametrize("compiled", [True, False])


@DTYPES
@COMPILED
@pytest.mark.parametrize("panels", [2, 3, 4])
def test_the_inverse_is_that_of_lapack(dtype, panels, compiled):
    lane = lanes(np.dtype(dtype).itemsize)
    unit = max(kernels.PANEL, lane)
    n = -(-panels * kernels.PANEL // unit) * unit
    a = gaussian((n, n), dtype=dtype)
    w, order = a.copy(), np.empty(n, np.int64)
    invert = kernels.invert if compiled else kernels.invert.py_func
    assert invert(w, *np.empty((3, kernels.PANEL, n), dtype), order, lane)
    assert sorted(order) == list(range(n))
    found = np.empty_like(w)
    found[:, order] = w
    expected = np.linalg.inv(a.astype("float64"))
    slack = 10 * np.finfo(dtype).eps * np.linalg.cond(a.astype("float64")) * abs(expected).max()
    assert abs(found - expected).max() <= slack


@DTYPES
@COMPILED
def test_a_column_without_pivot_has_no_inverse(dtype, compiled):
    n = 16
    w = gaussian((n, n), dtype=dtype)
    w[:, 5] = 0
    room, order = np.empty((3, kernels.PANEL, n), dtype), np.empty(n, np.int64)
    invert = kernels.invert if compiled else kernels.invert.py_func
    assert not invert(w, *room, order, lanes(w.itemsize))
