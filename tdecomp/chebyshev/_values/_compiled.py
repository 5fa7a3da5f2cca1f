"""Values of a function at many points, by loops that keep blocks of them in registers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tdecomp import _kernels
from tdecomp._typing import Array
from tdecomp.chebyshev._core import arrays
from tdecomp.chebyshev._domain import SLACK
from tdecomp.tt import TensorTrain

# Flops from which on the kernel is asked, at 40 to 100 thousand million a second: products of
# NumPy take some 30 milliseconds for as many. Loading it takes half a second, once.
_KERNEL_WORK = 1 << 26
# Fewer points would be paid for like those of two blocks.
_FEWEST = 128
# Tasks for each thread: the last ones to end are then not far apart.
_TASKS = 4
# With more variables than that, complex cores are left to products of arrays.
_COMPLEX_VARIABLES = 3
# Bytes of a line of memory.
_LINE = 64
# About which phase of the highest degree there is in half a cell: with more of it, tables are
# smaller, and fit into caches. Nodes of cells are multiples of one part in so many.
_PHASE, _BITS = 4.0, 1 << 20
# How many points for each coefficient make up for a table, and the largest one.
_OFTEN, _LARGEST = 64, 1 << 19


def compiled(core: Any, factors: Sequence[Array], domain: Array, x: Array) -> Array | None:
    """Return the values at points (N, d) of a box, None where that is not for the kernel.

    It takes what `as_function` returns, arrays of NumPy, enough of them to pay, and points inside.
    """
    if not _kernels.accepts(*arrays(core), *factors, domain, x):
        return None
    if x.shape[0] < _FEWEST or x.shape[0] * flops(core, factors) < _KERNEL_WORK:
        return None
    if factors[0].dtype.kind == "f":
        return _evaluated(core, factors, domain, x)
    if not isinstance(core, TensorTrain) and core.ndim > _COMPLEX_VARIABLES:
        return None
    cells = core.cores if isinstance(core, TensorTrain) else whole_train(core)
    parts = [np.ascontiguousarray(factor).view(x.dtype) for factor in factors]
    found = _evaluated(TensorTrain(real_parts(cells)), parts, domain, x)
    return None if found is None else found[0] + 1j * found[1]


def flops(core: Any, factors: Sequence[Array]) -> int:
    """Return how many operations the value at one point takes."""
    return 2 * sum(int(math.prod(a.shape)) for a in (*arrays(core), *factors))


def whole_train(core: Array) -> tuple[Array, ...]:
    """Return an array as a train: all of it is in the second core, others are identities.

    Contracting it takes little more work, of up to three variables.
    """
    if core.ndim == 1:
        return (core[None, :, None],)
    first, second, *others = core.shape
    cells = [np.eye(first, dtype=core.dtype)[None], core.reshape(first, second, -1)]
    for n in others:
        rest = cells[-1].shape[2]
        cells.append(np.eye(rest, dtype=core.dtype).reshape(rest, n, rest // n))
    return tuple(cells)


def real_parts(cells: Sequence[Array]) -> tuple[Array, ...]:
    r"""Return a complex train as a real one, of real and imaginary parts in turns.

    Products :math:`z u w` of an entry, what comes from the left, and a row, are linear in the
    parts of `u` and of `w`: twice as many of each make parts of the result. The last core ends in
    two columns, the parts of the value.
    """
    powers = np.asarray([[1, 1j], [1j, -1]], dtype=cells[0].dtype)
    found = []
    for k, cell in enumerate(cells):
        r, n, s = cell.shape
        wide = cell[:, None, :, None, :] * powers[None, :, None, :, None]
        parts = np.stack([wide.real, wide.imag], axis=-1).reshape(2 * r, 2 * n, 2 * s)
        # On the left of the first is one.
        found.append(parts if k else parts[:1])
    return tuple(found)


def _evaluated(
    core: Any, factors: Sequence[Array], domain: Array, x: Array, *, direct: bool = False
) -> Array | None:
    """Return real values (N,), or (2, N) of parts, None where points lie outside.

    `direct` leaves series as they are, for however many points.
    """
    from tdecomp._kernels._chebyshev import evaluate
    from tdecomp._kernels._tile import lanes

    columns, flat, bonds = _arranged(core)
    ranks = np.asarray([factors[k].shape[1] for k in columns])
    parts = [plain(factors[k]) if direct else tabulated(factors[k], x.shape[0]) for k in columns]
    series = _joined([part.entries for part in parts], lanes(x.itemsize))
    cells, counts = (np.asarray([part[j] for part in parts]) for j in (1, 2))
    # What is read only would be compiled for once more.
    x, domain = np.require(x, requirements=["C", "W"]), np.array(domain)
    out = np.empty((int(bonds[-1]) if bonds.size else 1, x.shape[0]), x.dtype)
    outside = np.empty(_TASKS * _kernels.threads(), x.dtype)
    evaluate(
        flat, bonds, series, cells, counts, ranks, columns, domain, x, lanes(x.itemsize), out,
        outside,
    )  # fmt: skip
    if not outside.max() <= SLACK * np.finfo(x.dtype).eps:
        return None
    return out if out.shape[0] > 1 else out[0]


def _joined(parts: Sequence[Array], lanes: int) -> Array:
    """Return flat arrays one after the other, each from the start of a vector and a line on."""
    sizes = [-(-part.size // lanes) * lanes for part in parts]
    memory = np.zeros(sum(sizes) + _LINE, parts[0].dtype)
    start = -memory.ctypes.data % _LINE // memory.itemsize
    for part, size in zip(parts, sizes, strict=True):
        memory[start : start + part.size] = part
        start += size
    return memory[start - sum(sizes) : start]


class Series(NamedTuple):
    """Series of one variable: coefficients, flat, in how many cells, and how many of them each."""

    entries: Array
    cells: int
    terms: int


def plain(factor: Array) -> Series:
    """Return series as they are."""
    return Series(factor.reshape(-1), 0, factor.shape[0])


def tabulated(factor: Array, count: int) -> Series:
    r"""Return short series in each of many cells, if that pays for `count` points.

    With :math:`|t| = 1 - w^2`, the polynomial of degree :math:`j` is, up to its sign,
    :math:`\cos(2 j \arcsin(w / \sqrt 2))`, whose phase grows by at most :math:`2 j` from
    :math:`w = 0` to 1. In one of :math:`m / \varphi` cells of equal lengths there is no more of it
    than in :math:`\cos(\varphi s)` for :math:`s` from -1 to 1, whose coefficients fall like
    :math:`2 (\varphi / 2)^k / k!`; in :math:`t`, of which it is a polynomial, they fall no slower.
    Values at nodes of every cell come from the whole series.
    """
    from tdecomp._kernels._tile import lanes

    m, r = factor.shape
    cells = 2 ** max(0, round(math.log2(m / _PHASE)))
    vector, terms = lanes(factor.itemsize), _terms(m / cells, factor.dtype)
    if count < _OFTEN * m or m * r > _LARGEST or not _shorter(m, r / vector, terms):
        return plain(factor)
    # Few bits of nodes, and a power of two of cells, make all that follows exact.
    nodes = np.round(np.cos(np.pi * (np.arange(terms) + 0.5) / terms) * _BITS) / _BITS
    cell = np.arange(cells)[:, None]
    x = (2 * cell * (cell + 1) + 1 + nodes * (2 * cell + 1)) / (2 * cells**2)
    signs = np.where(np.arange(m) % 2, -1.0, 1.0)[:, None]
    both = np.concatenate([factor, signs * factor], axis=1)
    # The low end of this box is zero, near which numbers have all their digits.
    unit, box = TensorTrain((np.eye(2 * r)[None],)), np.asarray([[0.0, 2.0]])
    values: Any = _evaluated(unit, [both], box, x.reshape(-1, 1), direct=True)
    weights = np.linalg.inv(np.cos(np.arange(terms)[:, None] * np.arccos(nodes)))
    table = np.zeros((2, cells, terms, -(-r // vector) * vector), factor.dtype)
    table[..., :r] = (values.reshape(2, r, cells, terms) @ weights).transpose(0, 2, 3, 1)
    return Series(table.reshape(-1), cells, terms)


def _shorter(m: int, vectors: float, terms: int) -> bool:
    """Tell whether cells save a third of the time, measured in steps of vectors."""
    whole = m * (vectors + 0.6)
    return whole > 1.5 * (40 + 2.3 * terms * math.ceil(vectors))


def _terms(phase: float, dtype: Any) -> int:
    """Return how many coefficients of a cell are above rounding."""
    k, size = 0, 2.0
    while size > np.finfo(dtype).eps:
        k += 1
        size *= phase / 2 / k
    return k


def _arranged(core: Any) -> tuple[Array, Array, Array]:
    """Return variables in an order, what a core consists of in it, and the ranks of a train.

    The last variable of an array is that of the largest rank, which makes the longest products.
    An array of one axis is a train of a single core.
    """
    if not isinstance(core, TensorTrain) and core.ndim > 1:
        order = np.argsort(core.shape, kind="stable")
        turned = np.require(core.transpose(order), requirements=["C", "W"])
        return order, turned.reshape(-1), np.empty(0, np.intp)
    cells = core.cores if isinstance(core, TensorTrain) else whole_train(core)
    flat = np.concatenate([cell.reshape(-1) for cell in cells])
    return np.arange(len(cells)), flat, np.asarray([1, *(cell.shape[2] for cell in cells)])
