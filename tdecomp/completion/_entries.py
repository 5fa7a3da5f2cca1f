"""What is known of a matrix, read from whatever holds it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import check_choice, nonfinite
from tdecomp._shim import index_add
from tdecomp._typing import Array, Namespace
from tdecomp._weights import at_places, elementwise, nonnegative
from tdecomp._xp import (
    all_finite,
    as_array,
    as_floating,
    concrete,
    device,
    equilibrate,
    integers,
    is_numpy,
    namespace,
    prepare,
)
from tdecomp.ops._coo import COO

DUPLICATES = ("error", "mean")
# So many counters cost nothing.
_FEW = 1 << 16


class Entries(NamedTuple):
    """The known entries of a matrix in the order of rows, each place once."""

    rows: Array
    columns: Array
    values: Array
    weights: Array | None
    shape: tuple[int, int]

    def take(self, chosen: Array, xp: Namespace) -> Entries:
        """Return the entries at positions `chosen`, which ascend."""
        rows, columns, values = (
            xp.take(part, chosen, axis=0) for part in (self.rows, self.columns, self.values)
        )
        weights = None if self.weights is None else xp.take(self.weights, chosen, axis=0)
        return Entries(rows, columns, values, weights, self.shape)


def read(
    x: Any,
    weights: Any = None,
    *,
    duplicates: str = "error",
    name: str = "x",
    may_be_empty: bool = False,
) -> tuple[Namespace, Entries]:
    """Return the entries that `x` knows: those a sparse matrix stores, those that are not NaN.

    Entries of weight 0 are left out, whatever they are. Where one place comes twice, the entries
    are refused or replaced by their weighted mean with the sum of their weights, which leaves the
    minimum of every sum of weighted squares where it was.
    """
    check_choice(duplicates, DUPLICATES, name="duplicates")
    stored = _stored(x, name)
    if stored is None:
        xp, entries = _dense(x, weights, name, may_be_empty)
    else:
        xp, entries = _sparse(*stored, weights, name)
    entries = _without_zero_weights(entries, xp)
    if entries.values.shape[0] == 0:
        if may_be_empty:
            return xp, entries
        raise ValueError(f"{name} has no observed entry: nothing is known of the matrix")
    _refuse_infinite(entries, xp, name)
    if stored is None:
        return xp, entries
    return xp, _unique(_in_order(entries, xp), duplicates, xp, name)


def places(x: Any, *, name: str) -> tuple[Array, Array, tuple[int, int]]:
    """Return which entries `x` knows, none among them, in the order of rows; and its shape.

    An array of bool says so itself: those that are True.
    """
    stored = _stored(x, name)
    if stored is None and getattr(x, "dtype", None) == getattr(namespace(x), "bool", bool):
        xp = namespace(x)
        x = xp.where(x, xp.asarray(0.0, device=device(x)), xp.nan)
    xp, entries = _dense(x, None, name, True) if stored is None else _sparse(*stored, None, name)
    entries = _in_order(entries, xp)
    return entries.rows, entries.columns, entries.shape


def _stored(x: Any, name: str) -> tuple[Any, Any, Any] | None:
    """Return coordinates, values and shape of what is sparse, None for what is dense."""
    if isinstance(x, COO):
        return x.indices, x.values, x.shape
    if str(getattr(x, "layout", "torch.strided")) not in {"torch.strided", "strided"}:
        x = x if x.is_sparse else x.to_sparse_coo()
        return x._indices(), x._values(), tuple(x.shape)
    if hasattr(x, "tocoo") and not isinstance(x, np.ndarray):
        _refuse_padding(x, name)
        x = x.tocoo()
    if not hasattr(x, "coords") or not hasattr(x, "data"):
        return None
    if getattr(x, "fill_value", 0) != 0:
        raise ValueError(f"{name} must store its observed entries, its fill_value is not 0")
    return tuple(np.asarray(row) for row in x.coords), x.data, tuple(x.shape)


def _refuse_padding(x: Any, name: str) -> None:
    """Refuse formats whose zeros may be what nobody has seen."""
    kind = getattr(x, "format", "")
    if kind == "dia" or (kind == "bsr" and tuple(x.blocksize) != (1, 1)):
        raise ValueError(
            f"{name} of format {kind!r} stores zeros that nobody observed; pass the known entries "
            "as a COO or CSR array"
        )


def _sparse(
    indices: Any, values: Any, shape: Any, weights: Any, name: str
) -> tuple[Namespace, Entries]:
    """Check coordinates and values, and look up weights."""
    several = isinstance(indices, tuple)
    if len(shape) != 2 or (len(indices) if several else indices.shape[0]) != 2:
        raise ValueError(f"{name} must be a matrix, got shape {tuple(shape)}")
    xp = namespace(values, None if several else indices)
    values = as_floating(as_array(values, xp, None, name), xp, name=name)
    if values.ndim != 1:
        raise ValueError(f"the values of {name} must have 1 dimension, got {values.ndim}")
    rows, columns = (
        checked_indices(
            indices[k] if several else indices[k, ...],
            shape[k],
            values,
            xp,
            name=f"{kind} indices of {name}",
        )
        for k, kind in enumerate(("row", "column"))
    )
    if rows.shape != values.shape or columns.shape != values.shape:
        raise ValueError(
            f"{name} has {rows.shape[0]} and {columns.shape[0]} coordinates for "
            f"{values.shape[0]} values"
        )
    entries = Entries(rows, columns, values, None, (int(shape[0]), int(shape[1])))
    return xp, entries if weights is None else _weighted(entries, weights, xp, name)


def checked_indices(index: Any, size: int, like: Array, xp: Namespace, *, name: str) -> Array:
    """Return a vector of indices below `size` in the default integers, or say what is wrong."""
    index = as_array(index, xp, like, name)
    if index.ndim != 1:
        raise ValueError(f"{name} must have 1 dimension, got shape {tuple(index.shape)}")
    if index.shape[0] and not xp.isdtype(index.dtype, "integral"):
        raise TypeError(f"{name} must be integers, got {index.dtype}")
    if index.shape[0]:
        low, high = int(xp.min(index)), int(xp.max(index))
        if low < 0 or high >= size:
            bad = low if low < 0 else high
            raise ValueError(f"{name} must lie between 0 and {size - 1}, got {bad}")
    return xp.astype(index, integers(xp), copy=False)


def _weighted(entries: Entries, weights: Any, xp: Namespace, name: str) -> Entries:
    """Give each stored entry its weight: listed in their order, or looked up in a matrix."""
    weights = as_array(weights, xp, entries.values, "weights")
    if weights.ndim == 2:
        weights = nonnegative(weights, entries.values, xp)
        listed = at_places(weights, entries.rows, entries.columns, entries.shape, xp, name=name)
    else:
        stored = f"the stored entries of {name}"
        listed = elementwise(weights, entries.values, entries.values.shape, xp, name=stored)
    return entries._replace(weights=listed)


def _dense(x: Any, weights: Any, name: str, may_be_empty: bool) -> tuple[Namespace, Entries]:
    """List the entries of an array that are not NaN and weigh something."""
    xp, x = prepare(x, ndim=2, check_finite=False, may_be_empty=may_be_empty, name=name)
    seen = ~xp.isnan(x)
    if weights is not None:
        alone = tuple(np.shape(weights)) == tuple(x.shape)
        weights = elementwise(weights, x, x.shape, xp, name=name)
        if alone:
            _refuse_unknown(seen, weights, xp, name)
        seen = seen & (weights > 0)
    rows, columns, places = _listed(seen, xp)
    values = xp.take(xp.reshape(x, (-1,)), places, axis=0)
    listed = None
    if weights is not None:
        listed = xp.take(xp.reshape(weights, (-1,)), places, axis=0)
    return xp, Entries(rows, columns, values, listed, (int(x.shape[0]), int(x.shape[1])))


def _listed(seen: Array, xp: Namespace) -> tuple[Array, Array, Array]:
    """Return the rows and columns of what is True, and its places in the flattened array."""
    m, n = seen.shape
    if is_numpy(seen):
        places = np.flatnonzero(seen)
        rows = np.repeat(np.arange(m), np.count_nonzero(seen, axis=1))
        return rows, places - n * rows, places
    rows, columns = (xp.astype(part, integers(xp), copy=False) for part in xp.nonzero(seen))
    return rows, columns, rows * n + columns


def _refuse_unknown(known: Array, weights: Array, xp: Namespace, name: str) -> None:
    """Refuse a weight for what is not known."""
    wrong = xp.astype(xp.reshape(~known & (weights > 0), (-1,)), xp.int32)
    if bool(xp.any(wrong)):
        i, j = divmod(int(xp.argmax(wrong)), known.shape[1])
        raise ValueError(
            f"{name}[{i}, {j}] is NaN but weighs {float(weights[i, j])}; a missing entry has "
            "weight 0"
        )


def _refuse_infinite(entries: Entries, xp: Namespace, name: str) -> None:
    """Refuse known entries that are not finite, by their place in the matrix."""
    if concrete(all_finite(entries.values, xp)) is not False:
        return
    bad = xp.astype(~xp.isfinite(entries.values), xp.int32)
    first = int(xp.argmax(bad))
    place = int(entries.rows[first]) * entries.shape[1] + int(entries.columns[first])
    way = "what is not known is NaN in an array, and a sparse matrix does not store it"
    raise nonfinite(entries.shape, place, int(xp.sum(bad)), name=name, way=way)


def _without_zero_weights(entries: Entries, xp: Namespace) -> Entries:
    """Leave out what has no weight: its value may be anything."""
    if entries.weights is None or bool(xp.all(entries.weights > 0)):
        return entries
    return entries.take(xp.nonzero(entries.weights > 0)[0], xp)


def _in_order(entries: Entries, xp: Namespace) -> Entries:
    """Sort by rows, and by columns within them."""
    rows, columns = entries.rows, entries.columns
    down, along = rows[1:] - rows[:-1], columns[1:] - columns[:-1]
    if bool(xp.all((down > 0) | ((down == 0) & (along >= 0)))):
        return entries
    return entries.take(lexicographic(rows, columns, entries.shape, xp), xp)


def lexicographic(rows: Array, columns: Array, shape: tuple[int, int], xp: Namespace) -> Array:
    """Return the order by rows and then by columns, that of equals kept.

    On the host by counting, in time linear in the number of entries, unless there are more rows
    and columns than that; no place is ever one number, which could overflow.
    """
    if is_numpy(rows, columns):
        if sum(shape) > 2 * rows.shape[0] + _FEW:
            return np.lexsort((columns, rows))
        from scipy.sparse import coo_array

        counted = coo_array((np.arange(rows.shape[0]), (rows, columns)), shape=shape)
        counted.has_canonical_format = True  # else entries at one place would be summed
        return counted.tocsc().tocsr().data
    order = xp.argsort(columns, stable=True)
    return xp.take(order, xp.argsort(xp.take(rows, order, axis=0), stable=True), axis=0)


def _unique(entries: Entries, duplicates: str, xp: Namespace, name: str) -> Entries:
    """Refuse or merge what lies at one place; entries are in order."""
    rows, columns, values = entries.rows, entries.columns, entries.values
    fresh = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
    if bool(xp.all(fresh)):
        return entries
    if duplicates == "error":
        first = int(xp.argmax(xp.astype(~fresh, xp.int32)))
        raise ValueError(
            f"{name} has several entries at ({int(rows[first])}, {int(columns[first])}); pass "
            'duplicates="mean" to average what lies at one place'
        )
    fresh = xp.concat([xp.ones(1, dtype=fresh.dtype, device=device(fresh)), fresh])
    place = xp.cumulative_sum(xp.astype(fresh, integers(xp))) - 1
    weights = entries.weights
    if weights is None:
        weights = xp.ones(values.shape, dtype=xp.abs(values[:1]).dtype, device=device(values))
    merged = entries.take(xp.nonzero(fresh)[0], xp)
    # At unit scale, as sums and products of the largest numbers are none.
    values, size = equilibrate(values, xp, axis=(0,))
    weights, most = equilibrate(weights, xp, axis=(0,))
    total = index_add(xp.zeros_like(merged.values), place, weights * values, xp)
    weight = xp.zeros(merged.values.shape, dtype=weights.dtype, device=device(weights))
    weight = index_add(weight, place, weights, xp)
    return merged._replace(values=total / weight * size, weights=weight * most)
