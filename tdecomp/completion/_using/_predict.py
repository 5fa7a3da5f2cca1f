"""Entries of a completed matrix at a list of places."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import is_array_api_obj

from tdecomp._errors import check_number
from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import namespace
from tdecomp.completion._using._facing import rows_of
from tdecomp.completion._using._model import Model, as_scores
from tdecomp.ops._region import indices_of

# How many numbers a block of rows of a factor has: few enough for a cache.
_BLOCK = 1 << 15


@full_precision
def predict(
    model: Any, rows: Any, columns: Any, /, *, clip: tuple[float, float] | None = None
) -> Array:
    r"""Return entries of a matrix of low rank at a list of places, without forming it.

    .. math:: z_p = \mu + b_{i_p} + c_{j_p} + \sum_r u_{i_p r} v_{r j_p}

    Parameters
    ----------
    model : Completion, Inductive, LowRank or SVD
        The matrix, of shape (m, n).
    rows, columns : array of int
        The places. As indices of NumPy, they are broadcast against each other, and negative ones
        count from the end: ``predict(z, rows[:, None], columns)`` is a block of the matrix.
    clip : pair of float, optional
        The least and the largest value there can be: what lies beyond becomes these.

    Returns
    -------
    array
        The entries, in the common shape of `rows` and `columns`.

    Raises
    ------
    ValueError
        If an index is out of range, shapes cannot be broadcast, or `clip` is no range, or given
        for complex entries.
    TypeError
        If `model` is no such format, or indices are no integers.

    See Also
    --------
    top_n : the largest entries of each row.

    Notes
    -----
    :math:`k` multiplications and two rows of factors read for each place, in blocks that fit a
    cache: nothing of the size of the matrix, or of all places times `k`, is ever held.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import LowRank
    >>> from tdecomp.completion import predict
    >>> z = LowRank(np.arange(4.0)[:, None], np.arange(5.0)[None, :])
    >>> predict(z, [3, 1, -1], [4, 2, 2], clip=(0, 10))
    array([10.,  2.,  6.])
    """
    xp, model = as_scores(model)
    rows, columns = places(rows, columns, model, xp)
    found = _predict(model, xp.reshape(rows, (-1,)), xp.reshape(columns, (-1,)), xp=xp)
    return xp.reshape(clipped(found, clip, xp), tuple(rows.shape))


def places(rows: Any, columns: Any, model: Model, xp: Namespace) -> tuple[Array, Array]:
    """Return indices of one shape that count from the start."""
    found = [
        indices(part, size, model.left, xp, name)
        for part, size, name in zip((rows, columns), model.shape, ("rows", "columns"), strict=True)
    ]
    try:
        return tuple(xp.broadcast_arrays(*found))
    except (ValueError, RuntimeError):
        shapes = " and ".join(str(tuple(index.shape)) for index in found)
        raise ValueError(f"rows and columns of shapes {shapes} cannot be broadcast") from None


def indices(part: Any, size: int, like: Array, xp: Namespace, name: str) -> Array:
    """Return integers of any shape as indices that count from the start."""
    if not is_array_api_obj(part):
        try:
            part = np.asarray(part)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{name} must be integers: {error}") from None
    own = np if isinstance(part, np.ndarray | np.generic) else namespace(part, like)
    empty = 0 in part.shape
    if not (own.isdtype(part.dtype, "integral") or empty):
        raise TypeError(f"{name} must be integers, got {part.dtype}")
    flat = indices_of(own.reshape(part, (-1,)), size, like, xp, name=name)
    return xp.reshape(flat, tuple(part.shape))


def _predict(model: Model, rows: Array, columns: Array, *, xp: Namespace) -> Array:
    """Multiply rows of the factors, and sum."""
    count = rows.shape[0]
    height = max(1, _BLOCK // max(model.left.shape[1], 1))
    parts = []
    for start in range(0, max(count, 1), height):
        i, j = (index[start : min(start + height, count)] for index in (rows, columns))
        left, right = rows_of(model.left, i, xp), rows_of(model.right, j, xp)
        parts.append(xp.sum(left * right, axis=1) + model.biases.at(i, j, xp))
    return parts[0] if len(parts) == 1 else xp.concat(parts)


def check_clip(clip: tuple[float, float] | None) -> tuple[float, float] | None:
    """Return a range as two floats, or refuse what is none."""
    if clip is None:
        return None
    if not isinstance(clip, tuple | list) or len(clip) != 2:
        raise TypeError(f"clip must be a pair (least, largest) or None, got {clip!r}")
    low, high = (check_number(bound, name="clip", legal="two numbers") for bound in clip)
    if not low <= high:
        raise ValueError(f"clip must be a pair (least, largest), got {clip}")
    return low, high


def clipped(x: Array, clip: tuple[float, float] | None, xp: Namespace) -> Array:
    """Return entries within a range."""
    bounds = check_clip(clip)
    if bounds is None:
        return x
    if xp.isdtype(x.dtype, "complex floating"):
        raise ValueError("clip needs real entries: complex ones have no order")
    return xp.clip(x, *bounds)
