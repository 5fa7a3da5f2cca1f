"""The sign of a matrix, of which the polar factor is a block."""

from __future__ import annotations

import math
from typing import Any

from tdecomp._errors import check_count
from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import differentiated, eps, equilibrate, prepare

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
