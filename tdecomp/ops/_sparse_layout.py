"""Sparse tensors prepared for many products: one copy for each mode, sorted by its rows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tdecomp._kernels import accepts
from tdecomp._typing import Array
from tdecomp._xp import namespace
from tdecomp.ops._coo import COO, check_coo, is_host
from tdecomp.ops._sparse_mttkrp import check_factors, mttkrp_by_entries
from tdecomp.ops._unfold import check_mode

# Chunks of rows, from which threads help themselves, and blocks of entries, in which the rows of
# the first factor that are gathered fit the second level of the cache.
_CHUNKS = 8
_BLOCK_ROWS = _PIECE_ROWS = 2048
_MOST_BLOCKS = 256
# A block must have that many entries for each row, or its table of rows outgrows it.
_ENTRIES_PER_ROW = 4
# Below, one chunk and one block.
_SMALL = 1 << 14
# A mode so short may have one copy of the result for each chunk.
_SHORT = 4096
# Vectors of one pass: their sums stay in registers.
_VECTORS = 4


class _Arranged(NamedTuple):
    """The entries by rows of one mode, block by block.

    Row `i` of block `b` has the entries ``starts[b, i]`` to ``starts[b, i + 1]``. `indices` are
    rows of the factors of all other modes, stacked. `bounds` cut the rows into chunks of like
    size, or the blocks where `by_block`.
    """

    starts: NDArray[Any]
    bounds: NDArray[Any]
    values: NDArray[Any]
    indices: NDArray[Any]
    by_block: bool


class SparseLayout:
    """A sparse tensor prepared for `mttkrp` along all of its modes, as every sweep needs them.

    A copy of NumPy entries is sorted for each mode, so that a product writes every row once and
    gathers rows of the other factors from the cache. Tensors of other libraries, small ones and
    complex ones multiply as :func:`mttkrp` does.

    Parameters
    ----------
    x : COO
        The tensor.

    Attributes
    ----------
    tensor : COO
        The tensor, canonical.

    Raises
    ------
    TypeError
        If `x` is no COO.

    See Also
    --------
    mttkrp : a single product.

    Notes
    -----
    Memory for `d` copies of the entries, each of a value and `d - 1` indices of 32 bits: 16 bytes
    for each entry of three modes in double precision. Building it takes `d` counting sorts,
    which were measured to cost as much as three to five sweeps of rank 16.

    A product takes `d` multiplications and one addition for each entry and column. Its sums are
    taken in an order that does not depend on how many threads there are.

    References
    ----------
    .. [1] S. Smith, N. Ravindran, N. D. Sidiropoulos, G. Karypis, "SPLATT: Efficient and parallel
       sparse tensor-matrix multiplication", IPDPS 2015, Section IV (tiling, one copy for each
       mode). doi:10.1109/IPDPS.2015.27

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.ops import SparseLayout, coo
    >>> x = coo([[0, 1], [2, 0], [1, 1]], [1.0, 5.0], (2, 3, 2))
    >>> layout = SparseLayout(x)
    >>> layout.mttkrp(0, [np.ones((n, 1)) for n in x.shape])
    array([[1.],
           [5.]])
    """

    def __init__(self, x: COO, /) -> None:
        _, self.tensor = check_coo(x)
        self._arranged = arrangements(self.tensor) if arrangeable(self.tensor) else None

    def mttkrp(self, mode: int, factors: Sequence[Any], /) -> Array:
        """Multiply an unfolding by the Khatri-Rao product of all other factors.

        Parameters
        ----------
        mode : int
            The mode; negative ones count from the end.
        factors : sequence of array, shape (n_k, r)
            One for each mode; that of `mode` is not looked at and may be None. They are not
            searched for NaN and Inf, which pass on to the result.

        Returns
        -------
        array, shape (n_mode, r)
            The product, in the common dtype.

        Raises
        ------
        TypeError
            If `mode` is not an int, or libraries are mixed.
        ValueError
            If shapes do not fit.
        """
        mode = check_mode(mode, self.tensor.modes)
        x, chosen = check_factors(self.tensor, factors, mode, check_finite=False)
        if self._arranged is None or x.values.dtype.kind == "c":
            return mttkrp_by_entries(x, chosen, mode, xp=namespace(x.values))
        arranged = self._arranged[mode]
        values = arranged.values.astype(x.values.dtype, copy=False)
        return arranged_mttkrp(arranged._replace(values=values), chosen, mode, x.shape)

    def distance(self, factors: Sequence[Array], /) -> float:
        """Return the distance from the CP tensor of `factors`, as `COO.distance` measures it.

        Parameters
        ----------
        factors : sequence of array, shape (n_k, r)
            One for each mode, of weights 1. They are not searched for NaN and Inf.

        Returns
        -------
        float
            The distance.
        """
        from tdecomp.ops._sparse_distance import cp_model, distance

        xp = namespace(self.tensor.values, *factors)
        return distance(self.tensor, cp_model(factors, xp=xp), xp=xp)


def arrangeable(x: COO) -> bool:
    """Tell whether the kernel takes a tensor: NumPy's, real, and not too long for 32 bits."""
    real = is_host(x) and x.values.dtype.kind == "f" and accepts(x.values)
    return real and x.modes > 1 and sum(x.shape) < 1 << 32


def arrangements(x: COO, modes: Sequence[int] | None = None) -> dict[int, _Arranged]:
    """Sort a canonical tensor by the rows of each of `modes`; by default of all."""
    chosen = range(x.modes) if modes is None else modes
    return {mode: arrange(x, mode) for mode in chosen}


