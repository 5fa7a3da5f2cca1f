"""The polar decomposition of any matrix, by any of several methods."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, NoReturn

from tdecomp._errors import ToleranceError, check_choice, check_number, check_rank
from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, differentiated, eps, equilibrate, namespace, prepare
from tdecomp.linalg._polar._auto import choose
from tdecomp.linalg._polar._batched import batched_polar
from tdecomp.linalg._polar._bidiagonal import bidiagonal_polar
from tdecomp.linalg._polar._formats import LeftPolar, Polar
from tdecomp.linalg._polar._gram import gram_polar
from tdecomp.linalg._polar._members import Factors, one_by_one
from tdecomp.linalg._polar._svd import hermitian, svd_polar
from tdecomp.linalg._unfolded import double

_ITERATIONS = ("qdwh", "newton", "zolo")
_METHODS = ("auto", "svd", "bidiagonal", "gram", *_ITERATIONS)


@full_precision
def polar(
    a: Any,
    /,
    *,
    side: str = "right",
    method: str = "auto",
    rank: int | None = None,
    cutoff: float | None = None,
) -> Polar | LeftPolar:
    r"""Decompose a matrix into an isometry and a semidefinite factor: :math:`A = U H`.

    As a complex number is a phase times a modulus, a matrix is

    .. math:: A = U H , \qquad U^* U = I , \qquad H = (A^* A)^{1/2} \ge 0 .

    :math:`U` is the isometry nearest to :math:`A` in every unitarily invariant norm, and
    :math:`\operatorname{tr} H = \operatorname{Re} \operatorname{tr}(U^* A)` its nuclear norm, the
    largest such trace of any contraction. :math:`H` is unique; :math:`U` is if :math:`A` has full
    rank.

    Parameters
    ----------
    a : array, shape (..., m, n)
        The matrix, or a batch of them.
    side : {"right", "left"}, optional
        On which side of `U` the semidefinite factor stands: :math:`A = U H` or :math:`A = H U`,
        then with :math:`H = (A A^*)^{1/2}`. Both exist for every shape; the one with the smaller
        :math:`H`, on the short side, takes less time.
    method : {"auto", "svd", "bidiagonal", "gram", "qdwh", "newton", "zolo"}, optional
        ``"svd"`` takes any matrix, in any mode. ``"bidiagonal"``, in main memory and for one
        matrix after the other, reduces it as an SVD does, but needs no singular vectors: faster,
        and nearer to orthogonal. ``"gram"``, one after the other too, takes eigenvectors of
        :math:`A^* A` and corrects them: the fastest for tall matrices on a CPU, and refused
        where the condition of `a` is above some ten thousand. ``"qdwh"`` and ``"zolo"`` iterate by
        rational functions, in products and QR decompositions alone; ``"newton"`` by inverses, of
        matrices that have them. ``"auto"`` chooses by shape, library and device among the ways
        that take any matrix: on a CPU the Gram matrix for tall ones, bidiagonal matrices for
        others that are large, compiled loops for batches of small real matrices, the SVD
        otherwise.
    rank : int, optional
        Return :math:`U_r V_r^*` of the leading singular vectors alone, which is unique where
        :math:`\sigma_r > \sigma_{r+1}`, and the best :math:`H` of that rank. By the SVD.
    cutoff : float, optional
        The same over all :math:`\sigma_i > \mathtt{cutoff}\, \sigma_1`, for each matrix of a
        batch. With `rank` too, the smaller rank wins.

    Returns
    -------
    Polar or LeftPolar
        ``U`` (..., m, n), with orthonormal columns, or rows if there are fewer of them; ``H``
        (..., n, n) or on the left (..., m, m), hermitian to the last bit. ``LeftPolar`` has its
        factors in the order of their product, ``(H, U)``.

    Raises
    ------
    TypeError, ValueError
        If `a` is empty, not finite or has fewer than two axes, if an option is out of range, or
        `rank` or `cutoff` comes with another method than the SVD.
    ToleranceError
        If ``method="gram"`` would lose digits.

    See Also
    --------
    tdecomp.linalg.nearest_orthogonal : the isometry alone.
    tdecomp.linalg.polar_certificate : how near to a polar decomposition factors are.

    Notes
    -----
    All methods are backward stable: :math:`U` is an isometry, and :math:`U H = A`, to a modest
    multiple of eps, at any condition. A matrix of lower rank, the zero matrix too, has a complete
    isometry as well, not a unique one; `cutoff` gives the unique partial isometry. Iterations do
    without: ``"newton"`` refuses such a matrix, and ``"qdwh"`` and ``"zolo"`` leave singular
    values below eps times the norm behind, somewhere between zero and one.

    Flops for :math:`m \ge n`: about :math:`6 m n^2 + 20 n^3` by the SVD,
    :math:`8 m n^2` by a bidiagonal matrix, from :math:`m = 2 n` on :math:`6 m n^2 + 8 n^3`,
    :math:`8 m n^2 + 9 n^3` by the Gram matrix, the larger part of them in products.

    Gradients and Hessians are exact and need full rank only, no gaps between singular values; with
    `rank`, the gap behind it. Under tracing (``jax.jit``, ``vmap``) all methods but "bidiagonal",
    "gram" and "newton" work, and `cutoff` does not.

    References
    ----------
    .. [1] N. J. Higham, "Functions of Matrices: Theory and Computation", SIAM, 2008, chapter 8.
       doi:10.1137/1.9780898717778
    .. [2] K. Fan, A. J. Hoffman, "Some metric inequalities in the space of matrices", Proc. Amer.
       Math. Soc. 6, 1955. doi:10.1090/S0002-9939-1955-0067841-7
    .. [3] Y. Nakatsukasa, N. J. Higham, "Backward stability of iterations for computing the polar
       decomposition", SIAM J. Matrix Anal. Appl. 33, 2012. doi:10.1137/110857544

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> a = np.array([[3.0, 0.0], [4.0, 0.0], [0.0, 2.0]])
    >>> U, H = td.polar(a)
    >>> U.round(3)
    array([[0.6, 0. ],
           [0.8, 0. ],
           [0. , 1. ]])
    >>> H.round(12)
    array([[5., 0.],
           [0., 2.]])
    """
    check_choice(side, ("right", "left"), name="side")
    xp, a, method, rank, cutoff = _validated(a, method, rank, cutoff)
    m, n = a.shape[-2:]
    given = a
    a, scale = equilibrate(given, xp, axis=(-2, -1))
    left = side == "left"
    turned = m < n or (left and m == n)
    tall = adjoint(a, xp) if turned else a
    short = left == turned
    u, h = _tall(tall, method, rank, cutoff, with_h=short, xp=xp)
    u = adjoint(u, xp) if turned else u
    if h is None:
        h = hermitian(a @ adjoint(u, xp) if left else adjoint(u, xp) @ a, xp)
    if a is not given:
        h = h * xp.astype(scale, h.dtype)
    return LeftPolar(h, u) if left else Polar(u, h)


@full_precision
def nearest_orthogonal(
    a: Any,
    /,
    *,
    method: str = "auto",
    rank: int | None = None,
    cutoff: float | None = None,
) -> Array:
    r"""Return the matrix with orthonormal columns that is nearest to a matrix.

    The isometric factor of `polar`. Of all matrices with orthonormal columns (or rows, if `a` has
    fewer of them) it minimises :math:`\|A - U\|` in every unitarily invariant norm, and maximises
    :math:`\operatorname{Re} \operatorname{tr}(U^* A)`.

    Parameters
    ----------
    a : array, shape (..., m, n)
        The matrix, or a batch of them.
    method : {"auto", "svd", "bidiagonal", "gram", "qdwh", "newton", "zolo"}, optional
        As for `polar`.
    rank : int, optional
        Return :math:`U_r V_r^*` of the leading singular vectors alone.
    cutoff : float, optional
        The same over all :math:`\sigma_i > \mathtt{cutoff}\, \sigma_1`.

    Returns
    -------
    array, shape (..., m, n)
        The nearest isometry.

    Raises
    ------
    TypeError, ValueError, ToleranceError
        As for `polar`.

    See Also
    --------
    tdecomp.polar : both factors.

    Notes
    -----
    As `polar`, less one product.

    References
    ----------
    .. [1] K. Fan, A. J. Hoffman, "Some metric inequalities in the space of matrices", Proc. Amer.
       Math. Soc. 6, 1955. doi:10.1090/S0002-9939-1955-0067841-7

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.linalg import nearest_orthogonal
    >>> nearest_orthogonal(np.array([[3.0, -4.0], [4.0, 3.0]])).round(12)
    array([[ 0.6, -0.8],
           [ 0.8,  0.6]])
    """
    xp, a, method, rank, cutoff = _validated(a, method, rank, cutoff)
    a, _ = equilibrate(a, xp, axis=(-2, -1))
    turned = a.shape[-2] < a.shape[-1]
    tall = adjoint(a, xp) if turned else a
    u, _ = _tall(tall, method, rank, cutoff, with_h=False, xp=xp)
    return adjoint(u, xp) if turned else u


def _validated(
    a: Any, method: str, rank: int | None, cutoff: float | None
) -> tuple[Namespace, Array, str, int | None, float | None]:
    """Return the namespace and all arguments, checked."""
    check_choice(method, _METHODS, name="method")
    xp, a = prepare(a, ndim=2, batch=True)
    if rank is not None:
        rank = check_rank(rank, min(a.shape[-2:]), way="to choose it by size pass cutoff=")
    if cutoff is not None:
        cutoff = check_number(cutoff, name="cutoff")
        if not 0.0 <= cutoff < 1.0:
            raise ValueError(
                f"cutoff must be a fraction of the largest singular value, at least "
                f"0 and below 1, got {cutoff}"
            )
    if (rank, cutoff) != (None, None):
        if method not in ("auto", "svd"):
            raise ValueError(
                f"rank= and cutoff= choose singular values, which method={method!r} does not "
                "compute: use method='svd'"
            )
        method = "svd"
    return xp, a, method, rank, cutoff


def _tall(
    a: Array,
    method: str,
    rank: int | None,
    cutoff: float | None,
    *,
    with_h: bool,
    xp: Namespace,
) -> Factors:
    """Return the factors of tall matrices at a safe scale, the second if it is wanted."""
    known = choose(a) if method == "auto" else method
    if known in _ITERATIONS:
        u = _iteration(known)(a, xp=xp)
        return u, hermitian(adjoint(u, xp) @ a, xp) if with_h else None
    if known == "batched":
        return batched_polar(a, with_h=with_h)
    by_svd = partial(svd_polar, rank=rank, cutoff=cutoff, with_h=with_h, xp=xp)
    if known == "svd":
        return by_svd(a)
    if differentiated(a):
        raise ValueError(
            f"method={known!r} looks at values: for gradients and under tracing use method='svd'"
        )

    def bidiagonal(x: Array) -> Factors:
        return bidiagonal_polar(x, with_h=with_h, xp=xp) or by_svd(x)

    def gram(x: Array) -> Factors:
        return gram_polar(x, with_h=with_h, xp=xp) or (
            _refuse(x) if method == "gram" else bidiagonal(x)
        )

    return one_by_one(a, gram if known == "gram" else bidiagonal, with_h=with_h, xp=xp)


def _refuse(a: Array) -> NoReturn:
    """Say why one matrix is not for the Gram matrix."""
    xp = namespace(a)
    s = xp.linalg.svdvals(a)
    condition = float(s[0] / s[-1]) if float(s[-1]) > 0 else math.inf
    squared = eps(double(a, xp), xp) * condition * condition
    lost = min(1.0, squared * squared)
    raise ToleranceError(
        f"method='gram' squares the condition of a, {condition:.1e}, and could promise a relative "
        f"error of {lost:.1e} only in {a.dtype}: use method='svd', or 'auto'",
        reachable=lost,
    )


def _iteration(name: str) -> Callable[..., Array]:
    """Return an iteration, imported when first needed."""
    found: Callable[..., Array] = getattr(import_module(f"tdecomp.linalg._polar._{name}"), name)
    return found
