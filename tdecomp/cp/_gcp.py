"""Generalised CP decompositions: any elementwise loss in place of squares."""

from __future__ import annotations

import math
from typing import Any

from tdecomp._errors import check_callback, check_count, check_size
from tdecomp._iterate import Callback, Fit
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._typing import Array, Namespace, Seed
from tdecomp._weights import elementwise
from tdecomp._xp import equilibrate, prepare
from tdecomp.cp._format import CP
from tdecomp.cp._gcp_minimise import Deviance, minimised
from tdecomp.cp._gcp_objective import Filled, Grid, Listed, Objective, plan
from tdecomp.cp._gcp_sampled import sampled
from tdecomp.cp._gcp_start import rescaled_ridge, start
from tdecomp.cp._initial import as_data, check_components, check_init, values_of
from tdecomp.cp._losses import Loss, named
from tdecomp.cp._weighted_data import _check_slices, _entries
from tdecomp.ops._coo import COO

# The most zeros that a loss without a closed sum is summed over.
_FILLED = 1 << 28


@full_precision
def gcp(
    x: Any,
    /,
    *,
    rank: int,
    loss: str | Loss = "gaussian",
    weights: Any = None,
    init: Any = "random",
    ridge: float = 0.0,
    samples: int | None = None,
    tol: float = 1e-8,
    max_iter: int = 1000,
    rng: Seed = None,
    callback: Callback | None = None,
) -> Fit[CP]:
    r"""Decompose a tensor under a loss that suits its kind of data: counts, bits, outliers.

    .. math:: \min_{A_0, \ldots, A_{d-1}} F(M) = \sum_i w_i\, f(x_i, m_i)
              + \lambda \sum_k \|A_k\|_F^2,
              \qquad M = \sum_r a^{(0)}_r \otimes \cdots \otimes a^{(d-1)}_r

    over all factors together, by the quasi-Newton method L-BFGS-B [2]_ of SciPy. The derivative
    by a factor is the MTTKRP of the tensor of derivatives :math:`w_i\, \partial f / \partial m`
    [1]_.

    ===================== ================================================= ==========
    loss                  :math:`f(x, m)`                                   model
    ===================== ================================================= ==========
    ``gaussian``          :math:`(x - m)^2`                                 the mean
    ``poisson``           :math:`m - x \log m`                              the rate
    ``poisson-log``       :math:`e^m - x m`                                 its log
    ``bernoulli-odds``    :math:`\log(1 + m) - x \log m`                    the odds
    ``bernoulli-logit``   :math:`\log(1 + e^m) - x m`                       their log
    ``gamma``             :math:`x / m + \log m`                            the mean
    ``rayleigh``          :math:`2 \log m + \tfrac{\pi}{4} (x / m)^2`       the mean
    ``huber``             see `huber`                                       the mean
    ``negative-binomial`` see `negative_binomial`                           the odds
    ===================== ================================================= ==========

    Rates, odds and positive means are kept at zero or above by nonnegative factors.

    Parameters
    ----------
    x : array, shape (n_0, ..., n_{d-1}), or COO
        Real data. What a COO does not store is zero, unless `weights` says that it is missing.
    rank : int
        The number of components.
    loss : str or Loss
        One of the table, or a `Loss` of your own.
    weights : array, broadcastable to the shape of `x`, or COO
        Nonnegative weights :math:`w`; 0 means missing, and what is missing may be NaN. Entries
        that a COO does not store have weight 0.
    init : {'random', 'hosvd', 'gevd'} or CP
        Where to start. Names make a start for the model that fits each entry best, with absolute
        values where the model must not be negative.
    ridge : float
        The weight :math:`\lambda` of the squared factors, which share the weights evenly.
    samples : int, optional
        For sparse tensors whose zeros are too many to sum: estimate losses and gradients from so
        many stored entries, and so many of all, drawn anew for each step of Adam [3]_. Then
        `max_iter` counts epochs of 200 steps, `tol` is about epochs, and the error is an estimate
        from a sample 20 times larger, which stays the same.
    tol : float
        Stop when two steps in a row lower the deviance by at most this, relatively.
    max_iter : int
        The largest number of steps.
    rng : int, numpy.random.Generator or None
        Where random starts come from.
    callback : callable, optional
        Called with a `Progress` after each step, whose `tensor` is the iterate; returning True
        stops.

    Returns
    -------
    Fit
        ``tensor``, a `CP` in normal form; ``n_iter``; ``status``; and ``error``, the part of the
        deviance that is left,

        .. math:: \frac{F(M) - F(M_*)}{F(c) - F(M_*)}

        without the ridge, where :math:`M_*` fits each entry best and `c` is the best constant:
        0 for a perfect fit, 1 for one no better than a constant. For the Gaussian loss it is the
        squared relative error of the centred data, :math:`1 - R^2`. Where all data are equal, no
        constant is worse than any model, and it is :math:`F(M) - F(M_*)` itself.

    Raises
    ------
    TypeError, ValueError
        If `x` is complex, empty, has entries that are neither finite nor missing or that the loss
        does not allow, a slice is missing altogether, or an option is out of range.

    See Also
    --------
    cp_als : squares, far faster.
    cp_gauss_newton : squares, collinear components.

    Notes
    -----
    An evaluation costs :math:`6 R \prod n_k` flops and the loss of each entry, in slabs of the
    first mode: beside the data, memory holds one slab. For a sparse tensor under a loss with
    :math:`f(0, m) = a m + b m^2` (``gaussian``, ``poisson``) the zeros are summed in closed form,
    and the cost is :math:`2 d R` flops for each stored entry; under others, slabs are filled with
    zeros, or entries are sampled. Where logarithms or quotients need it, :math:`\epsilon^{2/3}` is
    added to the model, as a part of the mean of the data. The vector of unknowns passes through
    the host.

    References
    ----------
    .. [1] D. Hong, T. G. Kolda, J. A. Duersch, "Generalized canonical polyadic tensor
       decomposition", SIAM Rev. 62, 2020, Theorem 3. doi:10.1137/18M1203626
    .. [2] R. H. Byrd, P. Lu, J. Nocedal, C. Zhu, "A limited memory algorithm for bound constrained
       optimization", SIAM J. Sci. Comput. 16, 1995. doi:10.1137/0916069

    .. [3] T. G. Kolda, D. Hong, "Stochastic gradients for large-scale tensor decomposition", SIAM
       J. Math. Data Sci. 2, 2020, Section 5. doi:10.1137/19M1266265

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import cp
    >>> rng = np.random.default_rng(0)
    >>> rates = cp.CP(np.array([300.0]), tuple(rng.random((n, 1)) for n in (8, 9, 10)))
    >>> fit = cp.gcp(rng.poisson(rates.to_array()), rank=1, loss="poisson", rng=0)
    >>> round(cp.factor_match_score(fit.tensor, rates), 2)
    1.0
    """
    loss = named(loss)
    tol, ridge = check_size(tol, name="tol"), check_size(ridge, name="ridge")
    check_callback(callback)
    max_iter = check_count(max_iter, name="max_iter", least=1)
    rank = check_components(rank)
    if samples is not None:
        samples = check_count(samples, name="samples", least=1)
        if weights is not None or not isinstance(x, COO):
            raise ValueError("samples= is for sparse tensors without weights; leave it out")
    objective, unit, degree, xp = _objective(x, weights, loss, filled=samples is None)
    data = objective.x
    init = check_init(init, data, rank, xp=xp)
    if isinstance(init, CP):
        init = init._replace(weights=init.weights / unit)
        _check_start(init, objective.loss, xp)
    rng = generator(rng)
    factors = start(objective, init, rank, rng, xp=xp)
    deviance = Deviance.of(objective, rescaled_ridge(ridge, unit, 2 / len(data.shape) - degree))
    if samples is not None:
        return sampled(
            deviance, factors, samples=samples, tol=tol, max_iter=max_iter, callback=callback,
            unit=unit, rng=rng, xp=xp,
        )  # fmt: skip
    return minimised(
        deviance, factors, tol=tol, max_iter=max_iter, callback=callback, unit=unit, xp=xp
    )


