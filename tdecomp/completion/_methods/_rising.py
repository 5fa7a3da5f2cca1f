"""Where to start if few entries are known: at fits of lower ranks, one after the other."""

from __future__ import annotations

import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp.completion._drive import drive
from tdecomp.completion._masked import less
from tdecomp.completion._methods._als import als
from tdecomp.completion._methods._spectral import spectral
from tdecomp.completion._observed import Observed
from tdecomp.completion._problem import Problem
from tdecomp.completion._together import divided
from tdecomp.completion._units import rounding

# A rank is done with when a sweep changes the root of the objective by a hundredth, or after so
# many sweeps.
_CHANGE, _SWEEPS = 1e-2, 40


def rising(problem: Problem, rng: np.random.Generator) -> Problem:
    r"""Return the problem with another start, to which sweeps of lower ranks have led [1]_.

    The spectral start errs by as much as entries are missing: of singular values below that error
    nothing is in it, and its last columns are noise. Sweeps amplify this where a row has hardly
    more entries than the rank, as nothing holds its numbers back. Here the rank rises from 1 on.
    A fit of rank `r` misses :math:`\sigma_{r+1}` and what is below, so that the leading singular
    pair of what it leaves of the entries is wrong in proportion to these only, whatever the
    condition of the matrix is; that is the next column. No sweep raises the objective of its
    rank.

    Notes
    -----
    Two to eight sweeps of `als` for each rank are usual: as many operations as of a third of
    them at full rank.

    References
    ----------
    .. [1] B. Gao, P.-A. Absil, "A Riemannian rank-adaptive method for low-rank matrix
       completion", Comput. Optim. Appl. 81, 2022. doi:10.1007/s10589-021-00328-w
    """
    limit, xp = problem.rank, problem.xp
    part = _of_rank(problem, 1)
    enough = rounding(problem.observed.dtype, xp)
    for rank in range(1, limit):
        fit = drive(
            als(part), None, max_iter=_SWEEPS, tol=_CHANGE, callback=None, rounding=enough, xp=xp
        )
        more = spectral(_left_over(part, fit.tensor), 1, rng, xp)
        if problem.nonnegative:
            more = xp.abs(more[0]), xp.abs(more[1])
        factors = _own(part, fit.tensor)
        left, right = (_widened(f, m, rank, xp) for f, m in zip(factors, more, strict=True))
        part = _of_rank(problem, rank + 1)._replace(left=left, right=right)
    return part


def _of_rank(problem: Problem, rank: int) -> Problem:
    """Return the problem of a lower rank, with the first columns of its start."""
    names = ("row_penalty", "column_penalty", "left", "right")
    first = {
        name: _first(getattr(problem, name), problem.rank, rank, problem.xp) for name in names
    }
    return problem._replace(rank=rank, **first)


def _first(factor: Array, rank: int, count: int, xp: Namespace) -> Array:
    """Return the first columns, and the offsets behind all of them."""
    if factor.shape[1] == rank:
        return factor[:, :count]
    return xp.concat([factor[:, :count], factor[:, rank:]], axis=1)


def _widened(factor: Array, more: Array, rank: int, xp: Namespace) -> Array:
    """Put more columns between a factor and its offsets."""
    return xp.concat([factor[:, :rank], more, factor[:, rank:]], axis=1)


def _own(problem: Problem, joined: tuple[Array, Array]) -> tuple[Array, Array]:
    """Return factors with offsets behind them, as a problem has them."""
    if not problem.offsets:
        return joined
    xp, (left, right, rows, columns) = problem.xp, divided(*joined)
    return xp.concat([left, rows[:, None]], axis=1), xp.concat([right, columns[:, None]], axis=1)


def _left_over(problem: Problem, joined: tuple[Array, Array]) -> Observed:
    """Return what the matrix of two factors leaves of the entries."""
    (rows, columns, shape), xp, (left, right) = problem.observed, problem.xp, joined
    return Observed(less(rows, left, right, xp), less(columns, right, left, xp), shape)
