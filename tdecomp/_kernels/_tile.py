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
# How many rows of accumulators go with 1, 2, 3 or 4 vectors of columns: they fill the registers,
# of which there are 32, but 16 with AVX2 alone, and leave room for the operands.
ROWS = (8, 8, 6, 6) if VECTOR_BITS != 256 else (8, 4, 3, 2)


def lanes(itemsize: int) -> int:
    """Return how many numbers of that many bytes make a vector."""
    return VECTOR_BITS // (8 * itemsize)


def tile(rows: int, vectors: int) -> Any:
    r"""Return an intrinsic that adds a product of panels to `rows` x `vectors` vectors.

    ``multiply(a, a0, da, dp, b, b0, db, depth, c, c0, dc)`` computes, on flat arrays,

    .. math:: C_{ij} \mathrel{+}= \sum_{p < \mathtt{depth}} A_{ip} B_{pj}

    where :math:`A_{ip}` lies at ``a[a0 + i*da + p*dp]``, row :math:`p` of :math:`B` at ``b[b0 +
    p*db:]`` and row :math:`i` of :math:`C` at ``c[c0 + i*dc:]``. All of :math:`C` stays in
    registers; compilers do not find that by themselves, since they keep arrays in memory.
    """

    @intrinsic
    def multiply(
        _: Any, a: Any, a0: Any, da: Any, dp: Any, b: Any, b0: Any, db: Any, depth: Any,
        c: Any, c0: Any, dc: Any,
    ) -> Any:  # fmt: skip
        index = types.intp
        signature = types.void(a, index, index, index, b, index, index, index, c, index, index)
        bits = a.dtype.bitwidth
        number = ir.DoubleType() if bits == 64 else ir.FloatType()
        return signature, _generator(rows, vectors, number, bits)

    return multiply


def _generator(rows: int, vectors: int, number: Any, bits: int) -> Any:
    """Return the function that writes the instructions."""
    width, align = VECTOR_BITS // bits, bits // 8
    vector, lane = ir.VectorType(number, width), ir.IntType(32)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, a0, da, dp, b, b0, db, depth, c, c0, dc = arguments
        kinds = signature.args
        integer = a0.type

        def start(array: Any, kind: Any) -> Any:
            data = context.make_array(kind)(context, builder, array).data
            return builder.bitcast(data, number.as_pointer())

        def at(base: Any, offset: Any, j: int) -> Any:
            place = builder.add(offset, ir.Constant(integer, j * width))
            return builder.bitcast(builder.gep(base, [place]), vector.as_pointer())

        def times(stride: Any, i: int) -> Any:
            return builder.mul(stride, ir.Constant(integer, i))

        first, second, third = start(a, kinds[0]), start(b, kinds[4]), start(c, kinds[8])
        undefined = ir.Constant(vector, ir.Undefined)
        everywhere = ir.Constant(ir.VectorType(lane, width), [0] * width)
        sums = [
            [cgutils.alloca_once(builder, vector) for _ in range(vectors)] for _ in range(rows)
        ]
        for i in range(rows):
            for j in range(vectors):
                known = builder.load(at(third, builder.add(c0, times(dc, i)), j), align=align)
                builder.store(known, sums[i][j])
        with cgutils.for_range(builder, depth) as loop:
            row = builder.add(b0, builder.mul(loop.index, db))
            operands = [builder.load(at(second, row, j), align=align) for j in range(vectors)]
            column = builder.add(a0, builder.mul(loop.index, dp))
            for i in range(rows):
                entry = builder.load(builder.gep(first, [builder.add(column, times(da, i))]))
                spread = builder.insert_element(undefined, entry, ir.Constant(lane, 0))
                spread = builder.shuffle_vector(spread, undefined, everywhere)
                for j in range(vectors):
                    product = builder.fmul(spread, operands[j], flags=("contract",))
                    total = builder.fadd(builder.load(sums[i][j]), product, flags=("contract",))
                    builder.store(total, sums[i][j])
        for i in range(rows):
            for j in range(vectors):
                place = at(third, builder.add(c0, times(dc, i)), j)
                builder.store(builder.load(sums[i][j]), place, align=align)
        return context.get_dummy_value()

    return generate
