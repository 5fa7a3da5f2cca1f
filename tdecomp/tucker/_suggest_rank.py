"""Which multilinear rank: the spectra of all unfoldings, and the smallest core they allow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import check_count, check_rtol
from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import equilibrate, floats, prepare, times_power
from tdecomp.linalg._left_triangle import triangle
from tdecomp.linalg._truncation import rtol_of_energy, tail_norms
from tdecomp.linalg._unfolded import double, slabs
from tdecomp.tucker._algebra_norm import orthonormal
from tdecomp.tucker._format import Tucker, as_tucker
from tdecomp.tucker._targets import check_modes, precision_for

# Up to so many combinations of ranks are all looked at.
_COMBINATIONS = 1 << 20


class RankSuggestion(NamedTuple):
    """A multilinear rank, and what is known of the error before anything is decomposed.

    Attributes
    ----------
    rank : tuple of int
        One rank for each mode: the ``rank=`` of `sthosvd` and `hooi`.
    bound : float
        The relative error of `hosvd`, `sthosvd` and the best approximation of this rank is at
        most that.
    at_least : float
        No approximation of this rank has a smaller relative error.
    n_parameters : int
        The numbers that core and factors hold.
    """

    rank: tuple[int, ...]
    bound: float
    at_least: float
    n_parameters: int


class _Problem(NamedTuple):
    """Squared tails relative to the norm, a vector for each mode, and the sizes of the modes."""

    tails: tuple[np.ndarray, ...]
    sizes: tuple[int, ...]
    alone: int


@full_precision
def mode_spectra(x: Any, /, *, modes: Sequence[int] | None = None) -> tuple[Array, ...]:
    r"""Return the singular values of the unfoldings of a tensor: its multilinear spectrum.

    With the tails :math:`\tau_k(r)^2 = \sum_{i \ge r} \sigma^{(k)\,2}_i` of the unfolding along
    mode `k`, the error of the best approximation of multilinear rank :math:`r` lies between

    .. math:: \max_k \tau_k(r_k) \le \min_{\operatorname{rank} Y \le r} \| X - Y \|_F
              \le \Bigl( \sum_k \tau_k(r_k)^2 \Bigr)^{1/2} ,

    and `hosvd` and `sthosvd` stay below the upper bound too.

    Parameters
    ----------
    x : array, shape (n_0, ..., n_{d-1}), or Tucker
        The tensor.
    modes : sequence of int, optional
        The modes; by default all.

    Returns
    -------
    tuple of array, shape (min(n_k, prod_{j != k} n_j),)
        Singular values, descending and real, one vector for each of `modes`; of a Tucker tensor
        no more than its rank. :func:`tdecomp.linalg.tail_norms` makes tails of them.

    Raises
    ------
    TypeError, ValueError
        If `x` is no tensor, empty or not finite, or there is no such mode.

    See Also
    --------
    suggest_rank : what follows from them.

    Notes
    -----
    By QR decompositions of the unfoldings, block by block, and the SVD of their triangular
    factors: all digits, where Gram matrices would lose those below the square root of eps. About
    :math:`2 n_k` flops an entry for each mode.

    References
    ----------
    .. [1] L. De Lathauwer, B. De Moor, J. Vandewalle, "A multilinear singular value
       decomposition", SIAM J. Matrix Anal. Appl. 21, 2000, Property 10.
       doi:10.1137/S0895479896305696

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tucker
    >>> i, j, k = np.ogrid[:6, :7, :8]
    >>> [int(np.sum(s > 1e-12 * s[0])) for s in tucker.mode_spectra(1.0 * i + j * k)]
    [2, 2, 2]
    """
    xp, x, exponent, _ = _tensor(x)
    chosen = check_modes(modes, x.ndim)
    return tuple(times_power(s, exponent, xp) for s in _mode_spectra(x, chosen, xp=xp))


def _mode_spectra(x: Array, modes: Sequence[int], *, xp: Namespace) -> list[Array]:
    """Take singular values of triangular factors of the unfoldings."""
    return [xp.linalg.svdvals(triangle(slabs(x, mode, xp), xp)) for mode in modes]


def _tensor(x: Any) -> tuple[Namespace, Array, Array, tuple[int, ...]]:
    """Return a safe tensor of the same spectra, its exponent of two, and the shape of `x`."""
    if hasattr(x, "core"):
        xp, core, factors = as_tucker(x, name="x")
        shape = Tucker(core, tuple(factors)).shape
        core, _, exponent = orthonormal(core, factors, xp)
        return xp, core, exponent, shape
    xp, x = prepare(x, ndim=1, batch=True, name="x")
    x, scale = equilibrate(x, xp, axis=tuple(range(x.ndim)))
    return xp, x, xp.log2(xp.reshape(scale, ())), tuple(map(int, x.shape))


@full_precision
def suggest_rank(
    x: Any,
    /,
    *,
    rtol: float | None = None,
    energy: float | None = None,
    n_parameters: int | None = None,
    modes: Sequence[int] | None = None,
) -> RankSuggestion:
    r"""Return the multilinear rank with the fewest parameters for an error, or the reverse.

    Among all ranks with :math:`\sum_k \tau_k(r_k)^2 \le \mathtt{rtol}^2 \|X\|_F^2` the one with
    the least :math:`\prod_k r_k + \sum_k n_k r_k`; or, among all ranks within a number of
    parameters, the one of the least bound. Equal shares of the error for all modes, which is what
    ``sthosvd(x, rtol=rtol)`` gives them, are rarely the best.

    Parameters
    ----------
    x : array, shape (n_0, ..., n_{d-1}), or Tucker
        The tensor.
    rtol : float, optional
        The relative error that `hosvd` and `sthosvd` of this rank are guaranteed to stay below.
    energy : float, optional
        The part of :math:`\|X\|_F^2` to keep: ``rtol = sqrt(1 - energy)``.
    n_parameters : int, optional
        The largest number of parameters. Exactly one of these three must be given.
    modes : sequence of int, optional
        The modes to compress; by default all.

    Returns
    -------
    RankSuggestion
        ``rank``, one for each of `modes`; ``bound`` and ``at_least``, between which the error of
        the best approximation lies; ``n_parameters``.

    Raises
    ------
    TypeError, ValueError
        If not exactly one target is given, or one is out of range.
    ToleranceError
        If `rtol` is below what rounding allows in this precision.

    See Also
    --------
    rank_map : for several tolerances at the price of one.
    tdecomp.cp.suggest_rank : numbers of components.

    Notes
    -----
    The cost is that of `mode_spectra`. For given ranks of all modes but the longest, its own
    follows; all combinations of the others are looked at if there are at most :math:`2^{20}`, so
    that the answer is exact. Beyond, a start of equal shares is improved by exchanges between two
    modes until no pair of them gains. Only ranks that a tensor can have are considered, none
    above the product of the others.

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> from tdecomp import tucker
    >>> x = 1 / (1.0 + sum(np.ogrid[:30, :20, :10]))
    >>> found = tucker.suggest_rank(x, rtol=1e-4)
    >>> error = td.relative_error(x, tucker.sthosvd(x, rank=found.rank))
    >>> bool(found.at_least <= error <= found.bound <= 1e-4)
    True
    """
    targets = (rtol, energy, n_parameters)
    if sum(target is not None for target in targets) != 1:
        raise ValueError("pass exactly one of rtol=, energy= and n_parameters=")
    if energy is not None:
        rtol = rtol_of_energy(energy)
    if rtol is not None:
        return rank_map(x, [rtol], modes=modes)[0]
    most = check_count(n_parameters, name="n_parameters", least=1)
    xp, x, _, shape = _tensor(x)
    chosen = check_modes(modes, x.ndim)
    problem = _problem(x, shape, chosen, xp)
    least = _parameters(problem, (1,) * len(chosen))
    if most < least:
        raise ValueError(f"n_parameters must be at least {least}, for rank 1, got {most}")
    return _suggestion(problem, _solved(problem, None, most))


@full_precision
def rank_map(
    x: Any, rtols: Sequence[float], /, *, modes: Sequence[int] | None = None
) -> tuple[RankSuggestion, ...]:
    """Return the multilinear rank that each of several tolerances needs.

    Parameters
    ----------
    x : array, shape (n_0, ..., n_{d-1}), or Tucker
        The tensor.
    rtols : sequence of float
        Relative errors.
    modes : sequence of int, optional
        The modes to compress; by default all.

    Returns
    -------
    tuple of RankSuggestion
        For each tolerance what `suggest_rank` says.

    Raises
    ------
    TypeError, ValueError
        If `x` is no tensor, or a tolerance is out of range.
    ToleranceError
        If one is below what rounding allows in this precision.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tucker
    >>> x = 1 / (1.0 + sum(np.ogrid[:30, :20, :10]))
    >>> [found.rank for found in tucker.rank_map(x, [1e-1, 1e-3, 1e-6])]
    [(2, 2, 2), (4, 5, 4), (7, 8, 7)]
    """
    xp, x, _, shape = _tensor(x)
    chosen = check_modes(modes, x.ndim)
    if not isinstance(rtols, list | tuple):
        raise TypeError(f"rtols must be a sequence of relative errors, got {rtols!r}")
    checked = [check_rtol(rtol, name=f"rtols[{k}]") for k, rtol in enumerate(rtols)]
    sides = tuple(map(int, x.shape))
    plans = [
        precision_for(rtol, sides, chosen, dtype=x.dtype, wide=double(x, xp), xp=xp)
        for rtol in checked
    ]
    problems = {
        work: _problem(xp.astype(x, work, copy=False), shape, chosen, xp)
        for work in dict.fromkeys(work for work, _ in plans)
    }
    return tuple(
        _suggestion(problems[work], _solved(problems[work], (rtol - aside) ** 2, None))
        for rtol, (work, aside) in zip(checked, plans, strict=True)
    )


def _problem(x: Array, shape: tuple[int, ...], modes: Sequence[int], xp: Namespace) -> _Problem:
    """Return the squared tails of all modes on the host, in double precision."""
    tails = []
    for s in _mode_spectra(x, modes, xp=xp):
        tail = np.asarray(floats(tail_norms(s)))
        tails.append((tail / (tail[0] or 1.0)) ** 2)
    sizes = tuple(shape[mode] for mode in modes)
    return _Problem(tuple(tails), sizes, math.prod(shape) // math.prod(sizes))


def _parameters(problem: _Problem, ranks: Sequence[int]) -> int:
    """Count the entries of core and factors."""
    factors = sum(n * r for n, r in zip(problem.sizes, ranks, strict=True))
    return problem.alone * math.prod(ranks) + factors


def _suggestion(problem: _Problem, ranks: tuple[int, ...]) -> RankSuggestion:
    """Say what is known of a rank."""
    left = [float(tail[r]) for tail, r in zip(problem.tails, ranks, strict=True)]
    count = _parameters(problem, ranks)
    return RankSuggestion(ranks, math.sqrt(sum(left)), math.sqrt(max(left)), count)


def _solved(problem: _Problem, allowed: float | None, budget: int | None) -> tuple[int, ...]:
    """Return the best ranks: of all where they can be listed, else of all pairs."""
    modes = range(len(problem.sizes))
    lengths = [tail.shape[0] - 1 for tail in problem.tails]
    full = tuple(lengths) if budget is None else (1,) * len(lengths)
    if math.prod(lengths) // max(lengths) <= _COMBINATIONS:
        return _best(problem, full, modes, allowed, budget) or full
    ranks = _shared(problem, allowed, budget) or full
    while True:
        before = ranks
        for pair in combinations(modes, 2):
            ranks = _best(problem, ranks, pair, allowed, budget) or ranks
        if ranks == before:
            return ranks


def _shared(
    problem: _Problem, allowed: float | None, budget: int | None
) -> tuple[int, ...] | None:
    """Return ranks of equal tails, the smallest that fit; None where no tensor has them."""
    if allowed is not None:
        levels = np.asarray([allowed / len(problem.sizes)])
    else:
        levels = np.unique(np.concatenate(problem.tails))
    low, high = 0, levels.shape[0] - 1
    while low < high:
        middle = (low + high) // 2
        fits = _parameters(problem, _at(problem, levels[middle])) <= (budget or 0)
        low, high = (low, middle) if fits else (middle + 1, high)
    ranks = _at(problem, levels[low])
    product = problem.alone * math.prod(ranks)
    possible = all(r * r <= product for r in ranks)
    return (
        ranks if possible and (budget is None or _parameters(problem, ranks) <= budget) else None
    )


def _at(problem: _Problem, level: float) -> tuple[int, ...]:
    """Return the smallest ranks whose squared tails are at most a level."""
    return tuple(max(1, int(np.searchsorted(-tail, -level))) for tail in problem.tails)


def _best(
    problem: _Problem,
    ranks: tuple[int, ...],
    free: Sequence[int],
    allowed: float | None,
    budget: int | None,
) -> tuple[int, ...] | None:
    """Optimise the ranks of some modes exactly, those of the others fixed; None if none fit.

    All ranks of the free modes but the longest are listed; its own follows in closed form.
    """
    *grid, last = sorted(free, key=lambda mode: problem.tails[mode].shape[0])
    axes = [np.arange(1, problem.tails[mode].shape[0]) for mode in grid]
    listed = [axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")]
    count = listed[0].shape[0] if listed else 1
    table = np.repeat(np.asarray(ranks)[:, None], count, axis=1)
    for mode, column in zip(grid, listed, strict=True):
        table[mode] = column
    table[last] = 1
    product = problem.alone * np.prod(table, axis=0)
    lost = np.zeros(count)
    stored = np.zeros(count, dtype=np.int64)
    fewest = np.ones(count, dtype=np.int64)
    for mode, row in enumerate(table):
        if mode != last:
            lost += problem.tails[mode][row]
            stored += problem.sizes[mode] * row
            # No rank is above the product of the others.
            fewest = np.maximum(fewest, -(-row * row // product))
    tail, n = problem.tails[last], problem.sizes[last]
    most = np.minimum(product, tail.shape[0] - 1)
    if allowed is not None:
        needed = np.searchsorted(-tail, -np.maximum(allowed - lost, 0.0))
        table[last] = np.maximum(needed, fewest)
        valid = (lost <= allowed) & (table[last] <= most)
    else:
        table[last] = np.minimum((int(budget or 0) - stored) // (product + n), most)
        valid = table[last] >= fewest
    if not np.any(valid):
        return None
    table = table[:, valid]
    size = stored[valid] + (product[valid] + n) * table[last]
    lost = lost[valid] + tail[table[last]]
    chosen = np.lexsort((lost, size) if allowed is not None else (size, lost))[0]
    return tuple(int(r) for r in table[:, chosen])
