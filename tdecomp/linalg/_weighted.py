"""The best low-rank approximation in a weighted norm."""

from __future__ import annotations

from typing import Any

from tdecomp._errors import check_reachable, check_target
from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, eps, equilibrate, namespace, prepare, traced
from tdecomp.linalg._formats import LowRank
from tdecomp.linalg._signs import canonical_signs
from tdecomp.linalg._smooth import leading_svd
from tdecomp.linalg._truncation import reachable_rtol, tail_norms, truncation_rank


@full_precision
def weighted_svd(
    a: Any,
    /,
    *,
    left: Any = None,
    right: Any = None,
    rank: int | None = None,
    rtol: float | None = None,
) -> LowRank:
    r"""Return the matrix of given rank that is closest in the norm :math:`\|L(A-B)R\|_F`.

    With :math:`M = L A R` and :math:`[M]_r` its best rank-:math:`r` approximation,

    .. math:: \min_{\operatorname{rank} B \le r} \|L (A - B) R\|_F
              = \|M - [M]_r\|_F = \Bigl(\sum_{i > r} \sigma_i(M)^2\Bigr)^{1/2} ,

    for weights of any rank. With :math:`M = U S V^*`, a minimiser made of rows and columns of
    :math:`A` itself, which inverts no weight, is

    .. math:: B = (A R V_r)\, S_r^{-1}\, (U_r^* L A) ;

    :math:`L B R = [M]_r` is seen by multiplying. Without a left weight it is the projection
    :math:`U_r U_r^* A`, without a right one :math:`A V_r V_r^*`. It is the only minimiser where
    the weights are nonsingular and :math:`\sigma_r > \sigma_{r+1}`.

    Parameters
    ----------
    a : array, shape (..., m, n)
        The matrix.
    left : array, shape (m,) or (..., p, m), optional
        The row weight :math:`L`: a vector is a diagonal, a matrix is the factor itself (to
        weight by a metric :math:`G`, pass a factor with :math:`L^* L = G`).
    right : array, shape (n,) or (..., n, q), optional
        The column weight :math:`R`, with :math:`R R^*` the metric.
    rank : int, optional
        At most ``min(m, n)``.
    rtol : float, optional
        Guarantee :math:`\|L(A-B)R\|_F \le \mathtt{rtol}\,\|LAR\|_F` at the smallest rank that
        does. With `rank` too, the smaller rank wins.

    Returns
    -------
    LowRank
        ``left`` (..., m, r) and ``right`` (..., r, n). With one weight or none, one factor is
        orthonormal. Weights whose own rank is below `rank` need no more than that: `r` is then
        their rank's bound, and the weighted error zero.

    Raises
    ------
    ValueError
        If neither `rank` nor `rtol` is given or one is out of range, if shapes do not fit, or an
        input is empty or not finite.
    ToleranceError
        If `rtol` is below what rounding allows in this precision.

    Notes
    -----
    One SVD of :math:`LAR`, at no more than the cost of that of :math:`A` plus the products; a
    weight with more rows than columns is first replaced by its triangular factor, which changes
    neither norm nor minimiser. FWSVD, ASVD, SVD-LLM, DRONE and AFM are this problem with different
    weights: see :mod:`tdecomp.compress`.

    References
    ----------
    .. [1] P.-A. Wedin's and others' generalised Eckart-Young theorem: S. Friedland, A. Torokhti,
       "Generalized rank-constrained matrix approximations", SIAM J. Matrix Anal. Appl. 29, 2007.
       doi:10.1137/06065551

    Examples
    --------
    The second row matters a hundred times more than the first:

    >>> import numpy as np
    >>> import tdecomp as td
    >>> a = np.array([[5.0, 0.0], [0.0, 1.0]])
    >>> td.weighted_svd(a, left=[1.0, 100.0], rank=1).to_array()
    array([[0., 0.],
           [0., 1.]])
    """
    xp = namespace(a, left, right)
    like = next((x for x in (a, left, right) if hasattr(x, "dtype")), None)
    _, a = prepare(a, ndim=2, batch=True, like=like)
    m, n = a.shape[-2:]
    rank, rtol = check_target(rank, rtol, min(m, n))
    if rtol is not None and traced(a):
        raise ValueError("under tracing (jit, vmap) the rank must be fixed: pass rank= alone")
    if left is not None:
        left = _weight(left, a, xp, name="left", axis=-1)
    if right is not None:
        right = _weight(right, a, xp, name="right", axis=-2)
    a, left, right = _promoted(a, left, right, xp)
    a, scale = equilibrate(a, xp, axis=(-2, -1))
    if rtol is not None:
        floor = reachable_rtol(m, n, eps(a.dtype, xp))
        check_reachable(rtol, floor, dtype=a.dtype)
        s = xp.linalg.svdvals(_times(_apply(left, a), right))
        rank = truncation_rank(s, rank=rank, atol=(rtol - floor / 4) * tail_norms(s)[..., 0])
    factors = _weighted_svd(a, left, right, rank, xp=xp)
    if right is None and left is not None:
        return factors._replace(left=factors.left * scale)
    return factors._replace(right=factors.right * scale)


