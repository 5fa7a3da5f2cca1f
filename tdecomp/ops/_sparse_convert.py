"""Sparse tensors from and to other libraries and dense arrays, without importing any."""

from __future__ import annotations

import math
from typing import Any

import array_api_compat
import numpy as np

from tdecomp._xp import prepare
from tdecomp.ops._coo import COO, check_coo, coo, is_host


def from_sparse(x: Any, /) -> COO:
    """Take a sparse array of SciPy, PyTorch or pydata/sparse.

    Parameters
    ----------
    x : sparse array
        A ``scipy.sparse`` array or matrix of any format, a sparse ``torch.Tensor`` of any
        layout, a ``sparse.COO`` or what has a method ``tocoo``.

    Returns
    -------
    COO
        The same tensor on the same device; entries at one coordinate are summed.

    Raises
    ------
    TypeError
        If `x` is nothing of the kind.
    ValueError
        If an entry is not finite, or what is not stored is not zero.

    See Also
    --------
    to_scipy : the way back, for matrices.

    Notes
    -----
    The way back to the others are their constructors: ``torch.sparse_coo_tensor(*x)`` and
    ``sparse.COO(*x)``.

    Examples
    --------
    >>> import scipy.sparse
    >>> from tdecomp.ops import from_sparse
    >>> from_sparse(scipy.sparse.eye_array(3).tocsr()).indices
    array([[0, 1, 2],
           [0, 1, 2]])
    """
    if isinstance(x, COO):
        return check_coo(x)[1]
    if array_api_compat.is_torch_array(x):
        return _from_torch(x)
    if not hasattr(x, "coords") and hasattr(x, "tocoo"):
        x = x.tocoo()
    if not hasattr(x, "coords") or not hasattr(x, "data"):
        kind = f"{type(x).__module__}.{type(x).__name__}"
        raise TypeError(f"x must be a sparse array, got {kind}; from_dense takes dense ones")
    fill = getattr(x, "fill_value", 0)
    if fill != 0:
        raise ValueError(f"x must be zero where nothing is stored, its fill_value is {fill}")
    return coo(np.stack([np.asarray(row) for row in x.coords]), x.data, x.shape)


def _from_torch(x: Any) -> COO:
    """Take the coordinates and values of a sparse tensor of PyTorch."""
    if str(x.layout) == "torch.strided":
        raise TypeError("x must be a sparse array, got a dense torch.Tensor; try from_dense")
    x = x if x.is_sparse else x.to_sparse_coo()
    if x.dense_dim():
        raise ValueError(
            f"x must be sparse in all its modes, it is dense in the last {x.dense_dim()}"
        )
    return coo(x._indices(), x._values(), tuple(x.shape))


def from_dense(x: Any, /) -> COO:
    """Take the entries of an array that are not zero.

    Parameters
    ----------
    x : array, shape (n_0, ..., n_{d-1})
        The tensor.

    Returns
    -------
    COO
        The same tensor; `COO.to_array` is the way back.

    Raises
    ------
    TypeError
        If `x` is no array.
    ValueError
        If `x` is empty or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.ops import from_dense
    >>> from_dense(np.diag([1.0, 0.0, 2.0])).values
    array([1., 2.])
    """
    xp, x = prepare(x, ndim=1, batch=True, name="x")
    places = xp.nonzero(x)
    flat = xp.nonzero(xp.reshape(x != 0, (-1,)))[0]
    values = xp.take(xp.reshape(x, (math.prod(x.shape),)), flat, axis=0)
    widest = xp.asarray(0).dtype
    indices = xp.stack([xp.astype(row, widest) for row in places])
    return COO(indices, values, tuple(int(n) for n in x.shape))


def to_scipy(x: COO, /) -> Any:
    """Return a sparse matrix as SciPy has it.

    Parameters
    ----------
    x : COO
        A tensor of two modes, of NumPy arrays.

    Returns
    -------
    scipy.sparse.coo_array
        The same matrix; it shares its entries with `x`.

    Raises
    ------
    TypeError
        If `x` is no COO, or its arrays are not NumPy's.
    ValueError
        If `x` has not two modes.

    Examples
    --------
    >>> from tdecomp.ops import coo, to_scipy
    >>> (to_scipy(coo([[0, 1], [2, 0]], [1.0, 5.0])) @ [1.0, 1.0, 1.0]).tolist()
    [1.0, 5.0]
    """
    _, x = check_coo(x)
    if not is_host(x):
        raise TypeError("x must hold NumPy arrays; SciPy takes no others")
    if x.modes != 2:
        raise ValueError(f"x must have 2 modes to become a matrix, got shape {x.shape}")
    from scipy.sparse import coo_array

    return coo_array((x.values, (x.indices[0], x.indices[1])), shape=x.shape)
