"""Semidefinite matrices from measurements some of which are wrong, without knowing the rank."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tdecomp._errors import (
    check_callback,
    check_count,
    check_number,
    check_positive,
    check_rank,
    check_size,
)
from tdecomp._iterate import Callback, Fit, Status, Step, iterate
from tdecomp._precision import full_precision
from tdecomp._random import generator, normal
from tdecomp._typing import Array, Seed
from tdecomp._xp import adjoint
from tdecomp.completion._inner import inner
from tdecomp.completion._units import rounding
from tdecomp.completion.robust._init import check_init, check_square, scaled_start
from tdecomp.completion.robust._packed import packed
from tdecomp.completion.robust._sensing import Sensing, sensing, typical_size
from tdecomp.completion.robust._unit_signs import unit_signs
from tdecomp.linalg._formats import LowRank

# Step lengths add up to this many times what a small start needs to grow.
_BUDGET = 2.0
# No larger start is called small: steps are planned as if it were of this size.
_LARGEST = 0.5


class _State(NamedTuple):
    """The factor, the signs of its residuals, and the length of the next step."""

    factor: Array
    signs: Array
    length: float


@full_precision
def subgradient(
    y: Any,
    measurements: Any,
    /,
    *,
    rank: int,
    init: LowRank | None = None,
    init_scale: float = 1e-6,
    step: float = 0.25,
    decay: float | None = None,
    tol: float = 1e-10,
    max_iter: int = 5000,
    rng: Seed = None,
    callback: Callback | None = None,
) -> Fit[LowRank]:
    r"""Recover a semidefinite matrix though many measurements are wrong and its rank is unknown.

    .. math:: \min_{U \in \mathbb R^{d \times r'}} \frac1p \sum_i |y_i - \langle A_i, U U^*
              \rangle|

    by steps along subgradients :math:`(D + D^*) U`, :math:`D = \frac1p \sum_i
    \operatorname{sign}(\langle A_i, U U^* \rangle - y_i) A_i`, whose lengths fall
    geometrically. The start :math:`U_0 = \alpha B` is small. From there the directions of the
    matrix grow, and all others stay near :math:`\alpha`: the error ends near a power of
    :math:`\alpha`, whatever the number :math:`r' \ge r` of columns, for a number of measurements
    that does not depend on :math:`r'` either [1]_. That holds also where the matrix is not a
    global minimum at all, as with noise in every measurement.

    Parameters
    ----------
    y : array, shape (p,)
        What was measured.
    measurements : array, shape (p, d, d), or measurements
        The map: a stack of matrices, `EntryMeasurements`, `RankOneMeasurements` or
        `LinearMeasurements`, of square matrices.
    rank : int
        The number :math:`r'` of columns of `U`, at most `d`: any bound on the rank.
    init : LowRank, optional
        Where to start: its left factor is :math:`U_0`.
    init_scale : float
        The size :math:`\alpha` of a random start, in units of the root of the norm of the matrix
        (estimated from the median of the data).
    step : float
        The first step length :math:`\eta_0`.
    decay : float, optional
        The ratio :math:`\rho` of successive step lengths. By default :math:`1 - \eta_0 / (2
        \log(1 / \alpha))`: the lengths add up to :math:`2 \log(1 / \alpha)`, twice what the start
        needs to grow to size one. A faster decay leaves it where it is, for ever.
    tol : float
        Stop when a step changes the factor by at most this, relatively: with status
        ``STAGNATED`` where steps became so short before a small start had grown.
    max_iter : int
        The largest number of steps.
    rng : int, numpy.random.Generator or None
        Where the start comes from.
    callback : callable, optional
        Called with a `Progress` after each step; returning True stops.

    Returns
    -------
    Fit
        ``tensor``, a `LowRank` of `U` and its adjoint; ``error``, :math:`\sum_i |y_i - \langle
        A_i, U U^* \rangle| / \sum_i |y_i|`, which wrong measurements keep above zero; ``n_iter``;
        ``status``.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, an array is empty or not finite, or an option is out of range.

    See Also
    --------
    scaled_subgradient : for any shape and condition number, if the rank is known.
    sense : for measurements with small errors only.

    Notes
    -----
    A step measures :math:`U U^*` and takes the adjoint of signs. Of a stack of real matrices only
    the upper triangles of the symmetric parts count: :math:`2 p d^2` flops, half of what the
    stack itself would cost.

    Step lengths are in units of the map, brought to entries of variance one; then :math:`D` has
    norm near :math:`\sqrt{2 / \pi}` times the fraction of measurements that are right.

    References
    ----------
    .. [1] J. Ma, S. Fattahi, "Global convergence of sub-gradient method for robust matrix
       recovery: small initialization, noisy measurements, and over-parameterization", JMLR 24(96),
       2023, Algorithm 1. arXiv:2202.08788

    Examples
    --------
    A fifth of the measurements is wrong, by any amount:

    >>> import numpy as np
    >>> from tdecomp.completion.robust import subgradient
    >>> rng = np.random.default_rng(0)
    >>> u = rng.standard_normal((10, 2))
    >>> a = rng.standard_normal((600, 10, 10))
    >>> y = np.tensordot(a, u @ u.T, 2)
    >>> y[::5] += 100 * rng.standard_normal(120)
    >>> fit = subgradient(y, a, rank=10, rng=0)
    >>> bool(np.abs(fit.tensor.to_array() - u @ u.T).max() < 1e-3)
    True
    """
    problem = sensing(y, measurements)
    shape = problem.operator.shape
    check_square(shape)
    rank = check_rank(rank, shape[0], way="ranks above that of the matrix are welcome")
    alpha = check_positive(init_scale, name="init_scale")
    eta = check_positive(step, name="step")
    ratio = planned_decay(alpha, eta) if decay is None else check_decay(decay)
    tol, max_iter = check_size(tol, name="tol"), check_count(max_iter, name="max_iter", least=1)
    check_callback(callback)
    start = check_init(init, problem, rank, symmetric=True)
    draws = generator(rng)
    xp, y = problem.xp, problem.y
    if problem.vanishes:
        return problem.nothing(rank, 0.0)
    problem = packed(problem.in_units(typical_size(problem)))
    if start is None:
        factor = alpha / math.sqrt(shape[0]) * normal(draws, (shape[0], rank), y, xp)
    else:
        factor = scaled_start(start, problem)[0]
    total = float(xp.sum(xp.abs(problem.y)))
    least = _checked_size(float(xp.linalg.vector_norm(factor)), xp.finfo(y.dtype))

    def advance(state: _State) -> Step[_State]:
        direction = pull(problem, state.factor, state.signs)
        factor = state.factor - state.length * direction
        residual = problem.residual(factor, adjoint(factor, xp))
        error = float(xp.sum(xp.abs(residual))) / total
        size = float(xp.linalg.vector_norm(factor))
        change = state.length * float(xp.linalg.vector_norm(direction)) / (size or 1.0)
        done = Status.CONVERGED if error <= rounding(y.dtype, xp) or change <= tol else None
        small = least < _LARGEST and size < math.sqrt(least)
        if done is not None and small and inner(direction, factor, xp) < 0:
            done = Status.STAGNATED  # it would grow, but for the length of steps
        following = _State(factor, unit_signs(residual, xp), state.length * ratio)
        return Step(following, error, None, done)

    residual = problem.residual(factor, adjoint(factor, xp))
    return iterate(
        advance,
        _State(factor, unit_signs(residual, xp), eta),
        max_iter=max_iter,
        tol=-1.0,  # the objective goes up and down
        callback=callback,
        show=lambda state: problem.shown(state.factor, adjoint(state.factor, xp)),
    )


def _checked_size(size: float, limits: Any) -> float:
    """Refuse a start whose square is no number."""
    floor = math.sqrt(float(limits.smallest_normal) / float(limits.eps))
    if size < floor:
        raise ValueError(
            f"init_scale, or init, must be at least about {floor:.0e} in this precision: the "
            "square of a smaller start is zero"
        )
    return size


def planned_decay(alpha: float, eta: float) -> float:
    """Return the ratio of step lengths whose sum lets a start of size `alpha` grow to one."""
    total = _BUDGET * math.log(1 / min(alpha, _LARGEST))
    if eta >= total:
        raise ValueError(f"step must be below {total:.3g} for this init_scale, got {eta}")
    return 1 - eta / total


def check_decay(decay: object) -> float:
    """Return a ratio of step lengths strictly between 0 and 1, or refuse it."""
    ratio = check_number(decay, name="decay")
    if not 0 < ratio < 1:
        raise ValueError(f"decay must lie strictly between 0 and 1, got {ratio}")
    return ratio


def pull(problem: Sensing, factor: Array, signs: Array) -> Array:
    """Return a subgradient of the mean magnitude of the residuals, the map at unit variance."""
    d = problem.operator.adjoint(signs) / (problem.y.shape[0] * math.sqrt(problem.energy))
    return (d + adjoint(d, problem.xp)) @ factor
