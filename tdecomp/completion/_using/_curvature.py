"""Normal equations of rows, by their axes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tdecomp._shim import host
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, conj, device, eps
from tdecomp.completion._masked import grams
from tdecomp.completion._observed import Side
from tdecomp.completion._penalties import row_penalties, with_offsets
from tdecomp.completion._together import with_ones
from tdecomp.completion._using._model import Model

# How many numbers the normal equations of a block of rows have.
_BLOCK = 1 << 20


class Ridge(NamedTuple):
    """The penalties of the factors and of the biases; those are known exactly where None."""

    factors: float
    by_count: bool
    biases: float | None


class Part(NamedTuple):
    """What is known of each row, and the other factor, at unit scale but for a `length`."""

    side: Side
    model: Model
    ridge: Ridge
    length: Array

    def penalties(self, side: Side, xp: Namespace) -> Array:
        """Return the ridge of each feature, for each row of a side."""
        k = self.model.right.shape[1]
        shape = row_penalties(side, 1.0, self.ridge.by_count, k, xp)
        # Beyond that nothing is left of a row, and squares must not overflow.
        most = eps(shape.dtype, xp) ** -3
        size = float(self.length)
        penalty = shape * min(self.ridge.factors / size / size, most)
        if self.ridge.biases is None:
            return penalty
        return with_offsets(penalty, self.ridge.biases, xp)


class Curvature(NamedTuple):
    """The normal equations of rows by their axes and curvatures, those of no curvature marked.

    They are those of features divided by `scale`, which gives them a diagonal of ones: penalties
    and features of any size hide no others.
    """

    scale: Array
    axes: Array
    inverse: Array
    free: Array
    spent: Array


def height_of_block(features: Array) -> int:
    """Return of how many rows the normal equations are formed at a time."""
    width: int = features.shape[1]
    return max(1, _BLOCK // width**2)


def features_of(part: Part, xp: Namespace) -> Array:
    """Return what a row is multiplied with: the factor, and 1 where its offset was fitted too."""
    right = part.model.right
    return right if part.ridge.biases is None else with_ones(right, xp)


def _picked(side: Side, rows: np.ndarray, xp: Namespace) -> Side:
    """Return the known entries of some rows."""
    starts = host(side.starts)
    counts = starts[rows + 1] - starts[rows]
    ends = np.concatenate([[0], np.cumsum(counts)])
    at = np.repeat(starts[rows] - ends[:-1], counts) + np.arange(ends[-1])
    at = xp.asarray(at, device=device(side.values))
    indices, values = (xp.take(part, at, axis=0) for part in (side.indices, side.values))
    weights = None if side.weights is None else xp.take(side.weights, at, axis=0)
    return Side(xp.asarray(ends, device=device(values)), indices, values, weights)


def curvature_of(part: Part, rows: np.ndarray, features: Array, xp: Namespace) -> Curvature:
    """Return the inverse of the normal equations of some rows, and what each row has spent."""
    side = _picked(part.side, rows, xp)
    gram, width = grams(side, features, xp), features.shape[1]
    penalty = part.penalties(side, xp)
    diagonal = xp.eye(width, dtype=gram.dtype, device=device(gram)) * penalty[:, None, :]
    gram = gram + diagonal
    scale = xp.sqrt(_lengths(gram, xp))
    values, axes = xp.linalg.eigh(gram / scale[:, :, None] / scale[:, None, :])
    least = width * eps(gram.dtype, xp) * xp.max(values, axis=1, keepdims=True)
    free = values <= least
    inverse = xp.where(free, 0.0, 1 / xp.where(free, 1.0, values))
    # The trace of the inverse times the penalty: what the data did not have to say.
    squares = _squares(axes, xp)
    kept = xp.sum(inverse * xp.sum(squares * (penalty / scale**2)[:, :, None], axis=1), axis=1)
    determined = xp.sum(xp.astype(~free, kept.dtype), axis=1)
    return Curvature(scale, axes, inverse, free, determined - kept)


def _lengths(gram: Array, xp: Namespace) -> Array:
    """Return the diagonals of Gram matrices, ones where nothing is known of a feature."""
    diagonal = xp.abs(xp.linalg.diagonal(gram))
    return xp.where(diagonal > 0, diagonal, xp.ones_like(diagonal))


def forms(curvature: Curvature, at: Array, features: Array, xp: Namespace) -> Array:
    """Return the quadratic forms of features, each with the inverse of the row at a place."""
    scale, axes, inverse, free = (xp.take(part, at, axis=0) for part in curvature[:4])
    features = features / scale
    along = _squares((adjoint(axes, xp) @ conj(features, xp)[:, :, None])[:, :, 0], xp)
    lost = xp.sum(xp.where(free, along, 0.0), axis=1)
    size = xp.sum(along, axis=1)
    endless = lost > features.shape[1] * eps(features.dtype, xp) * size
    return xp.where(endless, xp.inf, xp.sum(inverse * along, axis=1))


def _squares(x: Array, xp: Namespace) -> Array:
    return xp.abs(x) ** 2
