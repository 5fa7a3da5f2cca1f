"""How many components: evidence for several ranks, and what follows from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import check_count, check_number, check_rank
from tdecomp._iterate import Fit, Status
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._typing import Namespace, Seed
from tdecomp._xp import eps, floats, real_dtype
from tdecomp.cp._algebra import _evaluate
from tdecomp.cp._als import cp_als
from tdecomp.cp._core_consistency import _core_consistency
from tdecomp.cp._format import CP
from tdecomp.cp._initial import values_of
from tdecomp.cp._observed import HeldOut, as_observed, hold_out
from tdecomp.cp._split_half import half_limit, split_half
from tdecomp.ops._coo import COO
from tdecomp.ops._unfold import check_mode

# How many ranks are tried unless they are named.
_USUAL = 6
# A gain counts from this many standard errors on.
_ERRORS = 2.0
# Below these a decomposition is not trilinear, or not reproducible.
_CONSISTENT, _SIMILAR = 50.0, 0.9
# Cores of more entries than this are not formed.
_CORE = 1 << 24


class RankTable(NamedTuple):
    """Evidence for each of several ranks.

    Printed, it is a table.

    Attributes
    ----------
    rank : int
        The suggested one.
    ranks : tuple of int
        The ranks that were tried, ascending.
    error : array
        The relative error of the fit to all observed entries. It falls with the rank, whatever
        the data: alone it tells nothing.
    held_out : array
        The relative error on entries that the fit has not seen; NaN without any.
    core_consistency : array
        In percent; NaN where the core would be too large, or a sparse tensor has missing entries.
    split_half : array
        The median factor match score of halves; NaN without splits.
    status : tuple of Status
        How each fit ended; DEGENERATE and SWAMP count against a rank.
    fits : tuple of Fit
        The fits themselves, that of the suggested rank at ``ranks.index(rank)``.
    """

    rank: int
    ranks: tuple[int, ...]
    error: np.ndarray
    held_out: np.ndarray
    core_consistency: np.ndarray
    split_half: np.ndarray
    status: tuple[Status, ...]
    fits: tuple[Fit[CP], ...]

    def __str__(self) -> str:
        """Return a table of one line for each rank, an arrow at the suggested one."""
        lines = ["rank   error     held out  consistency  split half  status"]
        columns = zip(self.ranks, self.error, self.held_out, self.core_consistency,
                      self.split_half, self.status, strict=True)  # fmt: skip
        for r, error, held, core, half, status in columns:
            mark = ">" if r == self.rank else " "
            lines.append(
                f"{mark}{r:3d}   {error:8.2e}  {held:8.2e}  {core:11.1f}  {half:10.3f}  "
                f"{status.name}"
            )
        return "\n".join(lines)


@full_precision
def suggest_rank(
    x: Any,
    /,
    *,
    ranks: Sequence[int] | None = None,
    held_out: float = 0.1,
    n_splits: int = 4,
    mode: int = 0,
    weights: Any = None,
    nonnegative: bool | Sequence[int] = False,
    n_starts: int = 5,
    tol: float = 1e-6,
    max_iter: int | None = None,
    rng: Seed = None,
) -> RankTable:
    r"""Fit CP decompositions of several ranks, and suggest one by what the fits have not seen.

    For each rank: the error; the error on a random part of the entries that are held out, for a
    fit to the others alone, with weight 0 for what is held out [1]_; `core_consistency`;
    `split_half`; the status. The rule for the suggested rank, among those that are not degenerate:

    - With entries held out: the smallest rank whose held-out residuals are not worse than those
      of the best rank by more than two standard errors of the paired difference,
      :math:`\overline{|e_i| - |e_i^*|} \le 2\, \mathrm{std}(|e_i| - |e_i^*|) / \sqrt m`, or
      vanish. Noise that a component describes is not there in the entries held out. Magnitudes
      are compared, and not squares, which a few large entries would dominate.
    - Without: the largest rank whose core consistency is at least 50 and whose split-half score,
      if there is one, at least 0.9; but none above the first that is exact.

    Parameters
    ----------
    x : array, shape (n_0, ..., n_{d-1}), or COO
        The tensor.
    ranks : sequence of int, optional
        The ranks to try; by default those from 1 to 6 that the shape allows.
    held_out : float
        The part of the observed entries that is held out, below 1; 0 for none. A sparse tensor
        without `weights` has too many zeros to hold out.
    n_splits : int
        How often `split_half` cuts the tensor; 0 for not at all.
    mode : int
        The mode that it cuts: that of samples.
    weights, nonnegative, n_starts, tol, max_iter : optional
        As in `cp_als`.
    rng : int, numpy.random.Generator or None
        Where starts, splits and held-out entries come from.

    Returns
    -------
    RankTable
        The suggestion and the evidence.

    Raises
    ------
    TypeError, ValueError
        If `x` or an option is not one, or a rank is above what the shape allows.

    See Also
    --------
    tdecomp.tucker.suggest_rank : for multilinear ranks.

    Notes
    -----
    The errors of noise-free data vanish from the right rank on; what is below
    :math:`\epsilon^{1/2}` counts as zero. Missing entries of an array are replaced by those of the
    fit before its core consistency is computed. A suggestion that is the largest rank tried calls
    for larger ones. The cost: for each rank ``n_starts`` races for the whole tensor, for the part
    of it that is not held out, and `n_splits` times for halves.

    References
    ----------
    .. [1] S. Wold, "Cross-validatory estimation of the number of components in factor and
       principal components models", Technometrics 20, 1978.
       doi:10.1080/00401706.1978.10489693
    .. [2] R. Bro, H. A. L. Kiers, "A new efficient method for determining the number of
       components in PARAFAC models", J. Chemometrics 17, 2003. doi:10.1002/cem.801

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import cp
    >>> rng = np.random.default_rng(0)
    >>> truth = cp.CP(np.ones(2), tuple(rng.standard_normal((n, 2)) for n in (12, 11, 10)))
    >>> noisy = truth.to_array() + 0.2 * rng.standard_normal((12, 11, 10))
    >>> table = cp.suggest_rank(noisy, ranks=(1, 2, 3), n_splits=0, rng=0)
    >>> table.rank
    2
    >>> int(table.held_out.argmin()), int(table.error.argmin())
    (1, 2)
    """
    xp, x, weights = as_observed(x, weights)
    shape = tuple(map(int, x.shape))
    tried = _tried(ranks, math.prod(shape) // max(shape))
    part = _part(held_out, x, weights)
    mode = check_mode(mode, len(shape))
    n_splits = check_count(n_splits, name="n_splits")
    draws = generator(rng)
    options: dict[str, Any] = {
        "nonnegative": nonnegative,
        "n_starts": n_starts,
        "tol": tol,
        "max_iter": max_iter,
        "rng": draws,
    }
    # Before any fit, so that they depend on the seed alone; all ranks get the same halves.
    left_out = hold_out(x, weights, part, draws, xp) if part else None
    cuts = int(draws.integers(1 << 32))
    fits = tuple(cp_als(x, rank=r, weights=weights, init="hosvd", **options) for r in tried)
    held, residuals = np.full(len(tried), np.nan), None
    if left_out is not None:
        held, residuals = _cross_validated(left_out, tried, options, xp)
    halves = [
        split_half(
            x, rank=r, mode=mode, n_splits=n_splits, weights=weights, **{**options, "rng": cuts}
        ).score
        if n_splits and len(shape) > 1 and shape[mode] > 1 and r <= half_limit(shape, mode)
        else math.nan
        for r in tried
    ]
    table = RankTable(
        tried[0],
        tried,
        np.asarray([float(fit.error) for fit in fits]),
        held,
        np.asarray([_consistency(x, weights, fit.tensor, xp) for fit in fits]),
        np.asarray(halves),
        tuple(fit.status for fit in fits),
        fits,
    )
    zero = math.sqrt(eps(real_dtype(values_of(x).dtype, xp), xp))
    return table._replace(rank=_suggested(table, residuals, zero))


def _tried(ranks: Any, limit: int) -> tuple[int, ...]:
    """Return the ranks to try, in ascending order."""
    if ranks is None:
        return tuple(range(1, min(_USUAL, limit) + 1))
    try:
        listed = list(ranks)
    except TypeError:
        raise TypeError(f"ranks must be a sequence of ints, got {ranks!r}") from None
    if not listed:
        raise ValueError("ranks is empty: name one rank or more")
    way = "ranks=range(1, 7) tries the first six"
    pairs = enumerate(listed)
    return tuple(sorted({check_rank(r, limit, name=f"ranks[{k}]", way=way) for k, r in pairs}))


def _part(held_out: Any, x: Any, weights: Any) -> float:
    """Return the part of the entries to hold out."""
    part = check_number(held_out, name="held_out")
    if not 0 <= part < 1:
        raise ValueError(f"held_out must be a part of the entries, 0 <= held_out < 1, got {part}")
    if part and isinstance(x, COO) and weights is None:
        raise ValueError(
            "a sparse x has too many zeros to hold out: pass held_out=0, or weights=, a COO of "
            "the entries that are observed"
        )
    return part


def _cross_validated(
    left_out: HeldOut, ranks: Sequence[int], options: dict[str, Any], xp: Namespace
) -> tuple[np.ndarray, np.ndarray]:
    """Return errors on held-out entries, and residuals in magnitude, a row for each rank."""
    columns = [left_out.indices[:, k] for k in range(left_out.indices.shape[1])]
    # Entries of any scale: all are taken relative to the largest.
    unit = float(xp.max(xp.abs(left_out.values))) or 1.0
    heavy = np.sqrt(np.asarray(floats(left_out.heavy / xp.max(left_out.heavy))))
    residuals = []
    for r in ranks:
        fit = cp_als(left_out.x, rank=r, weights=left_out.weights, init="hosvd", **options)
        gap = (left_out.values - _evaluate(fit.tensor, columns, xp=xp)) / unit
        residuals.append(heavy * np.asarray(floats(xp.abs(gap))))
    total = np.linalg.norm(heavy * np.asarray(floats(xp.abs(left_out.values / unit)))) or 1.0
    return np.linalg.norm(residuals, axis=1) / total, np.asarray(residuals)


def _consistency(x: Any, weights: Any, fit: CP, xp: Namespace) -> float:
    """Return the core consistency, missing entries being those of the fit."""
    if fit.rank**fit.modes > _CORE or (weights is not None and isinstance(x, COO)):
        return math.nan
    if weights is not None:
        x = xp.where(weights > 0, x, fit.to_array())
    return float(_core_consistency(x, fit, xp=xp))


def _suggested(table: RankTable, residuals: np.ndarray | None, zero: float) -> int:
    """Apply the rule: to held-out entries if there are any."""
    sound = [k for k, status in enumerate(table.status) if status is not Status.DEGENERATE]
    sound = sound or list(range(len(table.ranks)))
    if residuals is not None:
        exact = [k for k in sound if table.held_out[k] <= zero]
        return table.ranks[exact[0] if exact else _not_worse(residuals, sound)]
    exact = [k for k in sound if table.error[k] <= zero]
    sound = [k for k in sound if not exact or k <= exact[0]]
    good = [
        k
        for k in sound
        if not table.core_consistency[k] < _CONSISTENT and not table.split_half[k] < _SIMILAR
    ]
    return table.ranks[max(good, default=sound[0])]


def _not_worse(residuals: np.ndarray, sound: Sequence[int]) -> int:
    """Return the first of the sound ranks that the best one does not significantly surpass."""
    best = min(sound, key=lambda k: float(np.mean(residuals[k])))
    for k in sound:
        gap = residuals[k] - residuals[best]
        spread = float(np.std(gap)) / math.sqrt(gap.shape[0])
        if float(np.mean(gap)) <= _ERRORS * spread:
            return k
    return best
