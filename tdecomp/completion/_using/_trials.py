"""Fits of a grid of ranks and penalties, from neighbour to neighbour, judged on each fold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tdecomp._iterate import Fit, is_true
from tdecomp._typing import Namespace
from tdecomp._xp import device, equilibrate, squared_norm
from tdecomp.completion._complete import complete
from tdecomp.completion._entries import Entries
from tdecomp.completion._format import Completion
from tdecomp.completion._methods._spectral import spectral
from tdecomp.completion._observed import group
from tdecomp.completion._using._predict import clipped, predict
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


class Grid(NamedTuple):
    """What is tried, and how each fit is made and judged."""

    ranks: tuple[int, ...]
    penalties: tuple[float, ...]
    options: dict[str, Any]
    clip: tuple[float, float] | None
    rng: np.random.Generator
    xp: Namespace


def scored(
    grid: Grid,
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
        for row, column, fit in path(grid, kept):
            score = _error(grid, fit.tensor, left_out)
            scores[fold, row, column] = score
            done += 1
            setting = grid.ranks[row], grid.penalties[column]
            trial = Trial(done, scores.size, fold, *setting, score)
            if callback is not None and is_true(callback(trial)):
                return scores
    return scores


def path(grid: Grid, kept: Entries) -> Iterator[tuple[int, int, Fit[Completion]]]:
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
    grid: Grid, kept: Entries, rank: int, penalty: float, start: Completion | None
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


def _padded(model: Completion, rank: int, kept: Entries, grid: Grid) -> Completion:
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


def _error(grid: Grid, model: Completion, left_out: Entries) -> float:
    """Return the root of the weighted mean of the squared errors."""
    xp = grid.xp
    told = clipped(predict(model, left_out.rows, left_out.columns), grid.clip, xp)
    missed, scale = equilibrate(told - left_out.values, xp, axis=(0,), always=True)
    size = float(scale[0])
    if left_out.weights is None:
        return size * math.sqrt(squared_norm(missed, xp) / missed.shape[0])
    heavy, _ = equilibrate(left_out.weights, xp, axis=(0,), always=True)
    return size * math.sqrt(squared_norm(xp.sqrt(heavy) * missed, xp) / float(xp.sum(heavy)))
