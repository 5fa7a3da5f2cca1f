"""A register-blocked product of two panels, as vector instructions that LLVM cannot miss."""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_FEATURES = llvm.get_host_cpu_features()
VECTOR_BITS = 512 if _FEATURES.get("avx512f") else 256 if _FEATURES.get("avx2") else 128
# How many rows of accumulators go with 1, 2 or 4 vectors of columns: they fill the registers, of
# which there are 32, but 16 with AVX2 alone, and leave room for the operands.
ROWS = {1: 8, 2: 8, 4: 6} if VECTOR_BITS != 256 else {1: 8, 2: 4, 4: 2}

# Rows that take turns to be asked for: as many as a line of memory has doubles.
_TURNS = 8


def lanes(itemsize: int) -> int:
    """Return how many numbers of that many bytes make a vector."""
    return VECTOR_BITS // (8 * itemsize)


def tile(rows: int, vectors: int, *, asking: bool = True) -> Any:
    r"""Return an intrinsic that adds a product of panels to `rows` x `vectors` vectors.

    ``multiply(a, a0, da, dp, b, b0, db, depth, c, c0, dc, ahead, skew)`` computes, on flat arrays,

    .. math:: C_{ij} \mathrel{+}= \sum_{p < \mathtt{depth}} A_{ip} B_{pj}

    where :math:`A_{ip}` lies at ``a[a0 + i*da + p*dp]``, row :math:`p` of :math:`B` at ``b[b0 +
    p*db:]`` and row :math:`i` of :math:`C` at ``c[c0 + i*dc:]``. All of :math:`C` stays in
    registers; compilers do not find that by themselves, since they keep arrays in memory.

    :math:`A` is read once, from memory. Each step `p` asks in time for one line of what lies
    `ahead` entries further, plus `skew` times the last bits of `p`: with a skew of 0 beside the
    entries of the step, with ``da - dp`` in one row after the other, where rows are lines of
    memory. That was measured to make products 1.4 times as fast. Without `asking`, nothing is
    asked for, as is right for what lies in the first level of the cache.
    """

    @intrinsic
    def multiply(
        _: Any, a: Any, a0: Any, da: Any, dp: Any, b: Any, b0: Any, db: Any, depth: Any,
        c: Any, c0: Any, dc: Any, ahead: Any, skew: Any,
    ) -> Any:  # fmt: skip
        n = types.intp
        signature = types.void(a, n, n, n, b, n, n, n, c, n, n, n, n)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            panels, (c, c0, dc, ahead, skew) = arguments[:8], arguments[8:]
            write = Writer(context, builder, signature, rows, vectors)
            third = write.start(8, c)
            for i, row in enumerate(write.sums):
                for j, total in enumerate(row):
                    builder.store(write.load(third, write.row(c0, dc, i), j), total)
            write.products(panels, *((ahead, skew) if asking else ()))
            for i, row in enumerate(write.sums):
                for j, total in enumerate(row):
                    write.store(builder.load(total), third, write.row(c0, dc, i), j)
            return context.get_dummy_value()

        return signature, generate

    return multiply


def weighted_tile(rows: int, vectors: int) -> Any:
    r"""Return an intrinsic that adds a weighted sum of the rows of a product to `vectors` vectors.

    ``multiply(a, a0, da, dp, b, b0, db, depth, w, w0, dw, c, c0)`` computes, on flat arrays,

    .. math:: C_j \mathrel{+}= \sum_{i < \mathtt{rows}} W_{ij}
              \sum_{p < \mathtt{depth}} A_{ip} B_{pj}

    where row :math:`i` of :math:`W` lies at ``w[w0 + i*dw:]``, :math:`C` at ``c[c0:]`` and the
    rest where `tile` has it. The product itself never leaves the registers.
    """

    @intrinsic
    def multiply(
        _: Any, a: Any, a0: Any, da: Any, dp: Any, b: Any, b0: Any, db: Any, depth: Any,
        w: Any, w0: Any, dw: Any, c: Any, c0: Any,
    ) -> Any:  # fmt: skip
        n = types.intp
        signature = types.void(a, n, n, n, b, n, n, n, w, n, n, c, n)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            panels, (w, w0, dw, c, c0) = arguments[:8], arguments[8:]
            write = Writer(context, builder, signature, rows, vectors)
            for row in write.sums:
                for total in row:
                    builder.store(write.zero, total)
            write.products(panels)
            weights, third = write.start(8, w), write.start(11, c)
            for j in range(vectors):
                result = write.load(third, c0, j)
                for i, row in enumerate(write.sums):
                    weight = write.load(weights, write.row(w0, dw, i), j)
                    result = write.plus_product(result, weight, builder.load(row[j]))
                write.store(result, third, c0, j)
            return context.get_dummy_value()

        return signature, generate

    return multiply


