r"""Common roots of as many functions as there are variables: boxes, until each has one or none.

On a box, with local coordinates :math:`|t_k| \le 1`, functions are
:math:`F(t) = F_0 + J t + N(t)`, and their coefficients bound what is not linear, and its slopes:
:math:`|N_j| \le n_j` and :math:`|\partial_k N_j| \le D_{jk}`. There is no root where

.. math:: |F_0|_j > \textstyle\sum_k |J_{jk}| + n_j \quad\text{or}\quad
          |J^{-1} F_0|_k > 1 + (|J^{-1}|\, n)_k

for one function or one variable, and at most one where all rows of :math:`|J^{-1}| D` have sums
below one: :math:`J^{-1} F` is then one to one [1]_.

References
----------
.. [1] R. E. Moore, R. B. Kearfott, M. J. Cloud, "Introduction to Interval Analysis", SIAM, 2009,
   chapter 8. doi:10.1137/1.9780898717716
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tdecomp.chebyshev._algebra._fields import gradient
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._search._bounds import constant, spread, widest
from tdecomp.chebyshev._search._pieces import Boxes, Host, Index, Pieces, Points
from tdecomp.chebyshev._values._evaluate import evaluate

# Intervals are not halved more often than this, to a millionth: boxes around a double root are
# more than thousand then.
_DEEPEST = 20
# Sums of rows are this far below one, so that a root this far outside of a box is its root still.
_ONE_TO_ONE, _OUTSIDE = 0.9, 1e-6
# Of the size of a function, how much coefficients that are not computed may amount to at first.
_LEFT_OUT = 0.01
# Coefficients that are computed for a box to see if it may have a root.
_MOST = 2000
_STEPS, _MORE_STEPS = 12, 200


class CrowdedError(Exception):
    """There are too many boxes left."""


class _Local(NamedTuple):
    """What is known of functions on boxes: values, slopes, and bounds of what is not linear."""

    value: Points
    slope: Points
    rest: Points
    rest_slope: Points


def isolated(functions: Sequence[ChebyshevTucker], limit: int) -> Points:
    """Return the common roots (n, d) of real functions of the unit box, on the host."""
    d = len(functions)
    pieces = [Pieces(np.asarray(f.core), f.factors) for f in functions]
    newton = _Newton(functions, [piece.unit for piece in pieces])
    cuts = [_LEFT_OUT * piece.size for piece in pieces]
    boxes = _divided(pieces, [cut / d for cut in cuts], limit)
    roots, near = np.empty((0, d)), np.empty(0)
    while True:
        heads = [_few(piece, cut) for piece, cut in zip(pieces, cuts, strict=True)]
        local, wide = _local(pieces, boxes.index, heads)
        possible = _possible(local)
        boxes.keep(possible)
        if boxes.index.shape[0] > limit:
            raise CrowdedError
        local = _Local(*(part[possible] for part in local))
        # What is not linear is where roots are, so that it tells how much may be left out.
        cuts = [0.05 * float(np.median(part)) if part.size else 0.0 for part in local.rest.T]
        found, settled = _settled(pieces, boxes, local, newton)
        roots = np.concatenate([roots, found])
        near = np.append(near, 4 * _OUTSIDE * max(boxes.radii) + newton.blur(found))
        boxes.keep(~settled)
        if not boxes.index.size:
            break
        k = widest(wide, boxes.radii, _DEEPEST)
        if k is None:
            blurred, far = newton.blurred(*_clusters(boxes))
            roots, near = np.concatenate([roots, blurred]), np.append(near, far)
            break
        used, _ = boxes.halve(k)
        for piece in pieces:
            piece.halve(k, used)
    return _distinct(roots, near)


def _divided(pieces: Sequence[Pieces], cuts: Sequence[float], limit: int) -> Boxes:
    """Divide all functions alike, as finely as one of them asks for if there is room."""
    counts = [1] * len(pieces)
    for piece, cut in zip(pieces, cuts, strict=True):
        piece.divide_into(counts)
        counts = piece.divide(cut, limit)
    for piece in pieces:
        piece.divide_into(counts)
    return Boxes(counts)


def _few(piece: Pieces, cut: float) -> tuple[int, ...]:
    """Return how many coefficients to compute: not too many of boxes too large to tell."""
    heads = piece.heads(cut)
    while math.prod(heads) > _MOST:
        cut = 2 * cut or piece.unit
        heads = piece.heads(cut)
    return heads


def _local(
    pieces: Sequence[Pieces], index: Index, heads: Sequence[Sequence[int]]
) -> tuple[_Local, Points]:
    """Return what coefficients tell of functions on boxes, and their sizes in each variable."""
    n, d = index.shape
    value, rest = np.empty((n, d)), np.empty((n, d))
    slope, rest_slope = np.zeros((n, d, d)), np.empty((n, d, d))
    wide = np.zeros(d)
    for j, (piece, head) in enumerate(zip(pieces, heads, strict=True)):
        for rows, c, left_out in piece.blocks(index, head):
            value[rows, j] = constant(c)
            sizes = np.abs(c)
            total = np.sum(sizes, axis=tuple(range(1, d + 1))) - np.abs(value[rows, j])
            for k in range(d):
                slope[rows, j, k] = _linear(c, k)
                rest_slope[rows, j, k] = _slopes(sizes, k) - np.abs(slope[rows, j, k])
            linear = np.sum(np.abs(slope[rows, j]), axis=1)
            rest[rows, j] = np.maximum(total - linear, 0) + left_out + piece.unit
            wide += spread(c, exact=0) / (piece.size or 1)
    return _Local(value, slope, rest, np.maximum(rest_slope, 0)), wide


def _linear(c: Host, k: int) -> Points:
    """Return the coefficients of one variable itself."""
    if c.shape[k + 1] == 1:
        return np.zeros(c.shape[0])
    place: tuple[Any, ...] = (slice(None), *(int(j == k) for j in range(c.ndim - 1)))
    return np.asarray(c[place])


def _slopes(sizes: Points, k: int) -> Points:
    """Return what slopes along a variable do not exceed: those of polynomials are squares."""
    others = tuple(j + 1 for j in range(sizes.ndim - 1) if j != k)
    return np.asarray(np.sum(sizes, axis=others) @ np.arange(sizes.shape[k + 1]) ** 2.0)


def _inverse(slope: Points) -> Points:
    """Return inverses of slopes; zero where there is none, which proves nothing."""
    scale = np.max(np.abs(slope), axis=(1, 2), keepdims=True)
    u, s, vh = np.linalg.svd(slope / np.where(scale > 0, scale, 1))
    regular = s[:, -1:] > 1e-12
    inverse = np.where(regular, 1 / np.where(regular, s, 1), 0)
    found = np.swapaxes(vh, 1, 2) * inverse[:, None, :] @ np.swapaxes(u, 1, 2)
    return np.asarray(found / np.where(scale > 0, scale, 1))


def _possible(local: _Local) -> npt.NDArray[np.bool_]:
    """Tell on which boxes there may be a root."""
    alone = np.abs(local.value) <= np.sum(np.abs(local.slope), axis=2) + local.rest
    inverse = _inverse(local.slope)
    place = np.abs(inverse @ local.value[:, :, None])[:, :, 0]
    together = place <= 1 + (np.abs(inverse) @ local.rest[:, :, None])[:, :, 0]
    return np.asarray(np.all(alone & together, axis=1))


def _settled(
    pieces: Sequence[Pieces], boxes: Boxes, local: _Local, newton: _Newton
) -> tuple[Points, npt.NDArray[np.bool_]]:
    """Return roots of boxes that have at most one, and of which boxes they are."""
    settled = np.zeros(boxes.index.shape[0], dtype=bool)
    promising = np.flatnonzero(_one_to_one(local))
    if not promising.size:
        return np.empty((0, len(pieces))), settled
    whole = [piece.shape for piece in pieces]
    local, _ = _local(pieces, boxes.index[promising], whole)
    sure = _one_to_one(local)
    promising = promising[sure]
    start = -(_inverse(local.slope[sure]) @ local.value[sure][:, :, None])[:, :, 0]
    t, converged = newton(boxes.points(np.clip(start, -1, 1), promising))
    away = boxes.local(t, promising)
    here = converged & (np.max(np.abs(away), axis=1) <= 1 + _OUTSIDE)
    settled[promising[here]] = True
    return np.clip(t[here], -1, 1), settled


def _one_to_one(local: _Local) -> npt.NDArray[np.bool_]:
    """Tell on which boxes functions take no values twice."""
    inverse = _inverse(local.slope)
    sums = np.sum(np.abs(inverse) @ local.rest_slope, axis=2)
    # The slopes of what is left out are not among these.
    far = (np.abs(inverse) @ local.rest[:, :, None])[:, :, 0]
    regular = np.any(inverse != 0, axis=(1, 2))
    return np.asarray(np.all((sums <= _ONE_TO_ONE) & (far <= 1), axis=1) & regular)


class _Newton:
    """Newton's method for functions of the unit box, from many points at once."""

    def __init__(self, functions: Sequence[ChebyshevTucker], units: Sequence[float]) -> None:
        self.functions = functions
        self.units = np.asarray(units)

    def values(self, t: Points) -> Points:
        """Return the values (N, d) of all functions."""
        return np.stack([evaluate(f, t) for f in self.functions], axis=1)

    def inverse(self, t: Points) -> Points:
        """Return inverses (N, d, d) of the matrices of slopes, or what is nearest to them."""
        rows = [gradient(f, t) for f in self.functions]
        return np.asarray(np.linalg.pinv(np.stack(rows, axis=1), rcond=1e-14))

    def step(self, t: Points, value: Points) -> Points:
        """Return steps of least length to where linear functions vanish, or nearly."""
        return np.asarray(-(self.inverse(t) @ value[:, :, None])[:, :, 0])

    def blur(self, t: Points) -> Points:
        """Return how far roots may be moved by rounding of values."""
        if not t.size:
            return np.zeros(0)
        return np.asarray(4 * np.max(np.abs(self.inverse(t)) @ self.units, axis=1))

    def __call__(self, t: Points) -> tuple[Points, npt.NDArray[np.bool_]]:
        """Return points (N, d) near which there are roots, and whether it came to that."""
        length = np.full(t.shape[0], np.inf)
        for _ in range(_STEPS):
            step = self.step(t, self.values(t))
            t, before = np.clip(t + step, -1, 1), t
            length = np.max(np.abs(t - before), axis=1)
            if np.all(length <= 4 * np.finfo(np.float64).eps):
                break
        small = np.all(np.abs(self.values(t)) <= 4 * self.units, axis=1)
        return t, small & (length <= 1e-9)

    def blurred(self, t: Points, far: Points) -> tuple[Points, Points]:
        """Return roots so near to points where slopes are singular, approached slowly."""
        best, start, reach = t, t, far[:, None]
        size = np.full(t.shape[0], np.inf)
        for _ in range(_MORE_STEPS):
            value = self.values(t)
            now = np.max(np.abs(value) / np.where(self.units > 0, self.units, 1), axis=1)
            best = np.where((now < size)[:, None], t, best)
            size = np.minimum(size, now)
            t = np.clip(t + self.step(t, value), start - reach, start + reach).clip(-1, 1)
        return best[size <= 4], far[size <= 4]


def _clusters(boxes: Boxes) -> tuple[Points, Points]:
    """Return the centres of groups of boxes that touch, and how far those reach."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import KDTree

    t = boxes.points(np.zeros(boxes.index.shape))
    pairs = KDTree(t / boxes.radii).query_pairs(2.5, p=np.inf, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs)), pairs.T), shape=(t.shape[0],) * 2)
    count, label = connected_components(graph, directed=False)
    groups = [t[label == i] for i in range(count)]
    centres = np.stack([(group.min(axis=0) + group.max(axis=0)) / 2 for group in groups])
    sizes = [np.max(group - centre) for group, centre in zip(groups, centres, strict=True)]
    return centres, np.asarray(sizes) + 2 * max(boxes.radii)


def _distinct(t: Points, near: Points) -> Points:
    """Return points in ascending order, of those that are near one another the first."""
    kept: list[int] = []
    for i in np.lexsort(np.round(t, 9).T[::-1]):
        gaps = np.max(np.abs(t[kept] - t[i]), axis=1) - np.maximum(near[kept], near[i])
        if np.all(gaps > 0):
            kept.append(int(i))
    return np.asarray(t[kept])
