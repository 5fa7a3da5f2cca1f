"""Sums over the entries of a sparse tensor of Kronecker products of rows of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from tdecomp._kernels._jit import kernel


@kernel
def kronecker_rows(
    starts: Any, bounds: Any, values: Any, indices: Any, matrices: Any, widths: Any, out: Any
) -> None:
    """Write to rows ``bounds[0]`` and on, of which `out` is, sums of products of their entries.

    Row `i` has the entries ``starts[i]`` to ``starts[i + 1]``. Their `indices` are rows of the
    stacked matrices, of which the one of mode `m` has ``widths[m]`` columns. Neighbours that
    differ in the last mode only are summed there before the other modes multiply them.
    """
    last = widths.size - 1
    short = widths[last]
    for c in prange(bounds.size - 1):
        left = np.empty(out.shape[1] // short, out.dtype)
        right = np.empty(short, out.dtype)
        for row in range(bounds[c], bounds[c + 1]):
            total = out[row - bounds[0]]
            total[:] = 0
            p, stop = starts[row], starts[row + 1]
            while p < stop:
                here = p
                right[:] = 0
                alike = True
                while alike:
                    source = matrices[indices[p, last]]
                    for b in range(short):
                        right[b] += values[p] * source[b]
                    p += 1
                    alike = p < stop
                    m = 0
                    while alike and m < last:
                        alike = indices[p, m] == indices[here, m]
                        m += 1
                size = 1
                left[0] = 1
                for m in range(last):
                    source, width = matrices[indices[here, m]], widths[m]
                    # From the back, so that no entry is overwritten before it is used.
                    for a in range(size - 1, -1, -1):
                        scale = left[a]
                        for b in range(width):
                            left[a * width + b] = scale * source[b]
                    size *= width
                for a in range(size):
                    scale = left[a]
                    for b in range(short):
                        total[a * short + b] += scale * right[b]
