"""Completion from what was done, not from what was said: clicks, plays, purchases."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tdecomp._errors import (
    check_callback,
    check_choice,
    check_count,
    check_number,
    check_rank,
    check_size,
)
from tdecomp._iterate import Callback, Fit, Status, Step, iterate
from tdecomp._precision import full_precision
from tdecomp._random import generator, normal
from tdecomp._typing import Array, Namespace, Seed
from tdecomp._xp import device, equilibrate, squared_norm
from tdecomp.completion._entries import Entries
from tdecomp.completion._methods._balanced import evened
from tdecomp.completion._observed import Observed, group
from tdecomp.completion._start import given
from tdecomp.completion._units import rounding
from tdecomp.completion._using._amounts import read_amounts
from tdecomp.completion._using._everywhere import solve_everywhere
from tdecomp.completion._using._misfit_everywhere import misfit_everywhere
from tdecomp.linalg._formats import LowRank


class _Task(NamedTuple):
    """What was done, weighed by how much more than nothing it counts, and the ridge."""

    observed: Observed
    ridge: float
    total: float
    xp: Namespace


@full_precision
def implicit_als(
    x: Any,
    /,
    *,
    rank: int,
    alpha: float = 1.0,
    regularization: float = 0.0,
    duplicates: str = "error",
    init: Any = "random",
    max_iter: int = 50,
    tol: float = 1e-4,
    rng: Seed = None,
    callback: Callback | None = None,
) -> Fit[LowRank]:
    r"""Fit ones where something was done, and zeros everywhere else, by alternating least squares.

    .. math:: \min_{U, V} \sum_{i,j} c_{ij} (p_{ij} - u_i \cdot v_j)^2
              + \lambda \bigl( \|U\|_F^2 + \|V\|_F^2 \bigr), \quad
              c_{ij} = 1 + \alpha x_{ij}, \quad p_{ij} = [x_{ij} > 0]

    over all entries of the matrix, those that are not stored being zeros of weight one [1]_. No
    step raises it.

    Parameters
    ----------
    x : COO, sparse matrix or array, shape (m, n)
        How often, or how much: numbers that are not negative. What a sparse matrix does not
        store, and what is NaN in an array, is zero here.
    rank : int
        The rank `k`, between 1 and ``min(m, n)``.
    alpha : float
        How fast the weight of an entry grows. Entries ``c - 1`` with ``alpha=1`` have the
        weights `c`.
    regularization : float
        The penalty :math:`\lambda \ge 0`.
    duplicates : {"error", "sum", "mean"}
        What becomes of several entries at one place: ``"sum"`` counts a list of events.
    init : "random" or LowRank
        Where to start: `rng` draws, or a matrix of the same shape and rank, however its factors
        share it.
    max_iter : int
        The largest number of sweeps.
    tol : float
        Stop when the relative change of the root of the objective is at most this.
    rng : int, numpy.random.Generator or None
        Of the start.
    callback : callable, optional
        Called with a `Progress` after each sweep.

    Returns
    -------
    Fit
        ``tensor``, a `LowRank` of scores, which `top_n` and `predict` take; ``error``, the
        weighted residual relative to that of a model that is zero; ``n_iter``; ``status``.

    Raises
    ------
    ValueError
        If an entry is negative, or an argument is refused as in `complete`.
    TypeError
        If entries are complex.

    See Also
    --------
    complete : what is not known is not looked at.
    fold_in : others who come later, with ``alpha=``.
    top_n : what comes next, without what was done.

    Notes
    -----
    All rows share the Gram matrix of the other factor, so that a sweep costs
    :math:`|\Omega| k^2 + (m + n) k^3 / 6` multiplications and :math:`3 (m + n) k^2` for the
    shared parts, as if the zeros were not there. With :math:`V^T V + \lambda I = R^T R` the rows
    of :math:`V R^{-1}` pose ridge regressions with a ridge of one on what is stored, which are
    those of `complete`.

    ``fold_in(fit.tensor, new, alpha=alpha, regularization=regularization)`` makes the rows of
    others from what they did, and `top_n` takes what it returns.

    References
    ----------
    .. [1] Y. Hu, Y. Koren, C. Volinsky, "Collaborative filtering for implicit feedback datasets",
       ICDM 2008. doi:10.1109/ICDM.2008.22

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion import implicit_als, top_n
    >>> plays = np.array([[9, 8, 0, 0], [7, 0, 0, 0], [0, 0, 5, 9], [0, 0, 6, 0.0]])
    >>> fit = implicit_als(plays, rank=2, regularization=0.1, rng=0)
    >>> heard = plays > 0
    >>> top_n(fit.tensor, 1, rows=[1, 3], exclude=heard).indices
    array([[1],
           [3]])
    """
    xp, entries = read_amounts(x, alpha, duplicates)
    task = _posed(entries, check_size(regularization, name="regularization"), xp)
    k = check_rank(rank, min(entries.shape), way="pass a rank")
    start = _start(task, k, init, rng)
    check_callback(callback)
    fit = iterate(
        lambda factors: _sweep(task, *factors),
        start,
        max_iter=check_count(max_iter, name="max_iter", least=1),
        tol=check_number(tol, name="tol"),
        callback=callback,
        show=lambda factors: LowRank(factors[0], xp.matrix_transpose(factors[1])),
    )
    left, right = fit.tensor
    missed = misfit_everywhere(task.observed.rows, left, xp.matrix_transpose(right), xp, true=True)
    return fit._replace(error=math.sqrt(missed / task.total))


def _posed(entries: Entries, ridge: float, xp: Namespace) -> _Task:
    """Group what was done, and measure what there is to fit."""
    if not entries.values.shape[0]:
        raise ValueError("x has no positive entry, or alpha is 0: nothing tells entries apart")
    total = squared_norm(xp.sqrt(entries.values), xp) + float(entries.values.shape[0])
    if not math.isfinite(total):
        raise ValueError("alpha times the sum of x overflows")
    return _Task(group(entries, xp), ridge, total, xp)


def _start(task: _Task, rank: int, init: Any, rng: Seed) -> tuple[Array, Array]:
    """Return factors to start from."""
    xp, (m, n), like = task.xp, task.observed.shape, task.observed.rows.values
    if isinstance(init, LowRank):
        if init.shape != (m, n) or init.rank != rank:
            raise ValueError(
                f"init must have shape {(m, n)} and rank {rank}, got {init.shape} and {init.rank}"
            )
        left, right = (given(init, name, like, 1.0, xp) for name in ("left", "right"))
        return xp.zeros_like(left), _shared(left, xp.matrix_transpose(right), xp)
    if not isinstance(init, str):
        raise TypeError(f"init must be 'random' or a LowRank, got {type(init).__name__}")
    check_choice(init, ("random",), name="init")
    draw = generator(rng)
    left, right = (normal(draw, (size, rank), like, xp) for size in (m, n))
    share = (task.observed.nnz / (m * n)) ** 0.5
    return left * (share / rank) ** 0.5, right * (share / rank) ** 0.5


def _shared(left: Array, right: Array, xp: Namespace) -> Array:
    """Return the right one of two factors of their product that are alike in size.

    The first half sweep solves for the left one, wherever that starts.
    """
    (left, tall), (right, wide) = (
        equilibrate(factor, xp, axis=(0,), always=True) for factor in (left, right)
    )
    size = xp.sqrt(tall) * xp.sqrt(wide)
    most = xp.max(size)
    return _evened(left * (size / most), right * (size / most), xp)[1] * most


def _evened(left: Array, right: Array, xp: Namespace) -> tuple[Array, Array]:
    """Return the factors of the same matrix that one penalty for all likes best."""
    one = xp.ones((1, 1), dtype=left.dtype, device=device(left))
    return evened(left, right, (one, one), left.shape[1], xp)


def _sweep(task: _Task, left: Array, right: Array) -> Step[tuple[Array, Array]]:
    """Solve for one factor, and then for the other."""
    (rows, columns, _), xp = task.observed, task.xp
    left = solve_everywhere(rows, left, right, task.ridge, xp)
    right = solve_everywhere(columns, right, left, task.ridge, xp)
    loss = misfit_everywhere(rows, left, right, xp)
    penalty = task.ridge * (squared_norm(left, xp) + squared_norm(right, xp))
    merit = math.sqrt((loss + penalty) / task.total)
    exact = merit <= rounding(left.dtype, xp)
    verdict = Status.CONVERGED if exact else None
    if task.ridge:
        left, right = _evened(left, right, xp)
    return Step((left, right), math.sqrt(loss / task.total), merit=merit, verdict=verdict)
