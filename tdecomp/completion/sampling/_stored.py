"""The entries of a matrix in the order of rows: dense, or in compressed rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tdecomp._program import one_program
from tdecomp._shim import constant
from tdecomp._typing import Array, Namespace
from tdecomp._xp import as_floating, device, differentiated, is_numpy, namespace, prepare
from tdecomp.completion.sampling._forest import moved
from tdecomp.ops._coo import COO, coo


class Stored(NamedTuple):
    """Stored entries, each row behind the other.

    Attributes
    ----------
    values : array, shape (nnz,)
        A copy of the entries that nobody else holds.
    starts : numpy.ndarray of int, shape (m + 1,)
        Where each row begins, on the host.
    offsets : array of int, shape (m + 1,)
        The same on the device of the values.
    columns : array of int, shape (nnz,), or None
        Which column each entry lies in; None where all entries are stored.
    shape : tuple of int
        Number of rows and columns.
    """

    values: Array
    starts: np.ndarray
    offsets: Array
    columns: Array | None
    shape: tuple[int, int]


def stored(x: Any, *, name: str) -> tuple[Namespace, Stored]:
    """Return the namespace of a matrix and a copy of its entries, or say what is wrong."""
    if isinstance(x, COO):
        return _compressed(coo(*x), name)
    if hasattr(x, "tocsr"):
        return _rows_of_scipy(x, name)
    if differentiated(x):
        raise TypeError(
            f"{name} is drawn from by its values and has no derivative: build the structure "
            "outside of what is compiled or differentiated, of detached entries"
        )
    xp, x = prepare(x, ndim=2, name=name)
    m, n = x.shape
    values = xp.reshape(xp.asarray(constant(x), copy=True), (-1,))
    starts = n * np.arange(m + 1, dtype=np.int64)
    return xp, Stored(values, starts, moved(starts, values, xp), None, (int(m), int(n)))


def _rows_of_scipy(x: Any, name: str) -> tuple[Namespace, Stored]:
    """Return the compressed rows of a sparse matrix of SciPy, its duplicates added up."""
    if 0 in x.shape or len(x.shape) != 2:
        raise ValueError(f"{name} must be a matrix with entries, got shape {tuple(x.shape)}")
    matrix = x.tocsr()
    matrix.check_format(full_check=True)
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    xp, values = namespace(matrix.data), matrix.data
    if matrix.nnz:
        prepare(values, ndim=1, name=f"{name}.data")  # refuses what is not finite
    values = np.array(as_floating(values, xp, name=f"{name}.data"))
    starts = np.array(matrix.indptr, dtype=np.int64)
    columns = np.array(matrix.indices, dtype=np.int64)
    m, n = matrix.shape
    return xp, Stored(values, starts, starts, columns, (int(m), int(n)))


def _compressed(x: COO, name: str) -> tuple[Namespace, Stored]:
    """Take the coordinates and values of a canonical sparse matrix of NumPy."""
    if len(x.shape) != 2:
        raise ValueError(f"{name} must be a matrix, got a tensor of shape {x.shape}")
    if not is_numpy(x.indices, x.values):
        raise TypeError(f"{name} is sparse and must hold NumPy arrays; convert them first")
    xp = namespace(x.values)
    counts = np.bincount(x.indices[0], minlength=x.shape[0])
    starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)))
    values = np.array(as_floating(x.values, xp, name=name))
    m, n = x.shape
    return xp, Stored(values, starts, starts, np.array(x.indices[1]), (m, n))


def counts(x: Stored) -> np.ndarray:
    """Return how many entries each row stores."""
    return np.diff(x.starts)


def places(x: Stored, rows: Array, columns: Array, xp: Namespace) -> tuple[Array, Array]:
    """Return where entries of two broadcast arrays of indices are stored, and whether they are.

    In compressed rows all are sought at once, by halving: their columns ascend. What that takes is
    the wait for memory, which a compiled loop does not shorten.
    """
    rows, columns = xp.broadcast_arrays(rows, columns)
    flat, wanted = xp.reshape(rows, (-1,)), xp.reshape(columns, (-1,))
    low = xp.take(x.offsets, flat, axis=0)
    if x.columns is None:
        found = xp.reshape(low + wanted, rows.shape)
        return found, xp.ones_like(found, dtype=xp.bool)
    end = xp.take(x.offsets, flat + 1, axis=0)
    high, last = end, max(x.columns.shape[0] - 1, 0)
    for _ in range(int(np.max(end - low, initial=0)).bit_length()):
        middle = (low + high) // 2
        column = xp.take(x.columns, xp.minimum(middle, xp.full_like(middle, last)), axis=0)
        before = (low < high) & (column < wanted)
        low = xp.where(before, middle + 1, low)
        high = xp.where(before, high, middle)
    place = xp.minimum(low, xp.full_like(low, last))
    hit = (low < end) & (xp.take(x.columns, place, axis=0) == wanted)
    return xp.reshape(place, rows.shape), xp.reshape(hit, rows.shape)


def entries(x: Stored, rows: Array, columns: Array, xp: Namespace) -> Array:
    """Return the entries at two broadcast arrays of indices."""
    if x.columns is None:
        return _dense_entries(x.values, x.offsets, rows, columns, xp)
    if x.values.shape[0] == 0:
        shape = xp.broadcast_arrays(rows, columns)[0].shape
        return xp.zeros(shape, dtype=x.values.dtype, device=device(x.values))
    place, hit = places(x, rows, columns, xp)
    values = xp.reshape(xp.take(x.values, xp.reshape(place, (-1,)), axis=0), place.shape)
    return xp.where(hit, values, xp.zeros_like(values))


@one_program
def _dense_entries(
    values: Array, offsets: Array, rows: Array, columns: Array, xp: Namespace
) -> Array:
    rows, columns = xp.broadcast_arrays(rows, columns)
    flat = xp.take(offsets, xp.reshape(rows, (-1,)), axis=0) + xp.reshape(columns, (-1,))
    return xp.reshape(xp.take(values, flat, axis=0), rows.shape)


def row(x: Stored, i: int) -> slice:
    """Return where the entries of a row are stored."""
    return slice(int(x.starts[i]), int(x.starts[i + 1]))


def spread(x: Stored, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all entries of some rows: which of the rows each is of, and its place there."""
    counts = x.starts[rows + 1] - x.starts[rows]
    owner = np.repeat(np.arange(rows.size), counts)
    begin = np.cumsum(counts) - counts
    return owner, np.arange(owner.size) - begin[owner]


def sparse_rows(x: Stored, rows: np.ndarray) -> COO:
    """Return rows of compressed ones, at the cost of their entries."""
    owner, leaves = spread(x, rows)
    place = x.starts[rows][owner] + leaves
    columns: Array = x.columns
    return COO(np.stack((owner, columns[place])), x.values[place], (rows.size, x.shape[1]))


def dense_rows(x: Stored, rows: np.ndarray, xp: Namespace) -> Array:
    """Return whole rows, zeros filled in."""
    if x.columns is None:
        whole = xp.reshape(x.values, x.shape)
        return xp.take(whole, moved(rows, x.values, xp), axis=0)
    out = np.zeros((rows.size, x.shape[1]), dtype=x.values.dtype)
    for line, i in zip(out, rows, strict=True):
        line[x.columns[row(x, i)]] = x.values[row(x, i)]
    return out


def product(x: Stored, factor: Array, xp: Namespace) -> Array:
    """Return the product with a matrix (n, k)."""
    if x.columns is None:
        return xp.reshape(x.values, x.shape) @ factor
    from scipy.sparse import csr_array

    return np.asarray(csr_array((x.values, x.columns, x.starts), shape=x.shape) @ factor)
