"""The algebraic start: factors from the eigenvectors of pencils of slices."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial, reduce
from typing import Any

import numpy as np

from tdecomp._random import like
from tdecomp._shim import host
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, conj, squared_norm
from tdecomp.cp._format import CP
from tdecomp.cp._initial_sparse import sparse_left_vectors
from tdecomp.cp._normalise import _normalise
from tdecomp.linalg._left_basis import left_basis
from tdecomp.ops._coo import COO
from tdecomp.ops._factor_products import _khatri_rao
from tdecomp.ops._mttkrp import mttkrp

# Pencils along random directions, beside that of the two leading slices.
_PENCILS = 4


def algebraic(x: Any, rank: int, rng: np.random.Generator, *, xp: Namespace) -> CP | None:
    """Return the best decomposition that a pencil of slices gives; None where there is none."""
    shape = tuple(x.shape)
    long = sorted((mode for mode, n in enumerate(shape) if n >= rank), key=lambda k: -shape[k])
    sparse = isinstance(x, COO)
    if len(shape) < 3 or len(long) < 2 or rank < 2 or (sparse and len(shape) > 3):
        return None
    p, q = sorted(long[:2])
    bases, core = (_sparse_core if sparse else _core)(x, rank, rng, xp)
    if core is None or min(core.shape[p], core.shape[q]) < rank:
        return None
    found = _best(core.astype(np.result_type(core.dtype, np.float64)), rank, (p, q), rng)
    if found is None:
        return None
    values = x.values if sparse else x
    weights, smalls = found
    factors = [like(small, values, xp) for small in smalls]
    factors = [f if u is None else u @ f for f, u in zip(factors, bases, strict=True)]
    return _normalise(CP(like(weights, values, xp), tuple(factors)), xp=xp)


def _core(
    x: Array, rank: int, rng: np.random.Generator, xp: Namespace
) -> tuple[list[Array | None], np.ndarray]:
    """Project a dense tensor onto leading left singular vectors, mode after mode."""
    bases: list[Array | None] = [None] * x.ndim
    for mode, n in enumerate(x.shape):
        if n > rank:
            bases[mode], x, _ = left_basis(x, mode, rank=rank, rng=rng, xp=xp)
    return bases, host(x)


def _sparse_core(
    x: COO, rank: int, rng: np.random.Generator, xp: Namespace
) -> tuple[list[Array], np.ndarray | None]:
    """Project a sparse tensor of three modes onto leading left singular vectors."""
    bases = [sparse_left_vectors(x, mode, rank, rng, xp=xp) for mode in range(3)]
    sizes = [int(u.shape[1]) for u in bases]
    if 0 in sizes:
        return bases, None
    dual = [conj(u, xp) for u in bases]
    slabs = []
    for j in range(sizes[0]):
        first = dual[0][:, j : j + 1] * xp.ones_like(dual[1][:1, :])
        slab = mttkrp(x, [first, dual[1], None], 2)
        slabs.append(xp.matrix_transpose(adjoint(bases[2], xp) @ slab))
    return bases, host(xp.stack(slabs))


def _best(
    core: np.ndarray, rank: int, pair: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, list[np.ndarray]] | None:
    """Solve several pencils of a core and keep the closest decomposition."""
    order = [*pair, *(mode for mode in range(core.ndim) if mode not in pair)]
    turned = np.transpose(core, order)
    rest = turned.shape[2:]
    slices = turned.reshape(rank, rank, -1)
    for unfolding in (slices.reshape(rank, -1), slices.transpose(1, 0, 2).reshape(rank, -1)):
        s = np.linalg.svd(unfolding, compute_uv=False)
        if not s[-1] > rank * np.finfo(s.dtype).eps * s[0]:
            return None
    best, least = None, math.inf
    for pencil in _pencils(slices, rng):
        factors = _solved(slices, pencil)
        if factors is None:
            continue
        candidate = [*factors[:2], *_split(factors[2], rest)]
        weights, misfit = _weighted(turned, candidate)
        if misfit < least:
            ordered = [candidate[order.index(mode)] for mode in range(core.ndim)]
            best, least = (weights, ordered), misfit
    return best


def _pencils(
    slices: np.ndarray, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Return pairs of combinations of slices: the two leading ones, then random ones."""
    size = slices.shape[0]
    u, s, _ = np.linalg.svd(slices.reshape(size * size, -1), full_matrices=False)
    if s.size < 2:
        return
    leading = (u * s).reshape(size, size, -1)
    yield leading[..., 0], leading[..., 1]
    width = min(size, s.size)
    for _ in range(_PENCILS):
        mix = rng.standard_normal((width, 2))
        yield leading[..., :width] @ mix[:, 0], leading[..., :width] @ mix[:, 1]


