"""Weighted least squares over observed entries that are sorted by row, in compiled loops."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from tdecomp.cp._weighted_solve import least_pivot, minimum_norm, root

# Stretches of rows for threads to share: more than threads, so that they end together.
_STRETCHES = 32
# Numbers in the triangular factors that are held at a time.
_BLOCK_ENTRIES = 1 << 22


class Layout(NamedTuple):
    """Entries in the order of the rows of one mode, as `tdecomp._kernels._rows` takes them."""

    bounds: np.ndarray
    start: np.ndarray
    rows: np.ndarray
    values: np.ndarray
    weights: np.ndarray
    first: int


@dataclass(frozen=True)
class SortedEntries:
    """Observed entries of a NumPy tensor, once for each mode, in the order of its rows.

    All factors lie in one matrix (sum of n_k, r), mode after mode.
    """

    layouts: tuple[Layout, ...]
    shape: tuple[int, ...]
    total: float

    def solve(self, flat: np.ndarray, mode: int, penalty: np.ndarray) -> np.ndarray:
        """Return the factor of `mode` that fits best with all others fixed."""
        from tdecomp._kernels._rows import solve_rows
        from tdecomp._kernels._threads import threads_for

        layout, (n, rank) = self.layouts[mode], (self.shape[mode], flat.shape[1])
        least = least_pivot(rank, float(np.finfo(flat.dtype).eps))
        out, failed = np.empty((n, rank), flat.dtype), np.empty(n, np.uint8)
        with threads_for(2 * layout.values.size * rank**2):
            solve_rows(*layout, flat, penalty, least, out, failed)
        lost = np.nonzero(failed)[0]
        length = max(1, _BLOCK_ENTRIES // (rank * (rank + 1)))
        for low in range(0, lost.size, length):
            chosen = lost[low : low + length]
            out[chosen] = self._singular(flat, layout, chosen, penalty)
        return out

    def solve_nonnegative(
        self, flat: np.ndarray, mode: int, penalty: np.ndarray, passes: int
    ) -> np.ndarray:
        """Return what coordinate descent over nonnegative rows makes of the factor of `mode`."""
        from tdecomp._kernels._rows import solve_nonnegative_rows
        from tdecomp._kernels._threads import threads_for

        layout, rank = self.layouts[mode], flat.shape[1]
        out = np.empty((self.shape[mode], rank), flat.dtype)
        with threads_for(2 * layout.values.size * rank**2):
            solve_nonnegative_rows(*layout, flat, penalty, passes, out)
        return out

    def along(self, flat: np.ndarray, direction: np.ndarray) -> np.ndarray:
        r"""Return the Gram matrix of the coefficients of the misfit along a line.

        With the polynomial :math:`\sum_j e_j t^j` that an entry of the model of ``flat + t *
        direction`` less its value is, the matrix holds :math:`\sum w \operatorname{Re} e_a
        \bar e_b` over all entries.
        """
        from tdecomp._kernels._rows import along_line
        from tdecomp._kernels._threads import threads_for

        layout, size = self.layouts[0], len(self.shape) + 1
        out = np.zeros((layout.bounds.size - 1, size, size))
        with threads_for(2 * layout.values.size * flat.shape[1] * size**2):
            along_line(*layout, flat, direction, out)
        gram: np.ndarray = np.sum(out, axis=0)
        gram += np.tril(gram, -1).T
        return gram

    def unweighted(self) -> SortedEntries:
        """Return the same entries, all of weight one."""
        layouts = tuple(x._replace(weights=np.ones_like(x.weights[:1])) for x in self.layouts)
        total = float(np.sum(np.abs(self.layouts[0].values) ** 2, dtype=np.float64))
        return replace(self, layouts=layouts, total=total)

    def _singular(
        self, flat: np.ndarray, layout: Layout, chosen: np.ndarray, penalty: np.ndarray
    ) -> np.ndarray:
        """Solve for rows whose normal equations are singular: of smallest norm, from rotations."""
        from tdecomp._kernels._rows import triangular_rows

        rank = flat.shape[1]
        out = np.empty((chosen.size, rank, rank + 1), flat.dtype)
        triangular_rows(chosen, *layout[1:], flat, root(penalty, np), out)
        own = flat[layout.first + chosen]
        rows: np.ndarray = minimum_norm(out[:, :, :rank], out[:, :, rank], own, np)
        return rows


def sorted_entries(
    indices: np.ndarray, values: np.ndarray, weights: np.ndarray, shape: tuple[int, ...]
) -> SortedEntries:
    """Sort observed entries (d, nnz) by every mode; equal weights are kept only once."""
    from tdecomp._kernels._counting import counting_sort

    # Unsigned, so that no index need be looked at for its sign.
    kind = np.uint32 if sum(shape) <= np.iinfo(np.uint32).max else np.uint64
    total = float(np.sum(weights * np.abs(values) ** 2, dtype=np.float64))
    one = np.ascontiguousarray(weights[:1])
    weights = one if bool(np.all(weights == one)) else weights
    firsts = [0, *np.cumsum(shape).tolist()]
    layouts = []
    for mode, n in enumerate(shape):
        start, order = np.zeros(n + 1, np.int64), np.empty(values.size, np.int64)
        counting_sort(np.ascontiguousarray(indices[mode]), start, order)
        rows = np.empty((values.size, len(shape) - 1), kind)
        others = [other for other in range(len(shape)) if other != mode]
        for column, other in enumerate(others):
            rows[:, column] = indices[other][order]
            rows[:, column] += kind(firsts[other])
        layouts.append(
            Layout(
                _bounds(start),
                start,
                rows,
                values[order],
                weights[order] if weights.size > 1 else weights,
                firsts[mode],
            )
        )
    return SortedEntries(tuple(layouts), shape, total)


def _bounds(start: np.ndarray) -> np.ndarray:
    """Cut rows into stretches with about equally many entries."""
    cuts = np.searchsorted(start, np.linspace(0, start[-1], _STRETCHES + 1)[1:-1])
    return np.unique(np.concatenate([[0], cuts, [start.size - 1]]))
