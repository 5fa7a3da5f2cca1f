"""How much of a matrix Kronecker terms of given shapes capture: bounds from two products."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tdecomp._random import normal
from tdecomp._typing import Array
from tdecomp._xp import adjoint, conj, device, eps, floats, is_numpy
from tdecomp.kronecker._operands import of_matrix, padded
from tdecomp.kronecker._rearranged import Pair, rearranged, rearranged_places
from tdecomp.kronecker._targets import Shapes
from tdecomp.linalg._operand import Dense, MatrixFree, Operand, Sparse

Places = tuple[np.ndarray, np.ndarray]

# Singular values that are looked at, and the sides of a sample.
_WIDTH, _SIDE = 16, 128
# Columns of an operator that a sample of it costs.
_COLUMNS = 64
# Squares below so many eps of the largest are rounding, at least to a thousandth.
_CLEAR = 1000
# Rows of a rearranged sparse matrix that are numbered through even where most are empty.
_FEW = 1 << 16


def captured(op: Operand, shapes: Shapes, draws: np.random.Generator) -> np.ndarray:
    """Return parts of the squared norm, in descending order, that as many terms capture."""
    turned, folded = _turned(op, _halves(shapes, 1), draws)
    if turned.total == 0:
        return np.ones(1)
    vectors, squares = _leading(turned, _WIDTH, draws)
    if len(shapes) == 2:
        return squares / turned.total
    kept = [_share(folded(vectors[:, k]), shapes[1:], draws) for k in range(squares.shape[0])]
    return np.sort(squares * kept / turned.total)[::-1]


def sampled(
    op: Operand, shapes: Shapes, draws: np.random.Generator, stored: Places | None
) -> np.ndarray:
    """Guess the same parts from a few entries, as if they were all.

    Of more than two factors no sum of so many terms captures more than the least that any split
    into two lets it.
    """
    found = [_of_sample(op, _halves(shapes, k), draws, stored) for k in range(1, len(shapes))]
    length = min(parts.shape[0] for parts in found)
    sums = np.min([np.cumsum(parts[:length]) for parts in found], axis=0)
    return np.diff(sums, prepend=0.0)


def extended(parts: np.ndarray, shapes: Shapes, rank: int) -> float:
    """Sum leading parts of a spectrum, and of what is left as much as its even share."""
    known = min(1.0, math.fsum(parts[:rank]))
    count = parts.shape[0]
    limit = min(m * n for m, n in shapes) if len(shapes) == 2 else count
    if rank <= count or limit <= count:
        return known
    return float(known + (1.0 - known) * (rank - count) / (limit - count))


def drawn(op: Operand, draws: np.random.Generator) -> Places | None:
    """Return places of stored entries, drawn by their squares; None of what is not sparse."""
    if not isinstance(op, Sparse) or op.total == 0:
        return None
    sums = np.cumsum(np.abs(op.matrix.data.astype(np.complex128)) ** 2)
    chosen = np.searchsorted(sums, draws.random(_SIDE) * sums[-1], side="right")
    chosen = np.minimum(chosen, sums.shape[0] - 1)
    i = np.searchsorted(op.matrix.indptr, chosen, side="right") - 1
    return i.astype(np.int64), op.matrix.indices[chosen].astype(np.int64)


def _halves(shapes: Shapes, k: int) -> Pair:
    """Join the first `k` factors, and the others."""
    (m1, n1), (m2, n2) = (
        tuple(math.prod(side) for side in zip(*part, strict=True))
        for part in (shapes[:k], shapes[k:])
    )
    return (m1, n1), (m2, n2)


def _turned(
    op: Operand, pair: Pair, draws: np.random.Generator
) -> tuple[Operand, Callable[[Array], Operand]]:
    """Return the rearrangement, padded, and what makes a matrix of one of its right vectors."""
    xp, (m2, n2) = op.xp, pair[1]
    if isinstance(op, Sparse):
        turned, columns = _of_entries(op, pair)
        places = columns // n2, columns % n2
        return turned, lambda vector: _filled(op, vector.conj(), places, (m2, n2))
    if isinstance(op, Dense):
        whole = padded(op.array, (pair[0][0] * m2, pair[0][1] * n2), xp)
        seen: Operand = rearranged(op._replace(array=whole), pair)
    else:
        assert isinstance(op, MatrixFree)
        seen = of_matrix(op.forward, pair, pad=True, rng=draws)
    return seen, lambda vector: Dense(xp.reshape(conj(vector, xp), (m2, n2)), xp, 1.0, 1.0)


def _of_entries(op: Sparse, pair: Pair) -> tuple[Sparse, np.ndarray]:
    """Rearrange stored entries, without rows and columns that have none; number the columns."""
    entries = op.matrix.tocoo()
    i, j = entries.row.astype(np.int64), entries.col.astype(np.int64)
    places = rearranged_places(i, j, pair)
    (rows, kept), (columns, names) = (
        _numbered(place, m * n) for place, (m, n) in zip(places, pair, strict=True)
    )
    sizes = kept.shape[0], names.shape[0]
    return _filled(op, entries.data, (rows, columns), sizes), names


def _numbered(places: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the places as numbers, and a list of them: of those that occur, if all are many."""
    if size <= max(_FEW, places.shape[0]):
        return places, np.arange(size)
    names, numbers = np.unique(places, return_inverse=True)
    return numbers.reshape(-1), names


