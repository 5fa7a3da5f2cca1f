r"""Products with sums of Kronecker products, none of which is formed.

With the vector as a tensor, ``x.reshape(n_1, ..., n_d)``, a term multiplies each of its axes by
one factor: in row-major order :math:`(L \otimes R)\operatorname{vec}(Z) =
\operatorname{vec}(L Z R^T)`. The last factors go first, for all terms side by side; the first
one sums over the terms in a single matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tdecomp._typing import Array
from tdecomp._xp import namespace


def apply(factors: Sequence[Array], x: Array) -> Array:
    """Multiply a vector (n,), or matrices (..., n, b), by the sum of Kronecker products."""
    xp = namespace(*factors, x)
    n = math.prod(int(f.shape[2]) for f in factors)
    axis = -1 if x.ndim < 2 else -2
    if x.ndim == 0 or x.shape[axis] != n:
        raise ValueError(f"a matrix with {n} columns cannot multiply shape {tuple(x.shape)}")
    if x.ndim == 1:
        return _of_columns(factors, x[:, None])[:, 0]
    if x.ndim == 2:
        return _of_columns(factors, x)
    *batch, _, b = x.shape
    count = math.prod(batch)
    wide = xp.permute_dims(xp.reshape(x, (count, n, b)), (1, 0, 2))
    y = _of_columns(factors, xp.reshape(wide, (n, count * b)))
    y = xp.permute_dims(xp.reshape(y, (y.shape[0], count, b)), (1, 0, 2))
    return xp.reshape(y, (*batch, y.shape[1], b))


def _of_columns(factors: Sequence[Array], x: Array) -> Array:
    """Multiply a matrix (n, b), factor by factor from the last."""
    xp = namespace(*factors, x)
    first, *others = factors
    r, m, n = first.shape
    sizes = [int(f.shape[2]) for f in factors]
    z, after = x, int(x.shape[1])
    for j in range(len(others), 0, -1):
        z = _of_axis(factors[j], z, math.prod(sizes[:j]), after)
        after *= int(factors[j].shape[1])
    joined = xp.reshape(xp.permute_dims(first, (1, 0, 2)), (m, r * n))
    rows = math.prod(int(f.shape[1]) for f in factors)
    return xp.reshape(joined @ xp.reshape(z, (r * n, after)), (rows, x.shape[1]))


def _of_axis(factor: Array, z: Array, before: int, after: int) -> Array:
    """Multiply the axis in the middle of ``(before, n, after)``, that of each term or of all."""
    xp = namespace(factor, z)
    r, m, n = factor.shape
    shared = math.prod(z.shape) == before * n * after
    if after == 1 and shared:
        y = xp.reshape(z, (before, n)) @ xp.matrix_transpose(xp.reshape(factor, (r * m, n)))
        return xp.permute_dims(xp.reshape(y, (before, r, m)), (1, 0, 2))
    z = xp.reshape(z, (1 if shared else r, before, n, after))
    return xp.matmul(factor[:, None, :, :], z)
