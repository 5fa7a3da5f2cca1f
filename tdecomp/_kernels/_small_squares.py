"""Normal equations of few unknowns, which never leave the registers while entries are read."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tdecomp._kernels._tile import VECTOR_BITS, Writer, lanes, prefetch

# Accumulators that leave room for operands among 32 registers.
_ROOM = 27
# Entries of which the residuals are found at a time.
_TOGETHER = 2
# How many entries ahead of the computation memory is asked for a row, and the bytes of a line.
_AHEAD, _LINE = 24, 64


def short(k: int, itemsize: int) -> int:
    """Return the numbers of a vector in which `k` equations fit into registers, 0 for none.

    Half vectors are preferred: the steps of the triangle are lower, and twice as many are
    multiplied at a time.
    """
    if VECTOR_BITS != 512:
        return 0
    whole = lanes(itemsize)
    fitting = [width for width in (whole // 2, whole) if _accumulators(k, width) <= _ROOM]
    return fitting[0] if fitting else 0


def _accumulators(k: int, width: int) -> int:
    return sum(a // width + 1 for a in range(k)) + -(-k // width)


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
        heights = [a // width + 1 for a in range(self.count)] + [-(-self.count // width)]
        self.sums = [
            [cgutils.alloca_once_value(builder, self.zero) for _ in range(height)]
            for height in heights
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
        for row in self.sums:
            for total in row:
                builder.store(self.zero, total)
        zero = ir.Constant(self.integer, 0)
        known = [self.load(self.row_, zero, j) for j in range(self.vectors)]
        count = builder.sub(high, low)
        whole = builder.add(low, builder.and_(count, ir.Constant(self.integer, -self.together)))
        losses = [
            self._loop(low, whole, self.together, known),
            self._loop(whole, high, 1, known),
        ]
        for i, row in enumerate(self.sums):
            place = ir.Constant(self.integer, i * self.length)
            for j, total in enumerate(row):
                self.store(builder.load(total), self.h, place, j)
        parts = [
            builder.extract_element(loss, ir.Constant(ir.IntType(32), i))
            for loss in losses
            for i in range(loss.type.count)
        ]
        total = parts[0]
        for part in parts[1:]:
            total = builder.fadd(total, part)
        return total

    def _loop(self, start: Any, stop: Any, size: int, known: list[Any]) -> Any:
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
                self._entry(origin, share, place)
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

    def _entry(self, origin: Any, share: Any, place: Any) -> None:
        """Add the products of one row."""
        builder = self.builder
        operands = [self.load(self.factor, origin, j) for j in range(self.vectors)]
        if self.weighted:
            weight = self.spread(builder.load(builder.gep(self.weights, [place])))
            operands = [builder.fmul(weight, operand) for operand in operands]
        for a, row in enumerate(self.sums):
            entry = share
            if a < self.count:
                item = builder.add(origin, ir.Constant(self.integer, a))
                entry = self.spread(builder.load(builder.gep(self.factor, [item])))
            for operand, total in zip(operands, row, strict=False):
                builder.store(self.plus_product(builder.load(total), entry, operand), total)


squares, weighted_squares = _squares(weighted=False), _squares(weighted=True)
