"""Products of a sparse matrix with a block of vectors."""

from __future__ import annotations

from typing import Any

from numba import prange

from tdecomp._kernels._jit import kernel


@kernel
def compressed_rows(indptr: Any, indices: Any, data: Any, x: Any, out: Any) -> None:
    """Write to `out` (m, b) the product of a matrix in compressed rows with `x` (n, b).

    Each row gathers contiguous rows of `x`, which the compiler turns into vector instructions;
    rows are independent.
    """
    for i in prange(indptr.size - 1):
        row = out[i]
        row[:] = 0
        for p in range(indptr[i], indptr[i + 1]):
            weight, source = data[p], x[indices[p]]
            for j in range(row.size):
                row[j] += weight * source[j]
