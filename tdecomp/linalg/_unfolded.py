"""A tensor as its unfolding along one mode, read block by block where it lies."""

from __future__ import annotations

import math
from collections.abc import Iterator

import array_api_compat as compat

from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import adjoint

ENTRIES = 1 << 20
# Slabs this wide are multiplied one by one; narrower ones are gathered into one matrix first.
WIDE = 128


def slabs(x: Array, mode: int, xp: Namespace) -> Array:
    """View `x` as ``(before, n, after)``: slab ``j`` holds columns of the unfolding."""
    shape = tuple(x.shape)
    before, after = math.prod(shape[:mode]), math.prod(shape[mode + 1 :])
    return xp.reshape(x, (before, shape[mode], after))


def spans(shape: tuple[int, ...], *, entries: int = ENTRIES) -> Iterator[tuple[slice, slice]]:
    """Cut ``(before, n, after)`` into ranges of about so many entries, none across the mode."""
    before, n, after = shape
    deep = max(1, entries // (n * after))
    wide = after if deep > 1 else max(1, entries // n)
    for j in range(0, before, deep):
        for k in range(0, after, wide):
            yield slice(j, min(j + deep, before)), slice(k, min(k + wide, after))


def blocks(t: Array, *, entries: int = ENTRIES) -> Iterator[Array]:
    """Cut ``(before, n, after)`` into blocks of about so many entries."""
    for rows, run in spans(tuple(t.shape), entries=entries):
        yield t[rows, :, run]


def columns(t: Array, xp: Namespace) -> Array:
    """Return a block ``(before, n, after)`` as a matrix of `n` rows, in the order of unfolding."""
    before, n, after = t.shape
    if after == 1:
        return xp.matrix_transpose(t[:, :, 0])
    return xp.reshape(xp.permute_dims(t, (1, 0, 2)), (n, before * after))


def gram(t: Array, xp: Namespace, dtype: DType) -> Array:
    """Return :math:`X X^*` of the unfolding, no transposed copy made.

    Blocks are multiplied in `dtype` and added in double precision: rounding does not pile up.
    """
    total, wide = None, double(t, xp)
    for block in blocks(t):
        part = xp.astype(block, dtype, copy=False)
        if part.shape[0] > 1 and part.shape[2] >= WIDE:
            product = xp.sum(part @ adjoint(part, xp), axis=0)
        else:
            a = columns(part, xp)
            product = a @ adjoint(a, xp)
        product = xp.astype(product, wide, copy=False)
        total = product if total is None else total + product
    return total


def double(x: Array, xp: Namespace) -> DType:
    """Return the dtype of `x` in double precision; its own where the library has no other."""
    if compat.is_jax_array(x) and xp.asarray(0.0).dtype != xp.float64:
        return x.dtype
    return xp.complex128 if _is_complex(x, xp) else xp.float64


def single(x: Array, xp: Namespace) -> DType:
    """Return the dtype of `x` in single precision."""
    return xp.complex64 if _is_complex(x, xp) else xp.float32


def _is_complex(x: Array, xp: Namespace) -> bool:
    return bool(xp.isdtype(x.dtype, "complex floating"))
