"""How uncertain the entries of a completed matrix are."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import check_bool, check_size
from tdecomp._precision import full_precision
from tdecomp._shim import host
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, conj, device, eps
from tdecomp.completion._biases import Biases, ridge_of_biases
from tdecomp.completion._entries import Entries, read
from tdecomp.completion._masked import entries as model_entries
from tdecomp.completion._masked import grams, weighted_squares
from tdecomp.completion._observed import Side, group
from tdecomp.completion._penalties import row_penalties, with_offsets
from tdecomp.completion._together import with_ones
from tdecomp.completion._using._model import Model, alike, as_model, in_unit
from tdecomp.completion._using._predict import places

# How many numbers the normal equations of a block of rows have.
_BLOCK = 1 << 20


class Variance(NamedTuple):
    """How uncertain entries are.

    Attributes
    ----------
    values : array
        The variance of each entry of the model; infinite where the data do not determine it.
    noise : float
        The variance of a single observation of weight 1 about the model: what a new one would
        add to `values`.
    """

    values: Array
    noise: float


class _Ridge(NamedTuple):
    """The penalties of the factors and of the biases; those are known exactly where None."""

    factors: float
    by_count: bool
    biases: float | None


class _Part(NamedTuple):
    """What is known of each row, and the other factor, at unit scale but for a `length`."""

    side: Side
    model: Model
    ridge: _Ridge
    length: Array

    def penalties(self, side: Side, xp: Namespace) -> Array:
        """Return the ridge of each feature, for each row of a side."""
        k = self.model.right.shape[1]
        shape = row_penalties(side, 1.0, self.ridge.by_count, k, xp)
        # Beyond that nothing is left of a row, and squares must not overflow.
        most = eps(shape.dtype, xp) ** -3
        penalty = shape * xp.clip(self.ridge.factors / self.length / self.length, max=most)
        if self.ridge.biases is None:
            return penalty
        return with_offsets(penalty, self.ridge.biases, xp)


class _Curvature(NamedTuple):
    """The normal equations of rows by their axes and curvatures, those of no curvature marked.

    They are those of features divided by `scale`, which gives them a diagonal of ones: penalties
    and features of any size hide no others.
    """

    scale: Array
    axes: Array
    inverse: Array
    free: Array
    spent: Array


@full_precision
def variance(
    model: Any,
    x: Any,
    rows: Any,
    columns: Any,
    /,
    *,
    regularization: float = 0.0,
    by_count: bool = False,
    weights: Any = None,
    biases: bool | float = False,
    noise: float | None = None,
    duplicates: str = "error",
) -> Variance:
    r"""Return the posterior variance of entries of a completed matrix.

    .. math:: \operatorname{var} z_{ij} \approx \sigma^2 \bigl( v_j^T A_i^{-1} \bar v_j
              + u_i^T B_j^{-1} \bar u_i \bigr), \quad
              A_i = \sum_{j \in \Omega_i} w_{ij} \bar v_j v_j^T + \lambda_i I

    Each term is exact where the other factor is known: with Gaussian noise of variance
    :math:`\sigma^2 / w_{ij}` and rows that are Gaussian with variance :math:`\sigma^2 / \lambda`
    it is that of Bayesian linear regression. Their sum is the delta method [1]_, the linear part
    of what errors of both factors do, with the correlation between those left out.

    Parameters
    ----------
    model : Completion, LowRank or SVD
        What was fitted, of shape (m, n).
    x : COO, sparse matrix or array, shape (m, n)
        What it was fitted to.
    rows, columns : array of int
        Where, as in `predict`.
    regularization, by_count, weights, biases, duplicates
        As they were for `complete`. With `biases`, their uncertainty counts: each row solves for
        its offset and its factor together.
    noise : float, optional
        The variance :math:`\sigma^2`. Without it the weighted squares of what the model misses
        are divided by the number of entries less the degrees of freedom that the fit has spent,
        :math:`\sum_i \operatorname{tr} A_i^{-1} (A_i - \lambda_i I)` over rows and columns, less
        the :math:`k^2` in which two factors of one product differ, or :math:`(k + 1)^2` with
        offsets, which factors can tell too.

    Returns
    -------
    Variance
        ``values`` in the common shape of `rows` and `columns`, real, and ``noise``.

    Raises
    ------
    ValueError
        If there are too few entries to estimate the noise from, or an argument is refused as in
        `complete` and `predict`.
    TypeError
        If `model` is no such format.

    See Also
    --------
    predict : the entries themselves.
    cross_validate : how far off the model is, whatever the noise.

    Notes
    -----
    :math:`|\Omega| k^2 + (m + n) k^3` multiplications to estimate the noise, else those of the
    rows and columns asked for only. The rows of a factor that its data and penalty do not
    determine have infinite variance in those directions; a row without entries, under
    ``by_count``, has no penalty and is one of them.

    References
    ----------
    .. [1] Y. Chen, J. Fan, C. Ma, Y. Yan, "Inference and uncertainty quantification for noisy
       matrix completion", PNAS 116 (2019). doi:10.1073/pnas.1910053116

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> from tdecomp.completion import variance
    >>> rng = np.random.default_rng(0)
    >>> x = np.ones((60, 50)) + 0.1 * rng.standard_normal((60, 50))
    >>> fit = td.complete(x, rank=1, rng=0)
    >>> found = variance(fit.tensor, x, [0, 1], [0, 1])
    >>> bool(abs(found.noise / 0.1**2 - 1) < 0.1)
    True
    >>> bool(np.allclose(found.values, 0.1**2 * (1 / 50 + 1 / 60), rtol=0.2))
    True
    """
    xp, model = as_model(model)
    check_bool(by_count, name="by_count")
    _, entries = read(x, weights, duplicates=duplicates)
    if entries.shape != model.shape:
        raise ValueError(f"x must have the shape {model.shape} of the model, got {entries.shape}")
    ridge = _Ridge(
        check_size(regularization, name="regularization"), by_count, ridge_of_biases(biases)
    )
    xp, model, entries = alike(model, entries)
    i, j = places(rows, columns, model, xp)
    model, lengths = _in_units(model, xp)
    unit = lengths[0] * lengths[1]
    entries = entries._replace(values=entries.values / unit)
    observed = group(_without_offsets(model, entries, xp), xp)
    sides = (
        _Part(observed.rows, model, ridge, lengths[1]),
        _Part(observed.columns, model.mT, ridge, lengths[0]),
    )
    if noise is None:
        noise = _noise(*sides, xp) * float(unit) * float(unit)
    else:
        noise = check_size(noise, name="noise")
    i_flat, j_flat = (xp.reshape(index, (-1,)) for index in (i, j))
    values = _share(sides[0], i_flat, j_flat, xp) + _share(sides[1], j_flat, i_flat, xp)
    return Variance(xp.reshape(noise * values, tuple(i.shape)), noise)


def _in_units(model: Model, xp: Namespace) -> tuple[Model, list[Array]]:
    """Return the model with factors at unit scale, and what both have been divided by."""
    left, right, offsets = model
    (left, tall), (right, wide) = (in_unit(factor, xp) for factor in (left, right))
    unit = tall * wide
    return Model(left, right, Biases(*(part / unit for part in offsets))), [tall, wide]


def _without_offsets(model: Model, entries: Entries, xp: Namespace) -> Entries:
    return entries._replace(
        values=entries.values - model.biases.at(entries.rows, entries.columns, xp)
    )


def _share(part: _Part, own: Array, other: Array, xp: Namespace) -> Array:
    """Return what the rows of the left factor contribute to the variance of entries, over noise.

    The normal equations of each row that is asked for are split into axes once.
    """
    features = _features(part, xp)
    if not features.shape[1]:
        return xp.zeros(own.shape, dtype=part.length.dtype, device=device(own))
    out = [xp.abs(features[:0, 0])]
    kinds, which = np.unique(host(own), return_inverse=True)
    order = np.argsort(which, kind="stable")
    height = max(1, _BLOCK // features.shape[1] ** 2)
    for start in range(0, kinds.size, height):
        block = kinds[start : start + height]
        curvature = _curvature(part, block, features, xp)
        low, high = np.searchsorted(which[order], [start, start + block.size])
        for first in range(low, high, height):
            chosen = order[first : min(first + height, high)]
            at = xp.asarray(which[chosen] - start, device=device(own))
            columns = xp.take(other, xp.asarray(chosen, device=device(own)), axis=0)
            out.append(_forms(curvature, at, xp.take(features, columns, axis=0), xp))
    back = np.empty_like(order)
    back[order] = np.arange(order.size)
    return xp.take(xp.concat(out), xp.asarray(back, device=device(own)), axis=0)


def _features(part: _Part, xp: Namespace) -> Array:
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


def _curvature(part: _Part, rows: np.ndarray, features: Array, xp: Namespace) -> _Curvature:
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
    return _Curvature(scale, axes, inverse, free, determined - kept)


def _lengths(gram: Array, xp: Namespace) -> Array:
    """Return the diagonals of Gram matrices, ones where nothing is known of a feature."""
    diagonal = xp.abs(xp.linalg.diagonal(gram))
    return xp.where(diagonal > 0, diagonal, xp.ones_like(diagonal))


def _forms(curvature: _Curvature, at: Array, features: Array, xp: Namespace) -> Array:
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


def _noise(rows: _Part, columns: _Part, xp: Namespace) -> float:
    """Estimate the variance of an observation of weight 1 from what the model misses."""
    side, model = rows.side, rows.model
    missed = side.values - model_entries(side, model.left, model.right, xp)
    alike = model.left.shape[1] + (rows.ridge.biases is not None)
    spent = _spent(rows, xp) + _spent(columns, xp) - alike**2
    total = int(side.values.shape[0])
    if spent >= total:
        raise ValueError(
            f"{total} entries leave no degrees of freedom to estimate the noise from: the model "
            f"has spent {spent:.1f}; pass noise="
        )
    return weighted_squares(missed, side, xp) / (total - max(float(spent), 0.0))


def _spent(part: _Part, xp: Namespace) -> float:
    """Sum up the degrees of freedom of all rows."""
    features = _features(part, xp)
    if not features.shape[1]:
        return 0.0
    height, m = max(1, _BLOCK // features.shape[1] ** 2), part.side.starts.shape[0] - 1
    total = 0.0
    for start in range(0, m, height):
        block = np.arange(start, min(start + height, m))
        total += float(xp.sum(_curvature(part, block, features, xp).spent))
    return total
