"""Rows of a Khatri-Rao product drawn by their leverage, without forming the product."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp._xp import eps, floats, is_numpy

# Rows are drawn up to this many times over, to make up for those that are included anyway.
_MOST_DRAWS = 8


class Rows(NamedTuple):
    """Rows of a Khatri-Rao product: their indices, one array for each factor, and weights."""

    indices: tuple[np.ndarray, ...]
    weights: np.ndarray


def probabilities(factor: Array, xp: Namespace) -> np.ndarray:
    r"""Return the leverage scores of the rows of a matrix (n, r), divided by their sum.

    With an orthonormal basis :math:`Q` of its columns, the score of row `i` is :math:`\|Q_{i:}
    \|^2`; they sum to the rank. Columns that others span, up to rounding, add nothing to the
    basis.
    """
    q, r = xp.linalg.qr(factor)
    u, s, _ = xp.linalg.svd(r)
    kept = xp.astype(s > max(factor.shape) * eps(s.dtype, xp) * s[0], factor.dtype)
    q = (q @ u) * kept
    found = xp.sum(xp.real(q * xp.conj(q)), axis=1)
    scores = np.asarray(found if is_numpy(found) else floats(found), dtype=np.float64)
    total = scores.sum()
    return scores / total if total > 0 else np.full(scores.size, 1 / scores.size)


def draw_rows(tables: Sequence[np.ndarray], samples: int, rng: np.random.Generator) -> Rows:
    r"""Draw rows of the Khatri-Rao product of matrices with row probabilities `tables`.

    A row :math:`(i_1, i_2, \ldots)` is drawn with probability :math:`p = \prod_k p_k(i_k)`, by one
    independent draw for each factor, and weighs :math:`1 / \sqrt{m p}` for `m` draws. Rows with
    :math:`p > 1 / \mathtt{samples}`, which would be drawn again and again, are included once and
    for all with weight one, and left out of the draws; equal draws become one row of a weight
    :math:`\sqrt{c}` times as large. For the sampled and weighted rows :math:`S Z` of the product

    .. math:: \mathbb E \bigl[ (S Z)^* S Z \bigr] = Z^* Z .

    Parameters
    ----------
    tables : sequence of numpy.ndarray, shape (n_k,)
        Positive where a row of the factor is not zero; each sums to one.
    samples : int
        How many rows, about.
    rng : numpy.random.Generator
        Where numbers come from.

    Returns
    -------
    Rows
        Distinct rows.
    """
    sizes = [table.size for table in tables]
    if not sizes:
        return Rows((), np.ones(1))
    if math.prod(sizes) <= samples:
        grid = np.indices(sizes).reshape(len(sizes), -1)
        return Rows(tuple(grid), np.ones(grid.shape[1]))
    sure, mass = _likely(tables, 1 / samples)
    missing, rest = samples - sure[0].size, 1 - mass
    if missing <= 0 or rest <= samples * np.finfo(float).eps:
        return Rows(sure, np.ones(sure[0].size))
    draws = missing * min(_MOST_DRAWS, math.ceil(1 / rest))
    drawn, chances = _draws(tables, draws, rng)
    kept = chances <= 1 / samples
    drawn, chances = [index[kept] for index in drawn], chances[kept]
    firsts, counts = _distinct(drawn, sizes)
    weights = np.sqrt(counts / (draws * chances[firsts]))
    indices = tuple(
        np.concatenate([known, index[firsts]]) for known, index in zip(sure, drawn, strict=True)
    )
    return Rows(indices, np.concatenate([np.ones(sure[0].size), weights]))


def _draws(
    tables: Sequence[np.ndarray], count: int, rng: np.random.Generator
) -> tuple[list[np.ndarray], np.ndarray]:
    """Draw one index for each factor, `count` times, by inverting the distribution functions."""
    indices, chances = [], np.ones(count)
    for table in tables:
        steps = np.cumsum(table)
        index = np.searchsorted(steps, rng.random(count) * steps[-1], side="right")
        index = np.minimum(index, table.size - 1)
        chances *= table[index]
        indices.append(index)
    return indices, chances


def _likely(tables: Sequence[np.ndarray], least: float) -> tuple[tuple[np.ndarray, ...], float]:
    """Return all rows whose probability exceeds `least`, and the sum of their probabilities.

    A beginning of a row is extended only while the likeliest end would reach the bound, so that
    never more of them are held than rows are found.
    """
    ends = [float(table.max()) for table in tables]
    known: list[np.ndarray] = []
    chances = np.ones(1)
    for k, table in enumerate(tables):
        best = math.prod(ends[k + 1 :])
        order = np.argsort(-table, kind="stable")
        falling = table[order]
        counts = np.searchsorted(-falling, -least / (chances * best), side="left")
        owner = np.repeat(np.arange(chances.size), counts)
        place = np.arange(owner.size) - np.repeat(np.cumsum(counts) - counts, counts)
        known = [*(index[owner] for index in known), order[place]]
        chances = chances[owner] * falling[place]
    # The product is compared as the draws compare it.
    exact = reduce(np.multiply, (t[i] for t, i in zip(tables, known, strict=True)), 1.0)
    kept = np.asarray(exact > least)
    return tuple(index[kept] for index in known), float(chances[kept].sum())


def _distinct(
    indices: Sequence[np.ndarray], sizes: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return where each distinct tuple of indices comes first, and how often it comes."""
    key, width = np.zeros(indices[0].size, np.int64), 1
    for index, n in zip(indices, sizes, strict=True):
        if width * n > np.iinfo(np.int64).max:
            known, key = np.unique(key, return_inverse=True)
            width = known.size
        key, width = key * n + index, width * n
    _, firsts, counts = np.unique(key, return_index=True, return_counts=True)
    return firsts, counts
