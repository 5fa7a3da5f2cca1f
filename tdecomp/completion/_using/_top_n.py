"""The largest entries of each row that have not been seen."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from array_api_compat import is_array_api_obj

from tdecomp._errors import check_count
from tdecomp._precision import full_precision
from tdecomp._shim import host
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, is_numpy, namespace
from tdecomp.completion._biases import Biases
from tdecomp.completion._entries import checked_indices, places
from tdecomp.completion._using._facing import rows_of
from tdecomp.completion._using._model import Model, as_scores
from tdecomp.completion._using._predict import indices as indices_of

# How many entries of the matrix are formed at a time.
_BLOCK = 1 << 20
# How many groups of columns there are for each that is wanted, and the most columns of one.
_GROUPS, _GROUP = 8, 64


class TopN(NamedTuple):
    """The best columns of each row.

    Attributes
    ----------
    indices : array of int, shape (rows, n)
        The columns, the best first; -1 where fewer than `n` are left.
    scores : array, shape (rows, n)
        What the matrix says of them, in descending order; minus infinity where there is none.
    """

    indices: Array
    scores: Array


@full_precision
def top_n(
    model: Any, n: int, /, *, rows: Any = None, columns: Any = None, exclude: Any = None
) -> TopN:
    """Return the `n` largest entries of each row, those that are excluded left out.

    Of equal entries those of smaller columns come first, on every library; entries that are NaN
    are never among the largest.

    Parameters
    ----------
    model : Completion, Inductive, LowRank or SVD
        The matrix, of real entries and shape (m, p).
    n : int
        How many columns of each row; more than there are is no error.
    rows : array of int, optional
        Which rows, in any order, negative ones from the end; all of them without it.
    columns : array of int, optional
        Which columns to choose from, for all rows; all of them without it.
    exclude : COO, sparse matrix or array, shape (m, p), optional
        What has been seen: the entries that a sparse matrix stores, zeros too, those of an array
        of floats that are not NaN, or those of an array of bool that are True.

    Returns
    -------
    TopN
        ``indices`` and ``scores``, of shape (number of rows, n). Where fewer than `n` columns are
        left of a row, the last places hold -1 and minus infinity.

    Raises
    ------
    ValueError
        If the matrix is complex, `exclude` has another shape, or a row or column is out of range.
    TypeError
        If `model` is no such format, `n` or an index no integer, or `exclude` a dense array of
        integers, of which none is NaN.

    See Also
    --------
    predict : entries at given places.

    Notes
    -----
    The matrix is formed in blocks of about a million entries: :math:`m p k` multiplications, and
    a few passes over what is formed.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import LowRank
    >>> from tdecomp.completion import top_n
    >>> z = LowRank(np.ones((2, 1)), np.array([[1.0, 5.0, 5.0, 3.0]]))
    >>> seen = np.array([[False, True, False, False], [True, True, True, False]])
    >>> top_n(z, 2, exclude=seen).indices
    array([[ 2,  3],
           [ 3, -1]])
    """
    xp, model = as_scores(model)
    if xp.isdtype(model.left.dtype, "complex floating"):
        raise ValueError("model must have real entries: complex ones have no order")
    n = check_count(n, name="n", least=1)
    wanted = _asked(rows, model.shape[0], model.left, xp, "rows")
    seen = None if exclude is None else _seen(exclude, model.shape)
    among = None
    if columns is not None:
        among = np.unique(host(_asked(columns, model.shape[1], model.left, xp, "columns")))
        model = _restricted(model, xp.asarray(among, device=device(model.left)), xp)
    width = model.shape[1]
    height = max(1, _BLOCK // max(width, 1))
    parts = []
    for start in range(0, max(wanted.shape[0], 1), height):
        block = wanted[start : min(start + height, wanted.shape[0])]
        mask = None if seen is None else _mask(seen, host(block), among)
        parts.append(_best(model, block, mask, min(n, width), xp=xp))
    indices, scores = (xp.concat(column) for column in zip(*parts, strict=True))
    if among is not None and width:
        chosen = xp.take(xp.asarray(among, device=device(indices)), xp.reshape(indices, (-1,)))
        indices = xp.reshape(chosen, tuple(indices.shape))
    return _filled(indices, scores, n, xp)


def _asked(index: Any, size: int, like: Array, xp: Namespace, name: str) -> Array:
    """Return the rows or columns asked for."""
    if index is None:
        return xp.arange(size, device=device(like))
    index = indices_of(index, size, like, xp, name=name)
    if index.ndim != 1:
        raise TypeError(f"{name} must be a 1-d array of ints, got shape {tuple(index.shape)}")
    return index


def _restricted(model: Model, among: Array, xp: Namespace) -> Model:
    """Return some columns of a model."""
    mean, rows, columns = model.biases
    some = Biases(mean, rows, xp.take(columns, among, axis=0))
    return Model(model.left, rows_of(model.right, among, xp), some)


class _Seen(NamedTuple):
    """Where the excluded columns of each row begin, and these, on the host; how many there are."""

    starts: np.ndarray
    columns: np.ndarray
    width: int


def _seen(exclude: Any, shape: tuple[int, int]) -> _Seen:
    """Return what is excluded."""
    exclude = np.asarray(exclude) if isinstance(exclude, list) else exclude
    if "scipy.sparse" in type(exclude).__module__ and exclude.format == "csr":
        # Of one row among millions, others need not be read.
        _refuse_shape(tuple(exclude.shape), shape)
        return _Seen(exclude.indptr, exclude.indices, shape[1])
    if is_array_api_obj(exclude) and namespace(exclude).isdtype(exclude.dtype, "integral"):
        if str(getattr(exclude, "layout", "torch.strided")) == "torch.strided":
            raise TypeError(
                "exclude is an array of integers, none of which is NaN: nothing would be left; "
                "pass an array of bool, exclude != 0"
            )
    rows, columns, found = places(exclude, name="exclude")
    _refuse_shape(found, shape)
    starts = np.zeros(shape[0] + 1, np.int64)
    np.cumsum(np.bincount(host(rows), minlength=shape[0]), out=starts[1:])
    return _Seen(starts, host(columns), shape[1])


def _refuse_shape(found: tuple[int, ...], shape: tuple[int, int]) -> None:
    if found != shape:
        raise ValueError(f"exclude must have the shape {shape} of the model, got {found}")


def _mask(seen: _Seen, block: np.ndarray, among: np.ndarray | None) -> np.ndarray | None:
    """Mark what is excluded of a block of rows, and of some columns, on the host."""
    starts, columns, width = seen
    counts = starts[block + 1] - starts[block]
    owners = np.repeat(np.arange(block.shape[0]), counts)
    if not owners.size:
        return None
    first = np.cumsum(counts) - counts
    at = starts[block][owners] + np.arange(owners.size) - first[owners]
    picked = checked_indices(
        columns[at], width, columns, namespace(columns), name="column indices of exclude"
    )
    mask = np.zeros((block.shape[0], width), bool)
    mask[owners, picked] = True
    return mask if among is None else mask[:, among]


def _best(
    model: Model, block: Array, mask: np.ndarray | None, n: int, *, xp: Namespace
) -> tuple[Array, Array]:
    """Form a block of rows, and choose."""
    mean, row_bias, column_bias = model.biases
    formed = rows_of(model.left, block, xp) @ xp.matrix_transpose(model.right)
    formed += (mean + xp.take(row_bias, block, axis=0))[:, None]
    formed += column_bias[None, :]
    if is_numpy(formed):
        np.fmax(formed, -np.inf, out=formed)  # the one of two that is a number
        if mask is not None:
            formed[mask] = -np.inf
        indices = _partly_sorted(formed, n)
    else:
        formed = xp.where(xp.isnan(formed), -xp.inf, formed)
        if mask is not None:
            formed = xp.where(xp.asarray(mask, device=device(formed)), -xp.inf, formed)
        indices = xp.argsort(formed, axis=1, descending=True, stable=True)[:, :n]
    return indices, xp.take_along_axis(formed, indices, axis=1)


def _partly_sorted(x: np.ndarray, n: int) -> np.ndarray:
    """Return where the `n` largest entries of each row are, in descending order, ties by place."""
    if n == x.shape[1] or not x.shape[0]:
        return np.argsort(-x, axis=1, stable=True)[:, :n]
    found = np.flatnonzero(x >= _bound(x, n))
    rows, columns = np.divmod(found, x.shape[1])
    order = np.lexsort((-x.reshape(-1)[found], rows))
    first = np.searchsorted(rows, np.arange(x.shape[0]))
    best: np.ndarray = columns[order[first[:, None] + np.arange(n)]]
    return best


def _bound(x: np.ndarray, n: int) -> np.ndarray:
    """Return what `n` entries of each row are not below, and few others.

    Of the largest entries of `n` groups or more the one of rank `n` is such a bound, and costs one
    pass over the entries where the one of rank `n` of all would cost several.
    """
    size = min(x.shape[1] // (_GROUPS * n), _GROUP)
    if size > 1:
        groups = x.shape[1] // size
        x = np.max(x[:, : size * groups].reshape(-1, size, groups), axis=1)
    return np.partition(x, -n, axis=1)[:, -n, None]


def _filled(indices: Array, scores: Array, n: int, xp: Namespace) -> TopN:
    """Mark places without a column, and add those beyond the last column."""
    indices = xp.where(xp.isinf(scores) & (scores < 0), -1, indices)
    more = n - indices.shape[1]
    if more:
        where = {"device": device(scores)}
        shape = (indices.shape[0], more)
        indices = xp.concat([indices, xp.full(shape, -1, dtype=indices.dtype, **where)], axis=1)
        scores = xp.concat([scores, xp.full(shape, -xp.inf, dtype=scores.dtype, **where)], axis=1)
    return TopN(indices, scores)
