"""Tensors as matrices: unfolding along a mode, undone by folding."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

from tdecomp._errors import check_count
from tdecomp._typing import Array, Namespace
from tdecomp._xp import structured


def check_mode(mode: object, ndim: int, *, name: str = "mode") -> int:
    """Return `mode` as an index between 0 and ``ndim - 1``, or refuse it."""
    try:
        index = None if isinstance(mode, bool) else operator.index(mode)  # type: ignore[arg-type]
    except TypeError:
        index = None
    if index is None:
        raise TypeError(f"{name} must be an int, got {mode!r} of type {type(mode).__name__}")
    if not -ndim <= index < ndim:
        raise ValueError(
            f"{name} must lie between {-ndim} and {ndim - 1} for {ndim} modes, got {index}"
        )
    return index % ndim


def unfold(x: Any, mode: int, /) -> Array:
    r"""Arrange the fibres of a tensor along one mode as the columns of a matrix.

    Entry :math:`(i_0, \ldots, i_{d-1})` goes to row :math:`i_n`; the other indices, in their
    order and with the last running fastest, make the column.

    Parameters
    ----------
    x : array, shape (n_0, ..., n_{d-1})
        A tensor of at least one mode, of any dtype, possibly empty.
    mode : int
        The mode :math:`n`; negative ones count from the end.

    Returns
    -------
    array, shape (n_mode, product of the others)
        The unfolding, in the dtype of `x`.

    Raises
    ------
    TypeError
        If `mode` is not an int, or `x` is not an array.
    ValueError
        If `x` has no such mode.

    See Also
    --------
    fold : the inverse.

    Notes
    -----
    Moves the data once, or not at all for mode 0 of a tensor in C order: the result may share
    memory with `x`. TensorLy orders columns in the same way, Kolda and Bader with the first index
    running fastest.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.ops import unfold
    >>> unfold(np.arange(8).reshape(2, 2, 2), 1)
    array([[0, 1, 4, 5],
           [2, 3, 6, 7]])
    """
    xp, x = structured(x, name="x")
    if x.ndim == 0:
        raise ValueError("x must have at least one mode, got a number")
    return _unfold(x, check_mode(mode, x.ndim), xp=xp)


def _unfold(x: Array, mode: int, *, xp: Namespace) -> Array:
    """Unfold along a valid mode."""
    columns = math.prod(x.shape[:mode] + x.shape[mode + 1 :])
    return xp.reshape(xp.moveaxis(x, mode, 0), (x.shape[mode], columns))


def fold(matrix: Any, mode: int, shape: Sequence[int], /) -> Array:
    """Undo `unfold`: ``fold(unfold(x, mode), mode, x.shape)`` is `x`.

    Parameters
    ----------
    matrix : array, shape (shape[mode], product of the others)
        An unfolding, of any dtype, possibly empty.
    mode : int
        The mode it was made along; negative ones count from the end.
    shape : sequence of int
        The shape of the tensor.

    Returns
    -------
    array, shape `shape`
        The tensor, in the dtype of `matrix`.

    Raises
    ------
    TypeError
        If `mode` or a length is not an int, or `matrix` is not an array.
    ValueError
        If `mode` is not a mode of `shape`, or `matrix` has another shape.

    See Also
    --------
    unfold : the inverse.

    Notes
    -----
    Moves no data: the result is a view of `matrix` where the library has views.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.ops import fold, unfold
    >>> x = np.arange(24).reshape(2, 3, 4)
    >>> np.array_equal(fold(unfold(x, -1), -1, x.shape), x)
    True
    """
    xp, matrix = structured(matrix, name="matrix")
    lengths = tuple(check_count(n, name=f"shape[{k}]") for k, n in enumerate(shape))
    mode = check_mode(mode, len(lengths))
    wanted = (lengths[mode], math.prod(lengths[:mode] + lengths[mode + 1 :]))
    if tuple(matrix.shape) != wanted:
        raise ValueError(
            f"matrix must have shape {wanted} to fold into {lengths} along mode {mode}, "
            f"got {tuple(matrix.shape)}"
        )
    return _fold(matrix, mode, lengths, xp=xp)


def _fold(matrix: Array, mode: int, shape: tuple[int, ...], *, xp: Namespace) -> Array:
    """Fold along a valid mode of a shape that fits."""
    rotated = (shape[mode], *shape[:mode], *shape[mode + 1 :])
    return xp.moveaxis(xp.reshape(matrix, rotated), 0, mode)
