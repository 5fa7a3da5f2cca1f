r"""Singular values moved towards zero, at the cost of those that do not vanish.

The proximal map of the nuclear norm, :math:`U (S - \tau)_+ V^*`, needs no triplet of a value
below :math:`\tau`. Where few lie above, subspace iteration finds them from where the last call
left them: between two calls of an iteration that converges, the matrix hardly changes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tdecomp._random import normal
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, device
from tdecomp.linalg._orth import orthonormalize
from tdecomp.linalg._robust import robust_svd
from tdecomp.linalg._thin import thin_product

# Below this size a whole SVD is as fast.
_LARGE = 128
# A whole SVD is as fast when more than this part of the triplets is needed.
_PART = 4
# Directions beyond those that are needed: old ones, which learn what comes next, and new ones.
_SPARE, _NEW = 16, 2
_ROUNDS = 12


class Shrunk(NamedTuple):
    """Triplets of which the values are shrunk, at least one, and where the next call begins."""

    U: Array
    S: Array
    Vh: Array
    basis: Array | None

    def dense(self) -> Array:
        """Return the matrix."""
        return (self.U * self.S) @ self.Vh


def shrink(
    a: Array, threshold: float, basis: Array | None, *, atol: float, xp: Namespace
) -> Shrunk:
    """Subtract `threshold` from all singular values, and drop those that turn negative.

    The Frobenius error is about `atol` for large matrices, rounding for small ones. A `basis` of
    a call before saves rounds, and changes nothing else.
    """
    limit = min(a.shape)
    if limit >= _LARGE:
        if basis is None:
            basis = _random(_SPARE + _NEW, a, 0, xp)
        found = _partial(a, threshold, basis, atol, xp)
        if found is not None:
            return found
    u, s, vh = robust_svd(a, xp)
    kept = _count(s, threshold, xp)
    basis = adjoint(vh[: min(kept + _SPARE, limit), :], xp)
    return _shrunk((u, s, vh), threshold, kept, basis, xp)


def _partial(
    a: Array, threshold: float, basis: Array, atol: float, xp: Namespace
) -> Shrunk | None:
    """Iterate until the triplets above the threshold are found; None where there are too many."""
    most, dual = min(a.shape) // _PART, adjoint(a, xp)
    rounds = 0
    while basis.shape[1] + _NEW <= most:
        width = int(basis.shape[1]) + _NEW
        basis = xp.concat([basis, _random(_NEW, a, width + rounds, xp)], axis=1)
        image = thin_product(a, basis, xp)
        while True:
            q = orthonormalize(image, xp).Q
            p, r = orthonormalize(thin_product(dual, q, xp), xp)
            w, s, zh = robust_svd(adjoint(r, xp), xp)
            u, v = thin_product(q, w, xp), thin_product(p, adjoint(zh, xp), xp)
            kept = _count(s, threshold, xp)
            if kept + _SPARE // 2 > width:
                break
            image = thin_product(a, v, xp)
            share = xp.astype((s[:kept] - threshold) / s[:kept], a.dtype)
            gap = (image[:, :kept] - u[:, :kept] * s[:kept]) * share
            rounds += 1
            if rounds >= _ROUNDS or float(xp.linalg.vector_norm(gap)) <= atol:
                triplets = (u, s, adjoint(v, xp))
                learnt = v[:, : min(kept + _SPARE, width)]
                return _shrunk(triplets, threshold, kept, learnt, xp)
        extra = min(width, most - width)
        basis = xp.concat([v, _random(max(extra, 1), a, width, xp)], axis=1)
    return None


def _count(s: Array, threshold: float, xp: Namespace) -> int:
    return int(xp.count_nonzero(s > threshold))


def _random(width: int, a: Array, seed: int, xp: Namespace) -> Array:
    return normal(np.random.default_rng(seed), (int(a.shape[1]), width), a, xp)


def _shrunk(
    triplets: tuple[Array, Array, Array], threshold: float, kept: int, basis: Array, xp: Namespace
) -> Shrunk:
    """Keep what is left, or one triplet whose value is zero."""
    u, s, vh = triplets
    kept = max(kept, 1)
    values = xp.clip(s[:kept] - threshold, 0)
    return Shrunk(u[:, :kept], values, vh[:kept, :], basis)


def nothing(a: Array, xp: Namespace) -> Shrunk:
    """Return a matrix of zeros of the same shape."""
    m, n = a.shape
    u, vh = (xp.eye(*shape, dtype=a.dtype, device=device(a)) for shape in ((m, 1), (1, n)))
    return Shrunk(u, 0 * xp.abs(u[0, :]), vh, None)