def _solved(slices: np.ndarray, pencil: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray] | None:
    """Return three factors from the eigenvectors of a pencil, None where it is singular.

    With ``S_j = A diag(c_j) B^T`` the eigenvectors are the columns of the inverse transpose of
    `B`, and a slab multiplied by one of them is the outer product of columns of `A` and `C`.
    """
    from scipy.linalg import eig

    values, vectors = eig(*pencil)
    if not (np.all(np.isfinite(values)) and np.all(np.isfinite(vectors))):
        return None
    if not np.iscomplexobj(slices):
        # A pair of conjugates, which noise makes of two close values: its plane, in real vectors.
        vectors = np.where(values.imag < 0, vectors.imag, vectors.real)
    slabs = np.einsum("pqk,qr->rpk", slices, vectors)
    u, s, vh = np.linalg.svd(slabs, full_matrices=False)
    a, c = u[:, :, 0].T, (s[:, :1] * vh[:, 0, :]).T
    joined = np.reshape(a[:, None, :] * c[None, :, :], (-1, a.shape[1]))
    unfolded = slices.transpose(0, 2, 1).reshape(joined.shape[0], -1)
    dual = joined.conj().T
    b = _corrected(dual @ joined, partial(np.matmul, joined), partial(np.matmul, dual), unfolded)[
        0
    ].T
    return [a, b, c] if all(np.all(np.isfinite(x)) for x in (a, b, c)) else None


def _split(joined: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
    """Return factors whose Khatri-Rao product is nearest to a matrix, column by column."""
    if len(shape) == 1:
        return [joined]
    factors = []
    tensors = joined.T.reshape(-1, *shape)
    for axis in range(len(shape)):
        unfolded = np.moveaxis(tensors, axis + 1, 1).reshape(tensors.shape[0], shape[axis], -1)
        factors.append(np.linalg.svd(unfolded, full_matrices=False)[0][:, :, 0].T)
    return factors


def _weighted(x: np.ndarray, factors: list[np.ndarray]) -> tuple[np.ndarray, float]:
    """Return the best weights of given components, and the misfit that they leave."""
    lengths = [np.linalg.norm(factor, axis=0) for factor in factors]
    lengths = [np.where(length > 0, length, 1) for length in lengths]
    first, *others = (factor / length for factor, length in zip(factors, lengths, strict=True))
    rest, dual = _khatri_rao(others, xp=np), first.conj()
    weights, gap = _corrected(
        reduce(np.multiply, (a.conj().T @ a for a in (first, *others))),
        lambda weights: (first * weights) @ rest.T,
        lambda gap: np.sum(dual * (gap @ rest.conj()), axis=0),
        x.reshape(first.shape[0], -1),
    )
    return weights / reduce(np.multiply, lengths), math.sqrt(squared_norm(gap, np))


def _corrected(
    gram: np.ndarray,
    multiply: Callable[[np.ndarray], np.ndarray],
    adjoint: Callable[[np.ndarray], np.ndarray],
    target: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Solve least squares by normal equations, twice; return the solution and what it leaves.

    The second time is for what the first solution leaves, which makes up for the squared
    condition [1]_: digits of orthogonal transformations at the price of small products.

    References
    ----------
    .. [1] A. Bjorck, "Stability analysis of the method of seminormal equations for linear least
       squares problems", Linear Algebra Appl. 88-89, 1987. doi:10.1016/0024-3795(87)90101-7
    """
    found, gap = np.zeros(1), target
    for _ in range(2):
        found = found + np.linalg.lstsq(gram, adjoint(gap), rcond=None)[0]
        gap = target - multiply(found)
    return found, gap
