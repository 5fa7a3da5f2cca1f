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
from tdecomp._shim import index_add
from tdecomp._typing import Array, Namespace, Seed
from tdecomp._xp import device, eps, squared_norm
from tdecomp.completion._entries import Entries, read
from tdecomp.completion._masked import entries as model_entries
from tdecomp.completion._masked import solve_rows
from tdecomp.completion._methods._balanced import evened
from tdecomp.completion._observed import Observed, Side, group
from tdecomp.completion._start import given
from tdecomp.completion._units import rounding
from tdecomp.linalg._formats import LowRank

# How many entries of the matrix are formed at a time.
_BLOCK = 1 << 20
# Below that share of what the model weighs, a difference of squares has lost half of its digits.
_DOUBT = 8.0


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
        Where to start: `rng` draws, or factors of the same shape and rank.
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
    top_n : what comes next, without what was done.

    Notes
    -----
    All rows share the Gram matrix of the other factor, so that a sweep costs
    :math:`|\Omega| k^2 + (m + n) k^3 / 6` multiplications and :math:`3 (m + n) k^2` for the
    shared parts, as if the zeros were not there. With :math:`V^T V + \lambda I = R^T R` the rows
    of :math:`V R^{-1}` pose ridge regressions with a ridge of one on what is stored, which are
    those of `complete`.

    New rows are completed by `fold_in` from a dense array, zeros included: ``fold_in(fit.tensor,
    (new > 0).astype(float), weights=1 + alpha * new, regularization=regularization)``.

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
    xp, entries = _read(x, duplicates)
    task = _task(entries, check_size(alpha, name="alpha"), regularization, xp)
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
    error = math.sqrt(_loss(task, left, xp.matrix_transpose(right), true=True) / task.total)
    return fit._replace(error=error)


def _read(x: Any, duplicates: str) -> tuple[Namespace, Entries]:
    """Return the amounts; what lies at one place has its mean, and its number for a weight."""
    check_choice(duplicates, ("error", "sum", "mean"), name="duplicates")
    xp, entries = read(x, duplicates="mean" if duplicates == "sum" else duplicates)
    if duplicates == "sum" and entries.weights is not None:
        entries = entries._replace(values=entries.values * entries.weights)
    return xp, entries


def _task(entries: Entries, alpha: float, regularization: float, xp: Namespace) -> _Task:
    """Turn amounts into weights and what is to be fitted with them."""
    values = entries.values
    if xp.isdtype(values.dtype, "complex floating"):
        raise TypeError(f"x must be real and nonnegative, got dtype {values.dtype}")
    if bool(xp.any(values < 0)):
        first = int(xp.argmax(xp.astype(values < 0, xp.int32)))
        place = int(entries.rows[first]), int(entries.columns[first])
        raise ValueError(f"x must be nonnegative, got {float(values[first])} at {place}")
    ridge = check_size(regularization, name="regularization")
    more = alpha * values
    if not bool(xp.all(xp.isfinite(more))):
        raise ValueError(f"alpha={alpha} times the largest entry of x overflows")
    done = more > 0
    if not bool(xp.any(done)):
        raise ValueError("x has no positive entry, or alpha is 0: nothing tells entries apart")
    # One and less than that are one, and its inverse must not overflow.
    more = xp.where(done, xp.clip(more, min=eps(more.dtype, xp) ** 2), more)
    total = squared_norm(xp.sqrt(more), xp) + float(xp.sum(xp.astype(done, more.dtype)))
    entries = entries._replace(values=xp.ones_like(more), weights=more)
    entries = entries if bool(xp.all(done)) else entries.take(xp.nonzero(done)[0], xp)
    if not math.isfinite(total):
        raise ValueError(f"alpha={alpha} times the sum of x overflows")
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
        return left, xp.matrix_transpose(right)
    if not isinstance(init, str):
        raise TypeError(f"init must be 'random' or a LowRank, got {type(init).__name__}")
    check_choice(init, ("random",), name="init")
    draw = generator(rng)
    left, right = (normal(draw, (size, rank), like, xp) for size in (m, n))
    share = (task.observed.nnz / (m * n)) ** 0.5
    return left * (share / rank) ** 0.5, right * (share / rank) ** 0.5


