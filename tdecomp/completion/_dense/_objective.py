"""The weighted misfit of a matrix of low rank: its slopes, its curvature, its course on a line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from tdecomp._program import one_program
from tdecomp._typing import Array, Namespace
from tdecomp._xp import conj, device, is_numpy
from tdecomp.completion._inner import inner, inner_of

# Entries of a slab: what is made of it stays in the cache of a processor; elsewhere few programs
# are better than small ones.
_SLAB, _LARGE_SLAB = 1 << 16, 1 << 22
# Numbers of a block of curvatures, and the least rows and columns that pay for its products.
_BLOCK, _LARGE_BLOCK, _LEAST = 1 << 20, 1 << 26, 256


class Slopes(NamedTuple):
    """The misfit, and the directions of descent: half the gradient with its sign turned."""

    misfit: float
    left: Array
    right: Array


@dataclass(frozen=True)
class Objective:
    r"""The sum :math:`\sum w |x - z|^2 + \lambda (\|U\|_F^2 + \|V\|_F^2)` with `z` = `U V^T`.

    Data and weights are (m, n) at unit scale, the factors `left` (m, k) and `right` (n, k);
    `total` is the misfit of zero.
    """

    values: Array
    weights: Array
    penalty: float
    total: float
    xp: Namespace

    @property
    def turned(self) -> Objective:
        """The same objective of the transposed matrix."""
        values, weights = (self.xp.matrix_transpose(x) for x in (self.values, self.weights))
        return replace(self, values=values, weights=weights)

    def excess(self, left: Array, right: Array) -> float:
        """Return the penalty of two factors."""
        if not self.penalty:
            return 0.0  # at any size of the factors
        return self.penalty * sum(inner(x, x, self.xp) for x in (left, right))

    def value(self, left: Array, right: Array) -> float:
        """Return the objective."""
        return self.misfit(left, right) + self.excess(left, right)

    def misfit(self, left: Array, right: Array) -> float:
        """Return the misfit, for a third of the products that slopes take."""
        return self._parts(left, right)[0]

    def overlaps(self, left: Array, right: Array) -> tuple[float, float]:
        """Return the weighted inner products of the model with what it leaves and with itself."""
        return self._parts(left, right)[1:]

    def _parts(self, left: Array, right: Array) -> tuple[float, float, float]:
        """Return the misfit and both overlaps."""
        sums = np.zeros(3)
        for values, weights, (part,) in self._slabs(left):
            sums += [float(entry) for entry in _slab_parts(values, weights, part, right, self.xp)]
        misfit, gap, square = sums
        return float(misfit), float(gap), float(square)

    def slopes(self, left: Array, right: Array) -> Slopes:
        """Return the misfit and the directions of descent, in one pass over the data."""
        misfit, rows, columns = 0.0, [], None
        for values, weights, part in self._slabs(left):
            squares, own, others = _slab_slopes(values, weights, *part, right, self.xp)
            misfit += float(squares)
            rows.append(own)
            columns = others if columns is None else columns + others
        own = self.xp.concat(rows) if len(rows) > 1 else rows[0]
        return Slopes(misfit, own - self.penalty * left, columns - self.penalty * right)

    def along(self, left: Array, right: Array, left_step: Array, right_step: Array) -> np.ndarray:
        """Return the coefficients (2, 5) of misfit and penalty, polynomials on a line."""
        xp = self.xp
        gram = np.zeros(6)
        for values, weights, part in self._slabs(left, left_step):
            parts = _slab_line(values, weights, part, (right, right_step), xp)
            gram += [float(entry) for entry in parts]
        lines = np.zeros((2, 5))
        lines[0] = gram[0], 2 * gram[1], 2 * gram[2] + gram[3], 2 * gram[4], gram[5]
        if self.penalty:
            for x, step in ((left, left_step), (right, right_step)):
                sizes = (inner(x, x, xp), 2 * inner(x, step, xp), inner(step, step, xp))
                lines[1, :3] += self.penalty * np.asarray(sizes)
        return lines

    def ahead(
        self, pair: tuple[Array, Array], step: tuple[Array, Array], slopes: Slopes
    ) -> np.ndarray:
        """Return the same, summed and without the constant, where slopes at its start are known.

        They give the slope of the line, and two inner products less are taken than by `along`.
        """
        xp = self.xp
        descent = sum(inner(x, y, xp) for x, y in zip(step, slopes[1:], strict=True))
        gram = np.zeros(4)
        for values, weights, part in self._slabs(pair[0], step[0]):
            parts = _slab_bend(values, weights, part, (pair[1], step[1]), xp)
            gram += [float(entry) for entry in parts]
        size = sum(inner(x, x, xp) for x in step) if self.penalty else 0.0
        bend = 2 * gram[0] + gram[1] + self.penalty * size
        return np.asarray([0.0, -2 * descent, bend, 2 * gram[2], gram[3]])

    def curvatures(self, right: Array) -> Iterator[tuple[slice, Array]]:
        r"""Yield blocks of rows with :math:`\sum_j w_{ij} \bar v_j v_j^T + \lambda I` (b, k, k).

        Half of the products would be those of the other half, and are not made.
        """
        (m, n), square = self.values.shape, right.shape[1] ** 2
        block = _BLOCK if is_numpy(self.values) else _LARGE_BLOCK
        height, width = (max(_LEAST, size // square) for size in (block, 2 * block))
        for rows in _runs(m, height):
            sums = None
            for columns in _runs(n, width):
                part = _halves(self.weights[rows, columns], right[columns, :], self.xp)
                sums = part if sums is None else sums + part
            yield rows, _whole(sums, right[:1, :], self.penalty, self.xp)

    def _slabs(self, *factors: Array) -> Iterator[tuple[Array, Array, tuple[Array, ...]]]:
        """Yield slabs of rows of the data, the weights and the left factors."""
        m, n = self.values.shape
        length = max(1, (_SLAB if is_numpy(self.values) else _LARGE_SLAB) // n)
        for rows in _runs(m, length):
            parts = tuple(factor[rows, :] for factor in factors)
            yield self.values[rows, :], self.weights[rows, :], parts


def _runs(size: int, length: int) -> Iterator[slice]:
    """Cut so many rows into runs."""
    yield from (slice(start, min(start + length, size)) for start in range(0, size, length))


@one_program
def _halves(weights: Array, right: Array, xp: Namespace) -> Array:
    """Return the sums over columns of the products of two entries of a row, each pair once."""
    first, second = np.triu_indices(right.shape[1])
    left, other = (
        xp.take(x, xp.asarray(index, device=device(right)), axis=1)
        for x, index in ((conj(right, xp), first), (right, second))
    )
    return _real_times(weights, left * other, xp)


@one_program
def _whole(sums: Array, like: Array, penalty: Array, xp: Namespace) -> Array:
    """Return symmetric matrices from their upper halves, with the penalty on the diagonal."""
    k, where = like.shape[1], {"device": device(like)}
    first, second = np.triu_indices(k)
    table = np.zeros((k, k), dtype=int)
    table[first, second] = table[second, first] = np.arange(first.size)
    sums = xp.reshape(xp.take(sums, xp.asarray(table.ravel(), **where), axis=1), (-1, k, k))
    if xp.isdtype(like.dtype, "complex floating"):
        sums = xp.where(xp.asarray(np.tri(k, k=-1) > 0, **where), xp.conj(sums), sums)
    return sums + penalty * xp.eye(k, dtype=sums.dtype, **where)


def _real_times(weights: Array, products: Array, xp: Namespace) -> Array:
    """Multiply a real matrix by one that may not be."""
    if not xp.isdtype(products.dtype, "complex floating"):
        return weights @ products
    parts = (weights @ part(products) for part in (xp.real, xp.imag))
    real, imaginary = (xp.astype(part, products.dtype) for part in parts)
    return real + 1j * imaginary


@one_program
def _slab_slopes(
    values: Array, weights: Array, left: Array, right: Array, xp: Namespace
) -> tuple[Array, Array, Array]:
    """Return the misfit of a slab and its shares of both slopes."""
    gap = values - left @ xp.matrix_transpose(right)
    heavy = weights * gap
    rows = heavy @ conj(right, xp)
    columns = xp.matrix_transpose(heavy) @ conj(left, xp)
    return inner_of(heavy, gap, xp), rows, columns


@one_program
def _slab_parts(
    values: Array, weights: Array, left: Array, right: Array, xp: Namespace
) -> list[Array]:
    """Return the weighted inner products of the residual and the model of a slab."""
    model = left @ xp.matrix_transpose(right)
    gap = values - model
    heavy = weights * gap
    return [
        inner_of(x, y, xp) for x, y in ((heavy, gap), (heavy, model), (weights * model, model))
    ]


@one_program
def _slab_line(
    values: Array,
    weights: Array,
    lefts: tuple[Array, ...],
    rights: tuple[Array, Array],
    xp: Namespace,
) -> list[Array]:
    """Return the weighted inner products of the terms of the residual of a slab along a line."""
    constant, linear, square = _slab_terms(values, lefts, rights, xp)
    none, one, two = (weights * term for term in (constant, linear, square))
    pairs = (none, constant), (none, linear), (none, square), (one, linear), (two, linear)
    return [inner_of(x, y, xp) for x, y in (*pairs, (two, square))]


@one_program
def _slab_bend(
    values: Array,
    weights: Array,
    lefts: tuple[Array, ...],
    rights: tuple[Array, Array],
    xp: Namespace,
) -> list[Array]:
    """Return those of them that slopes do not tell."""
    constant, linear, square = _slab_terms(values, lefts, rights, xp)
    two = weights * square
    pairs = (two, constant), (weights * linear, linear), (two, linear), (two, square)
    return [inner_of(x, y, xp) for x, y in pairs]


def _slab_terms(
    values: Array, lefts: tuple[Array, ...], rights: tuple[Array, Array], xp: Namespace
) -> tuple[Array, Array, Array]:
    """Return the residual of a slab along a line: what is constant, linear and square in it."""
    (left, left_step), (right, right_step) = lefts, rights
    turned = xp.matrix_transpose(xp.concat([right_step, right], axis=1))
    k = right.shape[1]
    constant = left @ turned[k:, :] - values
    linear = xp.concat([left, left_step], axis=1) @ turned
    return constant, linear, left_step @ turned[:k, :]
