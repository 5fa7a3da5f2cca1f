"""The algebra of functions whose cores are tensor trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tdecomp._errors import ToleranceError, check_rtol
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, device, differentiated, eps
from tdecomp.chebyshev._algebra._isometric import padded
from tdecomp.chebyshev._compress import orthonormal, recompress
from tdecomp.chebyshev._core import mode_product, norm
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._legendre import to_legendre
from tdecomp.tt import TensorTrain, tt_svd
from tdecomp.tt._algebra import _add, _inner
from tdecomp.tt._ranks import largest_ranks, number

# A function and factors of coefficients, as `together` returns them.
Pair = tuple[Any, list[Array]]

# Rounding of a sum, in eps times the norms of its terms, for each variable.
_ROUNDING = 16.0


def as_train(core: Any) -> TensorTrain:
    """Return any core as a train, without truncation."""
    if isinstance(core, TensorTrain):
        return core
    return tt_svd(core, rank=largest_ranks(core.shape)) if core.ndim > 1 else _single(core)


def train_norm(core: TensorTrain, factors: Sequence[Array], xp: Namespace) -> Array:
    """Return the norm of a function on the unit box."""
    return norm(orthonormal(core, factors, xp)[0])


def train_inner(one: Pair, other: Pair, xp: Namespace) -> Array:
    """Return the inner product of two functions on the unit box."""
    (left, first), (right, second) = ((as_train(core), v) for core, v in (one, other))
    left, bases = orthonormal(left, first, xp)
    right, others = orthonormal(right, second, xp)
    for k, pair in enumerate(zip(bases, others, strict=True)):
        count = max(int(v.shape[0]) for v in pair)
        p, q = (to_legendre(padded(v, count, xp), xp) for v in pair)
        right = mode_product(right, adjoint(p, xp) @ q, k, xp)
    return _inner(left.cores, right.cores, xp=xp)


def train_sum(
    terms: Sequence[Pair], domain: Array, rtol: float | None, xp: Namespace
) -> ChebyshevTucker:
    """Return the sum of functions of equal numbers of coefficients, truncated."""
    trains = [as_train(core) for core, _ in terms]
    factors = [v for _, v in terms]
    stacks = tuple(xp.concat(columns, axis=1) for columns in zip(*factors, strict=True))
    total = ChebyshevTucker(TensorTrain(_add(_aside(trains, xp), xp=xp)), stacks, domain)
    if any(differentiated(x) for x in (*total.core.cores, *stacks)):
        return total
    noise = eps(total.dtype, xp) * _ROUNDING * len(stacks)
    noise *= sum(number(train_norm(t, v, xp)) for t, v in zip(trains, factors, strict=True))
    size = number(train_norm(total.core, stacks, xp))
    if rtol is not None:
        return recompress(total, rtol=check_rtol(rtol))
    return _rounded(total, noise / size if size > 0 else 1.0)


def _rounded(f: ChebyshevTucker, rtol: float) -> ChebyshevTucker:
    """Return a function without what is below a tolerance, or the least that rounding allows."""
    while rtol < 1:
        try:
            return recompress(f, rtol=rtol)
        except ToleranceError as error:
            rtol = 2 * error.reachable
    return recompress(f, rank=1)


def _aside(trains: Sequence[TensorTrain], xp: Namespace) -> list[list[Array]]:
    """Return cores of trains of one shape, entries of each beside those of the others."""
    found: list[list[Array]] = [[] for _ in trains]
    for cells in zip(*(train.cores for train in trains), strict=True):
        sizes = [int(cell.shape[1]) for cell in cells]
        for i, cell in enumerate(cells):
            r, n, s = cell.shape
            sides = [
                xp.zeros((r, m, s), dtype=cell.dtype, device=device(cell))
                for m in (sum(sizes[:i]), sum(sizes) - sum(sizes[:i]) - n)
            ]
            found[i].append(xp.concat([sides[0], cell, sides[1]], axis=1))
    return found


def _single(core: Array) -> TensorTrain:
    """Return a vector as a train."""
    return TensorTrain((core[None, :, None],))
