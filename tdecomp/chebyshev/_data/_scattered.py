"""Chebyshev-Tucker functions from values at scattered points."""

from __future__ import annotations

from typing import Any

import numpy as np

from tdecomp._errors import check_count, check_number, check_rank, check_size
from tdecomp._iterate import Callback, Fit, iterate
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._shim import constant, host
from tdecomp._typing import Array, DType, Namespace, Seed
from tdecomp._xp import device, equilibrate, finite, prepare
from tdecomp.chebyshev._compress import orthonormal
from tdecomp.chebyshev._data._sample_search import Wish, searched
from tdecomp.chebyshev._data._sample_steps import Model, Samples, residual, sweep
from tdecomp.chebyshev._domain import as_domain, to_unit
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.linalg._unfolded import double

# Samples of which some can be held out.
_FEWEST = 5


@full_precision
def from_samples(
    points: Any,
    values: Any,
    domain: Any = None,
    /,
    *,
    size: int | tuple[int, ...] | None = None,
    rank: int | tuple[int, ...] | None = None,
    ridge: float | None = None,
    weights: Any = None,
    max_iter: int = 100,
    tol: float = 1e-4,
    rng: Seed = 0,
    callback: Callback | None = None,
) -> Fit[ChebyshevTucker]:
    r"""Fit a Chebyshev-Tucker function to values at scattered points, by least squares.

    With coefficients :math:`C = G \times_k V_k` of :math:`m_k` polynomials and ranks :math:`r_k`,

    .. math:: \frac{\sum_n w_n |y_n - f(x_n)|^2}{\sum_n w_n}
              + \lambda \sum_k \|C \times_k D\|_F^2 , \qquad D_{ii} = i (i - 1) ,

    is lowered by turns: a factor, the next one, ..., the core. The penalty holds back second
    derivatives.

    Parameters
    ----------
    points : array, shape (N, d)
        Real points, one in each row.
    values : array, shape (N,)
        What is known there, real or complex.
    domain : array, shape (d, 2), or pair of float, optional
        The box; by default the least one that holds the points.
    size : int or tuple of int, optional
        How many coefficients there are for each variable; by default found.
    rank : int or tuple of int, optional
        The ranks, none larger than `size`; by default found.
    ridge : float, optional
        The weight :math:`\lambda` of the penalty, of values whose largest magnitude is near one;
        by default found.
    weights : array, shape (N,), optional
        How much each sample counts: the inverse of its variance. A value may be NaN where that
        is zero.
    max_iter : int, optional
        The largest number of sweeps.
    tol : float, optional
        Stop when a sweep changes the root of the sum above by at most this part.
    rng : int, numpy.random.Generator or None, optional
        Where the start, and the samples that are held out, come from.
    callback : callable, optional
        Called with a `Progress` after each sweep; returning True stops.

    Returns
    -------
    Fit
        The function, with factors that are orthonormal on the unit box. `error` is the relative
        error at the samples, in the weighted norm. It says nothing of other points where there
        are about as many unknowns as samples: hold some of them out to know.

    Raises
    ------
    TypeError, ValueError
        If shapes do not match, something is not finite, weights are negative, a point lies outside
        of the domain, an option is out of range, or there are too few samples to hold some out.

    See Also
    --------
    from_grid : values at all points of a grid.
    chebyshev_tucker : a function that can be evaluated anywhere.

    Notes
    -----
    A sweep takes about :math:`2 N \sum_k (m_k r_k)^2 + 2 N \prod_k r_k^2` flops, and memory for a
    block of equations. They are solved by orthogonal transformations, in double precision: values
    of a function of that size and rank at enough points give it back to rounding. The sum falls
    with every sweep, to a minimum that need not be the lowest one.

    What is not given is found with a fifth of the samples held out, from small models to larger
    ones; the result is then fitted to all samples. No gradients flow through a fit.

    References
    ----------
    .. [1] G. Beylkin, J. Garcke, M. J. Mohlenkamp, "Multivariate regression and machine learning
       with sums of separable functions", SIAM J. Sci. Comput. 31, 2009. doi:10.1137/070710524
    .. [2] A. Doostan, A. Validi, G. Iaccarino, "Non-intrusive low-rank separated approximation of
       high-dimensional stochastic models", Comput. Methods Appl. Mech. Eng. 263, 2013.
       doi:10.1016/j.cma.2013.04.003

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.chebyshev import evaluate, from_samples
    >>> x = np.random.default_rng(0).uniform(-1, 1, (300, 2))
    >>> y = np.exp(x[:, 0] * x[:, 1])
    >>> seen, held = slice(200), slice(200, None)
    >>> f = from_samples(x[seen], y[seen], (-1, 1)).tensor
    >>> missed = evaluate(f, x[held]) - y[held]
    >>> bool(np.sqrt(np.mean(missed**2)) < 1e-4)
    True
    """
    xp, y = prepare(values, ndim=1, check_finite=weights is None, name="values")
    _, x = prepare(points, ndim=2, like=y, name="points")
    x, y = constant(x), constant(y)
    n, d = map(int, x.shape)
    if y.shape[0] != n:
        raise ValueError(f"values must have {n} entries, one for each point, got {y.shape[0]}")
    if xp.isdtype(x.dtype, "complex floating"):
        raise TypeError(f"points must be real, got {x.dtype}")
    wish = _wish(size, rank, ridge, d)
    max_iter = check_count(max_iter, name="max_iter", least=1)
    tol = check_number(tol, name="tol")
    dtype, box = y.dtype, _box(x, domain, d)
    if weights is not None:
        weights = _weights(weights, y, xp)
        y = finite(xp.where(weights > 0, y, xp.zeros_like(y)), xp, name="values")
        counted = xp.nonzero(weights > 0)[0]
        x, y, weights = (xp.take(z, counted, axis=0) for z in (x, y, weights))
        n = int(y.shape[0])
    if None in wish and n < _FEWEST:
        raise ValueError(f"{n} samples are too few to hold some out: pass size=, rank= and ridge=")
    y, scale = equilibrate(xp.astype(y, double(y, xp), copy=False), xp, axis=0)
    samples = _samples(x, y, weights, box, xp)

    def show(model: Model) -> ChebyshevTucker:
        core, factors = orthonormal(model.core * scale[0], model.factors, xp)
        stored = (xp.astype(v, dtype) for v in factors)
        return ChebyshevTucker(xp.astype(core, dtype), tuple(stored), _like(box, y, dtype, xp))

    model, chosen = searched(samples, wish, generator(rng), xp)
    fit = iterate(
        sweep(samples, chosen, xp), model, max_iter=max_iter, tol=tol, callback=callback, show=show
    )
    return fit._replace(error=_true(fit.tensor, samples, scale, xp))


