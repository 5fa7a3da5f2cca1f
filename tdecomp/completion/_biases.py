"""Offsets of rows and columns: what an entry is expected to be before any factor is looked at."""

from __future__ import annotations

from typing import NamedTuple

from tdecomp._shim import index_add
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device
from tdecomp.completion._entries import Entries

# Rounds of a regression that converges in a handful.
_ROUNDS = 20


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


def no_biases(entries: Entries, xp: Namespace) -> Biases:
    """Return zeros."""
    (m, n), like = entries.shape, entries.values
    zero = [xp.zeros(size, dtype=like.dtype, device=device(like)) for size in (m, n)]
    return Biases(xp.sum(zero[0]), *zero)


def fit_biases(entries: Entries, regularization: float, xp: Namespace) -> Biases:
    r"""Fit the mean, and then offsets of rows and columns with a ridge.

    .. math:: \min_{b, c} \sum_{(i,j) \in \Omega} w_{ij} (x_{ij} - \mu - b_i - c_j)^2
              + \lambda (|b|^2 + |c|^2)

    by turns, each of which shrinks a mean: :math:`c_j = \sum_i w_{ij} (x_{ij} - \mu - b_i) /
    (\lambda + \sum_i w_{ij})`. Rows and columns without entries get zero.
    """
    rows, columns, values, weights, _ = entries
    heavy = xp.ones_like(values) if weights is None else xp.astype(weights, values.dtype)
    mean = xp.sum(heavy * values) / xp.sum(heavy)
    _, b, c = no_biases(entries, xp)
    row_weight, column_weight = index_add(b, rows, heavy, xp), index_add(c, columns, heavy, xp)

    def shrunk(total: Array, weight: Array) -> Array:
        known = weight > 0
        return xp.where(known, total / xp.where(known, weight + regularization, 1.0), 0.0 * total)

    for _ in range(_ROUNDS):
        rest = heavy * (values - mean - xp.take(b, rows, axis=0))
        c = shrunk(index_add(xp.zeros_like(c), columns, rest, xp), column_weight)
        rest = heavy * (values - mean - xp.take(c, columns, axis=0))
        b = shrunk(index_add(xp.zeros_like(b), rows, rest, xp), row_weight)
    return Biases(mean, b, c)
