"""How much of a matrix Kronecker terms of given shapes capture: bounds from two products."""

from __future__ import annotations

import math

import numpy as np

from tdecomp._random import normal
from tdecomp._typing import Array
from tdecomp._xp import adjoint, conj, device, eps, floats
from tdecomp.kronecker._rearranged import Pair, rearranged
from tdecomp.kronecker._targets import Shapes
from tdecomp.linalg._operand import Dense

# Singular values that are looked at, and the sides of a sample.
_WIDTH, _SIDE = 16, 128
# Squares below so many eps of the largest are rounding, at least to a thousandth.
_CLEAR = 1000


def captured(op: Dense, shapes: Shapes, draws: np.random.Generator) -> np.ndarray:
    """Return parts of the squared norm, in descending order, that as many terms capture."""
    if op.total == 0:
        return np.ones(1)
    vectors, squares = _leading(op, _halves(shapes, 1), _WIDTH, draws)
    if len(shapes) == 2:
        return squares / op.total
    kept = [_share(vectors[:, k], op, shapes[1:], draws) for k in range(squares.shape[0])]
    return np.sort(squares * kept / op.total)[::-1]


def sampled(op: Dense, shapes: Shapes, draws: np.random.Generator) -> np.ndarray:
    """Guess the same parts from a few entries, as if they were all: those of the worst split."""
    found = [_of_sample(op, _halves(shapes, k), draws) for k in range(1, len(shapes))]
    return min(found, key=lambda parts: float(parts[0]))


def extended(parts: np.ndarray, shapes: Shapes, rank: int) -> float:
    """Sum leading parts of a spectrum, and of what is left as much as its even share."""
    known = min(1.0, math.fsum(parts[:rank]))
    count = parts.shape[0]
    limit = min(m * n for m, n in shapes) if len(shapes) == 2 else count
    if rank <= count or limit <= count:
        return known
    return float(known + (1.0 - known) * (rank - count) / (limit - count))


def _halves(shapes: Shapes, k: int) -> Pair:
    """Join the first `k` factors, and the others."""
    (m1, n1), (m2, n2) = (
        tuple(math.prod(side) for side in zip(*part, strict=True))
        for part in (shapes[:k], shapes[k:])
    )
    return (m1, n1), (m2, n2)


def _leading(
    op: Dense, pair: Pair, width: int, draws: np.random.Generator
) -> tuple[Array, np.ndarray]:
    """Return right vectors of the rearranged matrix, and the squares that they capture.

    From the shorter side to the longer one and back: what an orthonormal basis of the longer one
    captures is no more than is there. It comes from a Gram matrix, without directions that are
    lost in rounding; they hold as small a part of the energy.
    """
    xp, turned = op.xp, rearranged(op, pair)
    m, n = turned.shape
    wide = m <= n
    there, back = (turned.rmatmat, turned.matmat) if wide else (turned.matmat, turned.rmatmat)
    test = normal(draws, (min(m, n), min(width, m, n)), op.array, xp)
    images = there(xp.linalg.qr(test).Q)
    squares, axes = xp.linalg.eigh(adjoint(images, xp) @ images)
    least = _CLEAR * eps(squares.dtype, xp) * float(squares[-1])
    clear = int(sum(square > least for square in floats(squares)))
    axes = axes[:, -clear:] / xp.astype(xp.sqrt(squares[-clear:]), axes.dtype)
    u, s, vh = xp.linalg.svd(back(images) @ axes, full_matrices=False)
    right = images @ (axes @ adjoint(vh, xp)) if wide else u
    return right, np.asarray(floats(s)) ** 2


def _share(vector: Array, op: Dense, shapes: Shapes, draws: np.random.Generator) -> float:
    """Return the part of a vectorised matrix of norm one that a single term captures at least."""
    xp = op.xp
    rows, columns = (math.prod(side) for side in zip(*shapes, strict=True))
    part = Dense(xp.reshape(conj(vector, xp), (rows, columns)), xp, 1.0, 1.0)
    right, squares = _leading(part, _halves(shapes, 1), 4, draws)
    if len(shapes) == 2:
        return float(squares[0])
    return float(squares[0]) * _share(right[:, 0], op, shapes[1:], draws)


def _of_sample(op: Dense, pair: Pair, draws: np.random.Generator) -> np.ndarray:
    """Take random rows and columns of the rearranged matrix for all of it."""
    xp, ((m1, n1), (m2, n2)) = op.xp, pair
    rows, columns = (np.sort(draws.permutation(size)[:_SIDE]) for size in (m1 * n1, m2 * n2))
    i = (rows // n1 * m2)[:, None] + columns // n2
    j = (rows % n1 * n2)[:, None] + columns % n2
    flat = xp.asarray((i * (n1 * n2) + j).reshape(-1), device=device(op.array))
    entries = xp.take(xp.reshape(op.array, (-1,)), flat, axis=0)
    s = xp.linalg.svdvals(xp.reshape(entries, i.shape))
    squares = np.asarray(floats(s)) ** 2
    return squares[:_WIDTH] / (math.fsum(squares) or 1.0)
