"""Matrix sensing by gradient descent from a small start, of unequal factors or a single one."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tdecomp._errors import check_callback, check_count, check_positive, check_rank, check_size
from tdecomp._iterate import Callback, Fit, Status, Step, iterate
from tdecomp._precision import full_precision
from tdecomp._random import generator, normal
from tdecomp._typing import Array, Namespace, Seed
from tdecomp._xp import adjoint
from tdecomp.completion._units import rounding
from tdecomp.completion.robust._init import check_init, check_square, scaled_start
from tdecomp.completion.robust._sensing import Sensing, sensing
from tdecomp.linalg._formats import LowRank
from tdecomp.linalg._robust import robust_svd

# The correction comes once: where the residual is below the first of these, or factors change by
# less than the second, relatively.
_NEAR, _SLOW = 0.2, 1e-3
# The left factor after the correction, in units of the root of the spectral norm.
_BALANCE = 0.5


class _State(NamedTuple):
    """Both factors, the right one of columns, the residual, and whether a correction is due."""

    left: Array
    right: Array
    residual: Array
    due: bool


@full_precision
def sense(
    y: Any,
    measurements: Any,
    /,
    *,
    rank: int,
    symmetric: bool = False,
    correction: bool = True,
    init: LowRank | None = None,
    init_scale: float = 0.1,
    imbalance: float = 3.0,
    step: float = 0.2,
    tol: float = 1e-10,
    max_iter: int = 5000,
    rng: Seed = None,
    callback: Callback | None = None,
) -> Fit[LowRank]:
    r"""Recover a matrix from linear measurements, also if its rank is less than what is allowed.

    .. math:: \min_{F, G} \| \mathcal A(F G^*) - y \|_2^2

    by gradient descent. Where the factors have just as many columns as the matrix has rank, the
    error falls by a constant factor in each step. With more columns, and one factor on both sides,
    :math:`\|X_t X_t^* - \Sigma\|_F` falls only like :math:`1 / t`, and no faster. Two factors of
    *unequal* small starts keep what they are unequal by, which speeds them up to
    :math:`\exp(-c\, \alpha^2 t)`, and one correction that makes the left factor an isometry up to
    scale takes away even the dependence on :math:`\alpha` [1]_.

    Parameters
    ----------
    y : array, shape (p,)
        What was measured.
    measurements : array, shape (p, m, n), or measurements
        The map: a stack of matrices, `EntryMeasurements`, `RankOneMeasurements` or
        `LinearMeasurements`.
    rank : int
        The number `k` of columns of the factors, at least the rank of the matrix.
    symmetric : bool
        Look for a semidefinite matrix :math:`X X^*`, by one factor.
    correction : bool
        Make the correction, once the residual is below 0.2 or factors change by less than 0.001,
        relatively. It is for two factors.
    init : LowRank, optional
        Where to start, instead of at random; of a symmetric problem the left factor counts.
    init_scale : float
        The size :math:`\alpha` of the random start, in units of the root of the spectral norm of
        :math:`\mathcal A^*(y)`.
    imbalance : float
        How many times the left factor is as large as the right one at the start.
    step : float
        The step size :math:`\eta`, in units of the inverse of that norm.
    tol : float
        Stop when a step changes the factors by at most this, relatively.
    max_iter : int
        The largest number of steps.
    rng : int, numpy.random.Generator or None
        Where the start comes from.
    callback : callable, optional
        Called with a `Progress` after each step; returning True stops.

    Returns
    -------
    Fit
        ``tensor``, a `LowRank`; ``error``, the residual :math:`\|\mathcal A(F G^*) - y\|_2 /
        \|y\|_2`; ``n_iter``; ``status``.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, an array is empty or not finite, or an option is out of range.

    See Also
    --------
    subgradient : for measurements some of which are wrong by any amount.
    scaled_subgradient : the same for ill-conditioned matrices of known rank.

    Notes
    -----
    A step measures one product and takes the adjoint of one residual; for a stack of matrices
    that is :math:`4 p m n` flops and two readings. Rates assume that the map nearly preserves
    norms of matrices of low rank (RIP); it is brought to scale by the mean squared norm of its
    matrices.

    The difference :math:`F^* F - G^* G`, which drives convergence, changes in a step by exactly
    :math:`\eta^2 (G^* D^* D G - F^* D D^* F)` with :math:`D = \mathcal A^*(\mathcal A(F G^*) -
    y)`: hardly at all.

    References
    ----------
    .. [1] N. Xiong, L. Ding, S. S. Du, "How over-parameterization slows down gradient descent in
       matrix sensing: the curses of symmetry and initialization", ICLR 2024, arXiv:2310.01769,
       equations 3 and 4, Theorems 1 to 4.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion.robust import sense
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.standard_normal((12, 2)) @ rng.standard_normal((2, 10))
    >>> a = rng.standard_normal((400, 12, 10))
    >>> fit = sense(np.tensordot(a, truth, 2), a, rank=4, rng=0)
    >>> bool(np.abs(fit.tensor.to_array() - truth).max() < 1e-7), fit.status.name
    (True, 'CONVERGED')
    """
    problem = sensing(y, measurements)
    shape = problem.operator.shape
    if symmetric:
        check_square(shape)
    rank = check_rank(rank, min(shape), way="ranks above that of the matrix are welcome")
    alpha = check_positive(init_scale, name="init_scale")
    ratio = check_positive(imbalance, name="imbalance")
    eta = check_positive(step, name="step")
    tol, max_iter = check_size(tol, name="tol"), check_count(max_iter, name="max_iter", least=1)
    check_callback(callback)
    start = check_init(init, problem, rank, symmetric=symmetric)
    draws = generator(rng)
    xp, y = problem.xp, problem.y
    if problem.vanishes:
        return problem.nothing(rank, 0.0)
    back = problem.operator.adjoint(y) * problem.weight
    if problem.is_rounding(back):  # no matrix measures anything like the data
        return problem.nothing(rank, 1.0)
    problem = problem.in_units(float(xp.max(xp.linalg.svdvals(back))))
    if start is None:
        sizes = (alpha, alpha / ratio)
        left, right = (
            size / math.sqrt(n) * normal(draws, (n, rank), y, xp)
            for size, n in zip(sizes, shape, strict=True)
        )
    else:
        left, right = scaled_start(start, problem)
    if symmetric:
        right = left
    return _descended(
        problem,
        _begun(problem, left, right, due=correction and not symmetric),
        (eta, symmetric),
        (tol, max_iter, callback),
    )


def _begun(problem: Sensing, left: Array, right: Array, *, due: bool) -> _State:
    """Measure the start."""
    residual = problem.residual(left, adjoint(right, problem.xp))
    return _State(left, right, residual, due)


def _descended(
    problem: Sensing,
    state: _State,
    how: tuple[float, bool],
    limits: tuple[float, int, Callback | None],
) -> Fit[LowRank]:
    """Iterate until factors rest."""
    xp, (eta, symmetric), (tol, max_iter, callback) = problem.xp, how, limits
    norm = float(xp.linalg.vector_norm(problem.y))

    def step(state: _State) -> Step[_State]:
        gradient = problem.operator.adjoint(state.residual) * problem.weight
        if symmetric:
            left = _symmetric_step(state.left, gradient, eta, xp)
            right = left
        else:
            left, right = _asymmetric_step(state.left, state.right, gradient, eta, xp)
        residual = problem.residual(left, adjoint(right, xp))
        error = float(xp.linalg.vector_norm(residual)) / norm
        change = _change(state, left, right, xp)
        exact = error <= rounding(problem.y.dtype, xp)
        rests = change <= tol and not state.due
        done = Status.CONVERGED if exact or rests else None
        due = state.due
        if due and (error <= _NEAR or change <= _SLOW) and math.isfinite(error):
            left, right = corrected(left, right, _BALANCE, xp)
            due = False
        return Step(_State(left, right, residual, due), error, None, done)

    return iterate(
        step,
        state,
        max_iter=max_iter,
        tol=-1.0,  # a small start grows for long before any residual shows it
        callback=callback,
        show=lambda state: problem.shown(state.left, adjoint(state.right, xp)),
    )


def _asymmetric_step(
    left: Array, right: Array, gradient: Array, eta: float, xp: Namespace
) -> tuple[Array, Array]:
    """Move both factors at once."""
    return (
        left - eta * (gradient @ right),
        right - eta * (adjoint(gradient, xp) @ left),
    )


def _symmetric_step(factor: Array, gradient: Array, eta: float, xp: Namespace) -> Array:
    """Move the one factor."""
    return factor - eta / 2 * ((gradient + adjoint(gradient, xp)) @ factor)


def corrected(left: Array, right: Array, balance: float, xp: Namespace) -> tuple[Array, Array]:
    """Make the left factor `balance` times an isometry, and leave the product as it is."""
    u, s, vh = robust_svd(left, xp)
    return balance * u, (right @ adjoint(vh, xp)) * xp.astype(s / balance, left.dtype)


def _change(state: _State, left: Array, right: Array, xp: Namespace) -> float:
    """Return by how much factors have changed, relative to their size."""
    pairs = ((left, state.left), (right, state.right))
    gaps = [float(xp.linalg.vector_norm(new - old)) for new, old in pairs]
    sizes = [float(xp.linalg.vector_norm(new)) for new, _ in pairs]
    size = math.hypot(*sizes)
    return math.hypot(*gaps) / size if size > 0 else 0.0
