"""Rows that were not there when a matrix was completed."""

from __future__ import annotations

from typing import Any

from tdecomp._errors import check_bool, check_choice, check_size
from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, eps, equilibrate, floats
from tdecomp.completion._biases import ridge_of_biases
from tdecomp.completion._entries import Entries, read
from tdecomp.completion._format import Completion
from tdecomp.completion._masked import solve_rows, times
from tdecomp.completion._observed import Side
from tdecomp.completion._penalties import row_penalties, with_offsets
from tdecomp.completion._together import with_ones
from tdecomp.completion._using._amounts import read_amounts
from tdecomp.completion._using._crushed import in_unit_of
from tdecomp.completion._using._curvature import Ridge
from tdecomp.completion._using._everywhere import shared_by, solve_sharing
from tdecomp.completion._using._facing import facing
from tdecomp.completion._using._model import Model, alike, as_model, in_unit


@full_precision
def fold_in(
    model: Any,
    x: Any,
    /,
    *,
    mode: str = "rows",
    regularization: float = 0.0,
    by_count: bool = False,
    weights: Any = None,
    biases: bool | float = False,
    alpha: float | None = None,
    duplicates: str = "error",
) -> Completion:
    r"""Complete new rows with the columns of a model as they are: nothing is fitted again.

    .. math:: \min_{u_i} \sum_{j \in \Omega_i} w_{ij} |x_{ij} - \mu - b_i - c_j - u_i \cdot v_j|^2
              + \lambda |u_i|^2 + \lambda_b b_i^2

    Each row solves for its factor and its offset together. With `alpha`, all entries of the new
    rows are fitted as `implicit_als` fits them, zeros where nothing was done. With the options of
    a fit by ``"als"``, ``"als_cg"`` or `implicit_als`, a row that took part in it returns what it
    has there, to what was left to converge.

    Parameters
    ----------
    model : Completion, LowRank or SVD
        A matrix of shape (m, n) and rank `k`.
    x : COO, sparse matrix or array, shape (p, n)
        What is known of the new rows, held as in `complete`; with ``mode="columns"``, of new
        columns, in shape (m, p). With `alpha`, what was done: amounts, as in `implicit_als`.
    mode : {"rows", "columns"}
        What is new.
    regularization, by_count, weights, duplicates
        As in `complete`; with `alpha` there is one weight and one penalty for all rows, and
        ``duplicates="sum"`` counts a list of events.
    biases : bool or float
        Whether new rows have offsets, and their ridge, True is 5. Without, they have none.
    alpha : float, optional
        That of a fit by `implicit_als`: how fast the weight of an entry grows with its amount.

    Returns
    -------
    Completion
        The new rows with all columns, of shape (p, n), or all rows with the new columns. A row
        of which nothing is known has the offsets of the columns alone.

    Raises
    ------
    ValueError
        If the other dimension of `x` is not that of the model, an option or entry is refused as in
        `complete` or `implicit_als`, or `alpha` comes with `weights`, `by_count`, `biases` or a
        model that has offsets.
    TypeError
        If `model` is no such format, or complex where there is an `alpha`.

    See Also
    --------
    complete, implicit_als : fit rows and columns.
    predict, top_n : take what is returned.

    Notes
    -----
    :math:`|\Omega| k^2 + p k^3 / 6` multiplications, twice: the second solution is a correction
    of the first. Where entries and penalty leave a row open, it is the shortest that fits. With
    `alpha`, :math:`n k^2` more for what all rows share: no zero is formed.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import LowRank
    >>> from tdecomp.completion import fold_in
    >>> z = LowRank(np.ones((2, 1)), np.array([[1.0, 2.0, 4.0]]))
    >>> fold_in(z, [[3.0, np.nan, np.nan], [np.nan, 1.0, 2.0]]).to_array().round(3)
    array([[ 3. ,  6. , 12. ],
           [ 0.5,  1. ,  2. ]])

    One who has played the second piece three times:

    >>> fold_in(z, [[0.0, 3.0, 0.0]], alpha=10.0).to_array().round(3)
    array([[0.44 , 0.879, 1.759]])
    """
    check_bool(by_count, name="by_count")
    across = check_choice(mode, ("rows", "columns"), name="mode") == "columns"
    xp, model = as_model(model)
    ridge = check_size(regularization, name="regularization")
    if alpha is None:
        _, entries = read(x, weights, duplicates=duplicates, may_be_empty=True)
    else:
        _refuse_beside_amounts(model, weights, by_count, biases, xp)
        _, entries = read_amounts(x, alpha, duplicates, may_be_empty=True)
    xp, model, entries = alike(_without_rows(model.mT if across else model), entries)
    width = entries.shape[0 if across else 1]
    if width != model.shape[1]:
        kind = "rows" if across else "columns"
        raise ValueError(f"x must have the {model.shape[1]} {kind} of the model, got {width}")
    bias_ridge = ridge_of_biases(biases)
    if not (entries.values.shape[0] and (model.right.shape[1] or bias_ridge is not None)):
        found = _nothing(model, entries.shape[1 if across else 0], xp)
    elif alpha is None:
        found = _fold_in(model, entries, across, Ridge(ridge, by_count, bias_ridge), xp=xp)
    else:
        found = _amounts_folded_in(model, entries, across, ridge, xp=xp)
    left, right, (mean, new, old) = found.mT if across else found
    return Completion(left, xp.matrix_transpose(right), mean, new, old)


def _without_rows(model: Model) -> Model:
    """Return a model without the rows that it has, of which those that are new know nothing."""
    mean, rows, columns = model.biases
    return Model(model.left[:0, :], model.right, type(model.biases)(mean, rows[:0], columns))


