"""Rank and penalty by what entries that were left out say."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import check_callback, check_choice, check_count, check_rank, check_size
from tdecomp._iterate import Fit, is_true
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._shim import host
from tdecomp._typing import Namespace, Seed
from tdecomp._xp import device, equilibrate, squared_norm
from tdecomp.completion._complete import complete
from tdecomp.completion._entries import Entries, read
from tdecomp.completion._format import Completion
from tdecomp.completion._methods._spectral import spectral
from tdecomp.completion._observed import group
from tdecomp.completion._using._predict import check_clip, clipped, predict
from tdecomp.ops._coo import COO


class Trial(NamedTuple):
    """What a callback of `cross_validate` sees after each fit.

    Attributes
    ----------
    done, total : int
        How many fits have been made, and how many there will be.
    fold : int
        Which part of the entries was left out, from 0.
    rank : int
        The rank of the fit.
    regularization : float
        Its penalty.
    score : float
        The root of the weighted mean of its squared errors on what was left out.
    """

    done: int
    total: int
    fold: int
    rank: int
    regularization: float
    score: float


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
    tried = sorted({check_rank(k, limit, name="ranks", way="") for k in _listed(ranks, "ranks")})
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
    grid = _Grid(tuple(tried), tuple(penalties), options, clip, draw, xp)
    scores = _scores(grid, entries, parts, callback)
    mean, error, best, simplest = _chosen(grid, scores)
    rank, penalty = best if choose == "best" else simplest
    until = grid._replace(
        ranks=grid.ranks[: tried.index(rank) + 1],
        penalties=grid.penalties[: penalties.index(penalty) + 1],
    )
    *_, (_, _, fit) = _path(until, entries)
    return CrossValidation(grid.ranks, grid.penalties, scores, mean, error, best, simplest, fit)


class _Grid(NamedTuple):
    """What is tried, and how each fit is made and judged."""

    ranks: tuple[int, ...]
    penalties: tuple[float, ...]
    options: dict[str, Any]
    clip: tuple[float, float] | None
    rng: np.random.Generator
    xp: Namespace


def _listed(values: Any, name: str) -> list[Any]:
    """Return a sequence that is not empty."""
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise TypeError(f"{name} must be a sequence of numbers, got {values!r}")
    found = list(values)
    if not found:
        raise ValueError(f"{name} is empty: nothing to try")
    return found


def divided(entries: Entries, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Return the part of each entry, -1 where it must not be left out.

    The entries of each row, in random order, go to the parts in turn: of a row with two entries
    or more no part has all. A column that one part has all of keeps its first.
    """
    rows, columns = host(entries.rows), host(entries.columns)
    total = rows.shape[0]
    order = rng.permutation(total)
    order = order[np.argsort(rows[order], kind="stable")]
    counts = np.bincount(rows, minlength=entries.shape[0])
    offset = rng.integers(0, folds, size=counts.size)
    ranked = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    parts = np.empty(total, np.int64)
    parts[order] = (ranked + np.repeat(offset, counts)) % folds
    parts[counts[rows] == 1] = -1
    least, most = (np.full(entries.shape[1], start) for start in (folds, -1))
    np.minimum.at(least, columns, parts)
    np.maximum.at(most, columns, parts)
    whole = order[(least == most)[columns[order]]]
    _, first = np.unique(columns[whole], return_index=True)
    parts[whole[first]] = -1
    if not np.all(np.bincount(parts[parts >= 0], minlength=folds)[:folds]):
        raise ValueError(
            f"{total} entries are too few for {folds} folds: each must leave out one that is not "
            "the only one of its row or column"
        )
    return parts


def _scores(
    grid: _Grid,
    entries: Entries,
    parts: np.ndarray,
    callback: Callable[[Trial], object] | None,
) -> np.ndarray:
    """Fit and judge all settings, on each fold from neighbour to neighbour."""
    folds = int(parts.max()) + 1
    scores = np.full((folds, len(grid.ranks), len(grid.penalties)), np.nan)
    done = 0
    for fold in range(folds):
        kept, left_out = (
            _where(entries, mask, grid.xp) for mask in (parts != fold, parts == fold)
        )
        for row, column, fit in _path(grid, kept):
            score = _error(grid, fit.tensor, left_out)
            scores[fold, row, column] = score
            done += 1
            setting = grid.ranks[row], grid.penalties[column]
            trial = Trial(done, scores.size, fold, *setting, score)
            if callback is not None and is_true(callback(trial)):
                return scores
    return scores


