"""The rotation, and the scale, that bring one set of points nearest to another."""

from __future__ import annotations

from typing import Any, NamedTuple

from tdecomp._precision import full_precision
from tdecomp._shim import constant
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, differentiated, equilibrate, namespace, prepare, quotient
from tdecomp.linalg._polar._alignment import inner
from tdecomp.linalg._polar._svd import follow, svd_polar
from tdecomp.linalg._robust import robust_svd


class Procrustes(NamedTuple):
    r"""What brings one set of points to another.

    Attributes
    ----------
    rotation : array, shape (..., n, n)
        The orthogonal, or unitary, matrix :math:`R`.
    scale : array, shape (...)
        The factor `s`, one where none was asked for.
    error : array, shape (...)
        :math:`\|s A R - B\|_F / \|B\|_F`: zero where both are zero, infinite where `B` alone is.
    """

    rotation: Array
    scale: Array
    error: Array


@full_precision
def procrustes(a: Any, b: Any, /, *, scaling: bool = False, proper: bool = False) -> Procrustes:
    r"""Return the orthogonal matrix that takes one matrix nearest to another.

    .. math:: \min_{R^* R = I} \| s A R - B \|_F : \qquad
              R = \operatorname{polar}(A^* B) , \qquad
              s = \frac{\|A^* B\|_*}{\|A\|_F^2} .

    Parameters
    ----------
    a, b : array, shape (..., p, n)
        `p` points in `n` dimensions, or a batch of such sets.
    scaling : bool
        Find the best factor, too.
    proper : bool
        Admit rotations only, of determinant one, no reflections; for real points.

    Returns
    -------
    Procrustes
        ``rotation``, ``scale``, ``error``.

    Raises
    ------
    TypeError, ValueError
        If shapes differ, an array is empty or not finite, or `proper` is asked of complex points.

    See Also
    --------
    tdecomp.polar : the isometric factor of one matrix.

    Notes
    -----
    Points are not centred: subtract their means first, if there is to be a translation as well.
    With `proper`, where :math:`A^* B` has a negative determinant, the sign of the smallest
    singular value is turned [2]_. The solution is unique where that matrix has full rank, and with
    `proper` where the smallest singular value is simple. Works under ``jit`` and gradients.

    References
    ----------
    .. [1] P. H. Schönemann, "A generalized solution of the orthogonal Procrustes problem",
       Psychometrika 31, 1966. doi:10.1007/BF02289451
    .. [2] W. Kabsch, "A solution for the best rotation to relate two sets of vectors", Acta
       Crystallogr. A 32, 1976. doi:10.1107/S0567739476001873

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> rng = np.random.default_rng(0)
    >>> points = rng.standard_normal((10, 2))
    >>> turned = 3 * points @ np.array([[0.6, 0.8], [-0.8, 0.6]])
    >>> rotation, scale, error = td.procrustes(points, turned, scaling=True)
    >>> rotation.round(12)
    array([[ 0.6,  0.8],
           [-0.8,  0.6]])
    >>> float(scale.round(12)), bool(error < 1e-14)
    (3.0, True)
    """
    xp = namespace(a, b)
    _, a = prepare(a, ndim=2, batch=True, name="a")
    _, b = prepare(b, ndim=2, batch=True, like=a, name="b")
    if tuple(a.shape) != tuple(b.shape):
        raise ValueError(
            f"a and b must hold as many points of as many dimensions, got shapes {tuple(a.shape)} "
            f"and {tuple(b.shape)}"
        )
    dtype = xp.result_type(a, b)
    if proper and xp.isdtype(dtype, "complex floating"):
        raise ValueError("proper=True is for real points: unitary matrices have no sign")
    (a, first), (b, second) = (equilibrate(xp.astype(x, dtype), xp, axis=(-2, -1)) for x in (a, b))
    cross = adjoint(a, xp) @ b
    rotation = _proper(cross, xp) if proper else svd_polar(cross, with_h=False, xp=xp)[0]
    first, second = first[..., 0, 0], second[..., 0, 0]
    scale = xp.ones_like(first)
    if scaling:
        shrunk = quotient(inner(rotation, cross, xp), xp.linalg.matrix_norm(a) ** 2, xp)
        scale, a = shrunk * (second / first), _times(shrunk, a, xp)
    else:  # both at the larger of their scales
        top = xp.maximum(first, second)
        a, b = _times(first / top, a, xp), _times(second / top, b, xp)
    misfit, size = xp.linalg.matrix_norm(a @ rotation - b), xp.linalg.matrix_norm(b)
    error = xp.where((misfit > 0) & (size == 0), xp.inf, quotient(misfit, size, xp))
    return Procrustes(rotation, scale, error)


def _proper(cross: Array, xp: Namespace) -> Array:
    """Return the best rotation: the last pair of vectors turns where the others reflect."""
    u, s, vh = (constant(x) for x in robust_svd(constant(cross), xp))
    sign = xp.linalg.det(u) * xp.linalg.det(vh)
    ones = xp.ones_like(sign)
    last = xp.where(sign < 0, -ones, ones)[..., None]
    u = xp.concat([u[..., :-1], u[..., -1:] * last[..., None]], axis=-1)
    if not differentiated(cross):
        return u @ vh
    return follow(cross, u, xp.concat([s[..., :-1], s[..., -1:] * last], axis=-1), vh, xp)


def _times(factor: Array, x: Array, xp: Namespace) -> Array:
    """Multiply every matrix by a real factor of its own."""
    return x * xp.astype(factor[..., None, None], x.dtype)
