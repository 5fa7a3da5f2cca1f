"""The steepest direction at a given length in a metric of rows and columns."""

from __future__ import annotations

from typing import Any

from tdecomp._errors import check_choice
from tdecomp._precision import full_precision
from tdecomp._shim import cholesky, solve_triangular
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, concrete, eps, equilibrate, prepare, traced
from tdecomp.linalg._polar._isometry import METHODS, isometry
from tdecomp.linalg._polar._svd import hermitian


@full_precision
def fisher_polar(
    g: Any, /, *, left: Any = None, right: Any = None, method: str = "exact"
) -> Array:
    r"""Return the direction that gains most of a gradient at a given length in a metric.

    Of all :math:`D` with :math:`\|P^{1/2} D Q^{1/2}\|_2 \le 1`,

    .. math:: D = P^{-1/2} \operatorname{polar}(P^{-1/2} G Q^{-1/2}) Q^{-1/2}

    maximises :math:`\operatorname{Re} \langle G, D \rangle`, whose maximum is
    :math:`\|P^{-1/2} G Q^{-1/2}\|_*`. Without `left` and `right` it is the isometric factor.

    Parameters
    ----------
    g : array, shape (..., m, n)
        The gradient, or a batch of them.
    left : array, shape (..., m, m), optional
        The metric :math:`P` itself (no factor of it), hermitian and positive definite; by default
        the identity.
    right : array, shape (..., n, n), optional
        The metric :math:`Q`, likewise.
    method : {"exact", "polar-express", "muon", "quintic", "cubic", "cans"}, optional
        The isometric factor: exactly, or by a method of `orthogonalize`.

    Returns
    -------
    array, shape (..., m, n)
        The direction; zero where `g` is.

    Raises
    ------
    TypeError, ValueError
        If an argument is empty, not finite or of a shape that does not fit, or a metric is not
        hermitian and positive definite.

    See Also
    --------
    fisher_update : the metrics, from the gradients of a training run.

    Notes
    -----
    No square root is formed: for any :math:`P = C C^*` and :math:`Q = K K^*`, Cholesky's too,
    :math:`D = C^{-*} \operatorname{polar}(C^{-1} G K^{-*}) K^{-1}`. Singular values of the
    whitened gradient below 16 eps of the largest are rounding, and their directions left alone.

    Flops :math:`(m^3 + n^3)/3 + 2 m n (m + n)` and those of the isometric factor. Gradients need
    full rank.

    References
    ----------
    .. [1] J. Xu, H. Yan, L. Zhang, "FISMO: Fisher-structured momentum-orthogonalized optimizer",
       arXiv:2601.21750, 2026.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.linalg import fisher_polar
    >>> g = np.array([[3.0, 0.0], [0.0, 1.0]])
    >>> fisher_polar(g, left=np.diag([4.0, 1.0]), right=np.diag([9.0, 1.0])).round(3) + 0.0
    array([[0.167, 0.   ],
           [0.   , 1.   ]])
    """
    check_choice(method, METHODS, name="method")
    xp, g = prepare(g, ndim=2, batch=True, name="g")
    g, _ = equilibrate(g, xp, axis=(-2, -1))
    if left is None and right is None:
        return isometry(g, method, xp)
    c, k = (
        None if p is None else _factor(p, g, axis, name, xp)
        for p, axis, name in ((left, -2, "left"), (right, -1, "right"))
    )
    white = _divided(g, c, k, xp, dual=False)
    return _divided(isometry(white, method, xp), c, k, xp, dual=True)


def _factor(p: Any, g: Array, axis: int, name: str, xp: Namespace) -> Array:
    """Return the Cholesky factors of the metrics, one for each gradient."""
    _, p = prepare(p, ndim=2, batch=True, like=g, name=name)
    n = g.shape[axis]
    shape = (*g.shape[:-2], n, n)
    if p.shape[-2:] != (n, n) or p.ndim > g.ndim:
        raise ValueError(
            f"{name} must be a metric of shape {(n, n)} for g of shape {tuple(g.shape)}, or one "
            f"for each matrix, got {tuple(p.shape)}"
        )
    p = xp.astype(p, g.dtype) if not xp.isdtype(p.dtype, "complex floating") else p
    gap, size = (xp.max(xp.abs(x)) for x in (p - adjoint(p, xp), p))
    if concrete(gap > eps(p.dtype, xp) ** 0.5 * size):
        raise ValueError(f"{name} must be hermitian, but differs from its adjoint by {float(gap)}")
    p = xp.broadcast_to(hermitian(p, xp), shape)
    lower = xp.linalg.cholesky(p) if traced(p) else cholesky(p, xp)
    if lower is None:
        raise ValueError(f"{name} must be positive definite; add a multiple of the identity")
    return lower


def _divided(x: Array, c: Array | None, k: Array | None, xp: Namespace, *, dual: bool) -> Array:
    r"""Return :math:`C^{-1} X K^{-*}`, or :math:`C^{-*} X K^{-1}` where `dual`."""
    if c is not None:
        x = _solved(c, x, xp, dual=dual)
    return x if k is None else adjoint(_solved(k, adjoint(x, xp), xp, dual=dual), xp)


def _solved(lower: Array, x: Array, xp: Namespace, *, dual: bool) -> Array:
    dtype = xp.result_type(lower, x)
    lower, x = xp.astype(lower, dtype), xp.astype(x, dtype)
    if dual:
        return solve_triangular(adjoint(lower, xp), x, xp, lower=False)
    return solve_triangular(lower, x, xp, lower=True)
