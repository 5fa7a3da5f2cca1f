"""The best approximation of low rank where every entry has a weight of its own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tdecomp._errors import (
    check_callback,
    check_choice,
    check_count,
    check_number,
    check_rank,
    check_size,
)
from tdecomp._iterate import Callback, Fit, Status
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._typing import Array, Namespace, Seed
from tdecomp._weights import elementwise
from tdecomp._xp import differentiated, equilibrate, finite, is_numpy, namespace, prepare
from tdecomp.completion._dense._alternating import Alternating
from tdecomp.completion._dense._escape import escaped
from tdecomp.completion._dense._factors import Pair, orthonormal
from tdecomp.completion._dense._objective import Objective
from tdecomp.completion._dense._quasi_newton import QuasiNewton
from tdecomp.completion._dense._race import race
from tdecomp.completion._dense._search import search
from tdecomp.completion._dense._separable import closed
from tdecomp.completion._dense._settled import unspoilt
from tdecomp.completion._dense._starts import best_of_several, drawn, plain
from tdecomp.completion._inner import inner
from tdecomp.linalg import LowRank
from tdecomp.linalg._signs import canonical_signs

METHODS = ("gradient", "als", "em")
STARTS = ("best", "svd", "random")

# Beyond this power of two a penalty makes zeros of everything, or nothing.
_FAR = 200.0


@full_precision
def weighted_low_rank(
    x: Any,
    weights: Any,
    /,
    *,
    rank: int,
    method: str = "gradient",
    regularization: float = 0.0,
    init: str | LowRank = "best",
    n_starts: int = 1,
    tol: float = 1e-8,
    max_iter: int = 1000,
    rng: Seed = None,
    callback: Callback | None = None,
) -> Fit[LowRank]:
    r"""Approximate a matrix by one of low rank where every entry counts with its own weight.

    .. math:: \min_{U, V} \; \sum_{ij} w_{ij} \, \bigl| x_{ij} - (U V^T)_{ij} \bigr|^2
              + \lambda \bigl( \|U\|_F^2 + \|V\|_F^2 \bigr)

    For weights of rank one, :math:`w_{ij} = l_i^2 r_j^2`, that is `weighted_svd` with ``left=l``
    and ``right=r``, and without a penalty it is solved by it, without a step. For others there is
    no closed solution, and there may be several local ones. No step raises the objective.

    Parameters
    ----------
    x : array, shape (m, n)
        The data; entries of weight 0 are not looked at and may be NaN.
    weights : array, broadcastable to (m, n)
        Nonnegative, 0 for missing entries; bool allowed.
    rank : int
        At most ``min(m, n)``.
    method : {'gradient', 'als', 'em'}
        Quasi-Newton steps (L-BFGS) in the metric that alternating least squares makes of the
        weights; alternating least squares itself; or the EM algorithm, with products of row and
        column factors above the weights in place of the largest weight.
    regularization : float
        The penalty :math:`\lambda`, on the scale of the weights times that of the data. The sum of
        squares is then least at twice the nuclear norm of the approximation.
    init : {'best', 'svd', 'random'} or LowRank
        The best of the truncated SVD, those weighted by the means of rows, of columns and of both
        unless these are alike, the first step of EM from zero, and where no weight connects parts
        of the matrix a start for each; the truncated SVD; a random factor; or your own start. What
        has no weight is taken for zero. Weights of rank one need no start.
    n_starts : int
        How many starts race, in rounds of 8, 16, 32, ... steps, after each of which the better
        half goes on; all but the first are random.
    tol : float
        Stop when two steps in a row have lowered the root of the objective by no more than this,
        relative.
    max_iter : int
        The largest number of steps, those of the race included.
    rng : int, numpy.random.Generator or None
        For random starts, and for sketches of the others.
    callback : callable, optional
        Called with a `Progress` after each step that follows the race; returning True stops.
        Not called where no step is made.

    Returns
    -------
    Fit
        ``tensor``, a `LowRank` with orthonormal columns on the left, unless what weighs nearly
        nothing is so large that making them so would raise the error; ``error``, the true weighted
        relative error :math:`(\sum w |x - z|^2 / \sum w |x|^2)^{1/2}`; ``n_iter``; ``status``.
        Rows and columns without weight are zero where the start is.

    Raises
    ------
    ValueError, TypeError
        If a weight is negative or an entry that has one is not finite, if shapes do not fit or an
        option is out of range.

    See Also
    --------
    tdecomp.weighted_svd : weights of rows and columns, vectors or matrices, in closed form.

    Notes
    -----
    *Cost.* Most steps of ``'gradient'`` make three products with the data of width `k`,
    :math:`6\,mnk` flops, and read data and weights once; where a whole step does not pay, seven
    more find the lowest point of its line. Curvatures cost :math:`2\,mnk^2`, every 30 steps and
    after short ones, and in each sweep of ``'als'``. ``'gradient'`` keeps them,
    :math:`(m + n) k^2` numbers, as long as they are no more than data and weights themselves;
    beyond that, it keeps those within groups of columns, in a basis in which their mean is
    diagonal. Memory is a few times that of data, weights and factors, at any rank. ``'als'``
    makes them for a block of rows at a time, and ``'em'`` does without. A sweep of ``'em'`` costs
    one and a half to three steps of ``'gradient'``, and gets less far the more weights vary within
    rows and columns.

    *Curvature.* Given the right factor, the objective splits into least-squares problems of the
    rows of the left one, with matrices :math:`H_i = \sum_j w_{ij} \bar v_j v_j^T`. ``'als'``
    solves them in turn with those of the right one; ``'gradient'`` keeps their inverses, a little
    damped, as the metric from which L-BFGS starts, and learns what is between rows of both
    factors from the last five steps [5]_. Weights of rows and columns, however uneven, are
    thereby taken out of the problem.

    *Line search.* On a line the objective is a polynomial of degree four, whose coefficients take
    one pass over the data; its least value is found exactly. ``'gradient'`` needs it only where a
    whole step does not lower the objective enough. Sweeps are extrapolated by Anderson's
    method along such a line.

    *Precision.* Normal equations square condition numbers. They are solved for the change of a
    row, so that each sweep is a step of iterative refinement; what is added to singular ones damps
    steps, without moving the point where slopes vanish.

    *Saddles.* Under a penalty a column that is zero in both factors has no slope. Where steps end,
    the column that pays most is tried in place of the smallest one, and steps go on if it pays.

    *What is not seen.* Where many entries weigh nothing and the rank is large, a model without
    penalty may fit the others ever better and grow where nothing holds it: pass `regularization`.

    References
    ----------
    .. [1] N. Srebro, T. Jaakkola, "Weighted low-rank approximations", ICML 2003: the EM algorithm,
       local minima, and that solutions of different ranks are not nested.
    .. [2] K. R. Gabriel, S. Zamir, "Lower rank approximation of matrices by least squares with
       any choice of weights", Technometrics 21, 1979. doi:10.2307/1268288
    .. [3] T. Hastie, R. Mazumder, J. D. Lee, R. Zadeh, "Matrix completion and low-rank SVD via
       fast alternating least squares", JMLR 16, 2015, Algorithm 3.1 (sweeps of a majorant).
       arXiv:1410.2596
    .. [4] T. Hua et al., "Numerical optimizations for weighted low-rank estimation on language
       models", EMNLP 2022. arXiv:2211.09718
    .. [5] J. Nocedal, S. J. Wright, "Numerical Optimization", 2nd ed., 2006, algorithm 7.4.

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> x = np.outer([1.0, 2.0, 3.0], [1.0, 1.0, 2.0])
    >>> x[0, 2] = 100.0  # not to be trusted
    >>> weights = np.ones((3, 3))
    >>> weights[0, 2] = 0.0
    >>> fit = td.completion.weighted_low_rank(x, weights, rank=1, rng=0)
    >>> round(float(fit.tensor.to_array()[0, 2]), 6), fit.status.name
    (2.0, 'CONVERGED')
    """
    if differentiated(x) or differentiated(weights):
        raise ValueError(
            "under tracing (jit, vmap, gradients) steps cannot be judged by values: pass arrays "
            "that are neither traced nor require gradients"
        )
    check_choice(method, METHODS, name="method")
    check_count(n_starts, name="n_starts", least=1)
    check_count(max_iter, name="max_iter", least=1)
    tol = check_number(tol, name="tol")
    check_callback(callback)
    penalty = check_size(regularization, name="regularization")
    objective, scale = _prepared(x, weights, penalty)
    xp = objective.xp
    rank = check_rank(rank, min(objective.values.shape), way="pass a number of columns")
    own = _checked_start(init, rank, objective, scale)
    draws = generator(rng)

    def shown(pair: Pair) -> LowRank:
        return LowRank(pair.left, xp.matrix_transpose(pair.right) * scale)

    def finished(pair: Pair) -> tuple[LowRank, float]:
        pair = unspoilt(objective, pair, orthonormal)
        u, vh = canonical_signs(pair.left, xp.matrix_transpose(pair.right), xp)
        pair = Pair(u, xp.matrix_transpose(vh))
        return shown(pair), math.sqrt(objective.misfit(*pair) / objective.total)

    if objective.total == 0:
        nothing = drawn(objective, rank, draws)
        return Fit(shown(nothing.moved(-1.0, nothing)), 0.0, 0, Status.CONVERGED)
    exact = closed(objective, rank)
    if exact is not None:
        return Fit(*finished(exact), 0, Status.CONVERGED)
    solver: Any = QuasiNewton(objective)
    if method != "gradient":
        solver = Alternating(objective, majorised=method == "em")
    starts = _starts(objective, rank, own or init, n_starts, draws)
    winner, raced = race(solver, starts, max_iter)

    def escape(pair: Pair) -> Pair | None:
        return escaped(objective, pair, tol, draws) if objective.penalty else None

    limits: Any = {"max_iter": max_iter - raced, "tol": tol, "callback": callback}
    fit = search(solver, winner, escape, show=shown, **limits)
    return Fit(*finished(fit.tensor), fit.n_iter + raced, fit.status)


def _prepared(x: Any, weights: Any, penalty: float) -> tuple[Objective, float]:
    """Validate data and weights, and bring them to unit scale; return that of the data."""
    xp = namespace(x, weights)
    like = weights if hasattr(weights, "dtype") else None
    _, x = prepare(x, ndim=2, like=like, check_finite=False, name="x")
    weights = finite(elementwise(weights, x, x.shape, xp), xp, name="weights")
    x = finite(xp.where(weights > 0, x, xp.zeros_like(x)), xp, name="x")
    x, scale = _scaled(x, xp)
    weights, heaviest = _scaled(weights, xp)
    if penalty:
        exponent = math.log2(penalty) - math.log2(scale) - math.log2(heaviest)
        penalty = 2.0 ** max(min(exponent, _FAR), -_FAR)
    heavy = weights * x
    total = inner(x, heavy, xp)
    return Objective(x, weights, penalty, total, xp), scale


def _scaled(x: Array, xp: Namespace) -> tuple[Array, float]:
    """Bring an array to unit scale; return it in memory of its own with the power of two."""
    x, scale = equilibrate(x, xp, axis=(0, 1), always=True)
    x = np.ascontiguousarray(x) if is_numpy(x) else x  # slabs of rows are read again and again
    return x, float(xp.real(xp.reshape(scale, ())))


def _checked_start(init: Any, rank: int, objective: Objective, scale: float) -> Pair | None:
    """Return a start of the user's at the scale of the problem, None for those with a name."""
    xp, x = objective.xp, objective.values
    m, n = x.shape
    if isinstance(init, str):
        check_choice(init, STARTS, name="init")
        return None
    if not isinstance(init, tuple) or len(init) != 2:
        raise TypeError(
            f"init must be a LowRank or one of {', '.join(map(repr, STARTS))}, got "
            f"{type(init).__name__}"
        )
    namespace(x, *init)
    shapes = {"left": (m, rank), "right": (rank, n)}
    parts = []
    for (name, shape), part in zip(shapes.items(), init, strict=True):
        _, factor = prepare(part, ndim=2, like=x, name=f"init.{name}")
        if tuple(factor.shape) != shape:
            raise ValueError(f"init.{name} must have shape {shape}, got {tuple(factor.shape)}")
        if xp.isdtype(factor.dtype, "complex floating") > xp.isdtype(x.dtype, "complex floating"):
            raise TypeError(f"init.{name} is complex, x is real: no solution is complex")
        with np.errstate(over="ignore"):
            parts.append(xp.astype(factor, x.dtype))
    pair = Pair(parts[0], xp.matrix_transpose(parts[1]) / scale)
    with np.errstate(all="ignore"):  # refused all the same
        if not math.isfinite(objective.value(*pair)):
            raise ValueError("init is too large: the objective overflows there")
    return pair


def _starts(
    objective: Objective, rank: int, init: Any, count: int, rng: np.random.Generator
) -> list[Pair]:
    """Return the first start as it is wanted, and others at random."""
    named = {"best": best_of_several, "svd": plain, "random": drawn}
    first = named[init](objective, rank, rng) if isinstance(init, str) else init
    return [first, *(drawn(objective, rank, rng) for _ in range(count - 1))]
