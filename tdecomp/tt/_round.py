"""Rounding of tensor trains: the same tensor, or nearly so, at smaller ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tdecomp._errors import ToleranceError, check_reachable
from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, eps, times_power, traced
from tdecomp.linalg._robust import robust_svd
from tdecomp.linalg._signs import canonical_signs
from tdecomp.linalg._truncation import tail_norms, truncation_rank
from tdecomp.tt._chain import as_chain, left_matrix_of
from tdecomp.tt._formats import TensorTrain
from tdecomp.tt._orthogonalise import Sweep, interface_lengths, left_orthogonal
from tdecomp.tt._ranks import Budget, check_ranks, doubled, floor_of, number, stored_floor


@full_precision
def round(
    train: Any, /, *, rank: int | Sequence[int] | None = None, rtol: float | None = None
) -> TensorTrain:
    r"""Return a train of smaller ranks within a guaranteed error.

    A sweep of QR decompositions from the left makes all cores orthonormal but the last; a sweep
    of SVDs from the right then truncates bond after bond. In orthonormal bases the parts that
    the steps leave out are orthogonal to one another, so that with the tails :math:`\tau_k` of
    the singular values

    .. math:: \|X - \hat X\|_F^2 = \sum_{k=1}^{d-1} \tau_k^2 \le (d - 1)
              \min_{\operatorname{rank} Y \le r} \|X - Y\|_F^2 .

    Parameters
    ----------
    train : TensorTrain
        The train, or a sequence of its cores.
    rank : int or tuple of int, optional
        The largest rank of every bond, or one for each of the ``d - 1`` bonds. A single int may
        exceed what the bonds near the ends allow.
    rtol : float, optional
        Guarantee :math:`\|X - \hat X\|_F \le \mathtt{rtol}\, \|X\|_F`, where :math:`X` is what
        `train` stands for. With `rank` too, the smaller ranks win.

    Returns
    -------
    TensorTrain
        Right-orthonormal but for its first core.

    Raises
    ------
    TypeError, ValueError
        If `train` is no train, neither `rank` nor `rtol` is given, or one is out of range.
    ToleranceError
        If `rtol` is below what rounding allows. That depends on the train: where it is a small
        difference of large terms, as in ``add(a, scale(b, -1))``, errors of
        :math:`\epsilon (\|A\|_F + \|B\|_F)` are relative to :math:`\|A - B\|_F`.

    See Also
    --------
    tt_svd : from an array.

    Notes
    -----
    About :math:`8 \sum_k n_k r_k r_{k+1}^2` flops for the ranks of `train`, less where much is
    cut. The amplification of rounding errors is bounded by :math:`\max_k \sum_j
    \|L_k e_j\| \|e_j^T R_k\| / \|X\|_F` with the parts :math:`L_k, R_k` to the left and right of
    a bond: 1 for an orthonormal train, whatever the scaling of its bonds. A tolerance that single
    precision cannot guarantee is met by computing in double, if the library has doubles. Under
    tracing (``jit``, ``vmap``) `rank` is required.

    References
    ----------
    .. [1] I. V. Oseledets, "Tensor-train decomposition", SIAM J. Sci. Comput. 33, 2011,
       Algorithm 2. doi:10.1137/090752286

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tt
    >>> ones = tt.TensorTrain((np.ones((1, 3, 1)), np.ones((1, 3, 1))))
    >>> tt.round(tt.add(ones, ones), rtol=1e-8).rank
    (1,)
    """
    xp, cores = as_chain(train, name="train")
    ranks, rtol = check_ranks(rank, rtol, [int(core.shape[1]) for core in cores])
    if rtol is None:
        return TensorTrain(_round(cores, ranks, xp=xp))
    if any(traced(core) for core in cores):
        raise ValueError("under tracing (jit, vmap) the rank must be fixed: pass rank= alone")
    dtype = cores[0].dtype
    try:
        return TensorTrain(_within(cores, ranks, rtol, 0.0, xp))
    except ToleranceError:
        wide = doubled(cores, xp)
        if wide is None:
            raise
    stored = stored_floor(len(cores), dtype, xp)
    rounded = _within(wide, ranks, rtol, stored, xp)
    return TensorTrain(tuple(xp.astype(core, dtype) for core in rounded))


def _within(
    cores: Sequence[Array],
    ranks: Sequence[int] | None,
    rtol: float,
    stored: float,
    xp: Namespace,
) -> tuple[Array, ...]:
    """Truncate within `rtol`, `stored` of which goes to rounding the result."""
    sweep = left_orthogonal(cores, xp)
    total = number(xp.linalg.vector_norm(sweep.cores[-1]))
    if total == 0:
        return tuple(xp.zeros_like(core[:1, :, :1]) for core in cores)
    sides = [min(core.shape[0], core.shape[1] * core.shape[2]) for core in sweep.cores[1:]]
    floor = stored + floor_of(sides, eps(cores[0].dtype, xp)) * _amplification(
        cores, sweep, total, xp
    )
    if sides:
        check_reachable(rtol, floor, dtype=cores[0].dtype)
    return _truncated(sweep, ranks, Budget((rtol - floor / 4) * total, len(sides)), xp)


def _round(
    cores: Sequence[Array], ranks: Sequence[int] | None, *, xp: Namespace
) -> tuple[Array, ...]:
    """Truncate to fixed ranks."""
    return _truncated(left_orthogonal(cores, xp), ranks, None, xp)


def _truncated(
    sweep: Sweep, ranks: Sequence[int] | None, budget: Budget | None, xp: Namespace
) -> tuple[Array, ...]:
    """Truncate bond after bond from the right, within `ranks` and within `budget`."""
    cores = list(sweep.cores)
    for k in reversed(range(1, len(cores))):
        n, q = cores[k].shape[1:]
        # The adjoint: canonical signs are those of the vectors that become the core.
        v, s, uh = robust_svd(adjoint(left_matrix_of(cores[k], xp), xp), xp)
        r = s.shape[0] if ranks is None else min(ranks[k - 1], s.shape[0])
        if budget is not None:
            r = truncation_rank(s, rank=r, atol=budget.atol)
            budget.spend(number(tail_norms(s)[r]))
        v, uh = canonical_signs(v[:, :r], uh[:r, :], xp)
        cores[k] = xp.reshape(adjoint(v, xp), (r, n, q))
        weighted = adjoint(uh, xp) * xp.astype(s[:r], uh.dtype)
        cores[k - 1] = cores[k - 1] @ weighted
    cores[0] = times_power(cores[0], sweep.exponent, xp)
    return tuple(cores)


def _amplification(cores: Sequence[Array], sweep: Sweep, total: float, xp: Namespace) -> float:
    """Bound how many times the norm its parts are: what cancels in the sum of a train."""
    worst = 1.0
    # The lengths to the left of a bond are the sweep's, those to the right of the cores as given.
    for (left, power), (right, other) in zip(
        sweep.lengths, interface_lengths(cores, xp), strict=True
    ):
        exponent = number(power) + other - number(sweep.exponent)
        terms = number(xp.sum(left * right)) / total
        worst = max(worst, math.ldexp(terms, min(int(exponent), 1000)))
    return worst
