"""Orthonormal bases of tall matrices: CholeskyQR2, shifted where needed, Householder at last."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tdecomp._program import one_program
from tdecomp._random import normal
from tdecomp._shim import cholesky, solve_triangular
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, device, eps
from tdecomp.linalg._thin import inner_product, thin_product

_ROUNDS = 5
# How far from the identity, in the Frobenius norm, a Gram matrix may be for one round to do.
_NEAR = 0.5
# A projection shorter than this is not worth scaling up.
_SHORT = 1e-2
# A pivot of the scaled Gram matrix below this many square roots of eps is rounding.
_PIVOT = 2.0
# A remainder below this many eps of what it is left of is rounding.
_EXPLAINED = 16.0


class QR(NamedTuple):
    """An orthonormal ``Q`` and a small ``R`` with ``Q @ R`` equal to the matrix."""

    Q: Array
    R: Array


def orthonormalize(y: Array, xp: Namespace) -> QR:
    r"""Factor a tall `y` as ``Q @ R`` with ``Q`` orthonormal to rounding.

    CholeskyQR2 [1]_ reads `y` twice and does all its work in matrix products. It is accurate
    while the condition number of `y`, columns scaled to length one, stays below about
    :math:`\epsilon^{-1/2}/8`. Where Cholesky breaks down, one round with the shift of [2]_
    brings the condition number into that range; a `y` beyond even that, or of deficient rank,
    goes to Householder QR. ``R`` is upper triangular on each route.

    References
    ----------
    .. [1] Y. Yamamoto, Y. Nakatsukasa, Y. Yanagisawa, T. Fukaya, "Roundoff error analysis of the
       CholeskyQR2 algorithm", ETNA 44, 2015.
    .. [2] T. Fukaya et al., "Shifted Cholesky QR for computing the QR factorization of
       ill-conditioned matrices", SIAM J. Sci. Comput. 42, 2020. doi:10.1137/18M1218212
    """
    gram, lengths = _scaled_gram(y, xp)
    if _near_identity(gram, xp):
        return _last_round(y, gram, lengths, xp)
    first = _first_round(y, gram, lengths, xp)
    if first is not None:
        gram, lengths = _scaled_gram(first.Q, xp)
        if _near_identity(gram, xp):
            last = _last_round(first.Q, gram, lengths, xp)
            return QR(last.Q, last.R @ first.R)
    return QR(*xp.linalg.qr(y))


@one_program
def _scaled_gram(y: Array, xp: Namespace) -> tuple[Array, Array]:
    """Return the Gram matrix of the columns of `y`, scaled to length one, and their lengths.

    A length whose square is not a normal number counts as zero, and leaves its column unscaled.
    """
    gram = inner_product(y, y, xp)
    squares = xp.linalg.diagonal(gram)
    squares = xp.real(squares) if xp.isdtype(y.dtype, "complex floating") else squares
    limits = xp.finfo(y.dtype)
    safe = squares > float(limits.smallest_normal) / float(limits.eps)
    lengths = xp.sqrt(xp.where(safe, squares, xp.zeros_like(squares)))
    scale = xp.astype(xp.where(safe, lengths, xp.ones_like(lengths)), y.dtype)
    return gram / scale[:, None] / scale, lengths


def _near_identity(gram: Array, xp: Namespace) -> bool:
    """Tell whether the eigenvalues of a Gram matrix lie between 0.5 and 1.5."""
    return float(_from_identity(gram, xp)) < _NEAR


@one_program
def _from_identity(gram: Array, xp: Namespace) -> Array:
    identity = xp.eye(gram.shape[0], dtype=gram.dtype, device=device(gram))
    return xp.linalg.vector_norm(gram - identity)


def _last_round(y: Array, gram: Array, lengths: Array, xp: Namespace) -> QR:
    """Factor a `y` whose scaled Gram matrix is near the identity, to the last digit.

    So close to it, one round is enough, and the inverse is as accurate as substitution.
    """
    r = adjoint(xp.linalg.cholesky(gram), xp) * xp.astype(lengths, y.dtype)
    return QR(thin_product(y, xp.linalg.inv(r), xp), r)


def _first_round(y: Array, gram: Array, lengths: Array, xp: Namespace) -> QR | None:
    """Bring the condition number of `y` near one; None where only Householder QR can."""
    if not bool(xp.all(lengths > 0)):
        return None
    lengths = xp.astype(lengths, y.dtype)
    lower = cholesky(gram, xp)
    least = _PIVOT * eps(y.dtype, xp) ** 0.5
    if lower is None or not float(xp.min(xp.abs(xp.linalg.diagonal(lower)))) > least:
        return _shifted(y, lengths, xp)
    return _solved(y, lower * lengths[:, None], xp)


def _shifted(y: Array, lengths: Array, xp: Namespace) -> QR | None:
    """Make the shifted round, then an unshifted one, of the three that `y` needs."""
    m, n = y.shape
    shift = 11 * (m * n + n * (n + 1)) * (eps(y.dtype, xp) / 2) * n
    y = y / lengths
    identity = xp.eye(n, dtype=y.dtype, device=device(y))
    lower = cholesky(inner_product(y, y, xp) + shift * identity, xp)
    if lower is None:
        return None
    first = _solved(y, lower, xp)
    lower = cholesky(inner_product(first.Q, first.Q, xp), xp)
    if lower is None:
        return None
    second = _solved(first.Q, lower, xp)
    return QR(second.Q, second.R @ first.R * lengths)


def _solved(y: Array, lower: Array, xp: Namespace) -> QR:
    """Return the factors of which the second is the adjoint of `lower`."""
    dual = solve_triangular(lower, adjoint(y, xp), xp, lower=True)
    return QR(adjoint(dual, xp), adjoint(lower, xp))


@one_program
def _lengths(y: Array, xp: Namespace) -> Array:
    """Return the lengths of the columns, read along them."""
    rows = xp.matrix_transpose(y)
    squares = xp.vecdot(rows, rows)
    return xp.sqrt(xp.real(squares) if xp.isdtype(y.dtype, "complex floating") else squares)


def extend(basis: Array, y: Array, xp: Namespace) -> tuple[Array, Array, Array]:
    """Return ``q, h, r`` with ``y = basis @ h + q @ r`` and ``q`` orthonormal, normal to `basis`.

    Two rounds of block Gram-Schmidt: one removes what `basis` explains, the second what
    cancellation left behind; the two rounds of CholeskyQR2 go one with each. Where `basis`
    explains a column to rounding, a random direction takes its place: a Krylov space that has
    become invariant goes on with it to further copies of a multiple singular value.
    """
    h = inner_product(basis, y, xp)
    rest = thin_product(basis, -h, xp)
    rest += y
    gone = _lengths(rest, xp) <= _EXPLAINED * eps(y.dtype, xp) * _lengths(y, xp)
    # A seed that no shorter basis has used: its numbers would lie in the basis by now.
    seed = _ROUNDS * int(basis.shape[1])
    rest = _replaced(rest, gone, seed, xp)
    q, r = _first_round(rest, *_scaled_gram(rest, xp), xp) or QR(*xp.linalg.qr(rest))
    r = xp.where(gone, xp.zeros_like(r), r)
    for attempt in range(seed + 1, seed + _ROUNDS):
        again = inner_product(basis, q, xp)
        h = h + again @ r
        rest = thin_product(basis, -again, xp)
        rest += q
        gram, lengths = _scaled_gram(rest, xp)
        if _near_identity(gram, xp) and float(xp.min(lengths)) > _NEAR:
            last = _last_round(rest, gram, lengths, xp)
            return last.Q, h, last.R @ r
        # What is short but there becomes long by scaling; the next round takes `basis` out of it.
        gone = lengths < _SHORT
        q, turn = orthonormalize(_replaced(rest, gone, attempt, xp), xp)
        r = turn @ xp.where(gone[:, None], xp.zeros_like(r), r)
    return q, h, r


def _replaced(block: Array, gone: Array, seed: int, xp: Namespace) -> Array:
    """Put random directions in the place of the columns that are `gone`."""
    if not bool(xp.any(gone)):
        return block
    draws = normal(np.random.default_rng(seed), tuple(block.shape), block, xp)
    return xp.where(gone, draws, block)
