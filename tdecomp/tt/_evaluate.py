"""Single entries of trains and rings, many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import array_api_compat
import numpy as np

from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import concrete, device, integers, namespace
from tdecomp.tt._chain import as_chain
from tdecomp.tt._formats import TensorRing

# Slices gathered at a time: they stay in the cache.
_BLOCK_ENTRIES = 1 << 19


@full_precision
def evaluate(train: Any, indices: Any, /) -> Array:
    r"""Return chosen entries of a train or a ring, as products of slices of the cores.

    Parameters
    ----------
    train : TensorTrain or TensorRing
        The tensor, of `d` modes; a sequence of cores counts as a train.
    indices : array of int, shape (m, d)
        One entry in each row; negative indices count from the end. Of the same library, or
        lists.

    Returns
    -------
    array, shape (m,)
        The entries.

    Raises
    ------
    TypeError
        If `indices` are no ints, or of another library.
    ValueError
        If `indices` has another shape, or an index lies outside of its mode.

    See Also
    --------
    TensorTrain.to_array : entries on a grid, at less cost for each.

    Notes
    -----
    :math:`2 m \sum_k r_k r_{k+1}` flops, :math:`r_0` times as many for a ring, in blocks of
    bounded memory.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tt
    >>> train = tt.tt_svd(np.arange(24.0).reshape(2, 3, 4), rank=2)
    >>> [round(float(x), 6) for x in tt.evaluate(train, [[0, 1, 2], [1, 2, -1]])]
    [6.0, 23.0]
    """
    xp, cores = as_chain(train, name="train", ring=isinstance(train, TensorRing))
    index = as_indices(indices, [int(core.shape[1]) for core in cores], cores[0], xp)
    return _evaluate(cores, index, xp=xp)


def _evaluate(cores: Sequence[Array], index: Array, *, xp: Namespace) -> Array:
    """Multiply slices in blocks of rows; indices are not negative."""
    slices = [xp.permute_dims(core, (1, 0, 2)) for core in cores]
    width = max(core.shape[0] * core.shape[2] for core in cores)
    block = max(1, _BLOCK_ENTRIES // width)
    m = index.shape[0]
    starts = range(0, m, block)
    parts = [_products(slices, index[s : min(s + block, m), :], xp) for s in starts]
    if not parts:
        return xp.zeros((0,), dtype=cores[0].dtype, device=device(cores[0]))
    return parts[0] if len(parts) == 1 else xp.concat(parts)


def _products(slices: Sequence[Array], index: Array, xp: Namespace) -> Array:
    """Return the traces of the products of the slices that each row names."""
    product = xp.take(slices[0], index[:, 0], axis=0)
    for k, core in enumerate(slices[1:], start=1):
        product = product @ xp.take(core, index[:, k], axis=0)
    return xp.linalg.trace(product)


def as_indices(indices: Any, shape: Sequence[int], like: Array, xp: Namespace) -> Array:
    """Validate rows of indices and make them nonnegative, in the library of `like`."""
    if not array_api_compat.is_array_api_obj(indices):
        indices = np.asarray(indices)
        if indices.dtype.kind not in "iu":
            raise TypeError(f"indices must be ints, got {indices.dtype}")
        indices = xp.asarray(indices.astype(np.int64), device=device(like))
    namespace(indices, like)
    if not xp.isdtype(indices.dtype, "integral"):
        raise TypeError(f"indices must be ints, got {indices.dtype}")
    if indices.ndim != 2 or indices.shape[1] != len(shape):
        raise ValueError(
            f"indices must have shape (m, {len(shape)}), one index for each mode, got "
            f"{tuple(indices.shape)}"
        )
    sizes = xp.asarray(list(shape), dtype=integers(xp), device=device(like))
    index = xp.astype(indices, integers(xp))
    outside = (index < -sizes) | (index >= sizes)
    if index.shape[0] and concrete(xp.any(outside)):
        place = int(xp.argmax(xp.astype(xp.reshape(outside, (-1,)), xp.int32)))
        row, mode = divmod(place, len(shape))
        raise ValueError(
            f"indices[{row}, {mode}] is {int(index[row, mode])}, outside of {-shape[mode]} ... "
            f"{shape[mode] - 1} for a mode of size {shape[mode]}"
        )
    return xp.where(index < 0, index + sizes, index)
