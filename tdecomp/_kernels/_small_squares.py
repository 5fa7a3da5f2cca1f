"""Normal equations of few unknowns, which never leave the registers while entries are read.

Where there are 16 registers, the entries of a row are read several times, for some of the
equations each time: mostly from the first level of the cache, as nothing is copied.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tdecomp._kernels._tile import VECTOR_BITS, Writer, lanes, prefetch

# Sums that leave room for operands among 32 registers, and among 16.
_ROOM = {512: 27, 256: 12}
# The most unknowns, and vectors of them, where there are 16.
_FEW, _VECTORS = 24, 4
# How many entries ahead of the computation memory is asked for a row, and the bytes of a line.
_AHEAD, _LINE = 24, 64


def short(k: int, itemsize: int) -> int:
    """Return the numbers of a vector in which `k` equations are formed in registers, 0 for none.

    Where there are 32 registers, all are formed at once, and half vectors are preferred: the steps
    of the triangle are lower, and twice as many are multiplied at a time.
    """
    whole = lanes(itemsize)
    if VECTOR_BITS == 256:
        return whole if k <= min(_FEW, _VECTORS * whole) else 0
    if VECTOR_BITS != 512:
        return 0
    fitting = [width for width in (whole // 2, whole) if len(runs(k, width)) == 1]
    return fitting[0] if fitting else 0


def _heights(k: int, width: int) -> list[int]:
    """Return the vectors of each equation up to its diagonal, and of the right-hand side."""
    return [a // width + 1 for a in range(k)] + [-(-k // width)]


def runs(k: int, width: int) -> list[range]:
    """Cut the equations into runs whose sums fit into registers, the right-hand side last.

    Among 16 registers it has a run of its own, beside the row that is multiplied with.
    """
    heights, stop = _heights(k, width), k + 1
    found = [range(k, k + 1)] if VECTOR_BITS == 256 else []
    stop -= len(found)
    while stop:
        start, sums = stop, 0
        while start and sums + heights[start - 1] <= _ROOM[VECTOR_BITS]:
            start -= 1
            sums += heights[start]
        found.append(range(start, stop))
        stop = start
    return found[::-1]


def _squares(*, weighted: bool) -> Any:
    r"""Return an intrinsic that forms the normal equations of a row from its entries.

    ``squares(factor, indices, low, high, values, weights, row, h, order, line)`` writes, for the
    entries from `low` to `high`, with rows :math:`v_p` of `factor` that indices pick,

    .. math:: \sum_p w_p v_p v_p^\top, \qquad \sum_p w_p r_p v_p, \qquad
              r_p = x_p - v_p \cdot \mathtt{row},

    the lower half of the first to rows of `h`, the second to the row behind, and returns
    :math:`\sum_p w_p r_p^2`. `order` is any tuple of as many numbers as there are unknowns, `line`
    one of as many as rows have vectors: the compiler knows their lengths. Rows of `factor` and of
    `h`, flat, and `row` are filled up to whole vectors of the width that `short` tells; what is
    behind the unknowns counts in residuals alone.
    """

    @intrinsic
    def squares(
        _: Any, factor: Any, indices: Any, low: Any, high: Any, values: Any, weights: Any,
        row: Any, h: Any, order: Any, line: Any,
    ) -> Any:  # fmt: skip
        n = types.intp
        signature = types.float64(factor, indices, n, n, values, weights, row, h, order, line)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            write = _Equations(context, builder, signature, arguments, weighted=weighted)
            return write.passes(arguments[2], arguments[3])

        return signature, generate

    return squares


class _Equations(Writer):
    """Writes the instructions that form the normal equations of one row."""

    def __init__(
        self, context: Any, builder: Any, signature: Any, arguments: Any, *, weighted: bool
    ) -> None:
        self.count, self.weighted = len(signature.args[8]), weighted
        itemsize = signature.args[0].dtype.bitwidth // 8
        width = short(self.count, itemsize)
        super().__init__(context, builder, signature, 0, 0, width)
        # Entries of which the residuals are found at a time: more need registers for their rows.
        self.together = width // 2
        self.vectors = len(signature.args[9])
        self.length = self.vectors * width
        self.sums = [
            [cgutils.alloca_once(builder, self.vector) for _ in range(height)]
            for height in _heights(self.count, width)
        ]
        self.factor, self.values, self.weights, self.row_, self.h = (
            self.start(k, arguments[k]) for k in (0, 4, 5, 6, 7)
        )
        array = context.make_array(signature.args[1])(context, builder, arguments[1])
        self.indices = array.data
        self.final = builder.sub(
            builder.extract_value(array.shape, 0), ir.Constant(self.integer, 1)
        )

    def passes(self, low: Any, high: Any) -> Any:
        """Write the loops over entries, and what comes of them; return the loss."""
        builder = self.builder
        *others, last = runs(self.count, self.width)
        zero = ir.Constant(self.integer, 0)
        known = [self.load(self.row_, zero, j) for j in range(self.vectors)]
        count = builder.sub(high, low)
        whole = builder.add(low, builder.and_(count, ir.Constant(self.integer, -self.together)))
        self._clear(last)
        losses = [
            self._loop(low, whole, self.together, known, last),
            self._loop(whole, high, 1, known, last),
        ]
        self._keep(last)
        for run in others:
            self._clear(run)
            self._pass(low, high, run)
            self._keep(run)
        parts = [
            builder.extract_element(loss, ir.Constant(ir.IntType(32), i))
            for loss in losses
            for i in range(loss.type.count)
        ]
        total = parts[0]
        for part in parts[1:]:
            total = builder.fadd(total, part)
        return total

    def _clear(self, run: range) -> None:
        """Set the sums of a run of equations to zero."""
        for i in run:
            for total in self.sums[i]:
                self.builder.store(self.zero, total)

    def _keep(self, run: range) -> None:
        """Write the sums of a run to memory."""
        for i in run:
            place = ir.Constant(self.integer, i * self.length)
            for j, total in enumerate(self.sums[i]):
                self.store(self.builder.load(total), self.h, place, j)

    def _pass(self, low: Any, high: Any, run: range) -> None:
        """Write a loop over entries whose residuals are not asked for."""
        step = ir.Constant(self.integer, 1)
        with cgutils.for_range_slice(self.builder, low, high, step, self.integer) as (p, _):
            self._entry(self._origin(p), None, p, run)

    def _loop(self, start: Any, stop: Any, size: int, known: list[Any], run: range) -> Any:
        """Write a loop over so many entries at a time, and return the loss of each of these."""
        builder, double = self.builder, ir.VectorType(ir.DoubleType(), size)
        nothing = ir.Constant(double, [0.0] * size)
        loss = cgutils.alloca_once(builder, double)
        builder.store(nothing, loss)
        step = ir.Constant(self.integer, size)
        with cgutils.for_range_slice(builder, start, stop, step, self.integer) as (p, _):
            places = [builder.add(p, ir.Constant(self.integer, i)) for i in range(size)]
            origins = [self._ask(place) for place in places]
            gaps = self._gaps(p, origins, known)
            heavy = builder.fmul(gaps, self._few(self.weights, p, size)) if self.weighted else gaps
            self._lose(loss, gaps, heavy)
            for i, (place, origin) in enumerate(zip(places, origins, strict=True)):
                share = self._everywhere(gaps, i)
                self._entry(origin, share, place, run)
        return builder.load(loss)

    def _ask(self, place: Any) -> Any:
        """Ask for a row that comes later; return where that of an entry starts."""
        builder = self.builder
        later = builder.add(place, ir.Constant(self.integer, _AHEAD))
        late = builder.icmp_signed("<", later, self.final)
        asked = self._origin(builder.select(late, later, self.final))
        for at in range(0, self.length, _LINE // self.itemsize):
            line = builder.add(asked, ir.Constant(self.integer, at))
            prefetch(builder, builder.gep(self.factor, [line]), level=3)
        return self._origin(place)

    def _origin(self, place: Any) -> Any:
        """Return where the row of an entry starts."""
        index = self.builder.load(self.builder.gep(self.indices, [place]))
        number = self.builder.sext(index, self.integer)
        return self.builder.mul(number, ir.Constant(self.integer, self.length))

    def _gaps(self, p: Any, origins: list[Any], known: list[Any]) -> Any:
        """Return what the model leaves of entries."""
        builder, products = self.builder, []
        for origin in origins:
            total = builder.fmul(self.load(self.factor, origin, 0), known[0])
            for j in range(1, self.vectors):
                total = self.plus_product(total, self.load(self.factor, origin, j), known[j])
            products.append(total)
        size, lane = len(origins), ir.IntType(32)
        front = ir.Constant(ir.VectorType(lane, size), list(range(size)))
        found = self.across(products)
        found = builder.shuffle_vector(found, found, front)
        return builder.fsub(self._few(self.values, p, size), found)

    def _few(self, base: Any, place: Any, size: int) -> Any:
        """Return the numbers that belong to so many entries."""
        kind = ir.VectorType(self.number, size).as_pointer()
        place = self.builder.bitcast(self.builder.gep(base, [place]), kind)
        return self.builder.load(place, align=self.itemsize)

    def _lose(self, loss: Any, gaps: Any, heavy: Any) -> None:
        """Add squares to the loss, in double precision."""
        builder, double = self.builder, loss.type.pointee
        if self.itemsize < 8:
            gaps, heavy = builder.fpext(gaps, double), builder.fpext(heavy, double)
        builder.store(self.plus_product(builder.load(loss), gaps, heavy), loss)

    def _everywhere(self, few: Any, i: int) -> Any:
        """Return a vector of number `i` of a few."""
        mask = ir.Constant(ir.VectorType(ir.IntType(32), self.width), [i] * self.width)
        return self.builder.shuffle_vector(few, few, mask)

    def _entry(self, origin: Any, share: Any, place: Any, run: range) -> None:
        """Add the products of one row to a run of equations."""
        builder, tall = self.builder, max(len(self.sums[i]) for i in run)
        operands = [self.load(self.factor, origin, j) for j in range(tall)]
        if self.weighted:
            weight = self.spread(builder.load(builder.gep(self.weights, [place])))
            operands = [builder.fmul(weight, operand) for operand in operands]
        for a in run:
            entry = share
            if a < self.count:
                item = builder.add(origin, ir.Constant(self.integer, a))
                entry = self.spread(builder.load(builder.gep(self.factor, [item])))
            for operand, total in zip(operands, self.sums[a], strict=False):
                builder.store(self.plus_product(builder.load(total), entry, operand), total)


squares, weighted_squares = _squares(weighted=False), _squares(weighted=True)
