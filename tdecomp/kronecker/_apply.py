r"""Products with sums of Kronecker products, none of which is formed.

With the vector as a tensor, ``x.reshape(n_1, ..., n_d)``, a term multiplies each of its axes by
one factor: in row-major order :math:`(L \otimes R)\operatorname{vec}(Z) =
\operatorname{vec}(L Z R^T)`. Terms go side by side. With two factors two matrix products do: the
axis of the terms comes to lie beside the axis that goes last, and both are summed at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tdecomp._typing import Array, Namespace
from tdecomp._xp import as_array, as_floating, namespace
from tdecomp.kronecker._balance import balanced, is_floating, is_moderate
from tdecomp.ops._operands import promoted


def apply(factors: Sequence[Array], x: Any) -> Array:
    """Multiply a vector (n,), or matrices (..., n, b), by the sum of Kronecker products."""
    check_stacks(factors)
    n = math.prod(int(f.shape[2]) for f in factors)
    xp, x, factors = operands(factors, x, n)
    if not is_moderate(factors):
        factors = balanced(factors, xp)
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


def check_stacks(factors: Sequence[Array]) -> None:
    """Refuse factors that are no stacks of as many matrices."""
    shapes = [tuple(getattr(f, "shape", ())) for f in factors]
    if any(len(shape) != 3 or shape[0] != shapes[0][0] for shape in shapes):
        raise ValueError(
            "factors must be arrays of shape (r, m_k, n_k), with one number r of terms, got "
            f"shapes {shapes}"
        )


def operands(factors: Sequence[Array], x: Any, n: int) -> tuple[Namespace, Array, Sequence[Array]]:
    """Validate what a matrix with `n` columns multiplies, and bring all to their common dtype."""
    xp = namespace(*factors, x)
    x = as_array(x, xp, factors[0], "x")
    if x.ndim == 0 or x.shape[-1 if x.ndim == 1 else -2] != n:
        raise ValueError(
            f"a matrix with {n} columns cannot multiply shape {tuple(x.shape)}: x must have shape "
            f"({n},) or (..., {n}, c)"
        )
    arrays = [x, *factors]
    if any(f.dtype != x.dtype for f in factors):
        floating = [is_floating(y, xp) for y in arrays]
        if any(floating):
            pairs = zip(arrays, floating, strict=True)
            arrays = [y if already else as_floating(y, xp, name="x") for y, already in pairs]
        arrays = promoted(arrays, xp)
    return xp, arrays[0], arrays[1:]


def _of_columns(factors: Sequence[Array], x: Array) -> Array:
    """Multiply a matrix (n, b)."""
    if len(factors) > 2:
        return _one_by_one(factors, x)
    left, right = factors
    (_, m1, n1), (_, m2, n2) = left.shape, right.shape
    if m1 * n2 * (n1 + m2) < n1 * m2 * (n2 + m1):
        return _left_first(left, right, x)
    return _right_first(left, right, x)


def _left_first(left: Array, right: Array, x: Array) -> Array:
    """Multiply by left factors, then by right ones: ``m_1 n_2 (n_1 + m_2)`` for each term."""
    xp = namespace(left, right, x)
    (r, m1, n1), (_, m2, n2), b = left.shape, right.shape, x.shape[1]
    rows = xp.reshape(xp.permute_dims(left, (1, 0, 2)), (m1 * r, n1))
    z = xp.reshape(rows @ xp.reshape(x, (n1, n2 * b)), (m1, r * n2, b))
    columns = xp.reshape(xp.permute_dims(right, (1, 0, 2)), (m2, r * n2))
    if b == 1:
        y = z[:, :, 0] @ xp.matrix_transpose(columns)
    else:
        y = columns @ z
    return xp.reshape(y, (m1 * m2, b))


def _right_first(left: Array, right: Array, x: Array) -> Array:
    """Multiply by right factors, then by left ones: ``n_1 m_2 (n_2 + m_1)`` for each term."""
    xp = namespace(left, right, x)
    (r, m1, n1), (_, m2, n2), b = left.shape, right.shape, x.shape[1]
    columns = xp.reshape(right, (r * m2, n2))
    if b == 1:
        z = xp.reshape(x, (n1, n2)) @ xp.matrix_transpose(columns)
    else:
        z = columns @ xp.reshape(x, (n1, n2, b))
    rows = xp.reshape(xp.permute_dims(left, (1, 2, 0)), (m1, n1 * r))
    return xp.reshape(rows @ xp.reshape(z, (n1 * r, m2 * b)), (m1 * m2, b))


def _one_by_one(factors: Sequence[Array], x: Array) -> Array:
    """Multiply factor by factor from the last; the first one sums over the terms."""
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
