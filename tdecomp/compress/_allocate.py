"""One budget of numbers for many matrices: which rank each of them gets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import check_choice, check_count
from tdecomp._xp import floats, prepare
from tdecomp.compress._knapsack import Floats, Ints, Item, choose
from tdecomp.linalg import breakeven_rank, tail_norms

_RULES = ("optimal", "uniform", "energy")
_NORMALISE = ("absolute", "relative")


class Allocation(NamedTuple):
    r"""A rank for each matrix, and how good that is.

    Attributes
    ----------
    ranks : tuple of int or None
        The rank of each matrix; None where it stays dense, because two factors would not be
        smaller, or because its numbers serve better whole.
    parameters : int
        How many numbers that makes in all; at most the budget.
    error : float
        The total error :math:`(\sum_l \omega_l \, t_l(r_l)^2)^{1/2}`, with :math:`t_l(r)` the
        tail of spectrum :math:`l` beyond rank :math:`r`, zero for a dense matrix.
    bound : float
        No allocation within the budget has a smaller total error than this. Where it equals
        `error`, the allocation is proven optimal.
    """

    ranks: tuple[int | None, ...]
    parameters: int
    error: float
    bound: float


def allocate(
    spectra: Sequence[Any],
    shapes: Sequence[tuple[int, int]],
    /,
    budget: int | None = None,
    *,
    keep: float | None = None,
    rule: str = "optimal",
    normalise: str = "absolute",
    weights: Sequence[float] | None = None,
) -> Allocation:
    r"""Share out a budget of numbers among matrices so that their total error is least.

    A matrix of shape :math:`(m, n)` at rank :math:`r` takes :math:`r (m + n)` numbers and leaves
    the tail :math:`t(r)^2 = \sum_{i > r} \sigma_i^2`; dense it takes :math:`m n` and leaves
    nothing. ``'optimal'`` returns

    .. math:: \min_{r_1, \ldots, r_L} \sum_l \omega_l \, t_l(r_l)^2
              \quad\text{subject to}\quad \sum_l \text{numbers}(r_l) \le \text{budget}

    over all ranks that make a matrix smaller, and dense, for each.

    Parameters
    ----------
    spectra : sequence of array, shape (k,)
        The singular values of each matrix, in the norm of the method, descending. Beyond the last
        one the tail is zero.
    shapes : sequence of two int
        The shape ``(m, n)`` of each matrix.
    budget : int, optional
        How many numbers all matrices together may take.
    keep : float, optional
        The same as a fraction of all their numbers. Give one of the two.
    rule : {'optimal', 'uniform', 'energy'}
        ``'uniform'``: every matrix keeps the same fraction of its numbers,
        :math:`r = \lfloor \rho m n / (m + n) \rfloor` with the largest common :math:`\rho` that
        fits. ``'energy'``: every matrix has the same relative error at most, the least that fits;
        no allocation has a smaller *largest* relative error.
    normalise : {'absolute', 'relative'}
        What errors of different matrices are worth. ``'absolute'`` adds them as they are: right
        if they share a unit, as those of `svd` (the entries of the checkpoint), `fwsvd` and
        `gfwsvd` (the loss) do. ``'relative'`` takes each in units of its matrix's norm: for
        `asvd`, `svd_llm` and `afm`, whose layers differ in the size of what they put out.
    weights : sequence of float, optional
        What the squared error of each matrix is worth on top of that, 1 by default.

    Returns
    -------
    Allocation
        Ranks, numbers taken, total error, and the least that it could be.

    Raises
    ------
    ValueError
        If the budget is below rank 1 everywhere (the message says what that takes), neither or
        both of `budget` and `keep` are given, an option is out of range, or the spectra are not
        singular values of matrices of these shapes.

    Notes
    -----
    Where all matrices have one shape and none stays dense, taking the largest squared values
    first is optimal. With several shapes, and with the jump in size where a matrix goes dense, it
    is a knapsack problem. It is solved exactly, by Lagrangian bounds and enumeration of what they
    leave open: `bound` then equals `error`. Only if more than 32768 partial allocations compete
    (unseen for networks of up to 225 matrices, which take seconds) is the best one found returned,
    with the proven `bound` below it. Ties go to fewer numbers.

    Every matrix keeps at least rank 1.

    An optimal sum is worth as much as its terms are comparable. On the weights of a sentence
    encoder ``'optimal'`` is far better than ``'uniform'`` for `gfwsvd`, a little better for `svd`,
    and no safer for the methods whose layers have a unit each.

    References
    ----------
    .. [1] D. Pisinger, "A minimal algorithm for the multiple-choice knapsack problem", European
       J. Oper. Res. 83, 1995. doi:10.1016/0377-2217(95)00015-I

    Examples
    --------
    The second matrix has more to say per number:

    >>> from tdecomp.compress import allocate
    >>> allocate([[9.0, 1.0, 1.0, 1.0], [5.0, 4.0, 3.0, 2.0]], [(4, 40), (4, 40)], 4 * 44).ranks
    (1, 3)
    >>> allocate([[9.0, 1.0, 1.0, 1.0], [5.0, 4.0, 3.0, 2.0]], [(4, 40), (4, 40)], 320).ranks
    (None, None)
    """
    check_choice(rule, _RULES, name="rule")
    check_choice(normalise, _NORMALISE, name="normalise")
    matrices = _matrices(spectra, shapes)
    limit = _limit(budget, keep, matrices)
    if not matrices:
        return Allocation((), 0, 0.0, 0.0)
    scales, top = _scales(matrices, normalise, weights)
    items = [
        Item(matrix.costs, (matrix.errors * scale) ** 2)
        for matrix, scale in zip(matrices, scales, strict=True)
    ]
    useful = [_useful(item) for item in items]
    best = choose([item.take(some) for item, some in zip(items, useful, strict=True)], limit)
    if rule == "optimal":
        options = [int(some[k]) for some, k in zip(useful, best.options, strict=True)]
    else:
        options = _climb(matrices, [matrix.levels(rule) for matrix in matrices], limit)
    chosen = list(zip(matrices, options, strict=True))
    error = math.fsum(item.errors[k] for item, k in zip(items, options, strict=True))
    return Allocation(
        tuple(matrix.rank(k) for matrix, k in chosen),
        sum(int(matrix.costs[k]) for matrix, k in chosen),
        math.sqrt(error) * top,
        math.sqrt(min(max(best.bound, 0.0), error)) * top,
    )


class _Matrix(NamedTuple):
    """The options of one matrix: ranks 1, 2, ... as long as they make it smaller, then dense."""

    size: int
    norm: float
    costs: Ints
    errors: Floats

    def rank(self, option: int) -> int | None:
        """Return the rank of an option, None for dense."""
        return None if self.costs[option] == self.size else option + 1

    def levels(self, rule: str) -> Floats:
        """Return, ascending, how far `rule` must be driven before an option is taken."""
        if rule == "uniform":
            return self.costs / self.size
        # The next option is taken when the error allowed falls below that of this one.
        before = np.append(np.inf, self.errors[:-1])
        return np.where(before > 0, -before / (self.norm or 1.0), np.inf)


def _matrices(spectra: Sequence[Any], shapes: Sequence[tuple[int, int]]) -> list[_Matrix]:
    """Validate spectra and shapes, and list the options of each matrix."""
    if len(spectra) != len(shapes):
        raise ValueError(f"got {len(spectra)} spectra for {len(shapes)} shapes")
    matrices = []
    for index, (spectrum, (rows, columns)) in enumerate(zip(spectra, shapes, strict=True)):
        m, n = (check_count(x, name=f"shapes[{index}]", least=1) for x in (rows, columns))
        tails = tail_norms(_host(spectrum, min(m, n), name=f"spectra[{index}]"))
        count = min(breakeven_rank(m, n), tails.size - 1)
        costs = np.append(np.arange(1, count + 1) * (m + n), m * n)
        errors = np.append(tails[1 : count + 1], 0.0)
        matrices.append(_Matrix(m * n, float(tails[0]), costs, errors))
    return matrices


def _host(spectrum: Any, limit: int, *, name: str) -> Floats:
    """Bring a spectrum to the host in double precision and check that it is one."""
    xp, s = prepare(spectrum, ndim=1, name=name)
    if xp.isdtype(s.dtype, "complex floating"):
        raise ValueError(f"{name} must hold singular values, got dtype {s.dtype}")
    values = np.asarray(floats(s))
    if values.size > limit:
        raise ValueError(f"{name} has {values.size} values, its matrix has at most {limit}")
    if np.any(values < 0) or np.any(values[1:] > values[:-1]):
        raise ValueError(f"{name} must hold singular values: real, nonnegative and descending")
    return values


def _limit(budget: int | None, keep: float | None, matrices: list[_Matrix]) -> int:
    """Return the budget in numbers, or say what the least possible one is."""
    if (budget is None) == (keep is None):
        raise ValueError("pass either budget= (how many numbers) or keep= (which fraction)")
    total = sum(matrix.size for matrix in matrices)
    if budget is None:
        fraction = float(keep)  # type: ignore[arg-type]
        if not 0.0 < fraction <= 1.0:
            raise ValueError(f"keep must lie between 0 and 1, got {keep}")
        budget = math.floor(fraction * total)
    limit = check_count(budget, name="budget")
    least = sum(int(matrix.costs[0]) for matrix in matrices)
    if limit < least:
        raise ValueError(
            f"budget={limit} is too small: rank 1 everywhere takes {least} of {total} numbers, "
            f"keep={least / max(total, 1):.4g}; raise it or leave matrices out"
        )
    return limit


def _scales(
    matrices: list[_Matrix], normalise: str, weights: Sequence[float] | None
) -> tuple[list[float], float]:
    """Return what an error of each matrix is worth, the largest being near 1, and that unit."""
    worth = [1.0] * len(matrices) if weights is None else [float(w) for w in weights]
    if len(worth) != len(matrices):
        raise ValueError(f"got {len(worth)} weights for {len(matrices)} matrices")
    if not all(0.0 <= w < math.inf for w in worth):
        raise ValueError(f"weights must be finite and nonnegative, got {worth}")
    relative = normalise == "relative"
    norms = [matrix.norm or 1.0 for matrix in matrices]
    roots = [math.sqrt(w) / (x if relative else 1.0) for w, x in zip(worth, norms, strict=True)]
    sizes = [root * matrix.norm for root, matrix in zip(roots, matrices, strict=True)]
    top = max(sizes, default=0.0) or 1.0
    return [root / top for root in roots], top


def _useful(item: Item) -> Ints:
    """Return the options that err less than all cheaper ones."""
    before = np.minimum.accumulate(np.append(np.inf, item.errors[:-1]))
    return np.flatnonzero(item.errors < before)


def _climb(matrices: list[_Matrix], levels: list[Floats], limit: int) -> list[int]:
    """Raise all matrices to the highest common level that the budget allows."""
    who = np.concatenate([np.full(x.size - 1, k) for k, x in enumerate(levels)])
    level = np.concatenate([x[1:] for x in levels])
    price = np.concatenate([np.diff(matrix.costs) for matrix in matrices])
    order = np.argsort(level, kind="stable")
    spent = sum(int(matrix.costs[0]) for matrix in matrices) + np.cumsum(price[order])
    # Equal levels are reached together or not at all.
    fits = int(np.searchsorted(spent, limit, side="right"))
    if fits < order.size:
        fits = int(np.searchsorted(level[order], level[order[fits]], side="left"))
    fits = min(fits, int(np.sum(level < np.inf)))
    taken = np.bincount(who[order[:fits]], minlength=len(matrices))
    return [int(k) for k in taken]
