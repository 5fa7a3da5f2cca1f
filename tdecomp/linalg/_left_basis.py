"""The leading left singular basis of an unfolding, and the tensor projected onto it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tdecomp._typing import Array, Namespace, Seed
from tdecomp._xp import adjoint, differentiated, eps, floats, squared_norm
from tdecomp.linalg._eigen import spectrum
from tdecomp.linalg._fibres import project_fibres
from tdecomp.linalg._left_sketch import SIX_DIGITS, sketched
from tdecomp.linalg._left_triangle import left_singular
from tdecomp.linalg._signs import canonical_signs
from tdecomp.linalg._smooth import leading_svd
from tdecomp.linalg._truncation import tail_norms, truncation_rank
from tdecomp.linalg._unfolded import columns, double, gram, slabs
from tdecomp.ops._mode_products import _mode_product

ROUTES = ("auto", "gram", "qr", "randomized")
# Rounding of a Gram matrix, in eps * norm(X)^2. Measured below 0.6 on data of every kind, except
# on constants, whose larger error lies along the leading eigenvector and turns nothing; between
# eigenvectors below 0.6 / n in the mean square on all of them.
_NOISE = 1.0
# How many times more is set aside where a tolerance is promised.
_CAUTION = 4.0
# A squared tolerance above this many eps * norm(X)^2 leaves the Gram route one digit at least.
_CERTIFIED = 50.0
# An excess below this many eps * norm(X) is rounding.
_ROUNDING = 4.0
# Below this many entries the accurate route is as fast as any.
_SMALL = 1 << 15


class LeftBasis(NamedTuple):
    """An orthonormal basis ``U`` of a mode, and the tensor in it.

    Attributes
    ----------
    U : array, shape (n, r)
        Leading left singular vectors of the unfolding, with canonical signs.
    core : array
        The tensor with ``U^*`` applied along the mode, which is `r` long now.
    error : float
        Frobenius norm of what the basis misses.
    """

    U: Array
    core: Array
    error: float


def left_basis(
    x: Array,
    mode: int,
    *,
    rank: int | None = None,
    atol: float | None = None,
    route: str = "auto",
    rng: Seed = 0,
    norm2: float | None = None,
    xp: Namespace,
) -> LeftBasis:
    r"""Return the leading left singular basis of the unfolding :math:`X_{(n)}`, not formed.

    The tensor is read as ``(before, n, after)`` where it lies. Routes:

    - ``'gram'``: eigenvectors of :math:`G = X_{(n)} X_{(n)}^*`. The computed matrix is
      :math:`G + E` with :math:`\|E\|_F \le \eta = c\, \epsilon \|X\|_F^2`, so the squared tail is
      right to :math:`\eta`: a tolerance with ``atol**2 > 50 eps norm(X)**2`` is honoured with a
      multiple of :math:`\eta` set aside. At fixed rank `E` turns a wanted eigenvector `i` towards
      an unwanted one `j` by :math:`E_{ij} / (\lambda_i - \lambda_j)`, and the squared error
      exceeds the least by

      .. math:: \sum_{i \le r < j} \min\Bigl(2 |E_{ij}|,
                \frac{|E_{ij}|^2}{\lambda_i - \lambda_j}\Bigr) .

      Rounding prefers no pair of eigenvectors: measured on smooth, positive, constant, graded,
      random and real data, :math:`|E_{ij}|` is below :math:`\eta / n` in the mean square. Where
      the sum is not below rounding or the sixth digit of the error, ``'auto'`` goes on to the
      next precision or route.
    - ``'qr'``: the triangular factor of :math:`X_{(n)}^T`, block by block (TSQR), and its SVD:
      backward stable, error of rounding only.
    - ``'randomized'``: a sketched basis with a measured residual, see `_left_sketch`.

    Parameters
    ----------
    x : array
        A finite floating tensor of moderate scale.
    mode : int
        The mode, not negative.
    rank : int, optional
        The largest rank; clamped to what the unfolding allows.
    atol : float, optional
        Choose the smallest rank with at most this error. One of the two must be given.
    route : {'auto', 'gram', 'qr', 'randomized'}
        How; ``'auto'`` takes the fastest that can prove its digits. A tolerance that a route
        cannot certify is met by ``'qr'``.
    rng : int, numpy.random.Generator or None
        For sketches.
    norm2 : float, optional
        The sum of squares of `x`, where it is known.
    xp : namespace
        The library of `x`.

    Returns
    -------
    LeftBasis
        Basis, projected tensor, error.

    Notes
    -----
    With :math:`P` entries: Gram :math:`n P` flops (half of a product, for real NumPy arrays) and
    :math:`O(n^3)`; QR :math:`2 n P`; randomized about :math:`6 (r + 8) P`, half of it in single
    precision; then :math:`2 r P` for the projection. Memory: one block of a few million entries
    and the projection.

    References
    ----------
    .. [1] N. Vannieuwenhoven, R. Vandebril, K. Meerbergen, "A new truncation strategy for the
       higher-order singular value decomposition", SIAM J. Sci. Comput. 34, 2012.
       doi:10.1137/110836067
    .. [2] J. Demmel, L. Grigori, M. Hoemmen, J. Langou, "Communication-optimal parallel and
       sequential QR and LU factorizations", SIAM J. Sci. Comput. 34, 2012.
       doi:10.1137/080731992
    .. [3] Z. Li, Q. Fang, G. Ballard, "Parallel Tucker decomposition with numerically accurate
       SVD", ICPP 2021. doi:10.1145/3472456.3472472
    """
    t = slabs(x, mode, xp)
    n = t.shape[1]
    others = t.shape[0] * t.shape[2]
    limit = min(n, others)
    rank = limit if rank is None else min(rank, limit)
    large = math.prod(x.shape) >= _SMALL
    if norm2 is None and atol is not None:
        norm2 = squared_norm(x, xp)
    if route == "randomized" or (route == "auto" and large and not differentiated(x)):
        always = route == "randomized"
        found = sketched(x, mode, rank=rank, atol=atol, rng=rng, norm2=norm2, always=always, xp=xp)
        if found is not None:
            return LeftBasis(*found)
    basis = None
    if n <= others and (route == "gram" or (route == "auto" and large)):
        basis = _by_gram(t, rank, atol, norm2, xp, always=route == "gram")
    u, error = basis or _by_qr(t, rank, atol, xp)
    u, _ = canonical_signs(u, adjoint(u, xp), xp)
    return LeftBasis(u, project_fibres(x, u, mode, xp), error)


def _by_gram(
    t: Array, rank: int, atol: float | None, norm2: float | None, xp: Namespace, *, always: bool
) -> tuple[Array, float] | None:
    """Take eigenvectors of the Gram matrix, in double precision where single loses digits."""
    wide = double(t, xp)
    for dtype in dict.fromkeys((t.dtype, wide)):
        last = always and dtype == wide
        if atol is not None and norm2 and atol**2 <= _CERTIFIED * eps(dtype, xp) * norm2:
            continue
        w, leading = spectrum(gram(t, xp, dtype), xp)
        norm2 = float(xp.sum(w))
        noise = _NOISE * eps(dtype, xp) * norm2
        r = rank
        if atol is not None:
            bound = math.sqrt(max(0.0, atol**2 - _CAUTION * noise))
            r = truncation_rank(xp.sqrt(w), rank=rank, atol=bound)
        missed = float(tail_norms(xp.sqrt(w))[r])
        free = atol is not None and missed**2 + _CAUTION * noise <= atol**2
        if free or last or _proved(w, r, noise, eps(t.dtype, xp)):
            return xp.astype(leading(r), t.dtype), missed
    return None


def _proved(w: Array, r: int, noise: float, unit: float) -> bool:
    """Tell whether eigenvalues `w` right to `noise` show the basis of fixed rank `r` optimal."""
    values = np.asarray(floats(w))
    kept, rest = values[:r, None], values[None, r:]
    entry = noise / values.size
    gaps = np.maximum(kept - rest, entry / 2)
    excess = float(np.sum(np.minimum(2 * entry, entry**2 / gaps)))
    rounding = (_ROUNDING * unit) ** 2 * float(np.sum(values))
    return excess <= max(2 * SIX_DIGITS * float(np.sum(rest)), rounding)


def _by_qr(t: Array, rank: int, atol: float | None, xp: Namespace) -> tuple[Array, float]:
    """Take singular vectors of the triangular factor."""
    u, s = left_singular(t, xp)
    r = rank if atol is None else truncation_rank(s, rank=rank, atol=atol)
    return u[:, :r], float(tail_norms(s)[r])


def _left_basis(x: Array, mode: int, rank: int, *, xp: Namespace) -> tuple[Array, Array]:
    """Return basis and projection at fixed rank: by the SVD, for transformations."""
    u, _, _ = leading_svd(columns(slabs(x, mode, xp), xp), rank, xp)
    u, _ = canonical_signs(u, adjoint(u, xp), xp)
    return u, _mode_product(x, adjoint(u, xp), mode, xp=xp)
