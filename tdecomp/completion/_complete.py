"""Completion of a matrix from some of its entries: the public door."""

from __future__ import annotations

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
from tdecomp._iterate import Callback, Fit, Progress
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._typing import Namespace, Seed
from tdecomp._xp import namespace, times_power
from tdecomp.completion._biases import ridge_of_biases
from tdecomp.completion._drive import drive
from tdecomp.completion._entries import Entries, read
from tdecomp.completion._format import Completion
from tdecomp.completion._methods._allowed import check_allowed
from tdecomp.completion._methods._als import als
from tdecomp.completion._methods._als_cg import als_cg
from tdecomp.completion._methods._riemannian import riemannian
from tdecomp.completion._methods._rising import rising
from tdecomp.completion._methods._scaled_gd import scaled_gd
from tdecomp.completion._methods._soft_impute import soft_impute
from tdecomp.completion._methods._soft_impute_als import soft_impute_als
from tdecomp.completion._pose import Options, Posed, pose
from tdecomp.completion._split import set_aside, without
from tdecomp.completion._units import Units, in_units, rounding

METHODS = {
    "als": als,
    "als_cg": als_cg,
    "riemannian": riemannian,
    "scaled_gd": scaled_gd,
    "soft_impute": soft_impute,
    "soft_impute_als": soft_impute_als,
}
# Those that fit offsets with the factors; with the others, they come first.
_TOGETHER = ("als", "als_cg")


@full_precision
def complete(
    x: Any,
    /,
    *,
    rank: int,
    method: str = "als",
    regularization: float = 0.0,
    by_count: bool = False,
    weights: Any = None,
    biases: bool | float = False,
    nonnegative: bool = False,
    duplicates: str = "error",
    init: Any = "spectral",
    holdout: Any = None,
    max_iter: int = 100,
    tol: float = 1e-5,
    rng: Seed = None,
    callback: Callback | None = None,
) -> Fit[Completion]:
    r"""Fit a matrix of low rank to the entries that are known.

    .. math:: \min_{U, V} \sum_{(i,j) \in \Omega} w_{ij} |x_{ij} - u_i \cdot v_j|^2
              + \lambda \bigl( \|U\|_F^2 + \|V\|_F^2 \bigr)

    Parameters
    ----------
    x : COO, sparse matrix or array, shape (m, n)
        What is known: the entries that a sparse matrix stores, explicit zeros too, or those of a
        dense array that are not NaN. Formats that fill up with zeros, DIA and BSR, are refused.
    rank : int
        The rank `k`, between 1 and ``min(m, n)``.
    method : {"als", "als_cg", "riemannian", "scaled_gd", "soft_impute", "soft_impute_als"}
        How to minimise; see the table below.
    regularization : float
        The penalty :math:`\lambda \ge 0`.
    by_count : bool
        Whether the penalty of each row and column is multiplied by what its entries weigh [1]_.
    weights : array, optional
        How much each entry counts: one number for each stored entry, in their order, or what
        broadcasts to ``(m, n)``. Entries of weight 0 are not looked at; where each entry of an
        array has a weight of its own, that of NaN is 0.
    biases : bool or float
        Whether rows and columns have offsets, and with which ridge :math:`\lambda_b`; True is 5.
    nonnegative : bool
        Whether no entry of the factors may be negative.
    duplicates : {"error", "mean"}
        What becomes of several entries at one place.
    init : {"spectral", "rising", "random"} or Completion
        Where to start: ``"rising"`` fits all lower ranks first, and leads to matrices of large
        condition numbers of which few entries are known, where from other starts methods stay far
        from them. Of a completion its factors are taken, and its offsets where these are fitted
        with the factors. Zero factors are a saddle that most methods do not leave.
    holdout : float, COO, sparse matrix or array, optional
        The share of the entries to set aside, or others to judge by, which are not fitted where
        `x` has them too: the iterate that fits these best is returned, and three steps in a row
        that do not fit them better end the iteration.
    max_iter : int
        The largest number of steps; the sweeps before the first step of ``"riemannian"`` are none,
        and neither are those of a rising start.
    tol : float
        Stop when a step changes the root of the objective by at most this, relatively: by default
        when a step no longer matters beside noise. It says nothing of the distance to the minimum,
        which is larger for methods of many small steps. For the last digits pass 1e-10 or less,
        and a larger `max_iter`.
    rng : int, numpy.random.Generator or None
        Of the start and of what is held out.
    callback : callable, optional
        Called with a `Progress` after each step; returning True ends the iteration.

    Returns
    -------
    Fit
        ``tensor``, a `Completion`; ``error``, the true residual on the entries that were fitted,
        relative to these unless all are 0; ``n_iter``; ``status``.

    Raises
    ------
    ValueError
        If nothing is known, an entry is infinite, a place comes twice, a number is out of its
        range, or the method cannot do what is asked for.
    TypeError
        If an argument is of another kind than it should be, or `nonnegative` entries are complex.

    See Also
    --------
    predict, top_n, fold_in, variance : take what is returned.
    cross_validate : chooses rank and penalty.
    variational_als : learns penalties and offsets.
    inductive : with features of rows and columns.
    implicit_als : from what was done, all else being zero.

    Notes
    -----
    With `biases` the model is :math:`\mu + b_i + c_j + u_i \cdot v_j`, where :math:`\mu` is the
    weighted mean of the entries, and :math:`\lambda_b (|b|^2 + |c|^2)` is added to what is
    minimised: over offsets and factors together by ``"als"`` and ``"als_cg"``; the other methods,
    and nonnegative factors, are fitted to what offsets alone leave.

    Every method takes weights, biases, complex entries, held-out ones, and a penalty. They differ
    in what a step is and in its operations, to which some :math:`(m + n) k^2` more come
    (:math:`k^3` for ``"als"``), and in what else they take:

    ===================== =================================== ============== ======== ===========
    method                step                                operations     by_count nonnegative
    ===================== =================================== ============== ======== ===========
    ``"als"``             each factor exactly, by turns       ``nnz k^2``    yes      yes
    ``"als_cg"``          each factor nearly, by turns        ``20 nnz k``   yes      no
    ``"riemannian"``      conjugate gradients, both factors   ``16 nnz k``   yes      no
    ``"scaled_gd"``       scaled gradients of both factors    ``8 nnz k``    yes      no
    ``"soft_impute"``     shrunk singular values, accelerated ``6 nnz k``    no       no
    ``"soft_impute_als"`` each factor for the filled matrix   ``8 nnz k``    no       no
    ===================== =================================== ============== ======== ===========

    With a penalty, and a rank above that of the solution, all minimise the sum of weighted squares
    and :math:`2 \lambda \|Z\|_*`, which is convex, unless penalties are by count or factors
    nonnegative; the last two set singular values to zero.

    References
    ----------
    .. [1] Y. Zhou, D. Wilkinson, R. Schreiber, R. Pan, "Large-scale parallel collaborative
       filtering for the Netflix prize", AAIM 2008. doi:10.1007/978-3-540-68880-8_32

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion import complete
    >>> x = np.outer([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
    >>> x[0, 2] = x[2, 0] = np.nan
    >>> fit = complete(x, rank=1, rng=0)
    >>> fit.tensor.to_array().round(3)
    array([[ 1.,  2.,  4.],
           [ 2.,  4.,  8.],
           [ 3.,  6., 12.]])
    """
    minimise = METHODS[check_choice(method, tuple(METHODS), name="method")]
    check_allowed(method, nonnegative=nonnegative, by_count=by_count)
    ridge, draw, rises = ridge_of_biases(biases), generator(rng), _rises(init)
    xp, entries = read(x, weights, duplicates=duplicates)
    options = Options(
        check_rank(rank, min(entries.shape), way="pass a rank"),
        check_size(regularization, name="regularization"),
        by_count,
        nonnegative,
        ridge,
        ridge is not None and method in _TOGETHER and not nonnegative,
        "spectral" if rises else init,
        draw,
    )
    posed, judge = _posed(entries, holdout, options, xp)
    if rises:
        posed = posed._replace(problem=rising(posed.problem, draw))
    solver = minimise(posed.problem)
    fit = drive(
        solver,
        judge,
        max_iter=check_count(max_iter, name="max_iter", least=1),
        tol=check_number(tol, name="tol"),
        callback=_seeing(callback, posed, told=solver.exact and judge is None),
        rounding=rounding(entries.values.dtype, xp),
        xp=xp,
    )
    return Fit(posed.completion(fit.tensor), posed.error(fit.tensor), fit.n_iter, fit.status)


