"""GoDec: low rank plus sparse plus noise, for given rank and number of outliers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from tdecomp._errors import check_callback, check_count, check_rank, check_size
from tdecomp._iterate import Callback, Fit, Progress, Status, Step, iterate
from tdecomp._precision import full_precision
from tdecomp._random import generator, normal
from tdecomp._typing import Array, Namespace, Seed
from tdecomp._xp import adjoint, equilibrate, prepare, squared_norm
from tdecomp.completion._units import rounding
from tdecomp.completion.robust._formats import LowRankPlusSparse, assembled
from tdecomp.completion.robust._largest import largest
from tdecomp.completion.robust._shrink import nothing
from tdecomp.linalg._orth import orthonormalize
from tdecomp.linalg._robust import robust_svd
from tdecomp.linalg._thin import thin_product

# Directions beyond the rank, which learn what may come in.
_SPARE = 10
# Steps after which the better of two starts goes on.
_RACE = 10


class _State(NamedTuple):
    """Both parts, the data without outliers, and right singular vectors to begin a step from.

    Where there is an outlier, `rest` is what the part of low rank has there: of the outlier less
    itself nothing would be left but rounding.
    """

    triplets: tuple[Array, Array, Array]
    sparse: Array
    rest: Array
    basis: Array


@full_precision
def godec(
    x: Any,
    /,
    *,
    rank: int,
    cardinality: int,
    tol: float = 1e-7,
    max_iter: int = 1000,
    rng: Seed = None,
    callback: Callback | None = None,
) -> Fit[LowRankPlusSparse]:
    r"""Approximate a matrix by one of given rank and another of given number of entries.

    .. math:: \min_{L, S} \|X - L - S\|_F \quad \text{subject to} \quad
              \operatorname{rank} L \le r, \ \operatorname{card} S \le k

    by alternation. No step raises the error.

    Parameters
    ----------
    x : array, shape (m, n)
        The data.
    rank : int
        The rank `r`, between 1 and ``min(m, n)``.
    cardinality : int
        The number `k` of outliers, between 0 and ``m * n``.
    tol : float
        Stop when a step changes the error by at most this, relatively.
    max_iter : int
        The largest number of steps, those of one of the two starts of the race included.
    rng : int, numpy.random.Generator or None
        Where the first random directions come from.
    callback : callable, optional
        Called with a `Progress` after each step that follows the race, which counts those of the
        race too; returning True stops.

    Returns
    -------
    Fit
        ``tensor``, a `LowRankPlusSparse` with an `SVD` and a `COO`; ``error``,
        :math:`\|X - L - S\|_F / \|X\|_F`; ``n_iter``; ``status``.

    Raises
    ------
    TypeError, ValueError
        If `x` is empty, no matrix or not finite, or an option is out of range.

    See Also
    --------
    principal_component_pursuit : finds rank and outliers itself.

    Notes
    -----
    Given :math:`S`, [1]_ takes the best :math:`L`, or a randomized approximation of it that may
    raise the error. Here the right singular vectors :math:`V` of the last one, and ten more, are
    multiplied by :math:`M = X - S`, and :math:`L` is the best matrix of rank `r` whose columns lie
    in the span :math:`Q` of :math:`M V`. That is at the cost of two products of the matrix with
    :math:`r + 10` columns, and never worse than the :math:`L` before: :math:`M V_r V_r^*` is one
    of the matrices to choose from, and no matrix with rows in the span of :math:`V_r` is nearer to
    :math:`M`.

    The problem is not convex. Two starts race for ten steps, of which the better one goes on: from
    nothing sparse, as published, and from the `k` largest entries of the data, which is right
    where outliers tower over everything else, and the first start never gets rid of them.

    References
    ----------
    .. [1] T. Zhou, D. Tao, "GoDec: randomized low-rank & sparse matrix decomposition in noisy
       case", ICML 2011, Algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion.robust import godec
    >>> rng = np.random.default_rng(0)
    >>> low = rng.standard_normal((60, 2)) @ rng.standard_normal((2, 50))
    >>> x = low + 100 * (rng.random((60, 50)) < 0.05)
    >>> fit = godec(x, rank=2, cardinality=int(np.sum(x != low)), rng=0)
    >>> low_rank, sparse = fit.tensor
    >>> bool(np.abs(low_rank.to_array() - low).max() < 1e-6)
    True
    """
    xp, x = prepare(x, ndim=2, name="x")
    m, n = x.shape
    rank = check_rank(rank, min(m, n), way="try principal_component_pursuit, which finds it")
    cardinality = check_count(cardinality, name="cardinality")
    if cardinality > m * n:
        raise ValueError(f"cardinality must be an int between 0 and {m * n}, got {cardinality}")
    tol, max_iter = check_size(tol, name="tol"), check_count(max_iter, name="max_iter", least=1)
    check_callback(callback)
    begin, draws = time.monotonic(), generator(rng)
    x, scale = equilibrate(x, xp, axis=(0, 1))
    norm = _norm(x, xp)
    if norm == 0:
        return Fit(assembled(nothing(x, xp)[:3], x, scale, xp), 0.0, 0, Status.CONVERGED)
    width = min(rank + _SPARE, m, n)
    basis = normal(draws, (n, width), x, xp)

    def step(state: _State) -> Step[_State]:
        following, gap = _godec_step(x, state, rank, cardinality, xp=xp)
        size = _norm(gap, xp)
        exact = size <= rounding(x.dtype, xp) * _norm(following.rest, xp)
        return Step(following, size / norm, None, Status.CONVERGED if exact else None)

    raced = min(_RACE, max_iter - 1) if cardinality else 0
    sparse = (xp.zeros_like(x), largest(x, cardinality, xp))
    starts = [
        _State(nothing(x, xp)[:3], part, x - part, basis) for part in sparse[: 2 if raced else 1]
    ]
    fit = iterate(
        step,
        _winner(step, starts, raced),
        max_iter=max_iter - raced,
        tol=tol,
        callback=_counted(callback, raced, begin),
        show=lambda state: assembled(state.triplets, state.sparse, scale, xp),
    )
    return fit._replace(n_iter=fit.n_iter + raced)


def _counted(callback: Callback | None, before: int, begin: float) -> Callback | None:
    """Return a callback that is told of the iterations that went before it, and of their time."""
    if callback is None:
        return None

    def told(progress: Progress) -> object:
        elapsed = time.monotonic() - begin
        return callback(progress._replace(iteration=progress.iteration + before, elapsed=elapsed))

    return told


def _winner(step: Callable[[_State], Step[_State]], starts: list[_State], length: int) -> _State:
    """Let starts run for a number of steps, and return the one of least error."""
    best, least = starts[0], math.inf
    for state in starts:
        error = math.inf
        for _ in range(length):
            state, error, *_ = step(state)  # noqa: PLW2901 - it goes on
        if error < least:
            best, least = state, error
    return best


def _godec_step(
    x: Array, state: _State, rank: int, cardinality: int, *, xp: Namespace
) -> tuple[_State, Array]:
    """Project what is not sparse onto its image of the present rows; then take out what is.

    The second part of the answer is what neither part explains.
    """
    rest = state.rest
    q = orthonormalize(thin_product(rest, state.basis, xp), xp).Q
    p, r = orthonormalize(thin_product(adjoint(rest, xp), q, xp), xp)
    w, s, zh = robust_svd(adjoint(r, xp), xp)
    basis = thin_product(p, adjoint(zh, xp), xp)
    u = thin_product(q, w[:, :rank], xp)
    triplets = (u, s[:rank], adjoint(basis[:, :rank], xp))
    low = (triplets[0] * triplets[1]) @ triplets[2]
    sparse = largest(x - low, cardinality, xp)
    rest = xp.where(sparse != 0, low, x)
    return _State(triplets, sparse, rest, basis), rest - low


def _norm(x: Array, xp: Namespace) -> float:
    """Return the Frobenius norm, however small entries are."""
    x, scale = equilibrate(x, xp, axis=(0, 1))
    return math.sqrt(squared_norm(x, xp)) * float(xp.real(scale[0, 0]))
