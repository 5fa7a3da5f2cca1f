"""Small positive definite systems, as many at a time as a vector has lanes.

One system is too short for vector instructions, and each step of its factorisation waits for the
one before. Here entry ``(a, b)`` of all of them lies in one vector, ``x[(a * k + b) * lanes:]``,
right-hand side `a` in ``x[(k * k + a) * lanes:]``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tdecomp._kernels._jit import routine
from tdecomp._kernels._tile import Writer

# Rows of a triangle that are updated at a time: chains of sums that do not wait for each other.
_ROWS = 4


def _minus(rows: int) -> Any:
    r"""Return an intrinsic that takes sums of products from `rows` vectors.

    ``minus(x, c, dc, a, da, sa, b, sb, depth)`` computes, lane by lane on a flat array,
    :math:`C_i \mathrel{-}= \sum_{q < \mathtt{depth}} A_{iq} B_q`, with the vectors
    :math:`C_i` at ``x[c + i*dc:]``, :math:`A_{iq}` at ``x[a + i*da + q*sa:]`` and :math:`B_q` at
    ``x[b + q*sb:]``.
    """

    @intrinsic
    def minus(
        _: Any, x: Any, c: Any, dc: Any, a: Any, da: Any, sa: Any, b: Any, sb: Any, depth: Any
    ) -> Any:
        n = types.intp
        signature = types.void(x, n, n, n, n, n, n, n, n)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _, c, dc, a, da, sa, b, sb, depth = arguments
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
            for i, (total,) in enumerate(write.sums):
                place = write.row(c, dc, i)
                rest = builder.fsub(write.load(base, place, 0), builder.load(total))
                write.store(rest, base, place, 0)
            return context.get_dummy_value()

        return signature, generate

    return minus


_one, _some = _minus(1), _minus(_ROWS)


@routine
def minus_product(x: Any, c: int, a: int, sa: int, b: int, sb: int, depth: int) -> None:
    """Take the sum of products of vectors from one vector."""
    _one(x, c, 0, a, 0, sa, b, sb, depth)


@routine
def minus_products(x: Any, c: int, a: int, step: int, sa: int, b: int, depth: int) -> None:
    """Do so for four rows of a triangle, `step` apart."""
    _some(x, c, step, a, step, sa, b, sa, depth)


@routine
def solve_lanes(x: Any, k: int, lanes: int, least: Any) -> None:
    """Overwrite right-hand sides with the solutions of systems of which the lower half is given.

    No pivot may fall below ``least[lane]``, which it does by rounding alone; where that is zero so
    is the system, and the solution.
    """
    line, side = k * lanes, k * k * lanes
    for a in range(k):
        row, pivot = a * line, a * line + a * lanes
        minus_product(x, pivot, row, lanes, row, lanes, a)
        for lane in range(lanes):
            top = max(x[pivot + lane], least[lane])
            x[pivot + lane] = 1 / np.sqrt(top) if top > 0 else 0
        b = a + 1
        while b < k:
            below = b * line
            if b + _ROWS <= k:
                count = _ROWS
                minus_products(x, below + a * lanes, below, line, lanes, row, a)
            else:
                count = 1
                minus_product(x, below + a * lanes, below, lanes, row, lanes, a)
            for i in range(count):
                place = below + i * line + a * lanes
                for lane in range(lanes):
                    x[place + lane] *= x[pivot + lane]
            b += count
        minus_product(x, side + a * lanes, row, lanes, side, lanes, a)
        for lane in range(lanes):
            x[side + a * lanes + lane] *= x[pivot + lane]
    for a in range(k - 1, -1, -1):
        place, pivot = side + a * lanes, a * line + a * lanes
        below = (a + 1) * line + a * lanes
        minus_product(x, place, below, line, place + lanes, lanes, k - 1 - a)
        for lane in range(lanes):
            x[place + lane] *= x[pivot + lane]
