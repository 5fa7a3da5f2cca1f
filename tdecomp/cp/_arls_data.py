"""What sampling needs of the data: products of chosen fibres, and entries to judge a fit by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from tdecomp._kernels import accepts
from tdecomp._shim import index_add
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device
from tdecomp.cp._algebra import _evaluate
from tdecomp.cp._format import CP
from tdecomp.ops._coo import COO
from tdecomp.ops._sparse_sort import positions

# Numbers gathered at a time.
_BLOCK_ENTRIES = 1 << 22
# Multiplications from which on the kernel saves more than a cold import of numba.
_KERNEL_WORK = 1 << 20
# Tries for each zero that is to be found in a sparse tensor.
_TRIES = 4


class Fibres(Protocol):
    """Access to the fibres of a tensor."""

    def multiply(self, mode: int, indices: Sequence[np.ndarray], factors: Array) -> Array:
        """Multiply chosen fibres along `mode`, as columns (n, s), by `factors` (s, r).

        `indices` has one array for each other mode.
        """

    def estimate(self, cp: CP) -> float:
        """Estimate the squared distance of a decomposition from always the same entries."""


class DenseFibres:
    """The fibres of an array; `rng` draws `judges` entries once, to judge all fits by."""

    def __init__(self, x: Array, judges: int, rng: np.random.Generator, xp: Namespace) -> None:
        self._shape, self._xp = tuple(x.shape), xp
        self._flat = xp.reshape(x, (-1,))
        size = math.prod(self._shape)
        places = np.arange(size) if size <= judges else rng.integers(0, size, judges)
        self._each = size / places.size
        where = device(x)
        columns = np.unravel_index(places, self._shape)
        self._columns = [xp.asarray(column, device=where) for column in columns]
        self._values = xp.take(self._flat, xp.asarray(places, device=where), axis=0)

    def multiply(self, mode: int, indices: Sequence[np.ndarray], factors: Array) -> Array:
        """Gather and multiply, block by block; a kernel multiplies where the entries lie."""
        xp, n = self._xp, self._shape[mode]
        strides = [math.prod(self._shape[k + 1 :]) for k in range(len(self._shape))]
        others = [k for k in range(len(self._shape)) if k != mode]
        starts = np.zeros(factors.shape[0], np.int64)
        for k, index in zip(others, indices, strict=True):
            starts += strides[k] * index
        work = n * factors.shape[0] * factors.shape[1]
        if work >= _KERNEL_WORK and accepts(self._flat, factors):
            from tdecomp._kernels._fibres import multiply_contiguous, multiply_strided
            from tdecomp._kernels._threads import threads_for

            product = np.empty((n, factors.shape[1]), self._flat.dtype)
            with threads_for(2 * work):
                if strides[mode] == 1:
                    multiply_contiguous(self._flat, starts, factors, product)
                else:
                    multiply_strided(self._flat, starts, strides[mode], factors, product)
            return product
        length, total = max(1, _BLOCK_ENTRIES // n), None
        for low in range(0, starts.size, length):
            block = slice(low, min(low + length, starts.size))
            places = strides[mode] * np.arange(n)[:, None] + starts[block]
            gathered = xp.take(
                self._flat, xp.asarray(places.reshape(-1), device=device(factors)), axis=0
            )
            part = xp.reshape(gathered, places.shape) @ factors[block, :]
            total = part if total is None else total + part
        return total

    def estimate(self, cp: CP) -> float:
        """Sum the squares over a uniform sample of all entries."""
        gap = self._values - _evaluate(cp, self._columns, xp=self._xp)
        return float(self._each * self._xp.sum(self._xp.real(gap * self._xp.conj(gap))))


class SparseFibres:
    """The fibres of a sparse tensor, sorted for each mode by their place."""

    def __init__(self, x: COO, judges: int, rng: np.random.Generator, xp: Namespace) -> None:
        self._shape, self._xp, self._x = x.shape, xp, x
        self._sorted: list[tuple[Array, Array, Array]] = []
        for mode in range(x.modes):
            rest = [k for k in range(x.modes) if k != mode]
            keys = self._keys(
                [x.indices[k, :] for k in rest], [x.shape[k] for k in rest], x.indices[0, :]
            )
            order = xp.argsort(keys, stable=True)
            chosen = (keys, x.indices[mode, :], x.values)
            keys, rows, values = (xp.take(a, order, axis=0) for a in chosen)
            self._sorted.append((keys, rows, values))
        self._strata = self._judges(judges, rng)

    def _keys(self, columns: Sequence[Array], sizes: Sequence[int], like: Array) -> Array:
        """Return places in C order of the modes of those sizes, zeros where there are no modes."""
        if not columns:
            return 0 * like
        return positions(self._xp.stack(list(columns)), sizes)

    def multiply(self, mode: int, indices: Sequence[np.ndarray], factors: Array) -> Array:
        """Find the entries of each fibre by bisection, and add them up by row."""
        xp = self._xp
        keys, rows, values = self._sorted[mode]
        where = device(values)
        sizes = [n for k, n in enumerate(self._shape) if k != mode]
        one = xp.zeros(factors.shape[0], dtype=keys.dtype, device=where)
        wanted = self._keys([xp.asarray(index, device=where) for index in indices], sizes, one)
        low = xp.searchsorted(keys, wanted)
        counts = xp.searchsorted(keys, wanted, side="right") - low
        ends = xp.cumulative_sum(counts)
        total = int(ends[-1])
        out = xp.zeros((self._shape[mode], factors.shape[1]), dtype=factors.dtype, device=where)
        if total == 0:
            return out
        owner = xp.repeat(xp.arange(counts.shape[0], device=where), counts)
        place = xp.arange(total, device=where) + xp.take(low - ends + counts, owner, axis=0)
        products = xp.take(values, place, axis=0)[:, None] * xp.take(factors, owner, axis=0)
        return index_add(out, xp.take(rows, place, axis=0), products, xp)

    def _judges(
        self, judges: int, rng: np.random.Generator
    ) -> list[tuple[float, list[Array], Array]]:
        """Draw entries and zeros, half of each, with how many each stands for."""
        xp, x = self._xp, self._x
        where = device(x.values)
        nnz, size = x.nnz, math.prod(x.shape)
        chosen = np.arange(nnz) if nnz <= judges // 2 else rng.integers(0, nnz, judges // 2)
        strata = []
        if nnz:
            picked = xp.asarray(chosen, device=where)
            columns = [xp.take(x.indices[k, :], picked, axis=0) for k in range(x.modes)]
            strata.append((nnz / chosen.size, columns, xp.take(x.values, picked, axis=0)))
        guesses = [rng.integers(0, n, _TRIES * (judges // 2)) for n in x.shape]
        columns = [xp.asarray(guess, device=where) for guess in guesses]
        empty = xp.nonzero(~self._stored(columns))[0][: judges // 2]
        if size > nnz and empty.shape[0]:
            columns = [xp.take(column, empty, axis=0) for column in columns]
            zeros = xp.zeros(empty.shape[0], dtype=x.values.dtype, device=where)
            strata.append(((size - nnz) / empty.shape[0], columns, zeros))
        return strata

    def _stored(self, columns: Sequence[Array]) -> Array:
        """Tell which places hold an entry."""
        xp, shape = self._xp, self._shape
        keys = positions(self._x.indices, shape)
        wanted = positions(xp.stack(list(columns)), shape)
        if not keys.shape[0]:
            return wanted < 0
        found = xp.searchsorted(keys, wanted)
        found = xp.where(found < keys.shape[0], found, xp.zeros_like(found))
        return xp.take(keys, found, axis=0) == wanted

    def estimate(self, cp: CP) -> float:
        """Sum the squares over a stratified sample: entries, and zeros."""
        xp, total = self._xp, 0.0
        for each, columns, values in self._strata:
            gap = values - _evaluate(cp, columns, xp=xp)
            total += each * float(xp.sum(xp.real(gap * xp.conj(gap))))
        return total