def _sweep(task: _Task, left: Array, right: Array) -> Step[tuple[Array, Array]]:
    """Solve for one factor, and then for the other."""
    rows, columns, _ = task.observed
    left = _solved(rows, left, right, task)
    right = _solved(columns, right, left, task)
    xp = task.xp
    loss = _loss(task, left, right)
    penalty = task.ridge * (squared_norm(left, xp) + squared_norm(right, xp))
    merit = math.sqrt((loss + penalty) / task.total)
    exact = merit <= rounding(left.dtype, xp)
    verdict = Status.CONVERGED if exact else None
    if task.ridge:
        one = xp.ones((1, 1), dtype=left.dtype, device=device(left))
        left, right = evened(left, right, (one, one), left.shape[1], xp)
    return Step((left, right), math.sqrt(loss / task.total), merit=merit, verdict=verdict)


def _solved(side: Side, left: Array, right: Array, task: _Task) -> Array:
    r"""Solve for the rows of `left`, in coordinates in which what they share is the identity.

    There, weights :math:`\alpha x` and targets :math:`1 + 1 / (\alpha x)` give the sum over what
    is stored, but for a constant.
    """
    xp, k = task.xp, right.shape[1]
    gram = xp.matrix_transpose(right) @ right
    gram = gram + task.ridge * xp.eye(k, dtype=right.dtype, device=device(right))
    values, axes = xp.linalg.eigh(gram)
    seen = values > k * eps(right.dtype, xp) * xp.max(values)
    root = xp.sqrt(xp.where(seen, values, 0.0))
    inverse = xp.where(seen, 1 / xp.where(seen, root, 1.0), 0.0)
    penalty = xp.ones_like(left)
    targets = side._replace(values=1 + 1 / _more(side))
    found = solve_rows(targets, (left @ axes) * root, (right @ axes) * inverse, penalty, xp)
    return (found * inverse) @ xp.matrix_transpose(axes)


def _more(side: Side) -> Array:
    """Return by how much entries weigh more than zeros do."""
    return side.values if side.weights is None else side.weights


def _loss(task: _Task, left: Array, right: Array, *, true: bool = False) -> float:
    r"""Return the weighted squares over all entries of the matrix.

    The zeros weigh :math:`\|U V^T\|_F^2` less what lies at the stored places. Where that
    difference has lost too many digits for a `true` result, all zeros are formed.
    """
    xp, side = task.xp, task.observed.rows
    z = model_entries(side, left, right, xp)
    stored = squared_norm(xp.sqrt(1 + _more(side)) * (1 - z), xp)
    grams = [xp.matrix_transpose(factor) @ factor for factor in (left, right)]
    whole = float(xp.sum(grams[0] * grams[1]))
    zeros = max(whole - squared_norm(z, xp), 0.0)
    if true and stored + zeros < _DOUBT * eps(left.dtype, xp) ** 0.5 * whole:
        zeros = _zeros(task, left, right)
    return stored + zeros


def _zeros(task: _Task, left: Array, right: Array) -> float:
    """Return the squares of the model where nothing is stored, block by block."""
    xp, side = task.xp, task.observed.rows
    height, total = max(1, _BLOCK // right.shape[0]), 0.0
    starts = [int(s) for s in side.starts]
    for first in range(0, left.shape[0], height):
        rows = slice(first, min(first + height, left.shape[0]))
        formed = left[rows, :] @ xp.matrix_transpose(right)
        run = slice(starts[rows.start], starts[rows.stop])
        own = side.owners(xp)[run] - rows.start
        flat = xp.reshape(formed, (-1,))
        flat = flat * (1 - _marks(flat, own * right.shape[0] + side.indices[run], xp))
        total += squared_norm(flat, xp)
    return total


def _marks(like: Array, places: Array, xp: Namespace) -> Array:
    """Return ones at some places of a vector of zeros."""
    ones = xp.ones(places.shape, dtype=like.dtype, device=device(like))
    return index_add(xp.zeros_like(like), places, ones, xp)
