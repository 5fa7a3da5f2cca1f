"""Parts of what is observed: slices of a mode, entries held out."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tdecomp._shim import host
from tdecomp._typing import Array, Namespace
from tdecomp._weights import elementwise
from tdecomp._xp import device, prepare
from tdecomp.cp._initial import as_data, values_of
from tdecomp.cp._weighted_data import _entries
from tdecomp.ops._coo import COO


class HeldOut(NamedTuple):
    """Data without some of their entries, and those entries, all of positive weight."""

    x: Any
    weights: Any
    indices: Array
    values: Array
    heavy: Array


def as_observed(x: Any, weights: Any) -> tuple[Namespace, Any, Any]:
    """Validate data and weights: both arrays of one shape, or both COO of the same coordinates.

    Without weights all entries are observed and must be finite; with them, those of weight 0 may
    be NaN.
    """
    if weights is None:
        return (*as_data(x), None)
    if isinstance(x, COO) or isinstance(weights, COO):
        places, values, heavy, shape, xp = _entries(x, weights)
        return xp, COO(places, values, shape), COO(places, heavy, shape)
    xp, x = prepare(x, ndim=1, batch=True, check_finite=False, name="x")
    return xp, x, elementwise(weights, x, x.shape, xp)


def taken(x: Any, mode: int, part: np.ndarray, xp: Namespace) -> Any:
    """Return the slices of a tensor at ascending indices of a mode, in arrays of their own."""
    if not isinstance(x, COO):
        return xp.take(x, xp.asarray(part, device=device(x)), axis=mode)
    where = device(x.indices)
    places = np.full(x.shape[mode], -1)
    places[part] = np.arange(part.shape[0])
    row = xp.take(xp.asarray(places, device=where), x.indices[mode, ...], axis=0)
    kept = xp.nonzero(row >= 0)[0]
    rows = [row if k == mode else x.indices[k, ...] for k in range(x.modes)]
    shape = (*x.shape[:mode], part.shape[0], *x.shape[mode + 1 :])
    return COO(xp.take(xp.stack(rows), kept, axis=1), xp.take(x.values, kept, axis=0), shape)


def hold_out(
    x: Any, weights: Any, fraction: float, rng: np.random.Generator, xp: Namespace
) -> HeldOut:
    """Take a random part of the observed entries out, but never the last one of a slice."""
    if isinstance(x, COO):
        where, seen = host(x.indices), np.arange(x.nnz)
    else:
        full = np.ones(x.shape, bool) if weights is None else host(weights) > 0
        seen = np.flatnonzero(full)
        where = np.stack(np.unravel_index(seen, x.shape))
    out = np.zeros(seen.shape[0], bool)
    out[rng.permutation(seen.shape[0])[: max(1, round(fraction * seen.shape[0]))]] = True
    for row, n in zip(where, x.shape, strict=True):
        left = np.bincount(row[~out], minlength=n)
        out &= left[row] > 0
    if not np.any(out):
        raise ValueError(
            f"no entry can be held out of {seen.shape[0]}: each is the last one of a slice; pass "
            "held_out=0"
        )
    home = device(values_of(x))

    def moved(array: np.ndarray) -> Array:
        return xp.asarray(array, device=home)

    indices = xp.matrix_transpose(moved(where[:, out]))
    if isinstance(x, COO):
        left, held = moved(np.flatnonzero(~out)), moved(np.flatnonzero(out))
        places = xp.take(x.indices, left, axis=1)
        return HeldOut(
            COO(places, xp.take(x.values, left, axis=0), x.shape),
            COO(places, xp.take(weights.values, left, axis=0), x.shape),
            indices,
            xp.take(x.values, held, axis=0),
            xp.take(weights.values, held, axis=0),
        )
    held = moved(seen[out])
    values = xp.take(xp.reshape(x, (-1,)), held, axis=0)
    if weights is None:
        weights = xp.ones_like(xp.real(x) if xp.isdtype(x.dtype, "complex floating") else x)
    heavy = xp.take(xp.reshape(weights, (-1,)), held, axis=0)
    mask = np.ones(math.prod(x.shape), bool)
    mask[seen[out]] = False
    kept = xp.where(moved(mask.reshape(x.shape)), weights, xp.zeros_like(weights))
    return HeldOut(x, kept, indices, values, heavy)