def _nothing(model: Model, count: int, xp: Namespace) -> Model:
    """Return rows of which nothing is known, or that have nothing to tell it by."""
    where = {"dtype": model.right.dtype, "device": device(model.right)}
    left = xp.zeros((count, model.right.shape[1]), **where)
    return Model(left, model.right, model.biases._replace(rows=xp.zeros(count, **where)))


def _refuse_beside_amounts(
    model: Model, weights: Any, by_count: bool, biases: bool | float, xp: Namespace
) -> None:
    """Refuse what a fit to amounts does not have."""
    if xp.isdtype(model.left.dtype, "complex floating"):
        raise TypeError(f"model must be real where alpha= is given, got dtype {model.left.dtype}")
    if weights is not None:
        raise ValueError("alpha= stands for weights: those are 1 + alpha * x; pass one of the two")
    if by_count or ridge_of_biases(biases) is not None:
        name = "by_count=True" if by_count else "biases="
        raise ValueError(f"{name} is no option of implicit_als, which alpha= belongs to")
    if any(bool(xp.any(part != 0)) for part in model.biases):
        raise ValueError("alpha= takes a model without offsets, as implicit_als returns it")


def _amounts_folded_in(
    model: Model, entries: Entries, across: bool, ridge: float, *, xp: Namespace
) -> Model:
    """Make the half step of a fit to amounts, and correct it."""
    right, length = in_unit(model.right, xp)
    shared = shared_by(right, length, ridge, xp)
    side, seen = facing(entries, right, across, xp)
    fixed = shared.turned(seen)
    found = _nothing(model, side.starts.shape[0] - 1, xp)
    for _ in range(2):
        found = found._replace(left=solve_sharing(shared, side, found.left, fixed, xp))
    return found


def _fold_in(
    model: Model, entries: Entries, across: bool, ridge: Ridge, *, xp: Namespace
) -> Model:
    """Solve for rows, in units in which values and the right factor are about 1."""
    mean, _, columns = model.biases
    picked = entries.rows if across else entries.columns
    values = entries.values - mean - xp.take(columns, picked, axis=0)
    side, right = facing(entries._replace(values=values), model.right, across, xp)
    weights, heaviest = side.weights, 1.0
    if weights is not None:
        weights, most = equilibrate(weights, xp, axis=(0,), always=True)
        heaviest = float(most[0])
    values, scale = equilibrate(side.values, xp, axis=(0,), always=True)
    side = side._replace(values=values, weights=weights)
    length = _units(model.right, xp)
    right, k = right / length, right.shape[1]
    factors, by_count, biases = ridge
    ridges, over = _ridges(factors if by_count else factors / heaviest, length, xp)
    penalty = row_penalties(side, 1.0, by_count, k, xp) * ridges
    share = length / xp.max(length) if k else length
    if biases is not None:
        right = with_ones(right, xp)
        penalty = with_offsets(penalty, biases / heaviest, xp)
        share = xp.concat([share, xp.ones_like(scale)])
    found = xp.zeros_like(penalty, dtype=right.dtype)
    for held in (penalty + _shortening(side, right, share, xp), penalty):
        found = solve_rows(side, found, right, held, xp)
    # Their quotient may be beyond the range where the rows are not.
    left = found[:, :k] * scale[0] / over
    rows = xp.zeros_like(left[:, 0]) if biases is None else found[:, -1] * scale[0]
    return Model(left, model.right, type(model.biases)(mean, rows, columns))


def _units(factor: Array, xp: Namespace) -> Array:
    """Return what brings each column of a factor to unit scale.

    That is one number, so that the shortest rows stay the shortest, but for columns so small that
    half of the digits of their squares would be lost beside those of others.
    """
    if xp.isdtype(factor.dtype, "complex floating"):
        top = xp.max(xp.abs(factor), axis=0, keepdims=True)
    else:
        high, low = (take(factor, axis=0, keepdims=True) for take in (xp.max, xp.min))
        top = xp.maximum(high, -low)
    length = equilibrate(top, xp, axis=(0,), always=True)[1][0, :]
    if length.shape[0]:
        most = xp.max(length)
        length = xp.where(length < eps(factor.dtype, xp) ** 0.25 * most, length, most)
    return length


def _ridges(ridge: float, length: Array, xp: Namespace) -> tuple[Array, Array]:
    """Return the ridges of numbers that columns over a length meet, and what those are over."""
    pairs = [in_unit_of(size, ridge) for size in floats(length)]
    most = float(xp.finfo(length.dtype).max)
    where = {"dtype": length.dtype, "device": device(length)}
    ridges, over = ([min(pair[i], most) for pair in pairs] for i in range(2))
    return xp.asarray(ridges, **where), xp.asarray(over, **where)


def _shortening(side: Side, right: Array, share: Array, xp: Namespace) -> Array:
    """Return ridges (p, k) of half the digits, with which rows have nothing their entries lack.

    Without it the part of a row that no entry sees is rounding; the solution that corrects for it
    adds as little again. Columns of `right` have been that `share` of the largest.
    """
    share = xp.clip(share, min=eps(right.dtype, xp) ** 2)
    squares = xp.sum(xp.abs(right * share) ** 2, axis=1, keepdims=True)
    heavy = xp.ones_like(xp.abs(side.values)) if side.weights is None else side.weights
    return (
        eps(right.dtype, xp) ** 0.5 * times(side, heavy, squares, xp) * _ridges(1.0, share, xp)[0]
    )
