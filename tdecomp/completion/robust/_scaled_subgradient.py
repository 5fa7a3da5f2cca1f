"""Ill-conditioned matrices from measurements some of which are wrong, for known rank."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tdecomp._errors import check_callback, check_count, check_number, check_rank, check_size
from tdecomp._iterate import Callback, Fit, Status, Step, iterate
from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint
from tdecomp.completion._inner import inner
from tdecomp.completion._units import rounding
from tdecomp.completion.robust._init import check_init, scaled_start
from tdecomp.completion.robust._precondition import preconditioned
from tdecomp.completion.robust._sensing import Sensing, sensing, typical_size
from tdecomp.completion.robust._subgradient import check_decay
from tdecomp.completion.robust._unit_signs import unit_signs
from tdecomp.linalg._formats import LowRank
from tdecomp.linalg._svd import _truncated_svd


class _State(NamedTuple):
    """Both factors, the right one of columns, their residual, and the length of a first step."""

    left: Array
    right: Array
    residual: Array
    length: float


class _Lengths(NamedTuple):
    """What step lengths come from: the least objective, or the share of outliers, or a decay."""

    optimum: float | None
    kept: int
    decay: float | None


@full_precision
def scaled_subgradient(
    y: Any,
    measurements: Any,
    /,
    *,
    rank: int,
    outliers: float = 0.3,
    optimum: float | None = None,
    decay: float | None = None,
    init: LowRank | None = None,
    tol: float = 1e-10,
    max_iter: int = 1000,
    callback: Callback | None = None,
) -> Fit[LowRank]:
    r"""Recover a matrix of known rank though many measurements are wrong, however conditioned.

    .. math:: \min_{L, R} f(L, R) = \sum_i |y_i - \langle A_i, L R^* \rangle|

    by steps along subgradients, each factor in the metric of the other,

    .. math:: L \leftarrow L - \eta\, D R (R^* R)^{-1} , \qquad R \leftarrow R - \eta\, D^* L
              (L^* L)^{-1} , \qquad D = \sum_i \operatorname{sign}(\langle A_i, L R^* \rangle -
              y_i) A_i .

    With the step of Polyak, :math:`\eta = (f - f_*) / \|(D R (R^* R)^{-1/2}, D^* L (L^* L)^{-1/2})
    \|_F^2`, the error falls by a factor in each step that does not depend on the condition
    number [1]_.

    Parameters
    ----------
    y : array, shape (p,)
        What was measured.
    measurements : array, shape (p, m, n), or measurements
        The map: a stack of matrices, `EntryMeasurements`, `RankOneMeasurements` or
        `LinearMeasurements`.
    rank : int
        The rank, between 1 and ``min(m, n)``.
    outliers : float
        The largest fraction of measurements that may be wrong, at least 0 and below 1. The
        spectral start leaves so many of the largest out, and :math:`f_*` is taken for the sum of
        so many of the largest residuals, unless one of these is given:
    optimum : float, optional
        The least value :math:`f_*`: the sum of the magnitudes of all outliers, where it is known.
        Steps end where the objective reaches it: of a value that is too high, early.
    decay : float, optional
        Let step lengths fall by this ratio instead, from that of a first step of Polyak's.
    init : LowRank, optional
        Where to start, instead of the spectral start.
    tol : float
        Stop when a step changes the product by at most this, relatively, to first order: with
        status ``STAGNATED`` where it had to be cut that short.
    max_iter : int
        The largest number of steps.
    callback : callable, optional
        Called with a `Progress` after each step; returning True stops.

    Returns
    -------
    Fit
        ``tensor``, a `LowRank`; ``error``, :math:`f / \sum_i |y_i|`, which wrong measurements keep
        above zero; ``n_iter``; ``status``.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, an array is empty or not finite, or an option is out of range.

    See Also
    --------
    subgradient : for semidefinite matrices of unknown rank.

    Notes
    -----
    A step measures one product and takes the adjoint of signs; for a stack of matrices that is
    :math:`4 p m n` flops. The start is one SVD of an ``m x n`` matrix.

    *Larger ranks.* Where factors have more columns than the matrix has rank, the inverses grow; no
    step is longer than where its part of second order is as large as that of first order.

    *The estimate of* :math:`f_*`. Near the solution, residuals of wrong measurements are the
    largest, and the rest sum up to :math:`f - f_*` less what the wrong ones gain or lose, which
    cancels on average. With more measurements left out than are wrong, steps are shorter, and the
    limit is the same.

    References
    ----------
    .. [1] T. Tong, C. Ma, Y. Chi, "Low-rank matrix recovery with scaled subgradient methods: fast
       and robust convergence without the condition number", IEEE Trans. Signal Process. 69, 2021,
       equations 4 and 7. doi:10.1109/TSP.2021.3071560

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion.robust import scaled_subgradient
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.standard_normal((12, 2)) * [10, 1] @ rng.standard_normal((2, 10))
    >>> a = rng.standard_normal((400, 12, 10))
    >>> y = np.tensordot(a, truth, 2)
    >>> y[::5] += 1000 * rng.standard_normal(80)
    >>> fit = scaled_subgradient(y, a, rank=2)
    >>> bool(np.abs(fit.tensor.to_array() - truth).max() < 1e-7), fit.status.name
    (True, 'CONVERGED')
    """
    problem = sensing(y, measurements)
    shape = problem.operator.shape
    rank = check_rank(rank, min(shape), way="try subgradient, which does not need it")
    share = check_number(outliers, name="outliers")
    if not 0 <= share < 1:
        raise ValueError(f"outliers must be a fraction of at least 0 and below 1, got {share}")
    given = None if optimum is None else check_size(optimum, name="optimum")
    ratio = None if decay is None else check_decay(decay)
    tol, max_iter = check_size(tol, name="tol"), check_count(max_iter, name="max_iter", least=1)
    check_callback(callback)
    start = check_init(init, problem, rank)
    xp, y = problem.xp, problem.y
    kept = max(1, y.shape[0] - math.ceil(share * y.shape[0]))
    if problem.vanishes:
        return problem.nothing(rank, 0.0)
    problem = problem.in_units(typical_size(problem))
    least = None if given is None else given / problem.scale
    if start is None:
        left, right = _spectral(problem, rank, kept)
    else:
        left, right = scaled_start(start, problem)
    residual = problem.residual(left, adjoint(right, xp))
    total = float(xp.sum(xp.abs(problem.y)))
    lengths = _Lengths(least, kept, ratio)
    return iterate(
        lambda state: _step(problem, state, lengths, total, tol),
        _State(left, right, residual, 0.0),
        max_iter=max_iter,
        tol=-1.0,  # the objective goes up and down
        callback=callback,
        show=lambda state: problem.shown(state.left, adjoint(state.right, xp)),
    )


def _spectral(problem: Sensing, rank: int, kept: int) -> tuple[Array, Array]:
    """Return the factors of the leading part of what the smallest measurements make up."""
    xp, y = problem.xp, problem.y
    sizes = xp.abs(y)
    bound = xp.sort(sizes)[kept - 1]
    inside = xp.where(sizes <= bound, y, xp.zeros_like(y))
    back = problem.operator.adjoint(inside) * (problem.weight * y.shape[0] / kept)
    u, s, vh = _truncated_svd(back, rank, xp=xp)
    root = xp.astype(xp.sqrt(s), y.dtype)
    return u * root, adjoint(vh, xp) * root


def _step(
    problem: Sensing, state: _State, lengths: _Lengths, total: float, tol: float
) -> Step[_State]:
    """Move both factors at once, each in the metric of the other."""
    xp, (left, right, residual, length) = problem.xp, state
    d = problem.operator.adjoint(unit_signs(residual, xp))
    image, coimage = d @ right, adjoint(d, xp) @ left
    down, across = preconditioned(image, right, xp), preconditioned(coimage, left, xp)
    square = inner(image, down, xp) + inner(coimage, across, xp)
    root = math.sqrt(square) if square > 0 else 1.0
    if lengths.decay is None or length == 0:
        length = _above(residual, lengths, xp) / root
    twice = math.sqrt(max(inner(_gram(down, xp), _gram(across, xp), xp), 0.0))
    # No farther than the term of second order is the smaller one: factors of more columns than
    # the matrix has rank lose one another otherwise.
    cut = length * twice > root**2
    eta = root / twice if cut else length / root
    left, right = left - eta * down, right - eta * across
    residual = problem.residual(left, adjoint(right, xp))
    error = float(xp.sum(xp.abs(residual))) / total
    # The product of two factors whose columns are orthonormal up to a common matrix.
    size = math.sqrt(max(inner(left @ (adjoint(right, xp) @ right), left, xp), 0.0))
    change = eta * root / size if size > 0 else 0.0
    done = Status.CONVERGED if error <= rounding(d.dtype, xp) else None
    if done is None and change <= tol:
        done = Status.STAGNATED if cut else Status.CONVERGED
    return Step(_State(left, right, residual, length * (lengths.decay or 1.0)), error, None, done)


def _gram(x: Array, xp: Namespace) -> Array:
    return adjoint(x, xp) @ x


def _above(residual: Array, lengths: _Lengths, xp: Namespace) -> float:
    """Return by how much the objective exceeds its least value, or an estimate of it."""
    sizes = xp.abs(residual)
    if lengths.optimum is not None:
        return max(float(xp.sum(sizes)) - lengths.optimum, 0.0)
    return float(xp.sum(xp.sort(sizes)[: lengths.kept]))
