"""The inverse square root of a definite matrix, from the polar factor of its Cholesky factor."""

from __future__ import annotations

from typing import Any

from tdecomp._errors import check_size
from tdecomp._precision import full_precision
from tdecomp._shim import cholesky, solve_triangular
from tdecomp._typing import Array
from tdecomp._xp import adjoint, device, differentiated, equilibrate, prepare
from tdecomp.linalg._polar._svd import hermitian, svd_polar


@full_precision
def inverse_sqrt(a: Any, /, *, ridge: float = 0.0) -> Array:
    r"""Return :math:`A^{-1/2}` of a Hermitian positive definite matrix.

    With the Cholesky factor, :math:`A = L L^*`, and the polar decomposition :math:`L^* = U H` it
    is :math:`H^2 = A`, so

    .. math:: A^{-1/2} = H^{-1} = (L^*)^{-1} U ;

    the condition of `L` is the root of that of `A`.

    Parameters
    ----------
    a : array, shape (..., n, n)
        The matrix, or a batch of them. Its Hermitian part counts.
    ridge : float
        Add that part of the mean eigenvalue to all of them.

    Returns
    -------
    array, shape (..., n, n)
        Hermitian and positive definite.

    Raises
    ------
    TypeError, ValueError
        If `a` is not square, empty, not finite, or not positive definite in this precision.

    Notes
    -----
    A Cholesky factor, an SVD and a triangular solution. Works under ``jit`` and gradients, where a
    matrix that is not definite yields NaN.

    References
    ----------
    .. [1] N. J. Higham, "Functions of Matrices: Theory and Computation", SIAM, 2008, Algorithm
       6.21. doi:10.1137/1.9780898717778

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.linalg import inverse_sqrt
    >>> inverse_sqrt(np.diag([4.0, 16.0]))
    array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """
    xp, a = prepare(a, ndim=2, batch=True)
    n = a.shape[-1]
    if a.shape[-2] != n:
        raise ValueError(f"a must be square, got shape {tuple(a.shape)}")
    ridge = check_size(ridge, name="ridge")
    a, scale = equilibrate(a, xp, axis=(-2, -1))
    a = hermitian(a, xp)
    if ridge:
        mean = xp.linalg.trace(a)[..., None, None] / n
        a = a + ridge * mean * xp.eye(n, dtype=a.dtype, device=device(a))
    lower = xp.linalg.cholesky(a) if differentiated(a) else cholesky(a, xp)
    if lower is None:
        raise ValueError("a must be positive definite: add a ridge=, such as 1e-12, to it")
    upper = adjoint(lower, xp)
    u, _ = svd_polar(upper, with_h=False, xp=xp)
    found = solve_triangular(upper, u, xp, lower=False)
    return hermitian(found, xp) / xp.astype(xp.sqrt(scale), a.dtype)
