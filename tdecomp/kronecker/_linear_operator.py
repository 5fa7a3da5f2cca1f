"""A sum of Kronecker products as an operator of SciPy."""

from __future__ import annotations

from typing import Any

from tdecomp._xp import is_numpy
from tdecomp.kronecker._format import as_sum


def to_linear_operator(k: Any, /) -> Any:
    """Return a view of the matrix as a ``scipy.sparse.linalg.LinearOperator``.

    SciPy's iterative solvers, eigensolvers and norms then multiply by it without forming it.

    Parameters
    ----------
    k : KroneckerSum
        The sum; its factors must be NumPy arrays.

    Returns
    -------
    scipy.sparse.linalg.LinearOperator
        The operator: products with vectors and matrices, its own and those of its adjoint.

    Raises
    ------
    TypeError, ValueError
        If `k` is no such sum or is not finite, or its factors belong to another library.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse.linalg import cg
    >>> from tdecomp import kronecker
    >>> twos = kronecker.KroneckerSum(2 * np.eye(2)[None], np.eye(3)[None])
    >>> cg(kronecker.to_linear_operator(twos), np.ones(6))[0]
    array([0.5, 0.5, 0.5, 0.5, 0.5, 0.5])
    """
    _, k = as_sum(k)
    if not is_numpy(*k.factors):
        raise TypeError(
            f"a LinearOperator of SciPy takes NumPy arrays, got factors of type "
            f"{type(k.left).__module__}.{type(k.left).__name__}; convert them first"
        )
    from scipy.sparse.linalg import LinearOperator

    adjoint = k.mH
    return LinearOperator(
        k.shape,
        matvec=k.__matmul__,
        rmatvec=adjoint.__matmul__,
        matmat=k.__matmul__,
        rmatmat=adjoint.__matmul__,
        dtype=k.dtype,
    )
