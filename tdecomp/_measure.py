"""How good and how large a format is: errors without cancellation, sizes by counting."""

from __future__ import annotations

import math
from typing import Any

from tdecomp._errors import check_count
from tdecomp._precision import full_precision
from tdecomp._typing import Array, Format
from tdecomp._xp import device, equilibrate, namespace, prepare

_BLOCK_ENTRIES = 1 << 22


@full_precision
def relative_error(x: Any, fmt: Format, /, *, block: int | None = None) -> Array:
    r"""Measure :math:`\|X - \hat X\|_F / \|X\|_F` by forming the difference, slab by slab.

    Nothing is subtracted after squaring, so the value is true to rounding down to
    :math:`\epsilon`; the sums are taken at a power-of-two scale, so that data near the ends of
    the exponent range neither overflow nor vanish.

    Parameters
    ----------
    x : array, shape (..., n1, ..., nd), or COO
        The data. Integers and narrow floats are promoted as everywhere. Of a sparse tensor the
        zeros are not filled in: see :meth:`tdecomp.ops.COO.distance`.
    fmt : format
        What approximates it, of the same shape and library.
    block : int, optional
        How many indices of the first mode to reconstruct at a time; by default as many as keep
        a slab near four million entries.

    Returns
    -------
    array, shape (...)
        One error for each member of the batch, a 0-d array without one. It is 0 where `x` and
        its approximation are both zero and infinite where only `x` is.

    Raises
    ------
    TypeError, ValueError
        If `fmt` is no format, the shapes differ, or `x` is empty or not finite.

    Notes
    -----
    Costs one reconstruction of the array, and memory for one slab.

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> a = np.diag([4.0, 3.0, 0.0])
    >>> float(td.relative_error(a, td.truncated_svd(a, rank=1)))
    0.6
    """
    if hasattr(x, "_compare"):
        return _relative_distance(x, fmt)
    modes = getattr(fmt, "modes", None)
    if modes is None:
        raise TypeError(
            f"fmt must be a format, got {type(fmt).__module__}.{type(fmt).__name__}; of a fit "
            "pass its tensor, and TensorLy's objects through tdecomp.convert.to_cp, "
            "convert.to_tucker or convert.to_tt"
        )
    xp, x = prepare(x, ndim=modes, batch=True, name="x")
    if tuple(x.shape) != tuple(fmt.shape):
        raise ValueError(
            f"x and its format must have one shape, got {tuple(x.shape)} and {tuple(fmt.shape)}"
        )
    axes = tuple(range(-modes, 0))
    x, scale = equilibrate(x, xp, axis=axes)
    length = x.shape[-modes]
    if block is None:
        block = max(1, _BLOCK_ENTRIES * length // math.prod(x.shape))
    block = check_count(block, name="block", least=1)
    inside = (...,) + (slice(None),) * (modes - 1)
    total = misfit = 0.0
    for start in range(0, length, block):
        slab = slice(start, min(start + block, length))
        part = x[(*inside[:1], slab, *inside[1:])]
        shown = fmt.to_array(slab)
        namespace(part, shown)
        gap = part - shown / scale
        total = total + xp.sum(xp.real(part * xp.conj(part)), axis=axes)
        misfit = misfit + xp.sum(xp.real(gap * xp.conj(gap)), axis=axes)
    ratio = xp.sqrt(misfit / xp.where(total > 0, total, xp.ones_like(total)))
    return xp.where(total > 0, ratio, xp.where(misfit > 0, xp.inf, xp.zeros_like(total)))


def _relative_distance(x: Any, fmt: Format) -> Array:
    """Measure against data that know their distance from a format: a sparse tensor."""
    distance, norm, _ = x._compare(fmt)
    xp = namespace(x.values)
    ratio = distance / norm if norm > 0 else math.inf if distance > 0 else 0.0
    real = xp.real(x.values).dtype if xp.isdtype(x.dtype, "complex floating") else x.dtype
    return xp.asarray(ratio, dtype=real, device=device(x.values))


def n_parameters(fmt: Any, /) -> int:
    """Count the numbers that `fmt` stores: the entries of all its arrays.

    Parameters
    ----------
    fmt : format
        A tuple of arrays, or of tuples of arrays.

    Returns
    -------
    int
        The number of entries.

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> td.n_parameters(td.LowRank(np.ones((6, 2)), np.ones((2, 5))))
    22
    """
    if hasattr(fmt, "shape") and not isinstance(fmt, tuple):
        return math.prod(fmt.shape)
    return sum(
        n_parameters(part)
        for part in fmt
        if hasattr(part, "shape") or isinstance(part, tuple | list)
    )


def compression_ratio(fmt: Format, /) -> float:
    """Return how many times fewer numbers `fmt` stores than the array it stands for.

    Parameters
    ----------
    fmt : format
        Any format of the library.

    Returns
    -------
    float
        Entries of the array over entries of the format: above 1 where the format is smaller.

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> td.compression_ratio(td.LowRank(np.ones((10, 1)), np.ones((1, 10))))
    5.0
    """
    return math.prod(fmt.shape) / n_parameters(fmt)
