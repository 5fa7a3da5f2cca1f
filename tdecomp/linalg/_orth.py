"""Orthonormal bases of tall matrices: CholeskyQR2, shifted where needed, Householder at last."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tdecomp._random import normal
from tdecomp._shim import solve_triangular
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, device, eps

_ROUNDS = 5
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
    first = _first_round(y, xp)
    second = None if first is None else _cholesky_qr(first.Q, xp, gap=0.5)
    if first is None or second is None:
        return QR(*xp.linalg.qr(y))
    return QR(second.Q, second.R @ first.R)


def _first_round(y: Array, xp: Namespace) -> QR | None:
    """Bring the condition number of `y` near one; None where only Householder QR can."""
    lengths = xp.linalg.vector_norm(y, axis=0)
    if not bool(xp.all(lengths > 0)):
        return None
    lengths = xp.astype(lengths, y.dtype)
    round_ = _cholesky_qr(y / lengths, xp) or _shifted(y / lengths, xp)
    return None if round_ is None else QR(round_.Q, round_.R * lengths)


def _cholesky_qr(
    y: Array, xp: Namespace, *, shift: float = 0.0, gap: float = math.inf
) -> QR | None:
    """Make one round; None where Cholesky fails or the Gram matrix is `gap` or more from I."""
    gram = adjoint(y, xp) @ y
    identity = xp.eye(gram.shape[0], dtype=gram.dtype, device=device(gram))
    if gap < math.inf and not float(xp.max(xp.abs(gram - identity))) < gap:
        return None
    try:
        lower = xp.linalg.cholesky(gram + shift * identity if shift else gram)
    except Exception as error:  # each library has a class of its own
        if "positive" not in str(error):
            raise
        return None
    if not bool(xp.all(xp.isfinite(lower))):
        return None
    q = adjoint(solve_triangular(lower, adjoint(y, xp), xp, lower=True), xp)
    return QR(q, adjoint(lower, xp))


def _shifted(y: Array, xp: Namespace) -> QR | None:
    """Make the shifted round, then an unshifted one, of the three that `y` needs."""
    m, n = y.shape
    unit = eps(y.dtype, xp) / 2
    shift = 11 * (m * n + n * (n + 1)) * unit * float(xp.linalg.vector_norm(y)) ** 2
    first = _cholesky_qr(y, xp, shift=shift)
    second = None if first is None else _cholesky_qr(first.Q, xp)
    if first is None or second is None:
        return None
    return QR(second.Q, second.R @ first.R)


def extend(basis: Array, y: Array, xp: Namespace) -> tuple[Array, Array, Array]:
    """Return ``q, h, r`` with ``y = basis @ h + q @ r`` and ``q`` orthonormal, normal to `basis`.

    Two rounds of block Gram-Schmidt: one removes what `basis` explains, the second what
    cancellation left behind; the two rounds of CholeskyQR2 go one with each. Where `basis`
    explains a column to rounding, a random direction takes its place: a Krylov space that has
    become invariant goes on with it to further copies of a multiple singular value.
    """
    dual = adjoint(basis, xp)
    h = dual @ y
    rest = y - basis @ h
    floor = _EXPLAINED * eps(y.dtype, xp) * xp.linalg.vector_norm(y, axis=0)
    gone = xp.linalg.vector_norm(rest, axis=0) <= floor
    # A seed that no shorter basis has used: its numbers would lie in the basis by now.
    seed = _ROUNDS * int(basis.shape[1])
    rest = xp.where(gone, _random(rest, seed, xp), rest)
    q, r = _first_round(rest, xp) or QR(*xp.linalg.qr(rest))
    r = xp.where(gone, xp.zeros_like(r), r)
    for attempt in range(seed + 1, seed + _ROUNDS):
        again = dual @ q
        h, rest = h + again @ r, q - basis @ again
        last = _cholesky_qr(rest, xp, gap=0.5)
        if last is not None:
            return last.Q, h, last.R @ r
        gone = xp.linalg.vector_norm(rest, axis=0) < 0.5
        q, turn = orthonormalize(xp.where(gone, _random(rest, attempt, xp), rest), xp)
        r = turn @ xp.where(gone[:, None], xp.zeros_like(r), r)
    return q, h, r


def _random(array: Array, seed: int, xp: Namespace) -> Array:
    """Draw a random array like `array`."""
    return normal(np.random.default_rng(seed), tuple(array.shape), array, xp)