def _objective(
    x: Any, weights: Any, loss: Loss, *, filled: bool = True
) -> tuple[Any, float, float, Namespace]:
    """Validate data and weights; return the objective at a moderate scale, scale and degree."""
    if weights is None:
        xp, x = as_data(x)
        values, listed = values_of(x), None
    elif isinstance(x, COO) or isinstance(weights, COO):
        indices, values, listed, shape, xp = _entries(x, weights)
        x = COO(indices, values, shape)
    else:
        xp, x, weights = _gridded(x, weights)
        values, listed = x, weights
    if xp.isdtype(values.dtype, "complex floating"):
        raise TypeError("x is complex; losses are of real data")
    kind: Any
    if isinstance(x, COO) and x.modes == 1:
        heavy = None if listed is None else x._replace(values=listed).to_array()
        x, listed = x.to_array(), heavy
        values = x
    if isinstance(x, COO):
        zeros = weights is None
        closed = not zeros or not filled or loss.zeros is not None
        planned = plan(x) if filled and closed else None
        kind = Listed(x, listed, loss, zeros, xp, planned) if closed else _filled(x, loss, xp)
    else:
        kind = Grid(x, listed, loss, xp)
    _check_domain(kind, loss)
    unit, degree = 1.0, 0.0
    if loss.rescaled is not None and values.shape[0]:
        scaled, scale = equilibrate(values, xp, axis=tuple(range(values.ndim)), always=True)
        unit = float(xp.reshape(scale, ()))
        moved = x._replace(values=scaled) if isinstance(x, COO) else scaled
        loss, degree = loss.rescaled(unit)
        kind = kind._replace(x=moved, loss=loss)
    return kind, unit, degree, xp


