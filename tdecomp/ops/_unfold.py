"""Tensors as matrices: unfolding along a mode, and back."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from tdecomp._typing import Array, Namespace
from tdecomp._xp import structured


def check_mode(mode: object, ndim: int) -> int:
    """Return `mode` as an index between 0 and ``ndim - 1``, or refuse it."""
    try:
        index = operator.index(mode)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"mode must be an int, got {mode!r}") from None
    if not -ndim <= index < ndim:
        raise ValueError(f"mode must lie between {-ndim} and {ndim - 1}, got {index}")
    return index % ndim


def unfold(x: Any, mode: int, /) -> Array:
    r"""Arrange the fibres of `x` along a mode as the columns of a matrix.

    Entry :math:`(i_0, \ldots, i_{d-1})` goes to row :math:`i_n`; the other indices, in their
    order and with the last running fastest, make the column.

    Parameters
    ----------
    x : array, shape (n_0, ..., n_{d-1})
        A tensor of at least one mode, of any dtype.
    mode : int
        The mode :math:`n`; negative ones count from the end.

    Returns
    -------
    array, shape (n_mode, product of the others)
        The unfolding, in the dtype of `x`.

    Raises
    ------
    TypeError, ValueError
        If `mode` is not an int, or `x` has no such mode.

    See Also
    --------
    fold : the inverse.

    Notes
    -----
    Moves data, or none for mode 0. TensorLy orders columns in the same way, Kolda and Bader with
    the first index running fastest.

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
    """Unfold along a valid mode; any number of columns, none included."""
    columns = 1
    for axis, length in enumerate(x.shape):
        columns *= 1 if axis == mode else length
    return xp.reshape(xp.moveaxis(x, mode, 0), (x.shape[mode], columns))


def fold(matrix: Any, mode: int, shape: Sequence[int], /) -> Array:
    """Undo `unfold`: ``fold(unfold(x, mode), mode, x.shape)`` is `x`.

    Parameters
    ----------
    matrix : array, shape (shape[mode], product of the others)
        An unfolding.
    mode : int
        The mode it was made along.
    shape : sequence of int
        The shape of the tensor.

    Returns
    -------
    array, shape `shape`
        The tensor, in the dtype of `matrix`.

    Raises
    ------
    TypeError, ValueError
        If `mode` is not an int or not a mode of `shape`, or `matrix` has another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.ops import fold, unfold
    >>> x = np.arange(24).reshape(2, 3, 4)
    >>> np.array_equal(fold(unfold(x, -1), -1, x.shape), x)
    True
    """
    xp, matrix = structured(matrix, name="matrix")
    shape = tuple(operator.index(length) for length in shape)
    mode = check_mode(mode, len(shape))
    rest = shape[:mode] + shape[mode + 1 :]
    columns = 1
    for length in rest:
        columns *= length
    if tuple(matrix.shape) != (shape[mode], columns):
        raise ValueError(
            f"matrix must have shape {(shape[mode], columns)} to fold into {shape} along mode "
            f"{mode}, got {tuple(matrix.shape)}"
        )
    return xp.moveaxis(xp.reshape(matrix, (shape[mode], *rest)), 0, mode)