def _wish(size: Any, rank: Any, ridge: Any, d: int) -> Wish:
    """Validate what is asked for."""
    sizes = _each(size, d, "size")
    ranks = _each(rank, d, "rank")
    if sizes is not None and ranks is not None:
        for k, (r, m) in enumerate(zip(ranks, sizes, strict=True)):
            check_rank(r, m, name=f"rank[{k}]", way="pass a larger size=")
    return Wish(sizes, ranks, None if ridge is None else check_size(ridge, name="ridge"))


def _each(number: Any, d: int, name: str) -> tuple[int, ...] | None:
    """Return a positive number for each variable."""
    if number is None:
        return None
    numbers = list(number) if isinstance(number, list | tuple) else [number] * d
    if len(numbers) != d:
        raise ValueError(f"{name} must have one entry for each of {d} variables, got {numbers}")
    return tuple(check_rank(n, name=name, way="by default it is found") for n in numbers)


def _box(x: Array, domain: Any, d: int) -> np.ndarray:
    """Return the box, by default the least one."""
    if domain is not None:
        return as_domain(domain, d)
    known = host(x).astype(float)
    low, high = known.min(axis=0), known.max(axis=0)
    if np.any(low == high):
        k = int(np.argmax(low == high))
        raise ValueError(f"points do not vary in variable {k}, pass domain=")
    return np.stack([low, high], axis=1)


def _weights(weights: Any, y: Array, xp: Namespace) -> Array:
    """Validate weights, and bring them to a safe scale."""
    _, w = prepare(weights, ndim=1, like=y, name="weights")
    if w.shape[0] != y.shape[0]:
        raise ValueError(
            f"weights must have {y.shape[0]} entries, one for each point, got {w.shape[0]}"
        )
    if xp.isdtype(w.dtype, "complex floating") or bool(xp.any(w < 0)):
        raise ValueError("weights must be real and not negative")
    if not bool(xp.any(w > 0)):
        raise ValueError("weights are all zero: no sample counts")
    return equilibrate(w, xp, axis=0)[0]


def _samples(x: Array, y: Array, weights: Any, box: np.ndarray, xp: Namespace) -> Samples:
    """Return samples in the unit box, with roots of weights of mean one."""
    real = xp.real(y) if xp.isdtype(y.dtype, "complex floating") else y
    roots = xp.ones_like(real)
    if weights is not None:
        w = xp.astype(weights, real.dtype, copy=False)
        roots = xp.sqrt(w * (w.shape[0] / xp.sum(w)))
    t = to_unit(xp.astype(x, real.dtype, copy=False), _like(box, y, real.dtype, xp), xp)
    return Samples(t, y, roots)


def _like(box: np.ndarray, like: Array, dtype: DType, xp: Namespace) -> Array:
    """Return a box in the library and real dtype of values."""
    moved = xp.asarray(box, device=device(like))
    narrow = dtype in (xp.float32, xp.complex64)
    return xp.astype(moved, xp.float32, copy=False) if narrow else moved


def _true(f: ChebyshevTucker, samples: Samples, scale: Array, xp: Namespace) -> float:
    """Return the relative error of what is returned."""
    work = samples.values.dtype
    core = xp.astype(f.core, work, copy=False) / scale[0]
    model = Model(core, tuple(xp.astype(v, work, copy=False) for v in f.factors))
    total = float(xp.linalg.vector_norm(samples.values * samples.roots))
    missed = residual(model, samples, xp)
    return missed / total if total > 0 else missed
