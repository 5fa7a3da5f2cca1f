"""CP by alternating least squares on samples, for tensors too large to read in every sweep."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import check_callback, check_count, check_size
from tdecomp._iterate import Callback, Fit, Status, Step, iterate
from tdecomp._measure import relative_error
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._typing import Array, Namespace, Seed
from tdecomp._xp import adjoint, device, differentiated, eps, equilibrate, real_dtype
from tdecomp.cp._arls_data import DenseFibres, Fibres, SparseFibres
from tdecomp.cp._arls_sampling import draw_rows, probabilities
from tdecomp.cp._format import CP
from tdecomp.cp._initial import _initialise, as_data, check_components, check_init, nearby
from tdecomp.cp._normalise import _normalise
from tdecomp.ops._coo import COO

# Samples by default: some R^2 log R, as the theory asks for three modes, within these bounds.
_SAMPLES = 5.0
_FEWEST, _MOST = 1 << 10, 1 << 17
# Sweeps in an epoch, entries by which fits are judged, epochs without gain before the end.
_EPOCH = 5
_JUDGES = 1 << 15
_PATIENCE = 3


class _Plan(NamedTuple):
    """What every epoch needs to know."""

    fibres: Fibres
    square: float
    samples: int
    epoch: int
    tol: float
    rng: np.random.Generator
    like: Array
    xp: Namespace


class _State(NamedTuple):
    """An iterate, the row probabilities of its factors; the best so far; epochs without gain."""

    cp: CP
    tables: tuple[np.ndarray, ...]
    best: CP
    least: float
    idle: int = 0


@full_precision
def cp_arls(
    x: Any,
    /,
    *,
    rank: int,
    samples: int | None = None,
    init: Any = "random",
    epoch: int = _EPOCH,
    tol: float = 1e-4,
    max_iter: int = 50,
    rng: Seed = None,
    callback: Callback | None = None,
) -> Fit[CP]:
    r"""Approximate a large tensor by a sum of rank-one tensors, from samples of its fibres.

    Given all factors but one, that one solves :math:`\min_A \|Z A^T - X_{(n)}^T\|` with the
    Khatri-Rao product :math:`Z` of the others. Instead of all rows of that overdetermined problem
    a sample is solved, of rows drawn by the product of the leverage scores of the factors' rows:
    with :math:`s = O(R^{d-1} \log(R) / \varepsilon)` rows the residual is within :math:`1 +
    \varepsilon` of the least one, whatever the tensor [1]_. A sweep then touches
    :math:`s \sum n_k` entries instead of :math:`\prod n_k`.

    Parameters
    ----------
    x : array, shape (n_0, ..., n_{d-1}), or COO
        The tensor. What a COO does not store is zero.
    rank : int
        The number `R` of components.
    samples : int, optional
        The number `s` of rows for each least-squares problem, at least `rank`; by default
        :math:`5 R^2 \log(R + 1)`, but between 1024 and 131072.
    init : {'random', 'hosvd', 'gevd'} or CP
        Where to start, see `initialise`; all but a `CP` and ``'random'`` read the tensor.
    epoch : int
        Sweeps between two looks at the error.
    tol : float
        Stop after three epochs in which the relative error did not fall by this much.
    max_iter : int
        The largest number of epochs.
    rng : int, numpy.random.Generator or None
        Where samples and random starts come from: the same seed gives the same samples on every
        library.
    callback : callable, optional
        Called with a `Progress` after each epoch, whose `error` is an estimate; returning True
        stops.

    Returns
    -------
    Fit
        ``tensor``, the best iterate in normal form (see `normalise`); ``error``, its relative
        error: true, not estimated; ``n_iter``, the number of epochs; ``status``.

    Raises
    ------
    TypeError, ValueError
        If `x` is empty or not finite, or an option is out of range; if the places of fibres of a
        sparse `x` do not fit in 64 bits.

    See Also
    --------
    cp_als : exact sweeps.

    Notes
    -----
    A sweep costs :math:`d s R^2 + s R \sum n_k` multiplications for an array; for sparse data the
    second term shrinks to the entries that the fibres hold. Rows that would be drawn many times
    over are included for certain, the others once with a weight that counts their draws. Sampled
    problems are solved by orthogonal transformations.

    Between epochs the error is estimated from 32768 entries that are drawn once: uniformly from
    an array, half from the entries and half from the zeros of a sparse tensor. That tells epochs
    from one another better than it tells the error. The error at the end takes one pass over the
    data, whose difference it forms, or the stored entries of sparse data and the norm of the rest.

    *When to prefer* :func:`cp_als`. Exact sweeps converge to the end; sampled ones leave every
    factor off by a part of the residual, so that noisy data end about one percent above the least
    error, and data of exact rank at rounding. Exact sweeps also read a tensor at the speed of
    memory, samples at its latency. They win for arrays of less than about :math:`10^8` entries,
    for well-conditioned problems of any size, which need but a few of them, and for sparse tensors
    of up to some :math:`10^7` entries. For 500 x 500 x 500 numbers, rank 10, collinear components
    and a tenth of noise, the sampled fit was measured to take two thirds of the time of the exact
    one, a third where memory was busy.

    References
    ----------
    .. [1] B. W. Larsen, T. G. Kolda, "Practical leverage-based sampling for low-rank tensor
       decomposition", SIAM J. Matrix Anal. Appl. 43, 2022, Sections 4 and 5.
       doi:10.1137/21M1441754
    .. [2] C. Battaglino, G. Ballard, T. G. Kolda, "A practical randomized CP tensor
       decomposition", SIAM J. Matrix Anal. Appl. 39, 2018. doi:10.1137/17M1112303

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import cp
    >>> rng = np.random.default_rng(0)
    >>> factors = tuple(rng.standard_normal((n, 3)) for n in (40, 50, 60))
    >>> x = cp.CP(np.ones(3), factors).to_array()
    >>> fit = cp.cp_arls(x, rank=3, rng=0)
    >>> fit.error < 1e-6, fit.status.name
    (True, 'CONVERGED')
    """
    if differentiated(x):
        raise ValueError(
            "under tracing (jit, vmap, gradients) rows cannot be drawn by their values; use cp_als"
        )
    xp, x = as_data(x)
    shape, values = tuple(x.shape), x.values if isinstance(x, COO) else x
    rank = check_components(rank, math.prod(shape) // max(shape))
    init = check_init(init, x, rank, xp=xp)
    if samples is None:
        wanted = math.ceil(_SAMPLES * rank**2 * math.log(rank + 1))
        samples = max(rank, min(max(wanted, _FEWEST), _MOST))
    check_count(samples, name="samples", least=rank)
    check_count(epoch, name="epoch", least=1)
    check_count(max_iter, name="max_iter")
    tol = check_size(tol, name="tol")
    check_callback(callback)
    draws = generator(rng)
    start = _initialise(x, rank, init, draws, xp=xp)
    size = 1.0
    if values.shape[0]:
        values, scale = equilibrate(values, xp, axis=tuple(range(values.ndim)))
        size = float(xp.reshape(scale, ()))
    x = x._replace(values=values) if isinstance(x, COO) else values
    square = float(xp.linalg.vector_norm(xp.reshape(values, (-1,)))) ** 2
    if square == 0:
        zeros = tuple(xp.zeros_like(factor) for factor in start.factors)
        return Fit(CP(xp.zeros_like(start.weights), zeros), 0.0, 0, Status.CONVERGED)
    if isinstance(init, CP):
        start = nearby(init, {}, size, math.sqrt(square), xp)
    else:
        start = start._replace(weights=start.weights / size)
    fibres = _fibres(x, draws, xp)
    plan = _Plan(fibres, square, samples, epoch, tol, draws, values, xp)
    fit = iterate(
        lambda state: _step(plan, state),
        _begun(plan, start),
        max_iter=max_iter,
        tol=-1.0,
        callback=callback,
        show=lambda state: _normalise(_scaled(state.best, size), xp=xp),
    )
    best = _scaled(fit.tensor, 1 / size)
    return fit._replace(error=float(relative_error(x, best)))


def _fibres(x: Any, rng: np.random.Generator, xp: Namespace) -> Fibres:
    """Prepare the data for sampling."""
    if not isinstance(x, COO):
        return DenseFibres(x, _JUDGES, rng, xp)
    if math.prod(x.shape) > int(xp.iinfo(x.indices.dtype).max):
        raise ValueError(
            f"places in a tensor of shape {x.shape} do not fit in 64 bits; use cp_als, which "
            "needs none"
        )
    return SparseFibres(x, _JUDGES, rng, xp)


def _scaled(cp: CP, factor: float) -> CP:
    """Multiply a decomposition by a number."""
    return cp._replace(weights=cp.weights * factor)


def _begun(plan: _Plan, cp: CP) -> _State:
    """Return the state of a start."""
    tables = tuple(probabilities(factor, plan.xp) for factor in cp.factors)
    return _State(cp, tables, cp, _error(plan, cp))


def _error(plan: _Plan, cp: CP) -> float:
    """Estimate the relative error."""
    return math.sqrt(plan.fibres.estimate(cp) / plan.square)


def _step(plan: _Plan, state: _State) -> Step[_State]:
    """Make an epoch, and judge it."""
    cp, tables = state.cp, list(state.tables)
    for _ in range(plan.epoch):
        for mode in range(cp.modes):
            factor, weights = _solved(plan, cp.factors, tables, mode)
            factors = (*cp.factors[:mode], factor, *cp.factors[mode + 1 :])
            cp, tables[mode] = CP(weights, factors), probabilities(factor, plan.xp)
    error = _error(plan, cp)
    better = error < state.least
    idle = 0 if state.least - error > plan.tol else state.idle + 1
    best, least = (cp, error) if better else (state.best, state.least)
    exact = least <= eps(plan.like.dtype, plan.xp)
    verdict = Status.CONVERGED if idle >= _PATIENCE or exact else None
    return Step(_State(cp, tuple(tables), best, least, idle), least, math.inf, verdict)


def _solved(
    plan: _Plan, factors: Sequence[Array], tables: Sequence[np.ndarray], mode: int
) -> tuple[Array, Array]:
    """Solve a sampled problem; return the factor with columns of length one, and the lengths.

    Directions that the sample does not show, up to rounding, get no part in the solution, which
    has the smallest norm.
    """
    xp, where = plan.xp, device(plan.like)
    others = [k for k in range(len(factors)) if k != mode]
    rows = draw_rows([tables[k] for k in others], plan.samples, plan.rng)
    real = real_dtype(plan.like.dtype, xp)
    heavy = xp.asarray(rows.weights, dtype=real, device=where)
    heavy = xp.astype(heavy, plan.like.dtype)[:, None]
    z = heavy * xp.ones_like(factors[0][:1, :])
    for k, index in zip(others, rows.indices, strict=True):
        z = z * xp.take(factors[k], xp.asarray(index, device=where), axis=0)
    q, r = xp.linalg.qr(z)
    u, s, vh = xp.linalg.svd(r)
    kept = s > max(z.shape) * eps(s.dtype, xp) * s[0]
    inverse = xp.where(kept, 1 / xp.where(kept, s, xp.ones_like(s)), xp.zeros_like(s))
    dual = heavy * xp.conj(q @ u)
    product = plan.fibres.multiply(mode, rows.indices, dual)
    factor = (product * xp.astype(inverse, product.dtype)) @ adjoint(xp.matrix_transpose(vh), xp)
    lengths = xp.linalg.vector_norm(factor, axis=0)
    safe = xp.where(lengths > 0, lengths, xp.ones_like(lengths))
    return factor / xp.astype(safe, factor.dtype), lengths
