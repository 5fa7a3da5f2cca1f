"""Rows that indices pick from a factor, as vector instructions: copies and products with a row."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tdecomp._kernels._jit import routine
from tdecomp._kernels._tile import VECTOR_BITS, Writer, prefetch, tile

# How many entries ahead of the computation memory is asked for a row.
_AHEAD = 32
# Entries of which the sums across vectors are shared out: as many as a vector has lanes, at most.
_TOGETHER = min(8, VECTOR_BITS // 64)
# Numbers of vectors for which a row to multiply with stays in registers.
_FEW = (1, 2) if VECTOR_BITS == 512 else (1, 2, 3, 4)


def _pick(
    *, copy: bool = False, dot: bool = False, gap: bool = False, placed: bool = False,
    scaled: bool = False, picked: bool = True,
) -> Any:  # fmt: skip
    """Return an intrinsic that passes once over the rows that `count` indices pick.

    ``pick(factor, vectors, indices, first, last, count, scale, values, row, copies, stride,
    column, sums)`` takes row ``indices[first + p]`` of `factor`, of so many whole `vectors`, times
    ``scale[p]`` if `scaled`; writes it to ``copies[p * stride:]``, and its product with `row` to
    ``sums[p]``. A `gap` is ``values[first + p]``, scaled as well, less that product; `placed`, it
    goes to ``copies[p * stride + column]`` too. No index is read at `last` or beyond. What is not
    `picked` is row ``first + p``.
    """

    @intrinsic
    def pick(
        _: Any, factor: Any, vectors: Any, indices: Any, first: Any, last: Any, count: Any,
        scale: Any, values: Any, row: Any, copies: Any, stride: Any, column: Any, sums: Any,
    ) -> Any:  # fmt: skip
        n = types.intp
        signature = types.void(factor, n, indices, n, n, n, scale, values, row, copies, n, n, sums)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            write = _Picker(context, builder, signature, arguments)
            write.copy, write.dot, write.gap, write.placed = copy, dot or gap, gap, placed
            write.scaled, write.picked = scaled, picked
            write.passes(arguments[5])
            return context.get_dummy_value()

        return signature, generate

    return pick


class _Picker(Writer):
    """Writes the instructions of one pass over picked rows."""

    copy: bool
    dot: bool
    gap: bool
    placed: bool
    scaled: bool
    picked: bool
    known: list[Any]

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        super().__init__(context, builder, signature, _TOGETHER, 1)
        _, self.vectors, self.indices, self.first, last, *_ = arguments
        self.stride, self.column = arguments[10:12]
        self.factor, self.scale, self.values, self.row_, self.copies, self.out = (
            self.start(k, arguments[k]) for k in (0, 6, 7, 8, 9, 12)
        )
        self.length = builder.mul(self.vectors, self._integer(self.width))
        self.final = builder.sub(last, self._integer(1))

    def passes(self, count: Any) -> None:
        """Write the loops over entries: for rows of one vector, of two, and of more."""
        builder, one = self.builder, self._integer(1)
        together = self._integer(_TOGETHER)
        whole = builder.and_(count, self._integer(-_TOGETHER))
        for vectors in (*_FEW, 0):
            wanted = self._integer(vectors if vectors else max(_FEW))
            holds = builder.icmp_signed("==" if vectors else ">", self.vectors, wanted)
            with builder.if_then(holds):
                self.known = [self.load(self.row_, self._integer(0), j) for j in range(vectors)]
                ends = (self._integer(0), whole, together), (whole, count, one)
                for (start, stop, step), size in zip(ends, (_TOGETHER, 1), strict=True):
                    with cgutils.for_range_slice(builder, start, stop, step, self.integer) as (
                        p,
                        _,
                    ):
                        self._entries(p, size)

    def _entries(self, start: Any, count: int) -> None:
        """Write what is done with so many entries: sums across vectors are shared out."""
        places = [self.builder.add(start, self._integer(i)) for i in range(count)]
        for place, (total,) in zip(places, self.sums, strict=False):
            self._entry(place, total)
        if not self.dot:
            return
        found = self.across([self.builder.load(total) for (total,) in self.sums[:count]])
        for i, place in enumerate(places):
            product = self.builder.extract_element(found, ir.Constant(ir.IntType(32), i))
            self._finish(place, product)

    def _entry(self, p: Any, total: Any) -> None:
        """Copy a row and multiply it, vector by vector; ask for one that comes later."""
        builder = self.builder
        place = builder.add(self.first, p)
        number = self._index(place) if self.picked else place
        origin, asked = builder.mul(number, self.length), None
        if self.picked:
            later = builder.add(place, self._integer(_AHEAD))
            late = builder.icmp_signed("<", later, self.final)
            asked = builder.mul(self._index(builder.select(late, later, self.final)), self.length)
        target = builder.mul(p, self.stride)
        share = self.spread(self._share(p)) if self.scaled else None
        if self.dot:
            builder.store(self.zero, total)
        rows = origin, asked, target, share, total
        for j, other in enumerate(self.known):
            self._part(rows, self._integer(j * self.width), other)
        if not self.known:
            with cgutils.for_range(builder, self.vectors) as parts:
                at = builder.mul(parts.index, self._integer(self.width))
                self._part(rows, at, self.load(self.row_, at, 0))

    def _part(self, rows: tuple[Any, ...], at: Any, other: Any) -> None:
        """Do so with one vector."""
        builder, (origin, asked, target, share, total) = self.builder, rows
        if asked is not None:
            prefetch(builder, builder.gep(self.factor, [builder.add(asked, at)]), level=3)
        part = self.load(self.factor, builder.add(origin, at), 0)
        if share is not None:
            part = builder.fmul(part, share)
        if self.copy:
            self.store(part, self.copies, builder.add(target, at), 0)
        if self.dot:
            builder.store(self.plus_product(builder.load(total), part, other), total)

    def _finish(self, p: Any, product: Any) -> None:
        """Write the product of an entry, or what it leaves of the value."""
        builder = self.builder
        if self.gap:
            value = builder.load(builder.gep(self.values, [builder.add(self.first, p)]))
            if self.scaled:
                value = builder.fmul(value, self._share(p))
            product = builder.fsub(value, product)
            if self.placed:
                place = builder.add(builder.mul(p, self.stride), self.column)
                builder.store(product, builder.gep(self.copies, [place]))
        builder.store(product, builder.gep(self.out, [p]))

    def _share(self, p: Any) -> Any:
        return self.builder.load(self.builder.gep(self.scale, [p]))

    def _integer(self, value: int) -> Any:
        return ir.Constant(self.integer, value)

    def _index(self, place: Any) -> Any:
        """Read an index."""
        array = self.context.make_array(self.signature.args[2])(
            self.context, self.builder, self.indices
        )
        index = self.builder.load(self.builder.gep(array.data, [place]))
        return self.builder.sext(index, self.integer)


_copied = _pick(copy=True)
_multiplied = _pick(dot=True)
_in_order = _pick(dot=True, picked=False)
_gaps = _pick(gap=True)
_gaps_and_copies = _pick(gap=True, copy=True)
_gaps_and_scaled = _pick(gap=True, copy=True, scaled=True)
_placed = _pick(gap=True, copy=True, placed=True)
_placed_and_scaled = _pick(gap=True, copy=True, placed=True, scaled=True)
_row1, _row2, _row4 = (tile(1, vectors, asking=False) for vectors in (1, 2, 4))


@routine
def copy_rows(
    factor: Any, vectors: int, indices: Any, first: int, last: int, count: int, copies: Any,
    stride: int,
) -> None:  # fmt: skip
    """Copy the rows of `factor`, flat, that `count` indices from `first` on pick."""
    _copied(
        factor, vectors, indices, first, last, count, factor, factor, factor, copies, stride, 0,
        factor,
    )  # fmt: skip


@routine
def row_products(
    factor: Any, vectors: int, indices: Any, first: int, last: int, count: int, row: Any, sums: Any
) -> None:
    """Write the products of a row with those that indices pick."""
    _multiplied(
        factor, vectors, indices, first, last, count, factor, factor, row, factor, 0, 0, sums
    )


@routine
def row_gaps(
    factor: Any, vectors: int, indices: Any, first: int, last: int, count: int, values: Any,
    row: Any, sums: Any,
) -> None:  # fmt: skip
    """Write what those products leave of `values`."""
    _gaps(factor, vectors, indices, first, last, count, factor, values, row, factor, 0, 0, sums)


@routine
def copies_and_gaps(
    factor: Any, vectors: int, indices: Any, first: int, last: int, count: int, scale: Any,
    values: Any, row: Any, copies: Any, stride: int, sums: Any,
) -> None:  # fmt: skip
    """Copy the rows as well; rows and values times a scale each, unless that is empty."""
    if scale.size:
        _gaps_and_scaled(
            factor, vectors, indices, first, last, count, scale, values, row, copies, stride, 0,
            sums,
        )  # fmt: skip
    else:
        _gaps_and_copies(
            factor, vectors, indices, first, last, count, scale, values, row, copies, stride, 0,
            sums,
        )  # fmt: skip


@routine
def joined_copies(
    factor: Any, vectors: int, indices: Any, first: int, last: int, count: int, scale: Any,
    values: Any, row: Any, copies: Any, stride: int, column: int, sums: Any,
) -> None:  # fmt: skip
    """Write what is left into a `column` of the copies, too."""
    if scale.size:
        _placed_and_scaled(
            factor, vectors, indices, first, last, count, scale, values, row, copies, stride,
            column, sums,
        )  # fmt: skip
    else:
        _placed(
            factor, vectors, indices, first, last, count, scale, values, row, copies, stride,
            column, sums,
        )  # fmt: skip


@routine
def products_in_order(rows: Any, vectors: int, count: int, row: Any, sums: Any) -> None:
    """Write the products of a row with the first `count` of `rows`, flat, of so many `vectors`."""
    none = np.empty(0, np.int32)
    _in_order(rows, vectors, none, 0, count, count, rows, rows, row, rows, 0, 0, sums)


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
