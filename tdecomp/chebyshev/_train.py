r"""Truncation of trains along every variable: least ranks of the variables, then of the bonds.

A train with orthonormal cores around that of one variable has the singular values of its
unfolding along that variable: those of the middle unfolding :math:`n_k \times r_k r_{k+1}` of the
one core. Projections along different variables commute, and a train that is rounded stays where
it was projected to, so that all that is left out is orthogonal:

.. math:: \|X - \hat X\|_F^2 = \sum_k \tau_k^2 + \|\hat Y - Y\|_F^2

with the tails :math:`\tau_k` of the projections and the rounding of their result :math:`Y`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tdecomp._errors import check_reachable
from tdecomp._typing import Array, Namespace
from tdecomp._xp import eps, equilibrate, namespace, times_power, traced
from tdecomp.linalg._robust import robust_svd
from tdecomp.linalg._signs import canonical_signs
from tdecomp.linalg._truncation import tail_norms, truncation_rank
from tdecomp.tt import TensorTrain, orthogonalise, round
from tdecomp.tt._orthogonalise import left_orthogonal
from tdecomp.tt._ranks import Budget, doubled, floor_of, number, stored_floor
from tdecomp.tt._round import _amplification
from tdecomp.tucker._targets import check_tucker_target


def truncated_train(
    train: TensorTrain, *, rank: Any = None, rtol: float | None = None
) -> tuple[TensorTrain, tuple[Array, ...]]:
    """Return a train of least ranks, and orthonormal matrices along every variable.

    Within ``rtol``, relative to its norm, and within ``rank``, an int or one for each variable.
    """
    xp = namespace(*train.cores)
    ranks, rtol = check_tucker_target(rank, rtol, train.shape, range(train.modes))
    if rtol is None:
        return _projected(orthogonalise(train, center=0).cores, ranks, None, xp)
    if any(map(traced, train.cores)):
        raise ValueError("under tracing (jit, vmap) the rank must be fixed: pass rank= alone")
    dtype = train.dtype
    train, exponent = _at_safe_scale(train, xp)
    wide = doubled(train.cores, xp)
    stored = 0.0 if wide is None else stored_floor(2 * train.modes, dtype, xp)
    given = wide or train.cores
    cores = orthogonalise(TensorTrain(tuple(given)), center=0).cores
    total = number(xp.linalg.vector_norm(cores[0]))
    floor = stored + floor_of(
        [min(n, r * s) for r, n, s in (core.shape for core in cores)], eps(cores[0].dtype, xp)
    )
    if total > 0:
        sweep = left_orthogonal(given, xp)
        size = number(xp.linalg.vector_norm(sweep.cores[-1]))
        floor *= _amplification(given, sweep, size, xp)
    check_reachable(rtol, floor, dtype=dtype)
    # One half of what may be left out, in squares, is for the variables, the rest for the bonds.
    budget = Budget((rtol - floor) / math.sqrt(2) * total, train.modes)
    found, bases = _projected(cores, ranks, budget, xp)
    if total > 0:
        left = math.sqrt(budget.rest / total**2 + (rtol - floor) ** 2 / 2)
        found = round(found, rtol=min(left, rtol))
    first, *rest = (xp.astype(core, dtype, copy=False) for core in found.cores)
    return (
        TensorTrain((times_power(first, exponent, xp), *rest)),
        tuple(xp.astype(basis, dtype, copy=False) for basis in bases),
    )


def _at_safe_scale(train: TensorTrain, xp: Namespace) -> tuple[TensorTrain, float]:
    """Return cores whose squares are safe, and the exponent of two that was set aside."""
    pairs = [equilibrate(core, xp, axis=(0, 1, 2)) for core in train.cores]
    exponent = sum(math.log2(abs(number(xp.reshape(scale, ())))) for _, scale in pairs)
    return TensorTrain(tuple(core for core, _ in pairs)), exponent


def _projected(
    cores: Sequence[Array], ranks: Sequence[int] | None, budget: Budget | None, xp: Namespace
) -> tuple[TensorTrain, tuple[Array, ...]]:
    """Project along variable after variable, of a train whose centre is the first core."""
    found, bases = list(cores), []
    for k in range(len(found)):
        r, n, s = found[k].shape
        middle = xp.reshape(xp.permute_dims(found[k], (1, 0, 2)), (n, r * s))
        u, sizes, vh = robust_svd(middle, xp)
        p = sizes.shape[0] if ranks is None else min(ranks[k], sizes.shape[0])
        if budget is not None:
            p = truncation_rank(sizes, rank=p, atol=budget.atol)
            budget.spend(number(tail_norms(sizes)[p]))
        u, vh = canonical_signs(u[:, :p], vh[:p, :], xp)
        bases.append(u)
        weighted = xp.astype(sizes[:p], vh.dtype)[:, None] * vh
        found[k] = xp.permute_dims(xp.reshape(weighted, (p, r, s)), (1, 0, 2))
        if k + 1 < len(found):
            q, triangle = xp.linalg.qr(xp.reshape(found[k], (r * p, s)))
            found[k] = xp.reshape(q, (r, p, q.shape[1]))
            _, m, t = found[k + 1].shape
            after = triangle @ xp.reshape(found[k + 1], (s, m * t))
            found[k + 1] = xp.reshape(after, (q.shape[1], m, t))
    return TensorTrain(tuple(found)), tuple(bases)
