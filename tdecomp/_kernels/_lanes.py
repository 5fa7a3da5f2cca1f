"""Small positive definite systems, as many at a time as a vector has lanes.

One system is too short for vector instructions, and each step of its factorisation waits for the
one before. Here entry ``(a, b)`` of all of them lies in one vector, ``x[(a * k + b) * lanes:]``,
right-hand side `a` in ``x[(k * k + a) * lanes:]``.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tdecomp._kernels._jit import routine
from tdecomp._kernels._tile import Writer

# Rows of a triangle that are updated at a time: chains of sums that do not wait for each other.
_ROWS = 4


def _minus(rows: int, *, scaled: bool = False) -> Any:
    r"""Return an intrinsic that takes sums of products from `rows` vectors.

    ``minus(x, c, dc, a, da, sa, b, sb, depth, scale)`` computes, lane by lane on a flat array,
    :math:`C_i \mathrel{-}= \sum_{q < \mathtt{depth}} A_{iq} B_q`, with the vectors
    :math:`C_i` at ``x[c + i*dc:]``, :math:`A_{iq}` at ``x[a + i*da + q*sa:]`` and :math:`B_q` at
    ``x[b + q*sb:]``, and multiplies the results by the vector at ``x[scale:]`` if `scaled`.
    """

    @intrinsic
    def minus(
        _: Any, x: Any, c: Any, dc: Any, a: Any, da: Any, sa: Any, b: Any, sb: Any, depth: Any,
        scale: Any,
    ) -> Any:  # fmt: skip
        n = types.intp
        signature = types.void(x, n, n, n, n, n, n, n, n, n)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _, c, dc, a, da, sa, b, sb, depth, scale = arguments
            write = Writer(context, builder, signature, rows, 1)
            base = write.start(0, arguments[0])
            for (total,) in write.sums:
                builder.store(write.zero, total)
            with cgutils.for_range(builder, depth) as loop:
                right = write.load(base, builder.add(b, builder.mul(loop.index, sb)), 0)
                start = builder.add(a, builder.mul(loop.index, sa))
                for i, (total,) in enumerate(write.sums):
                    left = write.load(base, write.row(start, da, i), 0)
                    builder.store(write.plus_product(builder.load(total), left, right), total)
            factor = write.load(base, scale, 0) if scaled else None
            for i, (total,) in enumerate(write.sums):
                place = write.row(c, dc, i)
                rest = builder.fsub(write.load(base, place, 0), builder.load(total))
                write.store(rest if factor is None else builder.fmul(rest, factor), base, place, 0)
            return context.get_dummy_value()

        return signature, generate

    return minus


@intrinsic
def _root(_: Any, x: Any, place: Any, least: Any) -> Any:
    """Replace the larger of a vector and `least` by its reciprocal root, zeros by zeros."""
    signature = types.void(x, types.intp, least)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        write = Writer(context, builder, signature, 0, 0)
        base, floor = write.start(0, arguments[0]), write.start(2, arguments[2])
        top = write.load(base, arguments[1], 0)
        least = write.load(floor, ir.Constant(write.integer, 0), 0)
        top = builder.select(builder.fcmp_ordered("<", top, least), least, top)
        kind = ir.FunctionType(write.vector, [write.vector])
        name = f"llvm.sqrt.v{write.width}f{8 * write.itemsize}"
        root = cgutils.get_or_insert_function(builder.module, kind, name)
        one = ir.Constant(write.vector, [1.0] * write.width)
        inverse = builder.fdiv(one, builder.call(root, [top]))
        positive = builder.fcmp_ordered(">", top, write.zero)
        write.store(builder.select(positive, inverse, write.zero), base, arguments[1], 0)
        return context.get_dummy_value()

    return signature, generate


_one, _one_scaled, _some_scaled = _minus(1), _minus(1, scaled=True), _minus(_ROWS, scaled=True)


@routine
def pivot_root(x: Any, pivot: int, row: int, lanes: int, depth: int, least: Any) -> None:
    """Take the squares of a row of a triangle from its pivot, and leave the reciprocal root."""
    _one(x, pivot, 0, row, 0, lanes, row, lanes, depth, 0)
    _root(x, pivot, least)


@routine
def minus_product(x: Any, c: int, a: int, sa: int, b: int, sb: int, depth: int, by: int) -> None:
    """Take the sum of products of vectors from one vector, and multiply it by that at `by`."""
    _one_scaled(x, c, 0, a, 0, sa, b, sb, depth, by)


@routine
def minus_products(
    x: Any, c: int, a: int, step: int, sa: int, b: int, depth: int, by: int
) -> None:
    """Do so for four rows of a triangle, `step` apart."""
    _some_scaled(x, c, step, a, step, sa, b, sa, depth, by)


@routine
def solve_lanes(x: Any, k: int, lanes: int, least: Any) -> None:
    """Overwrite right-hand sides with the solutions of systems of which the lower half is given.

    No pivot may fall below ``least[lane]``, which it does by rounding alone; where that is zero so
    is the system, and the solution.
    """
    line, side = k * lanes, k * k * lanes
    for a in range(k):
        row, pivot = a * line, a * line + a * lanes
        pivot_root(x, pivot, row, lanes, a, least)
        b = a + 1
        while b + _ROWS <= k:
            below = b * line
            minus_products(x, below + a * lanes, below, line, lanes, row, a, pivot)
            b += _ROWS
        while b < k:
            below = b * line
            minus_product(x, below + a * lanes, below, lanes, row, lanes, a, pivot)
            b += 1
        minus_product(x, side + a * lanes, row, lanes, side, lanes, a, pivot)
    for a in range(k - 1, -1, -1):
        place, pivot = side + a * lanes, a * line + a * lanes
        below = (a + 1) * line + a * lanes
        minus_product(x, place, below, line, place + lanes, lanes, k - 1 - a, pivot)
