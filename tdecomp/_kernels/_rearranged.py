"""Products with the rearrangement of a matrix into rows of blocks, which is never made.

A matrix of (m1 m2, n1 n2) seen as ``a[i1, i2, j1, j2]``; its rearrangement has the rows (i1, j1)
and the columns (i2, j2) [Van Loan and Pitsianis]. Both products read the matrix once, where it
lies, in lines of n2 numbers.
"""

from __future__ import annotations

from typing import Any

from numba import prange

from tdecomp._kernels._contract import _multiply
from tdecomp._kernels._jit import kernel


@kernel
def rearranged_product(
    a: Any, m1: int, m2: int, n1: int, n2: int, x: Any, lanes: int, out: Any
) -> None:
    """Write to `out` (m1 n1, w) the sums over i2, j2 of ``a[i1, i2, j1, j2] * x[i2, j2]``.

    `a` is flat, `x` (m2 n2, w); its columns fill whole vectors of `lanes` numbers.
    """
    width = x.shape[1]
    flat_x, flat_out = x.reshape(-1), out.reshape(-1)
    for i1 in prange(m1):
        to = i1 * n1 * width
        flat_out[to : to + n1 * width] = 0
        for i2 in range(m2):
            _multiply(
                a, (i1 * m2 + i2) * n1 * n2, n2, 1, n1, flat_x[i2 * n2 * width :], width, lanes,
                n2, flat_out, to, n1 * n2, n2 - 1,
            )  # fmt: skip


@kernel
def rearranged_adjoint(
    a: Any, m1: int, m2: int, n1: int, n2: int, y: Any, lanes: int, out: Any
) -> None:
    """Write to `out` (m2 n2, w) the sums over i1, j1 of ``a[i1, i2, j1, j2] * y[i1, j1]``."""
    width = y.shape[1]
    flat_y, flat_out = y.reshape(-1), out.reshape(-1)
    for i2 in prange(m2):
        to = i2 * n2 * width
        flat_out[to : to + n2 * width] = 0
        for i1 in range(m1):
            _multiply(
                a, (i1 * m2 + i2) * n1 * n2, 1, n2, n2, flat_y[i1 * n1 * width :], width, lanes,
                n1, flat_out, to, m2 * n1 * n2, 0,
            )  # fmt: skip
