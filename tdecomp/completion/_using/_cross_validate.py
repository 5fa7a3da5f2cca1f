"""Rank and penalty by what entries that were left out say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import check_callback, check_choice, check_count, check_rank, check_size
from tdecomp._iterate import Fit
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._typing import Seed
from tdecomp.completion._entries import read
from tdecomp.completion._format import Completion
from tdecomp.completion._using._choice import chosen
from tdecomp.completion._using._folds import divided
from tdecomp.completion._using._predict import check_clip
from tdecomp.completion._using._trials import Grid, Trial, path, scored


class CrossValidation(NamedTuple):
    """What `cross_validate` has found.

    Attributes
    ----------
    ranks : tuple of int
        The ranks, ascending.
    regularizations : tuple of float
        The penalties, descending.
    scores : numpy.ndarray, shape (folds, ranks, regularizations)
        The root of the weighted mean of the squared errors on each fold; NaN where the callback
        stopped first.
    mean, standard_error : numpy.ndarray, shape (ranks, regularizations)
        Mean of the scores over the folds, and how well it is known.
    best : tuple of int and float
        Rank and penalty with the smallest mean.
    simplest : tuple of int and float
        The smallest rank, and for it the largest penalty, whose mean is within one standard error
        of the smallest.
    fit : Fit
        All entries fitted with the choice.
    """

    ranks: tuple[int, ...]
    regularizations: tuple[float, ...]
    scores: np.ndarray
    mean: np.ndarray
    standard_error: np.ndarray
    best: tuple[int, float]
    simplest: tuple[int, float]
    fit: Fit[Completion]


@full_precision
def cross_validate(
    x: Any,
    /,
    *,
    ranks: Sequence[int],
    regularizations: Sequence[float],
    folds: int = 5,
    choose: str = "best",
    clip: tuple[float, float] | None = None,
    weights: Any = None,
    by_count: bool = False,
    biases: bool | float = False,
    duplicates: str = "error",
    method: str = "als",
    max_iter: int = 100,
    tol: float = 1e-4,
    rng: Seed = None,
    callback: Callable[[Trial], object] | None = None,
) -> CrossValidation:
    r"""Choose rank and penalty by cross-validation, and fit all entries with the choice.

    The known entries are divided at random into `folds` parts; each is left out once and told by
    what the others were completed to. Of every row and every column an entry stays: one that is
    the only one of its row or column is never left out.

    Parameters
    ----------
    x : COO, sparse matrix or array, shape (m, n)
        What is known, as in `complete`.
    ranks : sequence of int
        Ranks to try.
    regularizations : sequence of float
        Penalties to try.
    folds : int
        The number of parts, at least 2.
    choose : {"best", "simplest"}
        Which choice all entries are fitted with: the one with the smallest mean error, or the
        simplest one that is within one standard error of it.
    clip : pair of float, optional
        The range of the entries: what is predicted beyond becomes its ends, here only.
    weights, by_count, biases, duplicates, method, max_iter, tol
        As in `complete`.
    rng : int, numpy.random.Generator or None
        Of the parts and of the starts.
    callback : callable, optional
        Called with a `Trial` after each fit; returning True ends the trials.

    Returns
    -------
    CrossValidation
        All scores, the two choices, and the fit.

    Raises
    ------
    ValueError
        If a rank or penalty is out of range or none is given, or there are too few entries to
        leave one out.
    TypeError
        If a rank is no integer, or a penalty no number.

    See Also
    --------
    complete : one fit.
    variational_als : learns its penalties without any trial.

    Notes
    -----
    Every fit starts from its neighbour: that of the next larger penalty, or, for a new rank, that
    of the rank before with the leading components of its residual more. All entries are fitted
    on the same way, so that what is returned is what was judged.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion import cross_validate
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.standard_normal((60, 2)) @ rng.standard_normal((2, 50))
    >>> known = rng.random(truth.shape) < 0.5
    >>> x = np.where(known, truth + 0.1 * rng.standard_normal(truth.shape), np.nan)
    >>> found = cross_validate(x, ranks=[1, 2, 4], regularizations=[0.1, 1.0], rng=0)
    >>> found.best[0], found.fit.tensor.rank
    (2, 2)
    """
    xp, entries = read(x, weights, duplicates=duplicates)
    limit = min(entries.shape)
    tried = sorted(
        {check_rank(k, limit, name="ranks", way="pass ints") for k in _listed(ranks, "ranks")}
    )
    penalties = sorted(
        {
            check_size(penalty, name="regularizations")
            for penalty in _listed(regularizations, "regularizations")
        },
        reverse=True,
    )
    check_choice(choose, ("best", "simplest"), name="choose")
    check_clip(clip)
    check_callback(callback)
    draw = generator(rng)
    parts = divided(entries, check_count(folds, name="folds", least=2), draw)
    options: dict[str, Any] = {
        "by_count": by_count,
        "biases": biases,
        "method": method,
        "max_iter": max_iter,
        "tol": tol,
    }
    grid = Grid(tuple(tried), tuple(penalties), options, clip, draw, xp)
    scores = scored(grid, entries, parts, callback)
    mean, error, best, simplest = chosen(grid, scores)
    rank, penalty = best if choose == "best" else simplest
    until = grid._replace(
        ranks=grid.ranks[: tried.index(rank) + 1],
        penalties=grid.penalties[: penalties.index(penalty) + 1],
    )
    *_, (_, _, fit) = path(until, entries)
    return CrossValidation(grid.ranks, grid.penalties, scores, mean, error, best, simplest, fit)


def _listed(values: Any, name: str) -> list[Any]:
    """Return a sequence that is not empty."""
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise TypeError(f"{name} must be a sequence of numbers, got {values!r}")
    found = list(values)
    if not found:
        raise ValueError(f"{name} is empty: nothing to try")
    return found