def _gridded(x: Any, weights: Any) -> tuple[Namespace, Array, Array]:
    """Validate an array with weights, and put 0 in the place of what is missing."""
    xp, x = prepare(x, ndim=1, batch=True, check_finite=False, name="x")
    weights = elementwise(weights, x, x.shape, xp)
    seen = weights > 0
    for mode in range(x.ndim):
        others = tuple(axis for axis in range(x.ndim) if axis != mode)
        _check_slices(xp.any(seen, axis=others) if others else seen, mode, xp)
    fill = xp.sum(xp.where(seen, x, xp.zeros_like(x))) / xp.sum(xp.astype(seen, x.dtype))
    _, x = prepare(xp.where(seen, x, fill), ndim=1, batch=True, name="x")
    return xp, x, weights


def _filled(x: COO, loss: Loss, xp: Namespace) -> Filled:
    """Sum over the zeros of a sparse tensor one by one, unless they are too many."""
    if math.prod(x.shape) > _FILLED:
        raise ValueError(
            f"the zeros of a sparse x of shape {x.shape} are too many to sum this loss over one "
            "by one; pass samples=, a Loss with zeros=, or weights= (what a COO of weights does "
            "not store is missing)"
        )
    return Filled(x, loss, xp)


def _check_domain(objective: Objective, loss: Loss) -> None:
    """Refuse data that the loss is not made for."""
    (low, high), (least, most) = objective.extremes(), loss.domain
    if low < least or high > most:
        raise ValueError(
            f"this loss needs entries between {least:g} and {most:g}, but x has entries from "
            f"{low:g} to {high:g}"
        )


def _check_start(init: CP, loss: Loss, xp: Namespace) -> None:
    """Refuse a start outside of the bounds."""
    parts = [init.weights, *init.factors]
    if loss.lower == 0.0 and any(bool(xp.any(part < 0)) for part in parts):
        raise ValueError("init must be nonnegative for this loss; pass its absolute values")
