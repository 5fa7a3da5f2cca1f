"""Weighted least squares over a list of observed entries: gathers and sums by row."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tdecomp._descent import descend
from tdecomp._shim import index_add
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device
from tdecomp.cp._weighted_solve import solve_normal, split

_BLOCK_ENTRIES = 1 << 22


@dataclass(frozen=True)
class Entries:
    """Observed entries of a tensor: coordinates (d, nnz), values and weights (nnz,).

    All factors lie in one matrix (sum of n_k, r), mode after mode.
    """

    indices: Array
    values: Array
    weights: Array
    shape: tuple[int, ...]
    total: float
    xp: Namespace

    def solve(self, flat: Array, mode: int, penalty: Array) -> Array:
        """Return the factor of `mode` that fits best with all others fixed."""
        own = split(flat, self.shape)[mode]
        h, g = self._normal(flat, mode, penalty)
        return solve_normal(h, g, own, lambda i: self._design(flat, mode, i), penalty, xp=self.xp)

    def solve_nonnegative(self, flat: Array, mode: int, penalty: Array, passes: int) -> Array:
        """Return what coordinate descent over nonnegative rows makes of the factor of `mode`."""
        h, g = self._normal(flat, mode, penalty)
        return descend(h, g, split(flat, self.shape)[mode], passes, self.xp)

    def along(self, flat: Array, direction: Array) -> np.ndarray:
        r"""Return the Gram matrix of the coefficients of the misfit along a line.

        With the polynomial :math:`\sum_j e_j t^j` that an entry of the model of ``flat + t *
        direction`` less its value is, the matrix holds :math:`\sum w \operatorname{Re} e_a
        \bar e_b` over all entries.
        """
        xp, size = self.xp, len(self.shape) + 1
        points, slopes = split(flat, self.shape), split(direction, self.shape)
        gram = np.zeros((size, size))
        for chosen in self._blocks(size * flat.shape[1]):
            known = [xp.ones_like(flat[:1, :])]
            for mode in range(len(self.shape)):
                f, d = (
                    xp.take(x[mode], self.indices[mode, chosen], axis=0) for x in (points, slopes)
                )
                middle = [a * f + b * d for a, b in zip(known[1:], known[:-1], strict=True)]
                known = [known[0] * f, *middle, known[-1] * d]
            parts = [xp.sum(c, axis=1) for c in known]
            parts[0] = parts[0] - self.values[chosen]
            for a in range(size):
                weighted = self.weights[chosen] * parts[a]
                for b in range(a + 1):
                    gram[a, b] += float(xp.sum(xp.real(weighted * xp.conj(parts[b]))))
        return gram + np.tril(gram, -1).T

    def unweighted(self) -> Entries:
        """Return the same entries, all of weight one."""
        xp = self.xp
        total = float(xp.sum(xp.real(self.values * xp.conj(self.values))))
        return replace(self, weights=xp.ones_like(self.weights), total=total)

    def _normal(self, flat: Array, mode: int, penalty: Array) -> tuple[Array, Array]:
        """Return the matrices and the slopes of the normal equations of all rows."""
        xp, rank, n = self.xp, flat.shape[1], self.shape[mode]
        own = split(flat, self.shape)[mode]
        where = device(flat)
        h = xp.zeros((n, rank * rank), dtype=flat.dtype, device=where)
        g = xp.zeros((n, rank), dtype=flat.dtype, device=where)
        for chosen in self._blocks(rank * rank):
            k, gap = self._products(flat, mode, chosen)
            weighted = xp.conj(k) * xp.astype(self.weights[chosen], k.dtype)[:, None]
            pairs = xp.reshape(weighted[:, :, None] * k[:, None, :], (k.shape[0], rank * rank))
            rows = self.indices[mode, chosen]
            h = index_add(h, rows, pairs, xp)
            g = index_add(g, rows, weighted * gap[:, None], xp)
        h = xp.reshape(h, (n, rank, rank))
        return h + penalty, g - own @ xp.matrix_transpose(penalty)

    def _products(self, flat: Array, mode: int, chosen: Array | slice) -> tuple[Array, Array]:
        """Return the products of the other factors' rows at entries, and what a model leaves."""
        xp, factors = self.xp, split(flat, self.shape)
        k = xp.ones_like(flat[:1, :])
        for other, factor in enumerate(factors):
            if other != mode:
                k = k * xp.take(factor, self.indices[other, chosen], axis=0)
        own = xp.take(factors[mode], self.indices[mode, chosen], axis=0)
        k = xp.broadcast_to(k, own.shape)
        return k, self.values[chosen] - xp.sum(k * own, axis=1)

    def _design(self, flat: Array, mode: int, row: int) -> tuple[Array, Array]:
        """Return the least-squares problem of one row."""
        xp = self.xp
        chosen = xp.nonzero(self.indices[mode, :] == row)[0]
        part = Entries(
            xp.take(self.indices, chosen, axis=1),
            xp.take(self.values, chosen, axis=0),
            self.weights,
            self.shape,
            self.total,
            xp,
        )
        k, gap = part._products(flat, mode, slice(None))
        scale = xp.astype(xp.sqrt(xp.take(self.weights, chosen, axis=0)), k.dtype)
        return scale[:, None] * k, scale * gap

    def _blocks(self, width: int) -> list[slice]:
        """Return blocks of entries, such that `width` numbers for each fit in memory."""
        nnz, length = self.values.shape[0], max(1, _BLOCK_ENTRIES // width)
        return [slice(start, min(start + length, nnz)) for start in range(0, nnz, length)]
