"""The objective of a generalised CP decomposition, and its gradient, dense and in coordinates."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp.cp._algebra import _evaluate
from tdecomp.cp._format import CP
from tdecomp.cp._least_squares import gram, joint_gram
from tdecomp.cp._losses import Loss
from tdecomp.cp._slabwise import Sums, slabs, slabwise
from tdecomp.ops._coo import COO
from tdecomp.ops._sparse_layout import arrangeable, arranged_mttkrp, arrangements
from tdecomp.ops._sparse_mttkrp import mttkrp_by_entries

_BLOCK_ENTRIES = 1 << 20
# Fewer entries than this are multiplied before a kernel is loaded.
_PLANNED = 1 << 15


class Objective(Protocol):
    """The sum of losses over what is observed."""

    @property
    def x(self) -> Any:
        """The data."""

    @property
    def loss(self) -> Loss:
        """The loss."""

    @property
    def xp(self) -> Namespace:
        """The library of the data."""

    def at(self, factors: list[Array]) -> Sums:
        """Return the sum for a model, and its derivative by every factor."""

    def total(self, of: Callable[[Array], Array]) -> float:
        """Return the weighted sum of a function of the data."""

    def extremes(self) -> tuple[float, float]:
        """Return the smallest and the largest observed entry."""


class Grid(NamedTuple):
    """All entries of an array, weighted or not. Entries of weight 0 hold any finite number."""

    x: Array
    weights: Array | None
    loss: Loss
    xp: Namespace

    def at(self, factors: list[Array]) -> Sums:
        """Make the derivative slab by slab, and contract it."""
        cp = CP(self.xp.ones_like(factors[0][0, :]), tuple(factors))

        def make(rows: slice) -> tuple[float, Array]:
            x, m = self.x[rows, ...], cp.to_array(rows)
            value = self._weighted(self.loss.value(x, m), rows)
            return float(self.xp.sum(value)), self._weighted(self.loss.derivative(x, m), rows)

        return slabwise(make, tuple(self.x.shape), factors, xp=self.xp)

    def total(self, of: Callable[[Array], Array]) -> float:
        """Sum slab by slab."""
        return math.fsum(
            float(self.xp.sum(self._weighted(of(self.x[rows, ...]), rows)))
            for rows in slabs(tuple(self.x.shape))
        )

    def extremes(self) -> tuple[float, float]:
        """Look at entries of positive weight."""
        xp, x = self.xp, self.x
        if self.weights is None:
            return float(xp.min(x)), float(xp.max(x))
        seen = self.weights > 0
        low = xp.min(xp.where(seen, x, xp.inf))
        return float(low), float(xp.max(xp.where(seen, x, -xp.inf)))

    def _weighted(self, values: Array, rows: slice) -> Array:
        """Multiply by the weights, if there are any."""
        return values if self.weights is None else values * self.weights[rows, ...]


class Plan:
    """The places of the entries of a sparse tensor sorted for each mode, once for many values."""

    def __init__(self, x: COO) -> None:
        # Numbers of entries travel through the sort in the bits of their values.
        kind = np.dtype(f"i{x.values.itemsize}")
        marks = np.arange(x.nnz, dtype=kind).view(x.values.dtype)
        self._arranged = arrangements(x._replace(values=marks))
        self._orders = {k: np.array(a.values.view(kind)) for k, a in self._arranged.items()}
        self._shape = x.shape

    def mttkrp(self, values: np.ndarray, factors: list[Array], mode: int) -> Array:
        """Multiply by the unfolding of the tensor with other values."""
        arranged = self._arranged[mode]
        arranged.values[:] = values[self._orders[mode]]
        return arranged_mttkrp(arranged, factors, mode, self._shape)


def plan(x: COO) -> Plan | None:
    """Return a plan where sorting is worth it, and the kernels take the tensor."""
    return Plan(x) if x.nnz >= _PLANNED and arrangeable(x) else None


class Listed(NamedTuple):
    r"""Entries in coordinates; all others are missing, or `zeros` of which the loss is known.

    With :math:`f(0, m) = a m + b m^2` the loss of all entries is

    .. math:: \sum_{\text{stored}} (f(x_i, m_i) - f(0, m_i)) + a \sum_i m_i + b \|M\|^2 ,

    where :math:`\sum_i m_i` is a product of sums of columns, summed over the components.
    """

    x: COO
    weights: Array | None
    loss: Loss
    zeros: bool
    xp: Namespace
    plan: Plan | None = None

    def at(self, factors: list[Array]) -> Sums:
        """Sum over the stored entries, and add what the others cost."""
        xp = self.xp
        cp = CP(xp.ones_like(factors[0][0, :]), tuple(factors))
        values, slopes = [], []
        for part in self._parts():
            columns = [self.x.indices[k, part] for k in range(self.x.modes)]
            x, m = self.x.values[part], _evaluate(cp, columns, xp=xp)
            value, slope = self.loss.value(x, m), self.loss.derivative(x, m)
            if self.zeros:
                linear, square = self._at_zero()
                value, slope = value - (linear + square * m) * m, slope - linear - 2 * square * m
            values.append(float(xp.sum(self._weighted(value, part))))
            slopes.append(self._weighted(slope, part))
        joined = xp.concat(slopes) if slopes else self.x.values
        products = [self._product(joined, factors, k) for k in range(self.x.modes)]
        sums = Sums(math.fsum(values), products)
        return self._with_zeros(sums, factors) if self.zeros else sums

    def total(self, of: Callable[[Array], Array]) -> float:
        """Sum over the stored entries; all others give the same."""
        xp, stored = self.xp, 0.0
        for part in self._parts():
            stored += float(xp.sum(self._weighted(of(self.x.values[part]), part)))
        if not self.zeros:
            return stored
        zero = xp.zeros_like(self.x.values[:1]) if self.x.nnz else xp.zeros(1)
        return stored + self._missing() * float(of(zero)[0])

    def extremes(self) -> tuple[float, float]:
        """Look at the stored entries, and at zero."""
        ends = [0.0] if self.zeros else []
        if self.x.nnz:
            ends += [float(self.xp.min(self.x.values)), float(self.xp.max(self.x.values))]
        return min(ends), max(ends)

    def _product(self, values: Array, factors: list[Array], mode: int) -> Array:
        """Multiply the unfolding of a tensor with the same coordinates."""
        if self.plan is not None:
            return self.plan.mttkrp(values, factors, mode)
        return mttkrp_by_entries(self.x._replace(values=values), factors, mode, xp=self.xp)

    def _with_zeros(self, sums: Sums, factors: list[Array]) -> Sums:
        """Add the loss of a model of which every entry should be zero."""
        xp = self.xp
        linear, square = self._at_zero()
        columns = [xp.sum(f, axis=0, keepdims=True) for f in factors]
        grams = [gram(f, xp) for f in factors]
        value, products = sums.value, []
        for mode, product in enumerate(sums.products):
            others = xp.ones_like(columns[0])
            for k, column in enumerate(columns):
                others = others * column if k != mode else others
            rest = linear * others + 2 * square * (factors[mode] @ joint_gram(grams, mode))
            products.append(product + rest)
        whole = columns[0] * 1.0
        for column in columns[1:]:
            whole = whole * column
        value += linear * float(xp.sum(whole))
        value += square * float(xp.sum(joint_gram(grams, 0) * grams[0]))
        return Sums(value, products)

    def _at_zero(self) -> tuple[float, float]:
        """Return what the loss of a zero entry is made of."""
        return self.loss.zeros or (0.0, 0.0)

    def _missing(self) -> float:
        """Count the entries that are not stored."""
        return math.prod(self.x.shape) - self.x.nnz

    def _parts(self) -> Iterator[slice]:
        """Cut the stored entries into blocks."""
        for start in range(0, self.x.nnz, _BLOCK_ENTRIES):
            yield slice(start, min(start + _BLOCK_ENTRIES, self.x.nnz))

    def _weighted(self, values: Array, part: slice) -> Array:
        """Multiply by the weights, if there are any."""
        return values if self.weights is None else values * self.weights[part]


class Filled(NamedTuple):
    """A sparse tensor whose zeros have no closed sum of losses: one slab at a time is dense."""

    x: COO
    loss: Loss
    xp: Namespace

    def at(self, factors: list[Array]) -> Sums:
        """Fill a slab of the data, as of the model, and contract the derivative."""
        cp = CP(self.xp.ones_like(factors[0][0, :]), tuple(factors))

        def make(rows: slice) -> tuple[float, Array]:
            x, m = self.x.to_array(rows), cp.to_array(rows)
            return float(self.xp.sum(self.loss.value(x, m))), self.loss.derivative(x, m)

        return slabwise(make, self.x.shape, factors, xp=self.xp)

    def total(self, of: Callable[[Array], Array]) -> float:
        """Sum as for a list of entries."""
        return self._listed().total(of)

    def extremes(self) -> tuple[float, float]:
        """Look as at a list of entries."""
        return self._listed().extremes()

    def _listed(self) -> Listed:
        """Return the entries, zeros included."""
        return Listed(self.x, None, self.loss, True, self.xp)
