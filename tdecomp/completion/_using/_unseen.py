"""Rows and columns of which nothing is known."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, namespace
from tdecomp.completion._entries import places, read


class Unseen(NamedTuple):
    """Rows and columns without any known entry, ascending.

    Attributes
    ----------
    rows, columns : array of int
        Their places.
    """

    rows: Array
    columns: Array


def unseen(x: Any, /, *, weights: Any = None) -> Unseen:
    """Return the rows and the columns of which no entry is known.

    Nothing but features can say more of them than the offsets do: `complete` gives them zero
    factors, so that an entry of such a row is the mean plus the offset of its column, and zero
    without biases; `inductive` says what its features do.

    Parameters
    ----------
    x : COO, sparse matrix or array, shape (m, n)
        What is known, held as in `complete`, or an array of bool that says where.
    weights : array, optional
        As in `complete`: what weighs nothing is not known.

    Returns
    -------
    Unseen
        ``rows`` and ``columns``.

    Raises
    ------
    TypeError, ValueError
        If `x` or `weights` are refused, as in `complete`; nothing known at all is no error.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion import unseen
    >>> unseen(np.array([[1.0, np.nan, np.nan], [2.0, np.nan, 5.0], [np.nan, np.nan, np.nan]]))
    Unseen(rows=array([2]), columns=array([1]))
    """
    if weights is None:
        x = np.asarray(x) if isinstance(x, list | tuple) and not hasattr(x, "_fields") else x
        rows, columns, shape = places(x, name="x")
        xp = namespace(rows, columns)
    else:
        xp, entries = read(x, weights, duplicates="mean", may_be_empty=True)
        rows, columns, shape = entries.rows, entries.columns, entries.shape
    return Unseen(_missing(rows, shape[0], xp), _missing(columns, shape[1], xp))


def _missing(index: Array, size: int, xp: Namespace) -> Array:
    """Return what does not occur among indices below `size`."""
    every = xp.arange(size, dtype=index.dtype, device=device(index))
    if not index.shape[0]:
        return every
    ordered = xp.sort(index)
    at = xp.searchsorted(ordered, every)
    found = xp.take(ordered, xp.where(at < index.shape[0], at, 0), axis=0)
    return every[found != every]
