"""Rows that indices pick from a factor, as vector instructions: copies and products with a row."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tdecomp._kernels._jit import routine
from tdecomp._kernels._tile import Writer, prefetch, tile

# How many entries ahead of the computation memory is asked for a row.
_AHEAD = 32


def _pick(*, copy: bool, dot: bool, scaled: bool = False, picked: bool = True) -> Any:
    """Return an intrinsic that passes once over the rows that `count` indices pick.

    ``pick(factor, vectors, indices, first, last, count, scale, row, copies, stride, sums)`` takes
    row ``indices[first + p]`` of `factor`, of so many whole `vectors`, times ``scale[p]`` where
    that is asked for; writes it to ``copies[p * stride:]``, and its product with `row` to
    ``sums[p]``. No index is read at `last` or beyond. What is not `picked` is row ``first + p``.
    """

    @intrinsic
    def pick(
        _: Any, factor: Any, vectors: Any, indices: Any, first: Any, last: Any, count: Any,
        scale: Any, row: Any, copies: Any, stride: Any, sums: Any,
    ) -> Any:  # fmt: skip
        n = types.intp
        signature = types.void(factor, n, indices, n, n, n, scale, row, copies, n, sums)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            write = _Picker(context, builder, signature)
            write.loop(arguments, copy=copy, dot=dot, scaled=scaled, picked=picked)
            return context.get_dummy_value()

        return signature, generate

    return pick


class _Picker(Writer):
    """Writes the instructions of one pass over picked rows."""

    def __init__(self, context: Any, builder: Any, signature: Any) -> None:
        super().__init__(context, builder, signature, 1, 1)

    def loop(self, arguments: Any, *, copy: bool, dot: bool, scaled: bool, picked: bool) -> None:
        """Write the loop over entries around that over vectors."""
        _, vectors, indices, first, last, count, _, _, _, stride, _ = arguments
        builder, total = self.builder, self.sums[0][0]
        factor, scale, row, copies, sums = (self.start(k, arguments[k]) for k in (0, 6, 7, 8, 10))
        width = ir.Constant(self.integer, self.width)
        length = builder.mul(vectors, width)
        final = builder.sub(last, ir.Constant(self.integer, 1))
        with cgutils.for_range(builder, count) as entries:
            p = entries.index
            place = builder.add(first, p)
            number = self._index(indices, place) if picked else place
            origin = builder.mul(number, length)
            if picked:
                later = builder.add(place, ir.Constant(self.integer, _AHEAD))
                late = builder.icmp_signed("<", later, final)
                number = self._index(indices, builder.select(late, later, final))
                asked = builder.mul(number, length)
            target = builder.mul(p, stride)
            if scaled:
                share = self.spread(builder.load(builder.gep(scale, [p])))
            if dot:
                builder.store(self.zero, total)
            with cgutils.for_range(builder, vectors) as parts:
                at = builder.mul(parts.index, width)
                if picked:
                    prefetch(builder, builder.gep(factor, [builder.add(asked, at)]), level=3)
                part = self.load(factor, builder.add(origin, at), 0)
                if scaled:
                    part = builder.fmul(part, share)
                if copy:
                    self.store(part, copies, builder.add(target, at), 0)
                if dot:
                    product = self.plus_product(builder.load(total), part, self.load(row, at, 0))
                    builder.store(product, total)
            if dot:
                builder.store(self._across(builder.load(total)), builder.gep(sums, [p]))

    def _index(self, indices: Any, place: Any) -> Any:
        """Read an index."""
        array = self.context.make_array(self.signature.args[2])(
            self.context, self.builder, indices
        )
        index = self.builder.load(self.builder.gep(array.data, [place]))
        return self.builder.sext(index, self.integer)

    def _across(self, vector: Any) -> Any:
        """Add the numbers of a vector, in whatever order is the fastest."""
        kind = ir.FunctionType(self.number, [self.number, self.vector])
        bits = 8 * self.itemsize
        name = f"llvm.vector.reduce.fadd.v{self.width}f{bits}"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        zero = ir.Constant(self.number, -0.0)
        return self.builder.call(function, [zero, vector], fastmath=("reassoc",))


_copied = _pick(copy=True, dot=False)
_multiplied = _pick(copy=False, dot=True)
_both = _pick(copy=True, dot=True)
_scaled = _pick(copy=True, dot=True, scaled=True)
_in_order = _pick(copy=False, dot=True, picked=False)
_row1, _row2, _row4 = tile(1, 1), tile(1, 2), tile(1, 4)


@routine
def copy_rows(
    factor: Any, vectors: int, indices: Any, first: int, last: int, count: int, copies: Any,
    stride: int,
) -> None:  # fmt: skip
    """Copy the rows of `factor`, flat, that `count` indices from `first` on pick."""
    _copied(factor, vectors, indices, first, last, count, factor, factor, copies, stride, factor)


@routine
def row_products(
    factor: Any, vectors: int, indices: Any, first: int, last: int, count: int, row: Any, sums: Any
) -> None:
    """Write the products of a row with those that indices pick."""
    _multiplied(factor, vectors, indices, first, last, count, factor, row, factor, 0, sums)


@routine
def copy_and_multiply(
    factor: Any, vectors: int, indices: Any, first: int, last: int, count: int, row: Any,
    copies: Any, stride: int, sums: Any,
) -> None:  # fmt: skip
    """Do both at once."""
    _both(factor, vectors, indices, first, last, count, factor, row, copies, stride, sums)


@routine
def scale_and_multiply(
    factor: Any, vectors: int, indices: Any, first: int, last: int, count: int, scale: Any,
    row: Any, copies: Any, stride: int, sums: Any,
) -> None:  # fmt: skip
    """Do both with picked rows times a scale each."""
    _scaled(factor, vectors, indices, first, last, count, scale, row, copies, stride, sums)


@routine
def products_in_order(rows: Any, vectors: int, count: int, row: Any, sums: Any) -> None:
    """Write the products of a row with the first `count` of `rows`, flat, of so many `vectors`."""
    none = np.empty(0, np.int32)
    _in_order(rows, vectors, none, 0, count, count, rows, row, rows, 0, sums)


@routine
def add_combination(
    shares: Any, first: int, rows: Any, stride: int, depth: int, width: int, lanes: int, total: Any
) -> None:
    """Add the sum of `depth` rows of a buffer, each times one of the `shares` from `first` on."""
    j = 0
    while j < width:
        left = (width - j) // lanes
        if left >= 4:
            _row4(shares, first, 0, 1, rows, j, stride, depth, total, j, 0, 0, 0)
            j += 4 * lanes
        elif left >= 2:
            _row2(shares, first, 0, 1, rows, j, stride, depth, total, j, 0, 0, 0)
            j += 2 * lanes
        else:
            _row1(shares, first, 0, 1, rows, j, stride, depth, total, j, 0, 0, 0)
            j += lanes
