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
# Fewer points would be paid for like those of two blocks.
_FEWEST = 128
# Tasks for each thread: the last ones to end are then not far apart.
_TASKS = 4
# With more variables than that, complex cores are left to products of arrays.
_COMPLEX_VARIABLES = 3


def compiled(core: Any, factors: Sequence[Array], domain: Array, x: Array) -> Array | None:
    """Return the values at points (N, d) of a box, None where that is not for the kernel.

    It takes what `as_function` returns, arrays of NumPy, enough of them to pay, and points inside.
    """
    if not _kernels.accepts(*arrays(core), *factors, domain, x):
        return None
    if x.shape[0] < _FEWEST or x.shape[0] * flops(core, factors) < _KERNEL_WORK:
        return None
    if factors[0].dtype.kind == "f":
        return _evaluated(core, factors, domain, x)
    if not isinstance(core, TensorTrain) and core.ndim > _COMPLEX_VARIABLES:
        return None
    cells = core.cores if isinstance(core, TensorTrain) else whole_train(core)
    parts = [np.ascontiguousarray(factor).view(x.dtype) for factor in factors]
    found = _evaluated(TensorTrain(real_parts(cells)), parts, domain, x)
    return None if found is None else found[0] + 1j * found[1]


def flops(core: Any, factors: Sequence[Array]) -> int:
    """Return how many operations the value at one point takes."""
    return 2 * sum(int(math.prod(a.shape)) for a in (*arrays(core), *factors))


def whole_train(core: Array) -> tuple[Array, ...]:
    """Return an array as a train: all of it is in the second core, others are identities.

    Contracting it takes little more work, of up to three variables.
    """
    if core.ndim == 1:
        return (core[None, :, None],)
    first, second, *others = core.shape
    cells = [np.eye(first, dtype=core.dtype)[None], core.reshape(first, second, -1)]
    for n in others:
        rest = cells[-1].shape[2]
        cells.append(np.eye(rest, dtype=core.dtype).reshape(rest, n, rest // n))
    return tuple(cells)


def real_parts(cells: Sequence[Array]) -> tuple[Array, ...]:
    r"""Return a complex train as a real one, of real and imaginary parts in turns.

    Products :math:`z u w` of an entry, what comes from the left, and a row, are linear in the
    parts of `u` and of `w`: twice as many of each make parts of the result. The last core ends in
    two columns, the parts of the value.
    """
    powers = np.asarray([[1, 1j], [1j, -1]], dtype=cells[0].dtype)
    found = []
    for k, cell in enumerate(cells):
        r, n, s = cell.shape
        wide = cell[:, None, :, None, :] * powers[None, :, None, :, None]
        parts = np.stack([wide.real, wide.imag], axis=-1).reshape(2 * r, 2 * n, 2 * s)
        # On the left of the first is one.
        found.append(parts if k else parts[:1])
    return tuple(found)


def _evaluated(core: Any, factors: Sequence[Array], domain: Array, x: Array) -> Array | None:
    """Return real values (N,), or (2, N) of parts, None where points lie outside."""
    from tdecomp._kernels._chebyshev import evaluate
    from tdecomp._kernels._tile import lanes

    columns, flat, bonds = _arranged(core)
    series = np.concatenate([factors[k].reshape(-1) for k in columns])
    counts, ranks = np.asarray([factors[k].shape for k in columns]).T.copy()
    # What is read only would be compiled for once more.
    x, domain = np.require(x, requirements=["C", "W"]), np.array(domain)
    out = np.empty((int(bonds[-1]) if bonds.size else 1, x.shape[0]), x.dtype)
    outside = np.empty(_TASKS * _kernels.threads(), x.dtype)
    evaluate(
        flat, bonds, series, counts, ranks, columns, domain, x, lanes(x.itemsize), out, outside
    )
    if not outside.max() <= SLACK * np.finfo(x.dtype).eps:
        return None
    return out if out.shape[0] > 1 else out[0]


def _arranged(core: Any) -> tuple[Array, Array, Array]:
    """Return variables in an order, what a core consists of in it, and the ranks of a train.

    The last variable of an array is that of the largest rank, which makes the longest products.
    An array of one axis is a train of a single core.
    """
    if not isinstance(core, TensorTrain) and core.ndim > 1:
        order = np.argsort(core.shape, kind="stable")
        turned = np.require(core.transpose(order), requirements=["C", "W"])
        return order, turned.reshape(-1), np.empty(0, np.intp)
    cells = core.cores if isinstance(core, TensorTrain) else whole_train(core)
    flat = np.concatenate([cell.reshape(-1) for cell in cells])
    return np.arange(len(cells)), flat, np.asarray([1, *(cell.shape[2] for cell in cells)])
