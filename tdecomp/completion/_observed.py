"""Known entries grouped by their rows and by their columns, at a safe scale."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import device, is_numpy
from tdecomp.completion._entries import Entries, lexicographic


class Side(NamedTuple):
    """Known entries grouped by one mode, as compressed rows.

    Those of row `i` are ``starts[i]:starts[i + 1]``, by ascending column.

    Attributes
    ----------
    starts : array of int, shape (m + 1,)
        Where each group begins.
    indices : array of int, shape (nnz,)
        The place of each entry along the other mode; of 32 bits on the host where they do.
    values : array, shape (nnz,)
        The entries.
    weights : array, shape (nnz,), or None
        What they weigh, 1 where None.
    offsets : array, shape (n,), or None
        What is subtracted from the entries of each place along the other mode: kernels do so as
        they read them.
    """

    starts: Array
    indices: Array
    values: Array
    weights: Array | None
    offsets: Array | None = None

    def counts(self) -> Array:
        """Return how many entries each group has."""
        return self.starts[1:] - self.starts[:-1]

    def rest(self, xp: Namespace) -> Array:
        """Return what the offsets leave of the entries."""
        if self.offsets is None:
            return self.values
        return self.values - xp.take(self.offsets, self.indices, axis=0)

    def owners(self, xp: Namespace) -> Array:
        """Return the group of each entry."""
        places = xp.arange(
            self.indices.shape[0], dtype=self.starts.dtype, device=device(self.starts)
        )
        return xp.searchsorted(self.starts, places, side="right") - 1


class Observed(NamedTuple):
    """Known entries in both orders."""

    rows: Side
    columns: Side
    shape: tuple[int, int]

    @property
    def mT(self) -> Observed:
        """The transpose, at no cost."""
        return Observed(self.columns, self.rows, self.shape[::-1])

    @property
    def nnz(self) -> int:
        """Number of known entries."""
        return int(self.rows.values.shape[0])

    @property
    def dtype(self) -> DType:
        """The dtype of the entries."""
        return self.rows.values.dtype


def group(entries: Entries, xp: Namespace) -> Observed:
    """Group entries, which are in the order of rows, both ways."""
    rows, (m, n) = _side(entries, xp), entries.shape
    if is_numpy(entries.rows, entries.values):
        return Observed(rows, _turned(rows, n), entries.shape)
    turned = Entries(entries.columns, entries.rows, entries.values, entries.weights, (n, m))
    order = lexicographic(turned.rows, turned.columns, turned.shape, xp)
    return Observed(rows, _side(turned.take(order, xp), xp), entries.shape)


def _turned(side: Side, size: int) -> Side:
    """Group what is grouped by rows by its columns, on the host, by counting."""
    from scipy.sparse import csr_array

    nnz, shape = side.indices.shape[0], (side.starts.shape[0] - 1, size)
    places = np.arange(nnz, dtype=narrow(nnz))
    counted = csr_array((places, side.indices, side.starts), shape=shape).tocsc()
    order = counted.data
    del places
    return Side(
        counted.indptr.astype(np.int64),
        counted.indices.astype(narrow(shape[0]), copy=False),
        side.values[order],
        None if side.weights is None else side.weights[order],
    )


def _side(entries: Entries, xp: Namespace) -> Side:
    """Compress entries that are in order."""
    owners, others, values, weights, (m, n) = entries
    if is_numpy(owners, others, values):
        starts = np.zeros(m + 1, np.int64)
        np.cumsum(np.bincount(owners, minlength=m), out=starts[1:])
        # Kernels read from one address on.
        values = np.ascontiguousarray(values)
        weights = None if weights is None else np.ascontiguousarray(weights)
        return Side(starts, others.astype(narrow(n)), values, weights)
    groups = xp.arange(m + 1, dtype=owners.dtype, device=device(owners))
    starts = xp.astype(xp.searchsorted(owners, groups), owners.dtype)
    return Side(starts, others, values, weights)


def narrow(size: int) -> type[np.signedinteger[Any]]:
    """Return the integers that hold all places below a size in the least memory."""
    return np.int32 if size <= np.iinfo(np.int32).max else np.int64
