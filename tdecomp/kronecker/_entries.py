"""Entries of a sum of Kronecker products: all of them, or those of some rows and columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp.kronecker._balance import balanced, is_floating
from tdecomp.ops._operands import promoted
from tdecomp.ops._region import index_of, indices_of, is_index, parts


def everything(factors: Sequence[Array], xp: Namespace) -> Array:
    """Return the whole matrix: terms are summed in one product of two halves."""
    *first, last = _in_range(factors, xp)
    r, out, shape = last.shape[0], first[0], list(first[0].shape[1:])
    for factor in first[1:]:
        rows, columns = shape[0] * factor.shape[1], shape[1] * factor.shape[2]
        out = out[:, :, None, :, None] * factor[:, None, :, None, :]
        out, shape = xp.reshape(out, (r, rows, columns)), [rows, columns]
    m, n = last.shape[1:]
    halves = xp.reshape(out, (r, math.prod(shape))), xp.reshape(last, (r, m * n))
    joined = xp.matrix_transpose(halves[0]) @ halves[1]
    joined = xp.permute_dims(xp.reshape(joined, (*shape, m, n)), (0, 2, 1, 3))
    return xp.reshape(joined, (shape[0] * m, shape[1] * n))


def rows_and_columns(
    factors: Sequence[Array], shape: tuple[int, int], region: Any, xp: Namespace
) -> Array:
    """Return the entries of a region, term by term."""
    factors = _in_range(factors, xp)
    chosen = [
        _indices(part, shape[axis], axis, factors[0], xp)
        for axis, part in enumerate(parts(region, 2))
    ]
    places = [
        _split(index, [int(f.shape[axis + 1]) for f in factors])
        for axis, index in enumerate(chosen)
    ]
    out = sum(_term(factors, places, term, xp) for term in range(factors[0].shape[0]))
    sizes = [
        () if is_index(part) else (index.shape[0],)
        for part, index in zip(parts(region, 2), chosen, strict=True)
    ]
    return xp.reshape(out, (*sizes[0], *sizes[1]))


def _in_range(factors: Sequence[Array], xp: Namespace) -> Sequence[Array]:
    """Return factors of one dtype that are multiplied without leaving the range on the way."""
    if any(f.dtype != factors[0].dtype for f in factors):
        factors = promoted(factors, xp)
    return balanced(factors, xp) if len(factors) > 2 and is_floating(factors[0], xp) else factors


def _term(
    factors: Sequence[Array], places: Sequence[Sequence[Array]], term: int, xp: Namespace
) -> Any:
    """Multiply what the factors of one term have in chosen rows and columns."""
    return math.prod(
        xp.take(xp.take(factor[term, :, :], rows, axis=0), columns, axis=1)
        for factor, rows, columns in zip(factors, *places, strict=True)
    )


def _indices(part: Any, size: int, axis: int, like: Array, xp: Namespace) -> Array:
    """Return what is chosen of an axis as a list of indices."""
    if is_index(part):
        part = [index_of(part, size, axis)]
    elif isinstance(part, slice):
        part = np.arange(*part.indices(size))
    return indices_of(part, size, like, xp, name=f"region[{axis}]")


def _split(index: Array, sizes: list[int]) -> list[Array]:
    """Return the index of each factor that a joint index, in row-major order, stands for."""
    return [(index // math.prod(sizes[j + 1 :])) % size for j, size in enumerate(sizes)]
