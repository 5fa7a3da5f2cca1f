"""The largest entries of each row that have not been seen."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import check_count
from tdecomp._precision import full_precision
from tdecomp._shim import host
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, is_numpy
from tdecomp.completion._entries import places
from tdecomp.completion._using._model import Model, as_model
from tdecomp.ops._region import indices_of

# How many entries of the matrix are formed at a time.
_BLOCK = 1 << 20


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
def top_n(model: Any, n: int, /, *, rows: Any = None, exclude: Any = None) -> TopN:
    """Return the `n` largest entries of each row, those that are excluded left out.

    Of equal entries those of smaller columns come first, on every library; entries that are NaN
    are never among the largest.

    Parameters
    ----------
    model : Completion, LowRank or SVD
        The matrix, of real entries and shape (m, p).
    n : int
        How many columns of each row; more than there are is no error.
    rows : array of int, optional
        Which rows, in any order, negative ones from the end; all of them without it.
    exclude : COO, sparse matrix or array, shape (m, p), optional
        What has been seen: the entries that a sparse matrix stores, zeros too, those of an array
        that are not NaN, or those of an array of bool that are True.

    Returns
    -------
    TopN
        ``indices`` and ``scores``, of shape (number of rows, n). Where fewer than `n` columns are
        left of a row, the last places hold -1 and minus infinity.

    Raises
    ------
    ValueError
        If the matrix is complex, `exclude` has another shape, or a row is out of range.
    TypeError
        If `model` is no such format, or `n` no integer.

    See Also
    --------
    predict : entries at given places.

    Notes
    -----
    The matrix is formed in blocks of about a million entries: :math:`m p k` multiplications, and
    a partial sort of each row.

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
    xp, model = as_model(model)
    if xp.isdtype(model.left.dtype, "complex floating"):
        raise ValueError("model must have real entries: complex ones have no order")
    n = check_count(n, name="n", least=1)
    m, width = model.shape
    wanted = _wanted(rows, m, model, xp)
    seen = None if exclude is None else _seen(exclude, model.shape)
    height = max(1, _BLOCK // width)
    parts = []
    for start in range(0, wanted.shape[0], height):
        block = wanted[start : min(start + height, wanted.shape[0])]
        mask = None if seen is None else _mask(*seen, host(block), width)
        parts.append(_best(model, block, mask, min(n, width), xp=xp))
    if not parts:
        parts = [_best(model, wanted, None, min(n, width), xp=xp)]
    indices, scores = (xp.concat(column) for column in zip(*parts, strict=True))
    return _filled(indices, scores, n, xp)


def _wanted(rows: Any, m: int, model: Model, xp: Namespace) -> Array:
    """Return the rows asked for."""
    if rows is None:
        return xp.arange(m, device=device(model.left))
    return indices_of(rows, m, model.left, xp, name="rows")


def _seen(exclude: Any, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return where the excluded entries of each row begin, and their columns, on the host."""
    exclude = np.asarray(exclude) if isinstance(exclude, list) else exclude
    rows, columns, found = places(exclude, name="exclude")
    if found != shape:
        raise ValueError(f"exclude must have the shape {shape} of the model, got {found}")
    starts = np.zeros(shape[0] + 1, np.int64)
    np.cumsum(np.bincount(host(rows), minlength=shape[0]), out=starts[1:])
    return starts, host(columns)


def _mask(
    starts: np.ndarray, columns: np.ndarray, block: np.ndarray, width: int
) -> np.ndarray | None:
    """Mark what is excluded of a block of rows, on the host."""
    counts = starts[block + 1] - starts[block]
    owners = np.repeat(np.arange(block.shape[0]), counts)
    if not owners.size:
        return None
    first = np.cumsum(counts) - counts
    at = starts[block][owners] + np.arange(owners.size) - first[owners]
    mask = np.zeros((block.shape[0], width), bool)
    mask[owners, columns[at]] = True
    return mask


def _best(
    model: Model, block: Array, mask: np.ndarray | None, n: int, *, xp: Namespace
) -> tuple[Array, Array]:
    """Form a block of rows, and choose."""
    mean, row_bias, column_bias = model.biases
    formed = xp.take(model.left, block, axis=0) @ xp.matrix_transpose(model.right)
    formed = formed + (mean + xp.take(row_bias, block, axis=0))[:, None] + column_bias[None, :]
    formed = xp.where(xp.isnan(formed), -xp.inf, formed)
    if mask is not None:
        formed = xp.where(xp.asarray(mask, device=device(formed)), -xp.inf, formed)
    if is_numpy(formed):
        indices = _partly_sorted(formed, n)
    else:
        indices = xp.argsort(formed, axis=1, descending=True, stable=True)[:, :n]
    return indices, xp.take_along_axis(formed, indices, axis=1)


def _partly_sorted(x: np.ndarray, n: int) -> np.ndarray:
    """Return where the `n` largest entries of each row are, in descending order, ties by place."""
    width = x.shape[1]
    if n == width or not x.shape[0]:
        return np.argsort(-x, axis=1, stable=True)[:, :n]
    least = np.partition(x, width - n, axis=1)[:, width - n, None]
    chosen = x >= least
    for row in np.nonzero(np.count_nonzero(chosen, axis=1) > n)[0]:
        ties = np.nonzero(x[row] == least[row])[0]
        spare = int(np.count_nonzero(chosen[row])) - n
        chosen[row, ties[ties.size - spare :]] = False
    found = np.nonzero(chosen)[1].reshape(-1, n)
    order = np.argsort(-np.take_along_axis(x, found, axis=1), axis=1, stable=True)
    return np.take_along_axis(found, order, axis=1)


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
