"""How uncertain the entries of a completed matrix are."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import check_bool, check_size
from tdecomp._precision import full_precision
from tdecomp._shim import host
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device
from tdecomp.completion._biases import Biases, ridge_of_biases
from tdecomp.completion._entries import Entries, read
from tdecomp.completion._observed import group
from tdecomp.completion._using._curvature import (
    Part,
    Ridge,
    curvature_of,
    features_of,
    forms,
    height_of_block,
)
from tdecomp.completion._using._model import Model, alike, as_model, in_unit
from tdecomp.completion._using._noise import noise_of
from tdecomp.completion._using._predict import places


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
    ridge = Ridge(
        check_size(regularization, name="regularization"), by_count, ridge_of_biases(biases)
    )
    xp, model, entries = alike(model, entries)
    i, j = places(rows, columns, model, xp)
    model, lengths = _in_units(model, xp)
    unit = lengths[0] * lengths[1]
    entries = entries._replace(values=entries.values / unit)
    observed = group(_without_offsets(model, entries, xp), xp)
    sides = (
        Part(observed.rows, model, ridge, lengths[1]),
        Part(observed.columns, model.mT, ridge, lengths[0]),
    )
    if noise is None:
        noise = noise_of(*sides, xp) * float(unit) * float(unit)
    else:
        noise = check_size(noise, name="noise")
    i_flat, j_flat = (xp.reshape(index, (-1,)) for index in (i, j))
    values = _share(sides[0], i_flat, j_flat, xp) + _share(sides[1], j_flat, i_flat, xp)
    return Variance(xp.reshape(_times(noise, values, xp), tuple(i.shape)), noise)


def _times(noise: float, values: Array, xp: Namespace) -> Array:
    """Return products with what may be zero or infinite, and then stays so."""
    usual = xp.isfinite(values) & (values > 0)
    with np.errstate(over="ignore"):
        return xp.where(usual, noise * xp.where(usual, values, 1.0), values)


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


def _share(part: Part, own: Array, other: Array, xp: Namespace) -> Array:
    """Return what the rows of the left factor contribute to the variance of entries, over noise.

    The normal equations of each row that is asked for are split into axes once.
    """
    features = features_of(part, xp)
    if not features.shape[1]:
        return xp.zeros(own.shape, dtype=part.length.dtype, device=device(own))
    out = [xp.abs(features[:0, 0])]
    kinds, which = np.unique(host(own), return_inverse=True)
    order = np.argsort(which, kind="stable")
    height = height_of_block(features)
    for start in range(0, kinds.size, height):
        block = kinds[start : start + height]
        curvature = curvature_of(part, block, features, xp)
        low, high = np.searchsorted(which[order], [start, start + block.size])
        for first in range(low, high, height):
            chosen = order[first : min(first + height, high)]
            at = xp.asarray(which[chosen] - start, device=device(own))
            columns = xp.take(other, xp.asarray(chosen, device=device(own)), axis=0)
            out.append(forms(curvature, at, xp.take(features, columns, axis=0), xp))
    back = np.empty_like(order)
    back[order] = np.arange(order.size)
    return xp.take(xp.concat(out), xp.asarray(back, device=device(own)), axis=0)
