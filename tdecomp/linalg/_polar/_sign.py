"""The sign of a matrix, and the inverse square root of a definite one: kin of the polar factor."""

from __future__ import annotations

import math
from typing import Any

from tdecomp._errors import check_count, check_size
from tdecomp._precision import full_precision
from tdecomp._shim import cholesky, solve_triangular
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, device, differentiated, eps, equilibrate, prepare
from tdecomp.linalg._polar._svd import svd_polar

# Changes below this part end the scaling: convergence is quadratic from here.
_NEAR = 1e-2


@full_precision
def matrix_sign(a: Any, /, *, max_iter: int = 50) -> Array:
    r"""Return the sign of a square matrix: its eigenvalues go to 1 or -1, by their real parts.

    With :math:`A = Z \operatorname{diag}(\lambda_i) Z^{-1}`, it is
    :math:`Z \operatorname{diag}(\operatorname{sign} \operatorname{Re} \lambda_i) Z^{-1}`: the
    square root of the identity that commutes with `A` and has the same invariant subspaces.

    Parameters
    ----------
    a : array, shape (..., n, n)
        The matrix, or a batch of them, with no eigenvalue on the imaginary axis.
    max_iter : int
        The largest number of steps.

    Returns
    -------
    array, shape (..., n, n)
        :math:`S` with :math:`S^2 = I` and :math:`S A = A S`.

    Raises
    ------
    TypeError, ValueError
        If `a` is not square, empty or not finite, or eigenvalues lie on the imaginary axis, or so
        near, as they are in matrices far from normal, that less than half of the digits would be
        right.

    See Also
    --------
    tdecomp.polar : the polar factor `U` is a block of the sign of ``[[0, A], [A^*, 0]]``.

    Notes
    -----
    Newton's method :math:`X \leftarrow (\mu X + (\mu X)^{-1}) / 2` with
    :math:`\mu = |\det X|^{-1/n}` at first: some ten inverses. Looks at values, so neither under
    ``jit`` nor for gradients.

    References
    ----------
    .. [1] N. J. Higham, "Functions of Matrices: Theory and Computation", SIAM, 2008, chapter 5,
       equations 5.34 and 5.35. doi:10.1137/1.9780898717778

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.linalg import matrix_sign
    >>> matrix_sign(np.array([[3.0, 5.0], [0.0, -2.0]])).round(12)
    array([[ 1.,  2.],
           [ 0., -1.]])
    """
    xp, a = prepare(a, ndim=2, batch=True)
    if a.shape[-2] != a.shape[-1]:
        raise ValueError(f"a must be square, got shape {tuple(a.shape)}")
    max_iter = check_count(max_iter, name="max_iter", least=1)
    if differentiated(a):
        raise ValueError("matrix_sign looks at values: it has no gradients, and is not compiled")
    x, _ = equilibrate(a, xp, axis=(-2, -1))
    enough, scaled = math.sqrt(eps(x.dtype, xp)), True
    for _ in range(max_iter):
        moved = _step(x, scaled=scaled, xp=xp)
        sizes = xp.linalg.matrix_norm(moved)
        if not bool(xp.all(sizes > 0)):
            break
        change = float(xp.max(xp.linalg.matrix_norm(moved - x) / sizes))
        x, scaled = moved, scaled and change > _NEAR
        if change <= enough:
            return _step(x, scaled=False, xp=xp)
    raise ValueError(
        f"no sign in {max_iter} steps: eigenvalues of a lie on the imaginary axis, or so near "
        "that rounding leaves less than half of the digits"
    )


def _step(x: Array, *, scaled: bool, xp: Namespace) -> Array:
    """Return the mean of the matrix and its inverse, both of determinant one if `scaled`."""
    try:
        inverse = xp.linalg.inv(x)
    except Exception as error:  # each library has a class of its own
        if "singular" not in str(error).lower():
            raise
        raise ValueError("a has no sign: an eigenvalue is zero, or nearly so") from None
    if bool(xp.any(~xp.isfinite(inverse))):
        raise ValueError("a has no sign: an eigenvalue is zero, or nearly so")
    if not scaled:
        return (x + inverse) / 2
    log = xp.linalg.slogdet(x)[1] / x.shape[-1]
    factor = xp.astype(xp.exp(-log), x.dtype)[..., None, None]
    return (factor * x + inverse / factor) / 2


@full_precision
def inverse_sqrt(a: Any, /, *, ridge: float = 0.0) -> Array:
    r"""Return :math:`A^{-1/2}` of a Hermitian positive definite matrix.

    With the Cholesky factor, :math:`A = L L^*`, and the polar decomposition :math:`L^* = U H` it
    is :math:`H^2 = A`, so

    .. math:: A^{-1/2} = H^{-1} = (L^*)^{-1} U ;

    the condition of `L` is the root of that of `A`, so no digit is lost on the way.

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
    a = (a + adjoint(a, xp)) / 2
    if ridge:
        mean = xp.linalg.trace(a)[..., None, None] / n
        a = a + ridge * mean * xp.eye(n, dtype=a.dtype, device=device(a))
    lower = xp.linalg.cholesky(a) if differentiated(a) else cholesky(a, xp)
    if lower is None:
        raise ValueError("a must be positive definite: add a ridge=, such as 1e-12, to it")
    upper = adjoint(lower, xp)
    u, _ = svd_polar(upper, with_h=False, xp=xp)
    found = solve_triangular(upper, u, xp, lower=False)
    return (found + adjoint(found, xp)) / xp.astype(2 * xp.sqrt(scale), a.dtype)