def _path(grid: _Grid, kept: Entries) -> Iterator[tuple[int, int, Fit[Completion]]]:
    """Fit all settings, each from its neighbour."""
    above: Completion | None = None
    for row, rank in enumerate(grid.ranks):
        start = None if above is None else _padded(above, rank, kept, grid)
        for column, penalty in enumerate(grid.penalties):
            fit = _fitted(grid, kept, rank, penalty, start)
            start = fit.tensor
            above = start if column == 0 else above
            yield row, column, fit


def _where(entries: Entries, mask: np.ndarray, xp: Namespace) -> Entries:
    """Return the entries that are marked."""
    return entries.take(xp.asarray(np.nonzero(mask)[0], device=device(entries.values)), xp)


def _fitted(
    grid: _Grid, kept: Entries, rank: int, penalty: float, start: Completion | None
) -> Fit[Completion]:
    """Complete what is kept."""
    rules = dict(grid.options, rng=grid.rng)
    if start is not None:
        rules["init"] = start
    if kept.weights is not None:
        rules["weights"] = kept.weights
    known = _coo(kept, grid.xp)
    fit: Fit[Completion] = complete(known, rank=rank, regularization=penalty, **rules)
    return fit


def _coo(entries: Entries, xp: Namespace) -> COO:
    return COO(xp.stack([entries.rows, entries.columns]), entries.values, entries.shape)


def _padded(model: Completion, rank: int, kept: Entries, grid: _Grid) -> Completion:
    """Add the leading components of what the model misses."""
    xp, more = grid.xp, rank - model.rank
    rest = kept.values - predict(model, kept.rows, kept.columns)
    rest, scale = equilibrate(rest, xp, axis=(0,), always=True)
    left, right = spectral(group(kept._replace(values=rest), xp), more, grid.rng, xp)
    root = xp.sqrt(scale[0])
    left, right = root * left, root * right
    return model._replace(
        left=xp.concat([model.left, left], axis=1),
        right=xp.concat([model.right, xp.matrix_transpose(right)], axis=0),
    )


def _error(grid: _Grid, model: Completion, left_out: Entries) -> float:
    """Return the root of the weighted mean of the squared errors."""
    xp = grid.xp
    told = clipped(predict(model, left_out.rows, left_out.columns), grid.clip, xp)
    missed, scale = equilibrate(told - left_out.values, xp, axis=(0,), always=True)
    size = float(scale[0])
    if left_out.weights is None:
        return size * math.sqrt(squared_norm(missed, xp) / missed.shape[0])
    heavy, _ = equilibrate(left_out.weights, xp, axis=(0,), always=True)
    return size * math.sqrt(squared_norm(xp.sqrt(heavy) * missed, xp) / float(xp.sum(heavy)))


def _chosen(
    grid: _Grid, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[int, float], tuple[int, float]]:
    """Return means and standard errors, the best setting, and the simplest that is as good.

    Where the trials were ended early, settings with fewer scores than others are not compared.
    """
    unit = np.nanmax(scores) or 1.0
    scores = scores / unit
    tried = np.sum(~np.isnan(scores), axis=0)
    mean = np.sum(np.nan_to_num(scores), axis=0) / np.maximum(tried, 1)
    mean = np.where(tried > 0, mean, np.nan)
    squares = np.nansum((scores - mean) ** 2, axis=0)
    error = np.sqrt(squares / np.maximum(tried - 1, 1) / np.maximum(tried, 1))
    error = np.where(tried > 1, error, np.nan)
    compared = np.where(tried == tried.max(), mean, np.inf)
    row, column = np.unravel_index(np.argmin(compared), compared.shape)
    bound = compared[row, column] + np.nan_to_num(error[row, column])
    # Ranks ascend and penalties descend: the first that is good enough is the simplest.
    first, second = np.unravel_index(np.argmax(compared <= bound), compared.shape)
    best = grid.ranks[row], grid.penalties[column]
    return unit * mean, unit * error, best, (grid.ranks[first], grid.penalties[second])