def _filled(op: Sparse, values: np.ndarray, places: Places, shape: tuple[int, int]) -> Sparse:
    """Make a sparse matrix, of the same kind and scale, of some entries."""
    matrix = type(op.matrix)((values, places), shape=shape)
    total = float(np.vdot(values, values).real)
    return op._replace(matrix=matrix, adjoint=matrix.conj().T.tocsr(), total=total)


def _leading(turned: Operand, width: int, draws: np.random.Generator) -> tuple[Array, np.ndarray]:
    """Return right vectors of the rearranged matrix, and the squares that they capture.

    From the shorter side to the longer one and back: what an orthonormal basis of the longer one
    captures is no more than is there. It comes from a Gram matrix, without directions that are
    lost in rounding; they hold as small a part of the energy.
    """
    xp, (m, n) = turned.xp, turned.shape
    wide = m <= n
    there, back = (turned.rmatmat, turned.matmat) if wide else (turned.matmat, turned.rmatmat)
    test = normal(draws, (min(m, n), min(width, m, n)), turned.like, xp)
    images = there(xp.linalg.qr(test).Q)
    squares, axes = xp.linalg.eigh(adjoint(images, xp) @ images)
    least = _CLEAR * eps(squares.dtype, xp) * float(squares[-1])
    clear = int(sum(square > least for square in floats(squares)))
    axes = axes[:, -clear:] / xp.astype(xp.sqrt(squares[-clear:]), axes.dtype)
    u, s, vh = xp.linalg.svd(back(images) @ axes, full_matrices=False)
    right = images @ (axes @ adjoint(vh, xp)) if wide else u
    return right, np.asarray(floats(s)) ** 2


def _share(op: Operand, shapes: Shapes, draws: np.random.Generator) -> float:
    """Return the part of a matrix of norm one that a single term captures at least."""
    turned, folded = _turned(op, _halves(shapes, 1), draws)
    right, squares = _leading(turned, 4, draws)
    if len(shapes) == 2:
        return float(squares[0])
    return float(squares[0]) * _share(folded(right[:, 0]), shapes[1:], draws)


def _of_sample(
    op: Operand, pair: Pair, draws: np.random.Generator, stored: Places | None
) -> np.ndarray:
    """Take random rows and columns of the rearranged matrix for all of it."""
    (_, n1), (m2, n2) = pair
    if stored is None:
        most = _COLUMNS if isinstance(op, MatrixFree) else _SIDE**2
        even = math.isqrt(most)
        rows, columns = (
            _chosen(side, max(even, most // other), draws)
            for side, other in zip(pair, (pair[1][1], n1), strict=True)
        )
    else:
        # Where most entries are zero, rows and columns of some that are not: of a product those
        # are full.
        rows, columns = map(np.unique, rearranged_places(*stored, pair))
    i = (rows // n1 * m2)[:, None] + columns // n2
    j = (rows % n1 * n2)[:, None] + columns % n2
    squares = np.asarray(floats(op.xp.linalg.svdvals(_entries(op, i, j)))) ** 2
    parts = squares / (math.fsum(squares) or 1.0)
    # A sample has fewer terms to share the energy among: few of them tell something.
    if min(i.shape) < min(math.prod(side) for side in pair):
        return parts[: max(1, min(i.shape) * _WIDTH // _SIDE)]
    return np.pad(parts, (0, _WIDTH))[:_WIDTH]


def _chosen(side: tuple[int, int], groups: int, draws: np.random.Generator) -> np.ndarray:
    """Draw rows of the rearrangement whose second index has no more than so many values."""
    m, n = side
    second = draws.choice(n, min(n, groups), replace=False, shuffle=False)
    count = min(_SIDE, m * second.shape[0])
    places = draws.choice(m * second.shape[0], count, replace=False, shuffle=False)
    return np.sort(places // second.shape[0] * n + second[places % second.shape[0]])


def _entries(op: Operand, i: np.ndarray, j: np.ndarray) -> Array:
    """Return entries of a matrix that goes on with zeros."""
    xp, (m, n) = op.xp, op.shape
    inside = (i < m) & (j < n)
    i, j = np.where(inside, i, 0), np.where(inside, j, 0)
    if isinstance(op, Dense) and not is_numpy(op.array):
        place = device(op.array)
        flat = xp.asarray((i * n + j).reshape(-1), device=place)
        found = xp.reshape(xp.take(xp.reshape(op.array, (-1,)), flat, axis=0), i.shape)
        if inside.all():
            return found
        return xp.where(xp.asarray(inside, device=place), found, xp.zeros_like(found))
    if isinstance(op, Dense):
        return np.where(inside, op.array[i, j], 0)
    if isinstance(op, Sparse):
        found = np.asarray(op.matrix[i.reshape(-1), j.reshape(-1)]).reshape(i.shape)
    else:
        columns, numbers = np.unique(j, return_inverse=True)
        unit = np.zeros((n, columns.shape[0]), op.like.dtype)
        unit[columns, np.arange(columns.shape[0])] = 1
        found = op.matmat(unit)[i, numbers.reshape(i.shape)]
    return np.where(inside, found, 0)
