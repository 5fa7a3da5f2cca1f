"""Measurements of symmetric matrices by the half of the entries that they have to know."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tdecomp._typing import Array
from tdecomp._xp import device, namespace
from tdecomp.completion.robust._measurements import MatrixMeasurements
from tdecomp.completion.robust._sensing import Sensing


class _Packed(NamedTuple):
    """A stack of symmetric matrices, by their upper triangles.

    Entries off the diagonal are doubled in `flat` (p, d (d + 1) / 2). `upper` are their places in
    a matrix, `source` says where among them the entry at a place of a matrix is, and `share` is
    one half off the diagonal, one on it.
    """

    flat: Array
    upper: Array
    source: Array
    share: Array

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the matrices that are measured."""
        return (int(self.share.shape[0]), int(self.share.shape[1]))

    @property
    def size(self) -> int:
        """The number of measurements."""
        return int(self.flat.shape[0])

    def measure(self, left: Array, right: Array, /) -> Array:
        """Measure a product that is symmetric."""
        xp = namespace(left)
        return self.flat @ xp.take(xp.reshape(left @ right, (-1,)), self.upper, axis=0)

    def adjoint(self, values: Array, /) -> Array:
        """Return the symmetric part of what the adjoint makes of a vector."""
        xp = namespace(values)
        entries = xp.take(values @ self.flat, self.source, axis=0)
        return xp.reshape(entries, self.shape) * self.share


def packed(problem: Sensing) -> Sensing:
    """Return the same problem, for symmetric matrices only, at half the cost where that counts."""
    operator, xp = problem.operator, problem.xp
    if not isinstance(operator, MatrixMeasurements):
        return problem
    stack = operator.matrices
    if xp.isdtype(stack.dtype, "complex floating"):
        return problem
    d, where = int(stack.shape[1]), device(stack)
    rows, columns = np.triu_indices(d)
    source = np.zeros((d, d), dtype=np.int64)
    source[rows, columns] = source[columns, rows] = np.arange(rows.size)
    share = xp.full((d, d), 0.5, dtype=stack.dtype, device=where)
    share = share + 0.5 * xp.eye(d, dtype=stack.dtype, device=where)
    upper, lower, source = (
        xp.asarray(x, device=where)
        for x in (rows * d + columns, columns * d + rows, source.reshape(-1))
    )
    flat = xp.reshape(stack, (operator.size, d * d))
    on = xp.take(xp.reshape(share, (-1,)), upper, axis=0)
    flat = (xp.take(flat, upper, axis=1) + xp.take(flat, lower, axis=1)) * (1.5 - on)
    return problem._replace(operator=_Packed(flat, upper, source, share))