def staircase(rows: int, width: int) -> Any:
    r"""Return an intrinsic that adds the lower half of the products of columns to a square.

    ``multiply(a, da, depth, c, dc)`` computes, on flat arrays,

    .. math:: C_{ij} \mathrel{+}= \sum_{p < \mathtt{depth}} A_{pi} A_{pj}, \qquad j \le i

    with row :math:`p` of :math:`A` at ``a[p*da:]`` and row :math:`i` of :math:`C` at ``c[i*dc:]``,
    in vectors of `width` numbers: short ones, so that steps are low, and little is computed beyond
    the diagonal.
    """

    @intrinsic
    def multiply(_: Any, a: Any, da: Any, depth: Any, c: Any, dc: Any) -> Any:
        n = types.intp
        signature = types.void(a, n, n, c, n)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            a, da, depth, c, dc = arguments
            write = Writer(context, builder, signature, rows, rows // width, width)
            first, third, origin = (
                write.start(0, a),
                write.start(3, c),
                ir.Constant(write.integer, 0),
            )
            steps = [row[: i // width + 1] for i, row in enumerate(write.sums)]
            for i, row in enumerate(steps):
                for j, total in enumerate(row):
                    builder.store(write.load(third, write.row(origin, dc, i), j), total)
            with cgutils.for_range(builder, depth) as loop:
                place = builder.mul(loop.index, da)
                operands = [write.load(first, place, j) for j in range(rows // width)]
                for i, row in enumerate(steps):
                    item = builder.gep(first, [builder.add(place, ir.Constant(write.integer, i))])
                    entry = write.spread(builder.load(item))
                    for operand, total in zip(operands, row, strict=False):
                        product = write.plus_product(builder.load(total), entry, operand)
                        builder.store(product, total)
            for i, row in enumerate(steps):
                for j, total in enumerate(row):
                    write.store(builder.load(total), third, write.row(origin, dc, i), j)
            return context.get_dummy_value()

        return signature, generate

    return multiply


class Writer:
    """Writes the instructions of `rows` x `vectors` sums of products, which stay in registers."""

    def __init__(
        self, context: Any, builder: Any, signature: Any, rows: int, vectors: int, width: int = 0
    ) -> None:
        self.context, self.builder, self.signature = context, builder, signature
        bits = signature.args[0].dtype.bitwidth
        self.number = ir.DoubleType() if bits == 64 else ir.FloatType()
        self.itemsize, self.width = bits // 8, width or lanes(bits // 8)
        self.vector = ir.VectorType(self.number, self.width)
        self.integer = context.get_value_type(types.intp)
        self.zero = ir.Constant(self.vector, [0.0] * self.width)
        self.sums = [
            [cgutils.alloca_once(builder, self.vector) for _ in range(vectors)]
            for _ in range(rows)
        ]

    def start(self, position: int, array: Any) -> Any:
        """Return where the entries of an argument start."""
        kind = self.context.make_array(self.signature.args[position])
        data = kind(self.context, self.builder, array).data
        return self.builder.bitcast(data, self.number.as_pointer())

    def row(self, origin: Any, stride: Any, i: int) -> Any:
        """Return the number of the first entry of a row."""
        return self.builder.add(origin, self.builder.mul(stride, ir.Constant(self.integer, i)))

    def load(self, base: Any, offset: Any, j: int) -> Any:
        """Return vector `j` of what starts at an entry."""
        return self.builder.load(self._at(base, offset, j), align=self.itemsize)

    def store(self, value: Any, base: Any, offset: Any, j: int) -> None:
        """Write vector `j` of what starts at an entry."""
        self.builder.store(value, self._at(base, offset, j), align=self.itemsize)

    def plus_product(self, total: Any, left: Any, right: Any) -> Any:
        """Return the sum of a vector and a product, rounded once where that is one instruction."""
        product = self.builder.fmul(left, right, flags=("contract",))
        return self.builder.fadd(total, product, flags=("contract",))

    def products(self, panels: Any, ahead: Any = None, skew: Any = None) -> None:
        """Add the product of two panels to the sums."""
        a, a0, da, dp, b, b0, db, depth = panels
        builder, first, second = self.builder, self.start(0, a), self.start(4, b)
        with cgutils.for_range(builder, depth) as loop:
            origin = builder.add(b0, builder.mul(loop.index, db))
            operands = [self.load(second, origin, j) for j in range(len(self.sums[0]))]
            column = builder.add(a0, builder.mul(loop.index, dp))
            if ahead is not None:
                turn = builder.and_(loop.index, ir.Constant(self.integer, _TURNS - 1))
                place = builder.add(builder.add(column, ahead), builder.mul(turn, skew))
                prefetch(builder, builder.gep(first, [place]))
            for i, row in enumerate(self.sums):
                entry = self.spread(builder.load(builder.gep(first, [self.row(column, da, i)])))
                for operand, total in zip(operands, row, strict=True):
                    builder.store(self.plus_product(builder.load(total), entry, operand), total)

    def spread(self, entry: Any) -> Any:
        """Return a vector of one number."""
        lane = ir.IntType(32)
        undefined = ir.Constant(self.vector, ir.Undefined)
        everywhere = ir.Constant(ir.VectorType(lane, self.width), [0] * self.width)
        spread = self.builder.insert_element(undefined, entry, ir.Constant(lane, 0))
        return self.builder.shuffle_vector(spread, undefined, everywhere)

    def across(self, vectors: list[Any]) -> Any:
        """Return a vector that starts with the sums of the numbers in each of `vectors`."""
        period = 1
        while len(vectors) > 1:
            vectors = [
                self._halved(a, b, period)
                for a, b in zip(vectors[::2], vectors[1::2], strict=True)
            ]
            period *= 2
        (found,) = vectors
        while period < self.width:
            found = self._halved(found, found, period)
            period *= 2
        return found

    def _halved(self, a: Any, b: Any, period: int) -> Any:
        """Add neighbouring blocks of so many numbers in each of two vectors, and join them."""
        blocks = range(0, self.width, 2 * period)
        low, high = (
            [
                k + i + shift
                for i in blocks
                for shift in (at, self.width + at)
                for k in range(period)
            ]
            for at in (0, period)
        )
        lane = ir.IntType(32)
        mask = ir.VectorType(lane, self.width)
        first, second = (
            self.builder.shuffle_vector(a, b, ir.Constant(mask, part)) for part in (low, high)
        )
        return self.builder.fadd(first, second)

    def _at(self, base: Any, offset: Any, j: int) -> Any:
        place = self.builder.add(offset, ir.Constant(self.integer, j * self.width))
        return self.builder.bitcast(self.builder.gep(base, [place]), self.vector.as_pointer())


def prefetch(builder: Any, place: Any, level: int = 2) -> None:
    """Ask for a line of memory, into the second level of the cache, or the first with 3."""
    text, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [text, number, number, number])
    call = builder.module.declare_intrinsic("llvm.prefetch", [text], kind)
    read, near, data = (ir.Constant(number, value) for value in (0, level, 1))
    builder.call(call, [builder.bitcast(place, text), read, near, data])
