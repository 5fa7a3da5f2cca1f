"""The isometric factor on the leading part of a matrix, by sketching, with a certificate."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import check_choice, check_count, check_rank
from tdecomp._precision import full_precision
from tdecomp._random import generator, like
from tdecomp._shim import constant
from tdecomp._typing import Array, Namespace, Seed
from tdecomp._xp import (
    adjoint,
    differentiated,
    eps,
    equilibrate,
    prepare,
    quotient,
    squared_norm,
)
from tdecomp.linalg._orth import orthonormalize
from tdecomp.linalg._polar._alignment import inner as inner_product
from tdecomp.linalg._polar._isometry import METHODS, isometry, partial_isometry
from tdecomp.linalg._sketch import SKETCHES, matrix_of
from tdecomp.linalg._thin import inner_product as _adjoint_product
from tdecomp.linalg._thin import thin_product

# A difference of squares keeps its digits above this many eps of what it is a difference of.
_DIGITS = 1e6
# What rounding may hide of a norm, in eps of it.
_ROUNDING = 4.0


class RandomizedPolar(NamedTuple):
    r"""The isometric factor of a projected matrix, and what it keeps of the whole.

    Attributes
    ----------
    U : array, shape (m, n)
        A partial isometry of rank at most ``rank + oversample``.
    inner : array, shape ()
        :math:`\operatorname{Re} \langle G, U \rangle`.
    alignment : array, shape ()
        A lower bound of :math:`\operatorname{Re} \langle G, U \rangle / \|G\|_*`.
    """

    U: Array
    inner: Array
    alignment: Array


@full_precision
def randomized_polar(
    g: Any,
    /,
    *,
    rank: int,
    oversample: int = 10,
    power: int = 1,
    sketch: str = "gaussian",
    inner: str = "exact",
    rng: Seed = None,
) -> RandomizedPolar:
    r"""Approximate the isometric factor of a matrix of decaying spectrum, in a few thin products.

    A basis :math:`Q` of the leading part of the range comes from a sketch and `power` products
    with :math:`G G^*`, orthonormal after each half; then

    .. math:: U = Q \operatorname{polar}(Q^* G) = \operatorname{polar}(Q Q^* G) , \qquad
       \langle G, U \rangle = \|Q^* G\|_* .

    :math:`\|U\|_2 = 1`, so a step along it is a step of Muon that leaves the tail of the spectrum
    alone, and by

    .. math:: \|G\|_* \le \|Q^* G\|_* + \sqrt{\min(m - l, n)}\; \|G - Q Q^* G\|_F

    the least alignment, :math:`\langle G, U \rangle / \|G\|_*`, is known without a decomposition
    of :math:`G`.

    Parameters
    ----------
    g : array, shape (m, n)
        The matrix.
    rank : int
        How many directions to find, at most ``min(m, n)``.
    oversample : int, optional
        How many more to look for: :math:`l = \min(\mathtt{rank} + \mathtt{oversample}, m, n)`,
        all of which `U` has.
    power : int, optional
        How many products with :math:`G G^*`: one for spectra that decay, none for fast ones.
    sketch : {"gaussian", "kaczmarz", "sparse-sign", "srht", "countsketch"}, optional
        ``"kaczmarz"`` takes columns of `g`, drawn with probabilities proportional to their squared
        lengths and each at most once (twice would add nothing to the range); the others are
        products with a random matrix.
    inner : {"exact", "polar-express", "muon", "quintic", "cubic", "cans"}, optional
        The isometric factor of the projected matrix: exactly, or by a method of `orthogonalize`,
        in products alone; singular values of `U` are then near 1, some of them above.
    rng : int, numpy.random.Generator or None
        The same seed gives the same sketch on every library.

    Returns
    -------
    RandomizedPolar
        ``U``; ``inner``, the inner product with `g`; ``alignment``, its certified lower bound.

    Raises
    ------
    TypeError, ValueError
        If `g` is empty, not finite or no matrix, or an option is out of range.

    See Also
    --------
    tdecomp.polar : the whole isometric factor.
    tdecomp.linalg.alignment : exactly, from all singular values.

    Notes
    -----
    Singular values of :math:`Q^* G` below 16 eps of the largest are rounding and count as zero:
    a matrix of low rank has a partial isometry of that rank, and the zero matrix is its own, with
    an alignment of 1.

    The bound needs the residual alone, from :math:`\|G\|_F^2 - \|Q^* G\|_F^2` where that keeps its
    digits and formed where not. It is true and, for a slow decay, pessimistic: 0.97 of a true
    0.99 for :math:`\sigma_i = i^{-2}`, 0.48 of 0.59 for :math:`1/i` (64 of 2048). With a
    polynomial for `inner`, in place of the nuclear norm of :math:`B = Q^* G` stands

    .. math:: \|B\|_* \le \langle B, Z \rangle + \sqrt{l}\; \|B - Z Z^* B\|_F .

    Flops :math:`4 m n l (1 + \mathtt{power}) + O((m + n) l^2)`. Gradients flow through `U` and
    ``inner``, where :math:`Q^* G` has full rank, and not through the bound.

    References
    ----------
    .. [1] S. Choudhury et al., "Muon with Nesterov momentum: heavy-tailed noise and
       (randomized) inexact polar decomposition", arXiv:2605.06884, 2026.
    .. [2] N. Halko, P.-G. Martinsson, J. A. Tropp, "Finding structure with randomness", SIAM
       Rev. 53, 2011, Algorithm 4.4. doi:10.1137/090771806
    .. [3] T. Strohmer, R. Vershynin, "A randomized Kaczmarz algorithm with exponential
       convergence", J. Fourier Anal. Appl. 15, 2009 (the probabilities).
       doi:10.1007/s00041-008-9030-4

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> from tdecomp.testing import matrix
    >>> g = matrix(300, 200, 0.8 ** np.arange(200.0), rng=0)
    >>> U, inner, alignment = td.randomized_polar(g, rank=20, rng=0)
    >>> round(float(inner), 3), round(float(alignment), 3)
    (4.993, 0.993)
    >>> bool(td.linalg.alignment(g, U) >= alignment)
    True
    """
    check_choice(sketch, ("gaussian", "kaczmarz", *SKETCHES[1:]), name="sketch")
    check_choice(inner, METHODS, name="inner")
    check_count(oversample, name="oversample")
    check_count(power, name="power")
    draws = generator(rng)
    xp, g = prepare(g, ndim=2, name="g")
    rank = check_rank(rank, min(g.shape), way="how many directions to find")
    g, scale = equilibrate(g, xp, axis=(-2, -1))
    width = min(rank + oversample, *g.shape)
    y = _sketched(g, sketch, draws, width, xp)
    found = _randomized_polar(g, y, power=power, inner=inner, xp=xp)
    return found._replace(inner=found.inner * scale[0, 0])


def _sketched(g: Array, kind: str, rng: np.random.Generator, width: int, xp: Namespace) -> Array:
    """Return columns that span a part of the range."""
    if kind != "kaczmarz":
        return thin_product(g, matrix_of(kind, rng, (g.shape[1], width), g, xp), xp)
    squares = xp.sum(xp.abs(constant(g)) ** 2, axis=0)
    # The largest sums of logarithms and Gumbel noise: draws without replacement, all at once.
    weights = xp.log(xp.where(squares > 0, squares, xp.ones_like(squares)))
    keys = weights + like(rng.gumbel(size=g.shape[1]), squares, xp)
    keys = xp.where(squares > 0, keys, -xp.ones_like(keys) * math.inf)
    return xp.take(g, xp.argsort(keys, descending=True)[:width], axis=1)


def _randomized_polar(
    g: Array, y: Array, *, power: int, inner: str, xp: Namespace
) -> RandomizedPolar:
    """Project onto the range of `y`, refined by `power` products, and take the polar factor."""
    q = _basis(y, xp)
    for _ in range(power):
        q = _basis(thin_product(g, _basis(_adjoint_product(g, q, xp), xp), xp), xp)
    dual = _adjoint_product(g, q, xp)
    z, nuclear = _dual_isometry(dual, inner, xp)
    kept = inner_product(dual, z, xp)
    outside = math.sqrt(min(g.shape[0] - q.shape[1], g.shape[1])) * _residual(g, q, dual, xp)
    whole = nuclear * (1 + _ROUNDING * eps(g.dtype, xp)) + outside
    bound = quotient(constant(kept), whole, xp, of_nothing=1.0)
    return RandomizedPolar(q @ adjoint(z, xp), kept, bound)


def _basis(y: Array, xp: Namespace) -> Array:
    """Return an orthonormal basis of the columns, without looking at values where none are."""
    return xp.linalg.qr(y)[0] if differentiated(y) else orthonormalize(y, xp).Q


def _dual_isometry(dual: Array, method: str, xp: Namespace) -> tuple[Array, Array]:
    """Return the isometric factor of a tall matrix, and its nuclear norm or a bound of that."""
    if method != "exact":
        z = isometry(dual, method, xp)
        b, w = constant(dual), constant(z)
        rest = xp.linalg.matrix_norm(b - b @ (adjoint(w, xp) @ w))
        return z, inner_product(b, w, xp) + math.sqrt(b.shape[1]) * rest
    if differentiated(dual):
        z, values = partial_isometry(dual, xp)
    else:
        q, r = orthonormalize(dual, xp)
        small, values = partial_isometry(r, xp)
        z = thin_product(q, small, xp)
    return z, xp.sum(values)


def _residual(g: Array, q: Array, dual: Array, xp: Namespace) -> Array | float:
    """Return at least the norm of what of `g` lies outside of the range of `q`."""
    g, q, dual = constant(g), constant(q), constant(dual)
    rounding = eps(g.dtype, xp)
    if not differentiated(g):
        total = squared_norm(g, xp)
        rest = total - squared_norm(dual, xp)
        if rest > _DIGITS * rounding * total:
            return math.sqrt(rest + _ROUNDING**2 * rounding * total)
    formed = xp.linalg.matrix_norm(g - q @ adjoint(dual, xp))
    return formed + _ROUNDING * rounding * xp.linalg.matrix_norm(g)
