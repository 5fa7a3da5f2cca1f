"""Weighted least squares over all entries of an array, in matrix products."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from tdecomp._descent import descend
from tdecomp._typing import Array, Namespace
from tdecomp.cp._weighted_solve import solve_normal, split
from tdecomp.ops._factor_products import _khatri_rao
from tdecomp.ops._unfold import _unfold

_BLOCK_ENTRIES = 1 << 22


@dataclass(frozen=True)
class Grid:
    """Data (n_0, ..., n_{d-1}) with weights of the same shape, 0 where nothing is known.

    All factors lie in one matrix (sum of n_k, r), mode after mode.
    """

    values: Array
    weights: Array
    total: float
    xp: Namespace

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the modes."""
        return tuple(self.values.shape)

    def solve(self, flat: Array, mode: int, penalty: Array) -> Array:
        """Return the factor of `mode` that fits best with all others fixed."""
        return self._rows(flat, mode, penalty, 0)

    def solve_nonnegative(self, flat: Array, mode: int, penalty: Array, passes: int) -> Array:
        """Return what coordinate descent over nonnegative rows makes of the factor of `mode`."""
        return self._rows(flat, mode, penalty, passes)

    def along(self, flat: Array, direction: Array) -> np.ndarray:
        r"""Return the Gram matrix of the coefficients of the misfit along a line.

        With the polynomial :math:`\sum_j e_j t^j` that an entry of the model of ``flat + t *
        direction`` less its value is, the matrix holds :math:`\sum w \operatorname{Re} e_a
        \bar e_b` over all entries.
        """
        xp, size = self.xp, len(self.shape) + 1
        points, slopes = split(flat, self.shape), split(direction, self.shape)
        rest = _expand(points[1:], slopes[1:], xp) or [xp.ones_like(flat[:1, :])]
        gram = np.zeros((size, size))
        for slab, values, weights in self._slabs(0, flat.shape[1]):
            point, slope = points[0][slab, :], slopes[0][slab, :]
            parts = [-values] + [xp.zeros_like(values)] * (size - 1)
            for j, product in enumerate(rest):
                turned = xp.matrix_transpose(product)
                parts[j] = parts[j] + point @ turned
                parts[j + 1] = parts[j + 1] + slope @ turned
            for a in range(size):
                weighted = weights * parts[a]
                for b in range(a + 1):
                    gram[a, b] += float(xp.sum(xp.real(weighted * xp.conj(parts[b]))))
        return gram + np.tril(gram, -1).T

    def unweighted(self) -> Grid:
        """Return the same entries, all of weight one."""
        xp = self.xp
        weights = xp.astype(self.weights > 0, self.weights.dtype)
        total = xp.sum(weights * xp.real(self.values * xp.conj(self.values)))
        return replace(self, weights=weights, total=float(total))

    def _rows(self, flat: Array, mode: int, penalty: Array, passes: int) -> Array:
        """Solve for the rows of a factor, nonnegative ones where there are `passes`."""
        xp, rank = self.xp, flat.shape[1]
        factors = split(flat, self.shape)
        others = factors[:mode] + factors[mode + 1 :]
        k = _khatri_rao(others, xp=xp) if others else xp.ones_like(factors[0][:1, :])
        conjugate = xp.conj(k)
        found = []
        for slab, values, weights in self._slabs(mode, rank):
            own = factors[mode][slab, :]
            gap = values - own @ xp.matrix_transpose(k)
            g = (weights * gap) @ conjugate - own @ xp.matrix_transpose(penalty)
            heavy = xp.astype(weights, k.dtype, copy=False)
            lines = [heavy @ (conjugate[:, a : a + 1] * k) for a in range(rank)]
            h = xp.stack(lines, axis=1) + penalty
            if passes:
                found.append(descend(h, g, own, passes, xp))
                continue

            def design(i: int, gap: Array = gap, weights: Array = weights) -> tuple[Array, Array]:
                scale = xp.astype(xp.sqrt(weights[i, :]), k.dtype)
                return scale[:, None] * k, scale * gap[i, :]

            found.append(solve_normal(h, g, own, design, penalty, xp=xp))
        return xp.concat(found) if len(found) > 1 else found[0]

    def _slabs(self, mode: int, rank: int) -> Iterator[tuple[slice, Array, Array]]:
        """Yield slabs of rows of an unfolding, of the data and of the weights."""
        n = self.shape[mode]
        length = max(1, _BLOCK_ENTRIES * n // max(math.prod(self.shape), n * rank**2))
        for start in range(0, n, length):
            slab = slice(start, min(start + length, n))
            index = (slice(None),) * mode + (slab, ...)
            yield (
                slab,
                _unfold(self.values[index], mode, xp=self.xp),
                _unfold(self.weights[index], mode, xp=self.xp),
            )


def _expand(points: Sequence[Array], slopes: Sequence[Array], xp: Namespace) -> list[Array]:
    """Return the coefficients of the Khatri-Rao product of ``point + t * slope``."""

    def times(known: list[Array], pair: tuple[Array, Array]) -> list[Array]:
        grown = [_khatri_rao([x, pair[0]], xp=xp) for x in known]
        turned = [_khatri_rao([x, pair[1]], xp=xp) for x in known]
        middle = [a + b for a, b in zip(grown[1:], turned[:-1], strict=True)]
        return [grown[0], *middle, turned[-1]]

    pairs = list(zip(points, slopes, strict=True))
    return reduce(times, pairs[1:], list(pairs[0])) if pairs else []
