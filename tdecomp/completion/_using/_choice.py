"""The setting that scores choose."""

from __future__ import annotations

import numpy as np

from tdecomp.completion._using._trials import Grid


def chosen(
    grid: Grid, scores: np.ndarray
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
