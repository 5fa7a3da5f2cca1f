"""Sums of rows that indices pick from a factor, each times a number, as vector instructions."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tdecomp._kernels._jit import routine
from tdecomp._kernels._tile import ROWS, Writer

# Sums that stay in registers, beside the operands.
_HELD = min(16, 4 * ROWS[4])
# Entries that take turns at most, each with sums of its own: an addition need not wait for that
# of the entry before. Always a power of two.
_TURNS = 8


def _combination(vectors: int) -> Any:
    """Return an intrinsic that adds picked rows, times their shares, to so many vectors.

    ``add(shares, at, indices, first, count, rows, column, stride, total)`` adds
    ``shares[at + p] * rows[indices[first + p] * stride + column:]`` for all ``p < count`` to
    ``total[column:]``.
    """
    turns = 1 << (min(_TURNS, _HELD // vectors).bit_length() - 1)

    @intrinsic
    def add(
        _: Any, shares: Any, at: Any, indices: Any, first: Any, count: Any, rows: Any,
        column: Any, stride: Any, total: Any,
    ) -> Any:  # fmt: skip
        n = types.intp
        signature = types.void(shares, n, indices, n, n, rows, n, n, total)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            write = _Combiner(context, builder, signature, arguments, turns, vectors)
            write.sum_up(turns)
            return context.get_dummy_value()

        return signature, generate

    return add


class _Combiner(Writer):
    """Writes the instructions of one pass over picked rows."""

    def __init__(
        self, context: Any, builder: Any, signature: Any, arguments: Any, turns: int, vectors: int
    ) -> None:
        super().__init__(context, builder, signature, turns, vectors)
        _, self.at, indices, self.first, self.count, _, self.column, self.stride, _ = arguments
        self.shares, self.rows, self.total = (self.start(k, arguments[k]) for k in (0, 5, 8))
        kind = context.make_array(signature.args[2])
        self.indices = kind(context, builder, indices).data

    def sum_up(self, turns: int) -> None:
        """Write the loops over entries, whole turns first, and the sum of the sums."""
        builder, none = self.builder, ir.Constant(self.integer, 0)
        for sums in self.sums:
            for part in sums:
                builder.store(self.zero, part)
        whole = builder.and_(self.count, ir.Constant(self.integer, -turns))
        for start, stop, step in ((none, whole, turns), (whole, self.count, 1)):
            stride = ir.Constant(self.integer, step)
            with cgutils.for_range_slice(builder, start, stop, stride, self.integer) as (p, _):
                for i, sums in enumerate(self.sums[:step]):
                    self._entry(builder.add(p, ir.Constant(self.integer, i)), sums)
        for j in range(len(self.sums[0])):
            result = self.load(self.total, self.column, j)
            for sums in self.sums:
                result = builder.fadd(result, builder.load(sums[j]))
            self.store(result, self.total, self.column, j)

    def _entry(self, p: Any, sums: list[Any]) -> None:
        """Add one row."""
        builder = self.builder
        index = builder.load(builder.gep(self.indices, [builder.add(self.first, p)]))
        place = builder.mul(builder.sext(index, self.integer), self.stride)
        origin = builder.add(place, self.column)
        share = builder.load(builder.gep(self.shares, [builder.add(self.at, p)]))
        wide = self.spread(share)
        for j, part in enumerate(sums):
            product = self.plus_product(builder.load(part), wide, self.load(self.rows, origin, j))
            builder.store(product, part)


_one, _two, _three, _four = (_combination(vectors) for vectors in (1, 2, 3, 4))


@routine
def add_picked(
    shares: Any, at: int, indices: Any, first: int, count: int, rows: Any, width: int, lanes: int,
    total: Any,
) -> None:  # fmt: skip
    """Add the rows that `count` indices from `first` on pick, times the shares from `at` on.

    The `rows` are flat, of `width` numbers: whole vectors of `lanes`.
    """
    j = 0
    while j < width:
        left = (width - j) // lanes
        if left >= 4:
            _four(shares, at, indices, first, count, rows, j, width, total)
            j += 4 * lanes
        elif left == 3:
            _three(shares, at, indices, first, count, rows, j, width, total)
            j += 3 * lanes
        elif left == 2:
            _two(shares, at, indices, first, count, rows, j, width, total)
            j += 2 * lanes
        else:
            _one(shares, at, indices, first, count, rows, j, width, total)
            j += lanes
