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


def tile(rows: int, vectors: int) -> Any:
    r"""Return an intrinsic that adds a product of panels to `rows` x `vectors` vectors.

    ``multiply(a, a0, da, dp, b, b0, db, depth, c, c0, dc, ahead, skew)`` computes, on flat arrays,

    .. math:: C_{ij} \mathrel{+}= \sum_{p < \mathtt{depth}} A_{ip} B_{pj}

    where :math:`A_{ip}` lies at ``a[a0 + i*da + p*dp]``, row :math:`p` of :math:`B` at ``b[b0 +
    p*db:]`` and row :math:`i` of :math:`C` at ``c[c0 + i*dc:]``. All of :math:`C` stays in
    registers; compilers do not find that by themselves, since they keep arrays in memory.

    :math:`A` is read once, from memory. Each step `p` asks in time for one line of what lies
    `ahead` entries further, plus `skew` times the last bits of `p`: with a skew of 0 beside the
    entries of the step, with ``da - dp`` in one row after the other, where rows are lines of
    memory. That was measured to make products 1.4 times as fast.
    """

    @intrinsic
    def multiply(
        _: Any, a: Any, a0: Any, da: Any, dp: Any, b: Any, b0: Any, db: Any, depth: Any,
        c: Any, c0: Any, dc: Any, ahead: Any, skew: Any,
    ) -> Any:  # fmt: skip
        n = types.intp
        signature = types.void(a, n, n, n, b, n, n, n, c, n, n, n, n)
        number = ir.DoubleType() if a.dtype.bitwidth == 64 else ir.FloatType()
        return signature, _generator(rows, vectors, number, a.dtype.bitwidth // 8)

    return multiply


def _generator(rows: int, vectors: int, number: Any, itemsize: int) -> Any:
    """Return the function that writes the instructions."""
    width = lanes(itemsize)
    vector, lane = ir.VectorType(number, width), ir.IntType(32)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, a0, da, dp, b, b0, db, depth, c, c0, dc, ahead, skew = arguments
        integer = a0.type

        def start(position: int, array: Any) -> Any:
            data = context.make_array(signature.args[position])(context, builder, array).data
            return builder.bitcast(data, number.as_pointer())

        def at(base: Any, offset: Any, j: int) -> Any:
            place = builder.add(offset, ir.Constant(integer, j * width))
            return builder.bitcast(builder.gep(base, [place]), vector.as_pointer())

        def row(origin: Any, stride: Any, i: int) -> Any:
            return builder.add(origin, builder.mul(stride, ir.Constant(integer, i)))

        first, second, third = start(0, a), start(4, b), start(8, c)
        undefined = ir.Constant(vector, ir.Undefined)
        everywhere = ir.Constant(ir.VectorType(lane, width), [0] * width)
        sums = [
            [cgutils.alloca_once(builder, vector) for _ in range(vectors)] for _ in range(rows)
        ]
        for i in range(rows):
            for j in range(vectors):
                known = builder.load(at(third, row(c0, dc, i), j), align=itemsize)
                builder.store(known, sums[i][j])
        with cgutils.for_range(builder, depth) as loop:
            origin = builder.add(b0, builder.mul(loop.index, db))
            operands = [
                builder.load(at(second, origin, j), align=itemsize) for j in range(vectors)
            ]
            column = builder.add(a0, builder.mul(loop.index, dp))
            turn = builder.and_(loop.index, ir.Constant(integer, _TURNS - 1))
            place = builder.add(builder.add(column, ahead), builder.mul(turn, skew))
            _prefetch(builder, builder.gep(first, [place]))
            for i in range(rows):
                entry = builder.load(builder.gep(first, [row(column, da, i)]))
                spread = builder.insert_element(undefined, entry, ir.Constant(lane, 0))
                spread = builder.shuffle_vector(spread, undefined, everywhere)
                for j in range(vectors):
                    product = builder.fmul(spread, operands[j], flags=("contract",))
                    total = builder.fadd(builder.load(sums[i][j]), product, flags=("contract",))
                    builder.store(total, sums[i][j])
        for i in range(rows):
            for j in range(vectors):
                place = at(third, row(c0, dc, i), j)
                builder.store(builder.load(sums[i][j]), place, align=itemsize)
        return context.get_dummy_value()

    return generate


def _prefetch(builder: Any, place: Any) -> None:
    """Ask for a line of memory, into the second level of the cache."""
    text, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [text, number, number, number])
    call = builder.module.declare_intrinsic("llvm.prefetch", [text], kind)
    read, level, data = (ir.Constant(number, value) for value in (0, 2, 1))
    builder.call(call, [builder.bitcast(place, text), read, level, data])
