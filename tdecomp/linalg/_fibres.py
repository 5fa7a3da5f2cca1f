r"""Products of the fibres of a tensor along one mode with a few dozen columns.

What subspace methods ask of an unfolding :math:`X_{(n)}`: the projection :math:`Q^* X_{(n)}` and
the step :math:`X_{(n)} X_{(n)}^* Q`. For large real NumPy arrays both run in kernels that read the
tensor once and keep blocks of the result in registers; elsewhere they are matrix products.
"""

from __future__ import annotations

import math

import numpy as np

from tdecomp import _kernels
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, squared_norm
from tdecomp.linalg._unfolded import ENTRIES, WIDE, blocks, columns, double, slabs, spans
from tdecomp.ops._mode_products import _mode_product

# Entries above which loading the kernels, half a second, is soon made up for.
_ENTRIES = 1 << 23
# Products of more columns than that are no longer thin; fibres that follow each other evenly in
# fewer numbers than that leave the vectors idle.
_COLUMNS, _EVEN = 64, 32
# Fibres that a thread takes at a time: of a projection; and so many entries of a step or of a
# difference, whose copy stays in the cache.
_STRIPE, _BLOCK, _CACHED = 512, 48, 1 << 17


def project_fibres(
    x: Array, q: Array, mode: int, xp: Namespace, *, entries: int | None = None
) -> Array:
    r"""Return :math:`X \times_n Q^*`; `q` has the dtype of `x` and shape ``(n, r)``.

    Kernels take tensors of that many `entries`; fewer will do where they are loaded anyway.
    """
    if not _pays(x, q, mode, entries):
        return _mode_product(x, adjoint(q, xp), mode, xp=xp)
    from tdecomp._kernels._fibre_products import mode_product

    t = slabs(x, mode, xp)
    out = np.empty((t.shape[0], q.shape[1], t.shape[2]), x.dtype)
    mode_product(t, *_padded(q), _BLOCK if t.shape[2] == 1 else _STRIPE, out)
    return out.reshape(*x.shape[:mode], q.shape[1], *x.shape[mode + 1 :])


def draft_fibres(x: Array, q: Array, mode: int, xp: Namespace) -> Array:
    """Return that projection in the dtype of `q`, which is real; converted block by block.

    Kernels keep the dtype of `x`: they are as fast as the memory, and converting is not.
    """
    if _pays(x, q, mode):
        return project_fibres(x, xp.astype(q, x.dtype, copy=False), mode, xp)
    t = slabs(x, mode, xp)
    cut = 0 if t.shape[0] > 1 else 2
    step = max(1, ENTRIES * t.shape[cut] // math.prod(x.shape))
    parts = []
    for start in range(0, t.shape[cut], step):
        run = slice(start, min(start + step, t.shape[cut]))
        part = xp.astype(t[:, :, run] if cut else t[run, :, :], q.dtype, copy=False)
        parts.append(_mode_product(part, xp.matrix_transpose(q), 1, xp=xp))
    product = xp.concat(parts, axis=cut)
    return xp.reshape(product, (*x.shape[:mode], q.shape[1], *x.shape[mode + 1 :]))


def step_fibres(x: Array, q: Array, mode: int, xp: Namespace) -> Array:
    """Return :math:`X X^* Q` of the unfolding, both products in one reading of the tensor.

    Blocks are converted to the dtype of `q`, multiplied in it, and added in double precision.
    """
    t = slabs(x, mode, xp)
    if not _pays(x, q, mode):
        return _stepped(t, q, xp)
    from tdecomp._kernels._fibre_products import normal_product

    b, lanes = _padded(q)
    out = np.empty((_kernels.threads(), *b.shape))
    normal_product(t, b, lanes, max(_EVEN, _CACHED // t.shape[1]), out)
    return out.sum(axis=0)[:, : q.shape[1]]


def squared_gap(x: Array, q: Array, b: Array, mode: int, xp: Namespace) -> float:
    r"""Return :math:`\|X - B \times_n Q\|_F^2`; the difference is formed, block by block."""
    t, inner = slabs(x, mode, xp), slabs(b, mode, xp)
    total, entries = 0.0, ENTRIES if t.shape[0] == 1 else _CACHED
    for rows, run in spans(tuple(t.shape), entries=entries):
        block, part = t[rows, :, run], inner[rows, :, run]
        if block.shape[2] < WIDE:
            block, part = columns(block, xp), columns(part, xp)
        total += squared_norm(block - q @ part, xp)
    return total


def _stepped(t: Array, q: Array, xp: Namespace) -> Array:
    """Take the step by matrix products, block by block."""
    total = None
    for block in blocks(t):
        a = xp.astype(columns(block, xp), q.dtype, copy=False)
        product = a @ adjoint(adjoint(q, xp) @ a, xp)
        product = xp.astype(product, double(q, xp))
        total = product if total is None else total + product
    return total


def _pays(x: Array, q: Array, mode: int, entries: int | None = None) -> bool:
    """Tell whether the kernels take these arrays and repay their loading."""
    if not _kernels.accepts(x, q) or x.dtype.kind + q.dtype.kind != "ff":
        return False
    if not x.flags.c_contiguous:
        return False
    after = math.prod(x.shape[mode + 1 :])
    size, thin = math.prod(x.shape), int(q.shape[1]) <= _COLUMNS
    least = _ENTRIES if entries is None else entries
    return size >= least and thin and (after == 1 or after >= _EVEN)


def _padded(q: np.ndarray) -> tuple[np.ndarray, int]:
    """Fill the columns up to whole vectors with zeros, and return how many numbers make one."""
    from tdecomp._kernels._tile import lanes

    count = lanes(q.dtype.itemsize)
    padded = np.zeros((q.shape[0], -(-q.shape[1] // count) * count), q.dtype)
    padded[:, : q.shape[1]] = q
    return padded, count
