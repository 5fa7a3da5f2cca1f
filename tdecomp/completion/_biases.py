"""Offsets of rows and columns: what an entry is expected to be before any factor is looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tdecomp._errors import check_number, check_size
from tdecomp._shim import index_add
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, eps, equilibrate, real_dtype
from tdecomp.completion._entries import Entries
from tdecomp.completion._inner import inner

# The most steps: the eigenvalues lie in one cluster, but for one in each part of the pattern that
# is connected.
_MOST = 1000
# The ridge where none is named.
_RIDGE = 5.0


class Biases(NamedTuple):
    """An offset of all entries, and one for each row and column."""

    mean: Array
    rows: Array
    columns: Array

    def at(self, rows: Array, columns: Array, xp: Namespace) -> Array:
        """Return the offsets of single entries."""
        return (
            self.mean + xp.take(self.rows, rows, axis=0) + xp.take(self.columns, columns, axis=0)
        )


def ridge_of_biases(biases: bool | float) -> float | None:
    """Return the ridge of the biases that are asked for, None where none are."""
    if isinstance(biases, bool | np.bool_):
        return _RIDGE if biases else None
    check_number(biases, name="biases", legal="a bool or a number >= 0")
    return check_size(biases, name="biases")


def no_biases(entries: Entries, xp: Namespace) -> Biases:
    """Return zeros."""
    (m, n), like = entries.shape, entries.values
    zero = [xp.zeros(size, dtype=like.dtype, device=device(like)) for size in (m, n)]
    return Biases(xp.sum(zero[0]), *zero)


def fit_biases(entries: Entries, regularization: float, xp: Namespace) -> Biases:
    r"""Fit the mean, and then offsets of rows and columns with a ridge.

    .. math:: \min_{b, c} \sum_{(i,j) \in \Omega} w_{ij} |x_{ij} - \mu - b_i - c_j|^2
              + \lambda (|b|^2 + |c|^2)

    The offsets of rows are eliminated, and conjugate gradients find those of columns to the last
    digits: taking turns would move a shift between rows and columns slowly. Without a ridge, a
    shift of each connected part of the pattern is free; the one found is that of smallest norm
    in the weights of the columns. Rows and columns without entries get zero.
    """
    rows, columns = entries.rows, entries.columns
    values, scale = equilibrate(entries.values, xp, axis=(0,), always=True)
    real = real_dtype(values.dtype, xp)
    heavy, ridge = xp.ones(values.shape, dtype=real, device=device(values)), regularization
    if entries.weights is not None:
        heavy, most = equilibrate(xp.astype(entries.weights, real), xp, axis=(0,), always=True)
        ridge = regularization / float(most[0])
    mean = xp.sum(heavy * values) / xp.sum(heavy)
    rest = heavy * (values - mean)
    zero = no_biases(entries, xp)
    none = [xp.zeros(size, dtype=real, device=device(values)) for size in entries.shape]
    row_weight = index_add(none[0], rows, heavy, xp)
    column_weight = index_add(none[1], columns, heavy, xp)

    def shrunk(total: Array, weight: Array) -> Array:
        known = weight > 0
        return xp.where(known, total / xp.where(known, weight + ridge, 1.0), 0.0 * total)

    def of_rows(c: Array, total: Array) -> Array:
        seen = heavy * xp.take(c, columns, axis=0)
        return shrunk(total - index_add(zero.rows, rows, seen, xp), row_weight)

    def of_columns(b: Array) -> Array:
        return index_add(zero.columns, columns, heavy * xp.take(b, rows, axis=0), xp)

    total = index_add(zero.rows, rows, rest, xp)
    slope = index_add(zero.columns, columns, rest, xp) - of_columns(shrunk(total, row_weight))
    c = _solved(
        lambda y: (column_weight + ridge) * y + of_columns(of_rows(y, zero.rows)),
        slope,
        lambda y: shrunk(y, column_weight),
        xp,
    )
    b = of_rows(c, total)
    return Biases(*(scale[0] * part for part in (mean, b, c)))


def _solved(
    times: Callable[[Array], Array],
    slope: Array,
    precondition: Callable[[Array], Array],
    xp: Namespace,
) -> Array:
    """Return the solution of a positive semidefinite system by conjugate gradients from zero."""
    x = xp.zeros_like(slope)
    along = z = precondition(slope)
    energy = first = inner(slope, z, xp)
    for _ in range(min(2 * slope.shape[0] + 2, _MOST)):
        if energy <= eps(slope.dtype, xp) ** 2 * first:
            break
        curved = times(along)
        bend = inner(along, curved, xp)
        if bend <= 0:
            break
        x, slope = x + energy / bend * along, slope - energy / bend * curved
        z = precondition(slope)
        before, energy = energy, inner(slope, z, xp)
        along = z + energy / before * along
    return x
