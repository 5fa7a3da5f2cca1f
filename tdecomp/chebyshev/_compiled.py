"""Values of a function at many points, by loops that keep blocks of them in registers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tdecomp import _kernels
from tdecomp._typing import Array
from tdecomp.chebyshev._core import arrays
from tdecomp.chebyshev._domain import SLACK
from tdecomp.tt import TensorTrain

# Flops from which on the kernel is asked, at 40 to 100 thousand million a second: products of
# NumPy take some 30 milliseconds for as many. Loading it takes half a second, once.
_KERNEL_WORK = 1 << 26
# Tasks for each thread: the last ones to end are then not far apart.
_TASKS = 4


def compiled(core: Any, factors: Sequence[Array], domain: Array, x: Array) -> Array | None:
    """Return the values at points (N, d) of a box, None where that is not for the kernel.

    It takes real arrays of NumPy, enough of them to pay, and points inside.
    """
    operands = (*arrays(core), *factors, domain, x)
    if not _kernels.accepts(*operands) or any(a.dtype != x.dtype for a in operands):
        return None
    if x.dtype.kind != "f" or x.shape[0] * flops(core, factors) < _KERNEL_WORK:
        return None
    found, outside = _evaluated(core, factors, domain, x)
    return found if outside <= SLACK * np.finfo(x.dtype).eps else None


def flops(core: Any, factors: Sequence[Array]) -> int:
    """Return how many operations the value at one point takes."""
    return 2 * sum(int(math.prod(a.shape)) for a in (*arrays(core), *factors))


def _evaluated(
    core: Any, factors: Sequence[Array], domain: Array, x: Array
) -> tuple[Array, float]:
    """Return values by the kernel, and how far points lie outside, as a part of half a side."""
    from tdecomp._kernels._chebyshev import evaluate
    from tdecomp._kernels._tile import lanes

    columns, flat, bonds = _arranged(core)
    series = np.concatenate([factors[k].reshape(-1) for k in columns])
    counts, ranks = np.asarray([factors[k].shape for k in columns]).T.copy()
    # What is read only would be compiled for once more.
    x, domain = np.require(x, requirements=["C", "W"]), np.array(domain)
    out, outside = np.empty(x.shape[0], x.dtype), np.empty(_TASKS * _kernels.threads(), x.dtype)
    evaluate(
        flat, bonds, series, counts, ranks, columns, domain, x, lanes(x.itemsize), out, outside
    )
    return out, float(outside.max())


def _arranged(core: Any) -> tuple[Array, Array, Array]:
    """Return variables in an order, what a core consists of in it, and the ranks of a train.

    The last variable of an array is that of the largest rank, which makes the longest products.
    An array of one axis is a train of a single core.
    """
    if isinstance(core, TensorTrain):
        cores, bonds = core.cores, [1, *(cell.shape[2] for cell in core.cores)]
    elif core.ndim == 1:
        cores, bonds = (core,), [1, 1]
    else:
        order = np.argsort(core.shape, kind="stable")
        return order, np.array(core.transpose(order)).reshape(-1), np.empty(0, np.intp)
    flat = np.concatenate([cell.reshape(-1) for cell in cores])
    return np.arange(len(cores)), flat, np.asarray(bonds)