def _rises(init: Any) -> bool:
    """Tell whether to start from lower ranks."""
    kinds = ("spectral", "rising", "random")
    return isinstance(init, str) and check_choice(init, kinds, name="init") == "rising"


def _posed(
    entries: Entries, holdout: Any, options: Options, xp: Namespace
) -> tuple[Posed, Entries | None]:
    """Return the problem at unit scale, and what judges its solutions."""
    scaled, units = in_units(entries, xp)
    kept, held = _held_out(scaled, holdout, units, options.rng, xp)
    posed = pose(kept, units, options, xp)
    return posed, None if held is None else posed.rest(held)


def _held_out(
    entries: Entries, holdout: Any, units: Units, rng: np.random.Generator, xp: Namespace
) -> tuple[Entries, Entries | None]:
    """Return what is fitted, and what judges it: a share of all, or entries of their own."""
    if holdout is None:
        return entries, None
    if hasattr(holdout, "__float__") and not hasattr(holdout, "shape"):
        share = check_size(holdout, name="holdout")
        if not 0 < share < 1:
            raise ValueError(f"holdout must be a share between 0 and 1, got {share}")
        kept, held = set_aside(entries, share, rng, xp)
        if held.values.shape[0] == 0:
            raise ValueError(
                f"holdout={share} sets nothing aside: every known entry is the last of its row or "
                "of its column"
            )
        return kept, held
    _, others = read(holdout, name="holdout")
    if others.shape != entries.shape:
        raise ValueError(f"holdout must have shape {entries.shape}, got {others.shape}")
    namespace(others.values, entries.values)
    dtype = entries.values.dtype
    wide = xp.astype(others.values, xp.result_type(others.values.dtype, dtype))
    scaled = xp.astype(times_power(wide, -float(units.exponent), xp), dtype)
    kept = without(entries, others, xp)
    if kept.values.shape[0] == 0:
        raise ValueError("holdout has all entries of x: none is left to be fitted")
    return kept, others._replace(values=scaled)


def _seeing(callback: Callback | None, posed: Posed, *, told: bool) -> Callback | None:
    """Let a callback see the matrix that would be returned, at the scale of the data.

    Its error is found unless the step has told it: the last one may have been to other factors.
    """
    check_callback(callback)
    if callback is None:
        return None

    def see(progress: Progress) -> object:
        error = progress.error if told else posed.error(progress.tensor)
        return callback(progress._replace(error=error, tensor=posed.completion(progress.tensor)))

    return see
