"""Chebyshev-Tucker functions from callables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tdecomp._errors import ToleranceError, check_callable, check_count, check_rank, check_rtol
from tdecomp._iterate import Callback, Fit, Progress, Status
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._typing import Array, Seed
from tdecomp._xp import as_array, as_floating, device, eps, namespace
from tdecomp.chebyshev._compress import orthonormal, recompress
from tdecomp.chebyshev._core import arrays, of_arrays
from tdecomp.chebyshev._domain import as_domain, from_unit
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._sampling._manner import manner_of
from tdecomp.chebyshev._sampling._sampled import SLACK, fibre_sampled
from tdecomp.chebyshev._sampling._sampler import Sampler
from tdecomp.chebyshev._sampling._whole import JUDGED, judged
from tdecomp.chebyshev._values._evaluate import evaluate
from tdecomp.tt._sampler import ExhaustedError

# In units of eps, the least tolerance, and the one that is meant where none is given; from the
# fourth variable on each amplifies rounding, up to some.
_LEAST, _USUAL, _EACH, _SOME = 1e3, 2.5e3, 2.0, 13


class UnresolvedError(ToleranceError):
    """A function that was not resolved: it is not smooth enough, or needs more evaluations.

    Attributes
    ----------
    best : Fit or None
        The latest approximation with its error, whose factors are not orthonormal; None if there
        was no first one.
    reachable : float
        The error of that, infinite without one.
    """

    def __init__(self, message: str, *, best: Fit[ChebyshevTucker] | None) -> None:
        super().__init__(message, reachable=float("inf") if best is None else best.error)
        self.best = best


@full_precision
def chebyshev_tucker(
    f: Callable[..., Any],
    domain: Any,
    /,
    *,
    rtol: float | None = None,
    rank: int | tuple[int, ...] | None = None,
    size: int | tuple[int, ...] | None = None,
    max_evals: int = 10_000_000,
    rng: Seed = 0,
    callback: Callback | None = None,
    like: Array | None = None,
) -> Fit[ChebyshevTucker]:
    r"""Approximate a function of a box by a Chebyshev-Tucker function, from few of its values.

    Degrees and ranks are found on the way. Values are asked for along fibres, lines through the
    box that vary one variable: as many as the ranks, at as many points as the degrees ask for, and
    at the combinations of their interpolation nodes.

    Parameters
    ----------
    f : callable
        Takes one array for each variable, all of one axis, and returns an array of values, real or
        complex, or one number for all. One that takes numbers only is called point by point, with
        a warning.
    domain : array, shape (d, 2)
        The box, an interval (a, b) in each row.
    rtol : float, optional
        What counts as resolved: errors below it, relative to the largest magnitude of the values.
        By default some thousand eps, twice as much for each variable from the fourth on; at least
        one thousand.
    rank : int or tuple of int, optional
        Truncate the result, in the norm of L2.
    size : int or tuple of int, optional
        How many coefficients the function has in each variable. All values on a grid of as many
        Chebyshev points are asked for then, and their interpolation is compressed; how far it is
        from `f` is for you to judge, by `error`.
    max_evals : int, optional
        How many values may be asked for.
    rng : int, numpy.random.Generator or None, optional
        Where random points come from. The default makes the result reproducible.
    callback : callable, optional
        Called with a `Progress` after each round; returning True stops.
    like : array, optional
        Whose library, real dtype and device the function is given; by default NumPy's in double
        precision.

    Returns
    -------
    Fit
        The function, with factors that are orthonormal on the unit box, so that the norm of the
        core is the root of the mean square of the function times ``2**(d/2)``. `error` is the
        largest error seen, at points of a coarse grid and at random ones, over the largest
        magnitude of all values. `n_iter` counts rounds.

    Raises
    ------
    TypeError, ValueError
        If `f` cannot be called, or returns another shape, or a value that is not finite, which is
        named with its point; if an interval is reversed or infinite, or an option out of range.
    UnresolvedError
        If a series does not end, as that of a function that jumps, or evaluations run out. It has
        the latest approximation.

    Notes
    -----
    Of functions that polynomials resolve with :math:`m` coefficients, of rank :math:`r` in each of
    :math:`d` variables, about :math:`d\, r\, (m + 2 m_0) + r^d` values with :math:`m_0 = 17, 33,
    \dots` points at first. Of four variables and more, a few times :math:`\sum_k s_k r s_{k+1}` in
    place of :math:`r^d` where that is less, with the ranks :math:`s_k` of a tensor train; the core
    is that train if it stands for more than :math:`2^{17}` entries, an array otherwise.

    What is measured at points says nothing of what they do not meet: a spike that is narrower
    than their distance may be missed.

    What the rounding of points makes of values counts as resolved: of a small box far from zero
    that is more than `rtol`, and `error` tells how much.

    References
    ----------
    .. [1] S. Dolgov, D. Kressner, C. Stroessner, "Functional Tucker approximation using Chebyshev
       interpolation", SIAM J. Sci. Comput. 43, 2021. doi:10.1137/20M1356944
    .. [2] B. Hashemi, L. N. Trefethen, "Chebfun in three dimensions", SIAM J. Sci. Comput. 39,
       2017. doi:10.1137/16M1083803

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.chebyshev import chebyshev_tucker, integrate
    >>> fit = chebyshev_tucker(lambda x, y, z: np.cos(np.pi * x * y * z), [(0, 1)] * 3)
    >>> max(fit.tensor.rank) <= 10, fit.error < 1e-12
    (True, True)
    >>> round(float(integrate(fit.tensor)), 12)
    0.846110622735
    """
    check_callable(f, name="f")
    box = as_domain(domain)
    like, unit = _likeness(like)
    if rank is not None:
        _check_ranks(rank, len(box))
    if callback is not None:
        check_callable(callback, name="callback")
    usual = _USUAL * _EACH ** max(0, min(len(box), _SOME) - 3) * unit
    rtol = usual if rtol is None else _reachable(check_rtol(rtol), unit)
    ask = Sampler(f, box, like, check_count(max_evals, name="max_evals", least=1))
    sizes = None if size is None else _sizes(size, ask.d)
    watch = None if callback is None else _watched(callback, ask)
    try:
        if sizes is None:
            fit = fibre_sampled(ask, rtol / SLACK, generator(rng), callback=watch)
        else:
            fit = judged(ask, sizes, rtol / SLACK, generator(rng))
    except ExhaustedError:
        raise UnresolvedError(
            f"max_evals={max_evals} is too few for a first approximation of {ask.d} variables"
            + ("" if sizes is None else f" on a grid of size {sizes}"),
            best=None,
        ) from None
    if fit.status not in (Status.CONVERGED, Status.INTERRUPTED):
        best = fit._replace(tensor=_placed(fit.tensor, ask))
        raise UnresolvedError(_complaint(fit, ask), best=best)
    finished = fit._replace(tensor=_finished(fit.tensor, ask))
    return finished if rank is None else _truncated(finished, rank, ask)


def _likeness(like: Array | None) -> tuple[Array, float]:
    """Return a real array whose library, dtype and device are those of points, and its eps."""
    if like is None:
        return np.empty(0), eps(np.dtype(np.float64), namespace(np.empty(0)))
    xp = namespace(like)
    like = as_floating(as_array(like, xp, None, "like"), xp, name="like")
    if xp.isdtype(like.dtype, "complex floating"):
        like = xp.real(like)
    return like, eps(like.dtype, xp)


def _reachable(rtol: float, unit: float) -> float:
    """Return a tolerance above the noise of values."""
    if rtol < _LEAST * unit:
        raise ToleranceError(
            f"rtol={rtol:.3g} is below what rounding of values allows: ask for rtol >= "
            f"{_LEAST * unit:.3g}",
            reachable=_LEAST * unit,
        )
    return rtol


def _check_ranks(rank: Any, d: int) -> None:
    """Refuse what cannot be ranks of any function of so many variables."""
    ranks = rank if isinstance(rank, tuple | list) else (rank,) * d
    if len(ranks) != d:
        raise ValueError(f"rank must be an int or have {d} entries, got {rank}")
    for r in ranks:
        check_rank(r)


def _sizes(size: Any, d: int) -> tuple[int, ...]:
    """Return how many coefficients there are for each variable."""
    sizes = tuple(size) if isinstance(size, tuple | list) else (size,) * d
    if len(sizes) != d:
        raise ValueError(f"size must be an int or have {d} entries, got {size}")
    return tuple(check_count(n, name="size", least=1) for n in sizes)


def _watched(callback: Callback, ask: Sampler) -> Callback:
    """Let a callback see functions of the box."""
    return lambda progress: callback(Progress(*progress[:-1], _finished(progress.tensor, ask)))


def _finished(f: ChebyshevTucker, ask: Sampler) -> ChebyshevTucker:
    """Return the same as `_placed` with orthonormal factors."""
    core, factors = orthonormal(f.core, f.factors, namespace(*f.factors))
    return _placed(ChebyshevTucker(core, factors, f.domain), ask)


def _placed(f: ChebyshevTucker, ask: Sampler) -> ChebyshevTucker:
    """Return a function of the unit box as one of the box, in the library of the callable."""
    xp, place = namespace(ask.like), device(ask.like)

    def back(x: Array) -> Array:
        return xp.asarray(np.ascontiguousarray(x), device=place)

    box = xp.asarray(ask.domain, dtype=ask.like.dtype, device=place)
    core = of_arrays(f.core, list(map(back, arrays(f.core))))
    return ChebyshevTucker(core, tuple(map(back, f.factors)), box)


def _complaint(fit: Fit[ChebyshevTucker], ask: Sampler) -> str:
    """Say why a function was not resolved."""
    if fit.status is Status.STAGNATED:
        why = "the series of a fibre does not end: f may jump, or have a kink or a singularity"
    else:
        why = (
            f"{ask.evaluations} values were asked for in {fit.n_iter} round(s): raise max_evals=, "
            "or rtol= far above the noise of f"
        )
    return (
        f"f is not resolved: {why}; the latest approximation, with an error of "
        f"{fit.error:.1e}, is in the attribute best of this error"
    )


def _truncated(fit: Fit[ChebyshevTucker], rank: Any, ask: Sampler) -> Fit[ChebyshevTucker]:
    """Return the best function of given ranks, and by how much it is off where it was judged."""
    found = recompress(fit.tensor, rank=rank)
    xp = namespace(*found.factors)
    t = manner_of(ask.d).anywhere(ask.d, JUDGED, np.random.default_rng(0))
    x = xp.asarray(
        from_unit(t, ask.domain, namespace(t)), dtype=ask.like.dtype, device=device(ask.like)
    )
    change = xp.max(xp.abs(evaluate(found, x) - evaluate(fit.tensor, x)))
    return Fit(found, fit.error + float(change) / (ask.largest or 1.0), fit.n_iter, fit.status)
