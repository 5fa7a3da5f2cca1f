"""Sums over the entries of a sparse tensor of products of rows of its factors."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import prange, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from tdecomp._kernels._jit import kernel

VECTOR_BYTES = 64
"""A cache line: the widest vectors there are; LLVM splits them where a machine has shorter."""

# Sums of so many entries are taken apart: a long row in single precision then loses few digits.
_RUN = 256


def add_products(
    values: Any, indices: Any, factors: Any, first: Any, last: Any, out: Any, row: Any, lanes: Any
) -> None:
    """Add to ``out[row]`` the products of the entries `first` to `last` with rows of `factors`.

    `lanes` has one item for each vector in a row: a count that the compiler sees. Rows of
    `factors` and `out` are as long, all of them contiguous, and so are the indices of an entry.
    """
    total = 0 * out[row]
    for p in range(first, last):
        product = values[p] * factors[indices[p, 0]]
        for m in range(1, indices.shape[1]):
            product = product * factors[indices[p, m]]
        total += product
    out[row] += total


def _scalar(
    values: Any, indices: Any, factors: Any, first: Any, last: Any, out: Any, row: Any, lanes: Any
) -> None:
    """Do the same number by number, as complex ones need it."""
    for p in range(first, last):
        for r in range(out.shape[1]):
            product = values[p]
            for m in range(indices.shape[1]):
                product *= factors[indices[p, m], r]
            out[row, r] += product


@overload(add_products)
def _compiled(
    values: Any, indices: Any, factors: Any, first: Any, last: Any, out: Any, row: Any, lanes: Any
) -> Any:
    """Choose vector instructions where the numbers are real."""
    if not isinstance(values.dtype, types.Float):
        return _scalar

    def vectors(
        values: Any, indices: Any, factors: Any, first: Any, last: Any, out: Any, row: Any,
        lanes: Any,
    ) -> None:  # fmt: skip
        _add_vectors(values, indices, factors, first, last, out, row, lanes)

    return vectors


@intrinsic
def _add_vectors(
    _: Any, values: Any, indices: Any, factors: Any, first: Any, last: Any, out: Any, row: Any,
    lanes: Any,
) -> Any:  # fmt: skip
    """Keep the sums of a row in registers while its entries pass; compilers do not see that."""
    place = types.intp
    signature = types.void(values, indices, factors, place, place, out, place, lanes)
    return signature, _generator(values.dtype.bitwidth, lanes.count)


def _generator(bits: int, vectors: int) -> Any:
    """Return the function that writes the instructions for rows of so many vectors."""
    number = ir.DoubleType() if bits == 64 else ir.FloatType()
    width, align = VECTOR_BYTES * 8 // bits, bits // 8
    vector, lane, integer = ir.VectorType(number, width), ir.IntType(32), ir.IntType(64)

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        values, indices, factors, out = (
            context.make_array(signature.args[k])(context, b, arguments[k]) for k in (0, 1, 2, 5)
        )
        first, last, row = arguments[3], arguments[4], arguments[6]

        def times(x: Any, factor: int) -> Any:
            return b.mul(x, ir.Constant(integer, factor))

        def at(data: Any, start: Any, q: int) -> Any:
            place = b.add(start, ir.Constant(integer, q * width))
            return b.bitcast(b.gep(data, [place]), vector.as_pointer())

        def item(array: Any, p: Any, kind: Any) -> Any:
            step = b.mul(p, b.extract_value(array.strides, 0))
            start = b.bitcast(array.data, ir.IntType(8).as_pointer())
            return b.bitcast(b.gep(start, [step]), kind.as_pointer())

        undefined = ir.Constant(vector, ir.Undefined)
        everywhere = ir.Constant(ir.VectorType(lane, width), [0] * width)
        order = b.extract_value(indices.shape, 1)
        target = times(row, vectors * width)
        sums = [cgutils.alloca_once(b, vector) for _ in range(vectors)]
        terms = [cgutils.alloca_once(b, vector) for _ in range(vectors)]
        for q in range(vectors):
            b.store(ir.Constant(vector, [0.0] * width), sums[q])
        with cgutils.for_range_slice(b, first, last, ir.Constant(integer, 1), integer) as (p, _):
            entry = b.insert_element(undefined, b.load(item(values, p, number)), lane(0))
            for q in range(vectors):
                b.store(b.shuffle_vector(entry, undefined, everywhere), terms[q])
            record = item(indices, p, lane)

            def source(m: Any, record: Any = record) -> Any:
                index = b.load(b.gep(record, [m]))
                return times(b.zext(index, integer), vectors * width)

            with cgutils.for_range(b, b.sub(order, ir.Constant(integer, 1))) as loop:
                begin = source(loop.index)
                for q in range(vectors):
                    factor = b.load(at(factors.data, begin, q), align=align)
                    b.store(b.fmul(b.load(terms[q]), factor), terms[q])
            begin = source(b.sub(order, ir.Constant(integer, 1)))
            for q in range(vectors):
                factor = b.load(at(factors.data, begin, q), align=align)
                product = b.fmul(b.load(terms[q]), factor, flags=("contract",))
                b.store(b.fadd(b.load(sums[q]), product, flags=("contract",)), sums[q])
        for q in range(vectors):
            place = at(out.data, target, q)
            b.store(b.fadd(b.load(place, align=align), b.load(sums[q])), place, align=align)
        return context.get_dummy_value()

    return generate


@kernel
def products_by_row(
    starts: Any, bounds: Any, values: Any, indices: Any, factors: Any, lanes: Any, out: Any
) -> None:
    """Add to each row of `out` (1, n, width) the products of its entries, block by block.

    Chunk `c` has the rows ``bounds[c]`` to ``bounds[c + 1]``; no other touches them.
    """
    for c in prange(bounds.size - 1):
        for block in range(starts.shape[0]):
            for row in range(bounds[c], bounds[c + 1]):
                first, last = starts[block, row], starts[block, row + 1]
                for p in range(first, last, _RUN):
                    stop = min(p + _RUN, last)
                    add_products(values, indices, factors, p, stop, out[0], row, lanes)


@kernel
def products_by_block(
    starts: Any, bounds: Any, values: Any, indices: Any, factors: Any, lanes: Any, out: Any
) -> None:
    """Do the same with one copy of `out` (copies, n, width) for each chunk of blocks.

    For modes so short, or entries so crowded in a row, that rows do not share out the work.
    """
    for c in prange(bounds.size - 1):
        for block in range(bounds[c], bounds[c + 1]):
            for row in range(starts.shape[1] - 1):
                first, last = starts[block, row], starts[block, row + 1]
                for p in range(first, last, _RUN):
                    stop = min(p + _RUN, last)
                    add_products(values, indices, factors, p, stop, out[c], row, lanes)