def _weight(weight: Any, a: Array, xp: Namespace, *, name: str, axis: int) -> Array:
    """Validate a weight whose `axis` meets `a`, bring it to a safe scale, cut it to square.

    Of a weight that is longer on its other axis only the triangular factor counts.
    """
    size = a.shape[-2 if name == "left" else -1]
    _, weight = prepare(weight, ndim=1, batch=True, like=a, name=name)
    diagonal = weight.ndim == 1
    if weight.shape[-1 if diagonal else axis] != size:
        matrix = f"(..., p, {size})" if name == "left" else f"(..., {size}, q)"
        raise ValueError(
            f"{name} must have shape ({size},) or {matrix} to weight a of shape {tuple(a.shape)}"
        )
    weight, _ = equilibrate(weight, xp, axis=-1 if diagonal else (-2, -1), always=True)
    if diagonal or weight.shape[-3 - axis] <= size:
        return weight
    if name == "left":
        return xp.linalg.qr(weight)[1]
    return adjoint(xp.linalg.qr(adjoint(weight, xp))[1], xp)


def _promoted(
    a: Array, left: Array | None, right: Array | None, xp: Namespace
) -> tuple[Array, Array | None, Array | None]:
    """Bring the matrix and its weights to their common dtype."""
    dtype = xp.result_type(*(x for x in (a, left, right) if x is not None))
    a, left, right = (None if x is None else xp.astype(x, dtype) for x in (a, left, right))
    return a, left, right


def _apply(left: Array | None, a: Array) -> Array:
    """Multiply by a row weight: none, a diagonal, or a matrix."""
    if left is None:
        return a
    return left[:, None] * a if left.ndim == 1 else left @ a


def _times(a: Array, right: Array | None) -> Array:
    """Multiply by a column weight: none, a diagonal, or a matrix."""
    if right is None:
        return a
    return a * right if right.ndim == 1 else a @ right


def _weighted_svd(
    a: Array, left: Array | None, right: Array | None, rank: int | None, *, xp: Namespace
) -> LowRank:
    """Solve the weighted problem for finite, moderate inputs of one dtype."""
    rows, columns = _apply(left, a), _times(a, right)
    u, s, vh = leading_svd(_times(rows, right), rank, xp)
    u, vh = canonical_signs(u, vh, xp)
    if left is None:
        return LowRank(u, adjoint(u, xp) @ a)
    v = adjoint(vh, xp)
    if right is None:
        return LowRank(a @ v, vh)
    s = s[..., None, :]
    cut = s[..., :1] * eps(s.dtype, xp) * max(a.shape[-2:])
    inverse = xp.where(s > cut, 1 / xp.where(s > cut, s, xp.ones_like(s)), xp.zeros_like(s))
    return LowRank((columns @ v) * inverse, adjoint(u, xp) @ rows)
