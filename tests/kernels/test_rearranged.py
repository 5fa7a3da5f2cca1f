"""Products with a rearranged matrix: kernels against the rearrangement, made."""

import numpy as np
import pytest

from tdecomp._kernels import _rearranged as kernels
from tdecomp._kernels._tile import lanes
from tdecomp.testing import gaussian


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(3, 5, 7, 11), (1, 9, 4, 1), (6, 1, 1, 8)])
@pytest.mark.parametrize("compiled", [True, False])
def test_both_products_are_those_of_the_rearrangement(dtype, sizes, compiled):
    m1, m2, n1, n2 = sizes
    a = gaussian((m1 * m2, n1 * n2), dtype=dtype)
    made = a.reshape(sizes).transpose(0, 2, 1, 3).reshape(m1 * n1, m2 * n2)
    lane = lanes(a.itemsize)
    cases = ((kernels.rearranged_product, made), (kernels.rearranged_adjoint, made.T))
    for kernel, matrix in cases:
        x = gaussian((matrix.shape[1], 2 * lane), rng=1, dtype=dtype)
        out = np.full((matrix.shape[0], 2 * lane), np.nan, dtype)
        run = kernel if compiled else kernel.py_func
        run(a.reshape(-1), *sizes, x, lane, out)
        bound = 8 * np.finfo(dtype).eps * (abs(matrix) @ abs(x))
        assert np.all(abs(out - matrix @ x) <= bound)
