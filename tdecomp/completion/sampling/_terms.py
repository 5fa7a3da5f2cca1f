"""The terms of a sum of vectors at one scale: rows of unit norm, coefficients of one at most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from tdecomp._program import one_program
from tdecomp._shim import constant
from tdecomp._typing import Array, Namespace
from tdecomp._xp import times_power
from tdecomp.completion.sampling import _stored as store
from tdecomp.completion.sampling._forest import sums_of
from tdecomp.completion.sampling._matrix import LengthSquaredMatrix
from tdecomp.completion.sampling._rows import SampledRows, whole_rows


class Term(NamedTuple):
    """Rows of one matrix, each over a power of two near its norm, and their coefficients.

    Attributes
    ----------
    matrix : LengthSquaredMatrix
        Where the rows are looked up.
    indices : array of int, shape (k,)
        Which rows.
    levels : array, shape (k,)
        Each row is divided by ``2 ** level``.
    norms : array, shape (k,)
        Its norm then: from one to two, or zero.
    coefficients : array, shape (k,)
        What it is multiplied by, at most about one.
    """

    matrix: LengthSquaredMatrix
    indices: Array
    levels: Array
    norms: Array
    coefficients: Array

    @property
    def sizes(self) -> Array:
        """The norms of the terms."""
        xp = self.matrix._xp
        return self.norms * xp.astype(xp.abs(self.coefficients), self.norms.dtype)

    def columns(self, index: Array) -> Array:
        """Return columns (k, c) of the terms."""
        xp = self.matrix._xp
        block = store.entries(self.matrix._stored, self.indices[:, None], index[None, :], xp)
        return times_power(block, -self.levels[:, None], xp) * self.coefficients[:, None]

    def whole(self) -> Array:
        """Return the sum of the terms, all of it."""
        xp, total = self.matrix._xp, 0.0
        for part, block in whole_rows(self.matrix, self.indices):
            rows = times_power(block, -self.levels[part, None], xp)
            total = total + self.coefficients[part] @ rows
        return total


def levelled(parts: Sequence[tuple[SampledRows, int]]) -> tuple[list[Term], Array]:
    """Return the terms over a power of two that is near the largest of them, and its exponent.

    The scales are those of the rows as they are now, whatever they were when they were combined.
    """
    xp = parts[0][0].matrix._xp
    heads = []
    for part, exponent in parts:
        trees = part.matrix._trees
        sums = sums_of(trees.rows, part.indices, xp)
        scales = xp.take(trees.exponents, part.indices, axis=0)
        shift = float(exponent - part.unit)
        heads.append(_head(sums, scales, constant(part.weights), shift, xp))
    unit = _largest([top for _, _, _, top in heads], xp)
    terms = [
        Term(part.matrix, part.indices, levels, norms, _brought(part.weights, shifts, unit, xp))
        for (part, _), (levels, norms, shifts, _) in zip(parts, heads, strict=True)
    ]
    return terms, unit


@one_program
def _head(
    sums: Array, scales: Array, weights: Array, shift: float, xp: Namespace
) -> tuple[Array, Array, Array, Array]:
    """Return the levels of rows, their norms, the exponents of the weights and of the products."""
    filled = sums > 0
    half = xp.floor(xp.log2(xp.where(filled, sums, xp.ones_like(sums))) / 2)
    levels = xp.where(filled, scales + half, xp.zeros_like(half))
    norms = times_power(xp.sqrt(sums), -half, xp)
    size = xp.astype(xp.abs(weights), sums.dtype)
    known = xp.where(size > 0, size, xp.ones_like(size))
    tops = xp.where(
        filled & (size > 0),
        xp.floor(xp.log2(known)) + levels + shift,
        xp.full_like(size, -math.inf),
    )
    return levels, norms, levels + shift, xp.max(tops)


@one_program
def _largest(tops: list[Array], xp: Namespace) -> Array:
    """Return the largest exponent, zero where all terms are."""
    top = xp.max(xp.stack(tops))
    return xp.where(top > -math.inf, top, xp.zeros_like(top))


@one_program
def _brought(weights: Array, shifts: Array, unit: Array, xp: Namespace) -> Array:
    """Return ``weights * 2 ** (shifts - unit)``; those that are zero remain so."""
    end = 2 * (math.log2(float(xp.finfo(weights.dtype).max)) - 2)
    return times_power(weights, xp.minimum(shifts - unit, xp.full_like(shifts, end)), xp)
