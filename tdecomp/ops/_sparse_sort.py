"""Coordinates in C order, each only once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tdecomp._kernels import accepts
from tdecomp._shim import index_add
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device

# Entries from which on the radix sort saves more than a cold import of numba.
_KERNEL_ENTRIES = 1 << 20


def canonical(
    indices: Array, values: Array, shape: tuple[int, ...], *, xp: Namespace
) -> tuple[Array, Array]:
    """Sort coordinates (d, nnz) within `shape`, and sum the values at equal ones."""
    if values.shape[0] < 2:
        return indices, values
    if math.prod(shape) > int(xp.iinfo(indices.dtype).max):
        order = _by_modes(indices, xp)
        indices, values = xp.take(indices, order, axis=1), xp.take(values, order, axis=0)
        return _merged(indices, values, xp.any(indices[:, 1:] != indices[:, :-1], axis=0), xp)
    keys = positions(indices, shape)
    if bool(xp.all(keys[1:] > keys[:-1])):
        return indices, values
    if values.shape[0] >= _KERNEL_ENTRIES and accepts(values):
        keys, values = radix_sorted(keys, values, math.prod(shape) - 1)
        indices = np.stack(np.unravel_index(keys, shape))
    else:
        order = xp.argsort(keys, stable=True)
        keys, indices = xp.take(keys, order, axis=0), xp.take(indices, order, axis=1)
        values = xp.take(values, order, axis=0)
    return _merged(indices, values, keys[1:] != keys[:-1], xp)


def in_order(indices: Array, values: Array, shape: tuple[int, ...]) -> bool:
    """Tell of many NumPy entries, in one pass, whether they are within `shape`, sorted, unique.

    False also where nobody looked.
    """
    if values.shape[0] < _KERNEL_ENTRIES or not accepts(values) or type(indices) is not np.ndarray:
        return False
    from tdecomp._kernels._coo_order import find_disorder

    found = np.zeros(1, np.int64)
    find_disorder(indices, np.asarray(shape), found)
    return not found[0]


def positions(indices: Array, shape: Sequence[int]) -> Array:
    """Return the positions of coordinates in C order; they must fit in their integers."""
    total = indices[0, ...]
    for mode, n in enumerate(shape[1:], start=1):
        total = total * n + indices[mode, ...]
    return total


def _by_modes(indices: Array, xp: Namespace) -> Array:
    """Return the order of coordinates by stable sorts, the last mode first."""
    order = xp.argsort(indices[-1, ...], stable=True)
    for mode in range(indices.shape[0] - 2, -1, -1):
        row = xp.take(indices[mode, ...], order, axis=0)
        order = xp.take(order, xp.argsort(row, stable=True), axis=0)
    return order


def _merged(indices: Array, values: Array, new: Array, xp: Namespace) -> tuple[Array, Array]:
    """Sum runs of values; `new` tells of every sorted coordinate but the first that it is new."""
    if bool(xp.all(new)):
        return indices, values
    group, firsts = runs(new, indices, xp)
    zeros = xp.zeros(firsts.shape[0], dtype=values.dtype, device=device(values))
    return xp.take(indices, firsts, axis=1), index_add(zeros, group, values, xp)


def runs(new: Array, like: Array, xp: Namespace) -> tuple[Array, Array]:
    """Return the number of the run that each item is in, and where runs begin."""
    head = xp.ones(1, dtype=xp.bool, device=device(like))
    new = xp.concat([head, new])
    group = xp.cumulative_sum(xp.astype(new, like.dtype)) - 1
    return group, xp.nonzero(new)[0]


def fibres(indices: Array, mode: int, xp: Namespace) -> tuple[Array, Array, Array]:
    """Sort at least one entry by all modes but one.

    Returns the order; the number of the fibre of each entry in that order; the first of each.
    """
    others = [k for k in range(indices.shape[0]) if k != mode]
    if not others:
        order = xp.arange(indices.shape[1], dtype=indices.dtype, device=device(indices))
        return order, 0 * order, order[:1]
    rest = xp.stack([indices[k, ...] for k in others])
    order = _by_modes(rest, xp)
    rest = xp.take(rest, order, axis=1)
    group, firsts = runs(xp.any(rest[:, 1:] != rest[:, :-1], axis=0), indices, xp)
    return order, group, firsts


def radix_sorted(
    keys: np.ndarray[Any, Any], values: np.ndarray[Any, Any], most: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Sort keys between 0 and `most`, stably and with their values, digit by digit."""
    from tdecomp._kernels._coo_order import DIGIT, sort_by_digit

    keys, values = np.ascontiguousarray(keys), np.ascontiguousarray(values)
    for shift in range(0, most.bit_length(), DIGIT):
        sorted_keys, sorted_values = np.empty_like(keys), np.empty_like(values)
        sort_by_digit(keys, values, shift, sorted_keys, sorted_values)
        keys, values = sorted_keys, sorted_values
    return keys, values
