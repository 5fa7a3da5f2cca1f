"""Products of a sparse tensor with matrices along its modes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tdecomp._kernels import accepts
from tdecomp._shim import index_add
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device
from tdecomp.ops._coo import COO, is_host
from tdecomp.ops._sparse_layout import arrange, even_cuts
from tdecomp.ops._sparse_sort import canonical, fibres

_BLOCK_ENTRIES = 1 << 22
# Multiplications from which on the kernel saves more than a cold import of numba.
_KERNEL_WORK = 1 << 25
_CHUNKS = 8


def _sparse_mode_product(x: COO, matrix: Array, mode: int, *, xp: Namespace) -> COO:
    """Multiply every fibre that has an entry; all entries of the products are stored."""
    m = matrix.shape[0]
    shape = (*x.shape[:mode], m, *x.shape[mode + 1 :])
    if not x.nnz:
        return COO(x.indices, xp.astype(x.values, matrix.dtype, copy=False), shape)
    order, group, firsts = fibres(x.indices, mode, xp)
    count = firsts.shape[0]
    columns = xp.matrix_transpose(matrix)
    out = xp.zeros((count, m), dtype=x.dtype, device=device(x.values))
    step = max(1, _BLOCK_ENTRIES // m)
    for start in range(0, x.nnz, step):
        chosen = slice(start, min(start + step, x.nnz))
        here = xp.take(x.indices[mode, ...], order[chosen], axis=0)
        values = xp.take(x.values, order[chosen], axis=0)
        products = values[:, None] * xp.take(columns, here, axis=0)
        out = index_add(out, group[chosen], products, xp)
    known = xp.take(x.indices, xp.take(order, firsts, axis=0), axis=1)
    along = xp.arange(m, dtype=x.indices.dtype, device=device(x.indices))
    rows = [
        xp.broadcast_to(along[None, :] if k == mode else known[k, :, None], (count, m))
        for k in range(x.modes)
    ]
    indices = xp.stack([xp.reshape(row, (-1,)) for row in rows])
    return COO(*canonical(indices, xp.reshape(out, (-1,)), shape, xp=xp), shape)


def _sparse_mode_products(
    x: COO, matrices: Sequence[Array], modes: Sequence[int], *, xp: Namespace
) -> Array:
    """Multiply along distinct modes and return an array, without filling in the tensor before."""
    factors = {k: xp.matrix_transpose(a) for k, a in sorted(zip(modes, matrices, strict=True))}
    kept = [k for k in range(x.modes) if k not in factors]
    widths = [factor.shape[1] for factor in factors.values()]
    if not factors:
        return x.to_array()
    if _worth_a_kernel(x, widths, kept):
        out = _compiled(x, factors, kept)
    else:
        out = _by_entries(x, factors, kept, xp)
    sizes = [*(x.shape[k] for k in kept), *widths]
    order = [*kept, *factors]
    return xp.permute_dims(xp.reshape(out, tuple(sizes)), tuple(map(order.index, range(x.modes))))


def _worth_a_kernel(x: COO, widths: Sequence[int], kept: Sequence[int]) -> bool:
    """Tell whether the kernel can multiply, and pays."""
    if len(kept) > 1 or x.modes == 1 or not is_host(x) or not accepts(x.values):
        return False
    columns = math.prod(widths if kept else widths[1:])
    return sum(x.shape) < 1 << 32 and x.nnz * columns >= _KERNEL_WORK


def _by_entries(x: COO, factors: dict[int, Array], kept: Sequence[int], xp: Namespace) -> Array:
    """Add up Kronecker products of gathered rows, by matrix products where no mode is kept."""
    widths = [factor.shape[1] for factor in factors.values()]
    columns = math.prod(widths)
    rows = 0 * x.indices[0, ...]
    for k in kept:
        rows = rows * x.shape[k] + x.indices[k, ...]
    count = math.prod(x.shape[k] for k in kept) if kept else widths[0]
    out = xp.zeros((count, columns if kept else columns // count), dtype=x.dtype,
                   device=device(x.values))  # fmt: skip
    step = max(1, _BLOCK_ENTRIES // columns)
    for start in range(0, x.nnz, step):
        chosen = slice(start, min(start + step, x.nnz))
        gathered = [xp.take(a, x.indices[k, chosen], axis=0) for k, a in factors.items()]
        values = x.values[chosen, None]
        if kept:
            out = index_add(out, rows[chosen], _rowwise([values, *gathered], xp), xp)
        else:
            right = _rowwise([values, *gathered[1:]], xp)
            out = out + xp.matrix_transpose(gathered[0]) @ right
    return out


def _rowwise(matrices: Sequence[Array], xp: Namespace) -> Array:
    """Return the Kronecker products of corresponding rows."""
    product = matrices[0]
    for matrix in matrices[1:]:
        pairs = product[:, :, None] * matrix[:, None, :]
        product = xp.reshape(pairs, (pairs.shape[0], pairs.shape[1] * pairs.shape[2]))
    return product


def _compiled(x: COO, factors: dict[int, Any], kept: Sequence[int]) -> NDArray[Any]:
    """Sum by rows of the mode that is kept; without one, of the first, which comes last."""
    mode = kept[0] if kept else 0
    inner = {k: factor for k, factor in factors.items() if k != mode}
    sums = _RowSums(x, mode, inner)
    if kept:
        return sums.rows(0, x.shape[mode])
    step = max(1, _BLOCK_ENTRIES // sums.columns)
    out = np.zeros((factors[0].shape[1], sums.columns), x.dtype)
    for start in range(0, x.shape[0], step):
        stop = min(start + step, x.shape[0])
        out += np.asarray(factors[0])[start:stop].T @ sums.rows(start, stop)
    return out


class _RowSums:
    """Sums of Kronecker products by the rows of a mode, a few rows at a time."""

    def __init__(self, x: COO, mode: int, factors: dict[int, Any]) -> None:
        self._arranged = arrange(x, mode, blocks=1)
        self._widths = np.asarray([factor.shape[1] for factor in factors.values()])
        self.columns = int(self._widths.prod())
        self._stack = np.zeros((sum(f.shape[0] for f in factors.values()), max(self._widths)),
                               x.dtype)  # fmt: skip
        first = 0
        for factor in factors.values():
            self._stack[first : first + factor.shape[0], : factor.shape[1]] = factor
            first += factor.shape[0]

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Return the rows from `start` to `stop`."""
        from tdecomp._kernels._coo_kronecker import kronecker_rows

        starts, _, values, indices, _ = self._arranged
        out = np.empty((stop - start, self.columns), values.dtype)
        bounds = start + even_cuts(np.diff(starts[0, start : stop + 1]), _CHUNKS)
        kronecker_rows(starts[0], bounds, values, indices, self._stack, self._widths, out)
        return out