def arrange(x: COO, mode: int, *, blocks: int | None = None) -> _Arranged:
    """Count the rows in every block, then write the entries by row."""
    from tdecomp._kernels._coo_order import count_rows, write_by_row

    n, nnz = x.shape[mode], x.nnz
    wanted = (_n_blocks(x, mode), _piece_mode(x, mode)) if blocks is None else (blocks, mode)
    blocks, part = wanted
    shift = (_PIECE_ROWS - 1).bit_length() if part != mode else 63
    pieces = ((x.shape[part] - 1) >> shift) + 1
    cuts = np.asarray([nnz * b // blocks for b in range(blocks + 1)])
    indices, entries = np.ascontiguousarray(x.indices), np.ascontiguousarray(x.values)
    starts = np.zeros((blocks * pieces, n + 1), np.int64)
    count_rows(cuts, indices[mode], indices[part], shift, starts)
    others = tuple(k for k in range(x.modes) if k != mode)
    offsets = (0, *accumulate(x.shape[k] for k in others[:-1]))
    rows, values = _records(nnz, len(others), entries.dtype)
    args = (indices, entries, mode, part, shift, others, offsets)
    write_by_row(cuts, *args, starts, rows, values)
    sizes, blocks = np.diff(starts, axis=1).sum(axis=0), starts.shape[0]
    by_block = blocks > 1 and n <= _SHORT and _crowded(sizes, nnz)
    chunks = min(_CHUNKS, blocks) if by_block else (_CHUNKS if nnz >= _SMALL else 1)
    bounds = even_cuts(np.full(blocks, 1) if by_block else sizes, chunks)
    return _Arranged(starts, bounds, values, rows, by_block)


def _records(nnz: int, order: int, dtype: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return arrays for `order` indices and a value of each entry, which lie side by side.

    An entry is then written to one place of memory and not to two, at half the cache misses.
    """
    words = dtype.itemsize // 4
    length = -(-(words + order) // min(words, 2)) * min(words, 2)
    records = np.empty((nnz, length), np.uint32)
    return records[:, words : words + order], records[:, :words].view(dtype)[:, 0]


def _n_blocks(x: COO, mode: int) -> int:
    """Return how many blocks of consecutive entries, and so of rows of mode 0, a mode gets.

    Sorted by rows of mode 0, entries need no blocks but for threads to share.
    """
    if x.nnz < _SMALL:
        return 1
    wanted = _CHUNKS if mode == 0 else max(_CHUNKS, x.shape[0] // _BLOCK_ROWS)
    return max(1, min(wanted, _MOST_BLOCKS, int(x.nnz / (_ENTRIES_PER_ROW * x.shape[mode]))))


def _piece_mode(x: COO, mode: int) -> int:
    """Return the mode whose rows are gathered piece by piece; `mode` itself where all are.

    Blocks are cut by rows of mode 0 already; of the others the longest, if it outgrows the cache.
    """
    others = [k for k in range(1, x.modes) if k != mode]
    longest = max(others, key=lambda k: x.shape[k], default=mode)
    pieces = -(-x.shape[longest] // _PIECE_ROWS)
    room = x.nnz / (_ENTRIES_PER_ROW * x.shape[mode] * _n_blocks(x, mode))
    return longest if 1 < pieces <= min(room, _MOST_BLOCKS) else mode


def _crowded(sizes: NDArray[Any], nnz: int) -> bool:
    """Tell whether one row has more than the share of two chunks."""
    return bool(sizes.max() * _CHUNKS > 2 * nnz)


def even_cuts(sizes: NDArray[Any], chunks: int) -> NDArray[Any]:
    """Cut consecutive items of those sizes into chunks of like total."""
    ends = np.cumsum(sizes)
    targets = ends[-1] * np.arange(1, chunks) // chunks
    inner = np.searchsorted(ends, targets, side="right")
    return np.concatenate(([0], inner, [sizes.size])).astype(np.int64)


def arranged_mttkrp(
    arranged: _Arranged, factors: Sequence[Any], mode: int, shape: tuple[int, ...]
) -> NDArray[Any]:
    """Multiply by the kernel, a panel of columns at a time; shapes and dtypes must fit."""
    from tdecomp._kernels._coo_rows import VECTOR_BYTES, products_by_block, products_by_row

    starts, bounds, values, indices, by_block = arranged
    others = [np.asarray(a) for k, a in enumerate(factors) if k != mode]
    rank, lane = others[0].shape[1], VECTOR_BYTES // values.itemsize
    vectors = -(-rank // lane)
    vectors = -(-vectors // -(-vectors // _VECTORS))
    width = vectors * lane
    multiply = products_by_block if by_block else products_by_row
    out = np.empty((shape[mode], rank), dtype=values.dtype)
    for start in range(0, rank, width):
        stop = min(start + width, rank)
        stack = _aligned_zeros((sum(a.shape[0] for a in others), width), values.dtype)
        first = 0
        for factor in others:
            stack[first : first + factor.shape[0], : stop - start] = factor[:, start:stop]
            first += factor.shape[0]
        copies = bounds.size - 1 if by_block else 1
        sums = _aligned_zeros((copies, shape[mode], width), values.dtype)
        multiply(starts, bounds, values, indices, stack, (0,) * vectors, sums)
        total = sums[0] if copies == 1 else sums.sum(axis=0)
        out[:, start:stop] = total[:, : stop - start]
    return out


def _aligned_zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return zeros whose rows of whole vectors begin at cache lines, lest they touch one more."""
    from tdecomp._kernels._coo_rows import VECTOR_BYTES

    nbytes = int(np.prod(shape)) * dtype.itemsize
    raw = np.zeros(nbytes + VECTOR_BYTES, np.uint8)
    start = -raw.ctypes.data % VECTOR_BYTES
    return raw[start : start + nbytes].view(dtype).reshape(shape)
