"""What randomized algorithms need of a matrix: two products, a norm, slabs of rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from tdecomp._kernels import accepts
from tdecomp._random import normal
from tdecomp._typing import Array, Namespace
from tdecomp._xp import (
    adjoint,
    as_floating,
    equilibrate,
    finite,
    namespace,
    prepare,
    squared_norm,
)
from tdecomp.linalg._thin import thin_product

_BLOCK_ENTRIES = 1 << 22
_PROBES = 24
# Multiplications of one product from which on the kernel saves more than a cold import of numba.
_KERNEL_WORK = 400_000_000
# One estimate from 24 probes is below a third of the truth once in a thousand, at rank one; at
# higher rank far less often.
_MARGIN = 3.0


# A draft in single precision pays from about a million entries on. Fourth powers of singular
# values must neither overflow nor, eps times smaller, vanish.
DRAFT_ENTRIES = 1 << 20
_DRAFT_TOTAL = (1e-8, 1e16)


class Operand(Protocol):
    """A matrix seen through its products. `like` is an array of its dtype and device."""

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""

    @property
    def like(self) -> Array:
        """An array of the same dtype, on the same device."""

    @property
    def xp(self) -> Namespace:
        """The library of its arrays."""

    @property
    def total(self) -> float:
        """The squared Frobenius norm."""

    @property
    def scale(self) -> float:
        """The power of two that the matrix was divided by."""

    @property
    def margin(self) -> float:
        """How many times its estimate a squared norm may be: 1 where norms are exact."""

    def matmat(self, x: Array) -> Array:
        """Return ``A @ x``."""

    def rmatmat(self, y: Array) -> Array:
        """Return ``A^* @ y``."""

    def misfit(self, left: Array, right: Array) -> float:
        """Return the squared Frobenius norm of ``A - left @ right``."""

    def to_array(self) -> Array:
        """Return the matrix itself."""

    def draft(self) -> Dense | None:
        """Return the matrix in single precision, where that is cheaper; None elsewhere."""


class Dense(NamedTuple):
    """An array held in memory, already finite and at a safe scale."""

    array: Array
    xp: Namespace
    total: float
    scale: float
    margin: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        return (int(self.array.shape[0]), int(self.array.shape[1]))

    @property
    def like(self) -> Array:
        """The array itself."""
        return self.array

    def matmat(self, x: Array) -> Array:
        """Return ``A @ x``."""
        return thin_product(self.array, x, self.xp)

    def rmatmat(self, y: Array) -> Array:
        """Return ``A^* @ y``, conjugating the thin factor rather than the matrix."""
        turned = self.xp.matrix_transpose(self.array)
        if not self.xp.isdtype(self.array.dtype, "complex floating"):
            return thin_product(turned, y, self.xp)
        return self.xp.conj(thin_product(turned, self.xp.conj(y), self.xp))

    def turned(self) -> Dense:
        """Return the adjoint."""
        return self._replace(array=adjoint(self.array, self.xp))

    def draft(self) -> Dense | None:
        """Return the matrix in single precision, if it is in double and large enough to gain."""
        xp, dtype = self.xp, self.array.dtype
        gains = dtype in (xp.float64, xp.complex128) and math.prod(self.shape) >= DRAFT_ENTRIES
        if not gains or not _DRAFT_TOTAL[0] < self.total < _DRAFT_TOTAL[1]:
            return None
        single = xp.float32 if dtype == xp.float64 else xp.complex64
        return self._replace(array=xp.astype(self.array, single))

    def to_array(self) -> Array:
        """Return the matrix itself."""
        return self.array

    def misfit(self, left: Array, right: Array) -> float:
        """Form the difference slab by slab and sum its squares."""
        slabs = _slabs(self.shape, _BLOCK_ENTRIES)
        return math.fsum(
            squared_norm(self.array[s, :] - left[s, :] @ right, self.xp) for s in slabs
        )


class Sparse(NamedTuple):
    """A ``scipy.sparse`` matrix and its adjoint, both in compressed rows."""

    matrix: Any
    adjoint: Any
    xp: Namespace
    total: float
    scale: float
    margin: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        return tuple(self.matrix.shape)

    @property
    def like(self) -> Array:
        """An empty array of the same dtype."""
        return np.empty(0, dtype=self.matrix.dtype)

    def matmat(self, x: Array) -> Array:
        """Return ``A @ x``."""
        return _compressed_rows(self.matrix, x)

    def rmatmat(self, y: Array) -> Array:
        """Return ``A^* @ y``."""
        return _compressed_rows(self.adjoint, y)

    def draft(self) -> None:
        """Offer no draft: converting stored entries or an operator gains nothing."""

    def to_array(self) -> Array:
        """Return the matrix, filled in."""
        return self.matrix.toarray()

    def misfit(self, left: Array, right: Array) -> float:
        """Form the difference slab by slab and sum its squares."""
        slabs = _slabs(self.shape, _BLOCK_ENTRIES)
        return math.fsum(
            squared_norm(self.matrix[s].toarray() - left[s, :] @ right, self.xp) for s in slabs
        )


class MatrixFree(NamedTuple):
    """Anything with ``shape``, ``dtype``, ``@`` and an adjoint: only its products are known.

    Norms come from the images of Gaussian probes that nothing else sees: they cost one block
    product for the whole computation.
    """

    forward: Any
    backward: Any
    shape: tuple[int, int]
    xp: Namespace
    scale: float
    probes: Array
    images: Array
    margin: float = _MARGIN

    @property
    def like(self) -> Array:
        """The probes."""
        return self.probes

    @property
    def total(self) -> float:
        """An unbiased estimate of the squared Frobenius norm."""
        return squared_norm(self.images, self.xp) / _PROBES

    def matmat(self, x: Array) -> Array:
        """Return ``A @ x``."""
        return _product(self.forward, x, self.shape[0], name="a @ x") / self.scale

    def rmatmat(self, y: Array) -> Array:
        """Return ``A^* @ y``, and check on the probes that the adjoint is one."""
        z = _product(self.backward, y, self.shape[1], name="adjoint(a) @ y") / self.scale
        gap = squared_norm(self.images.conj().T @ y - self.probes.conj().T @ z, self.xp)
        unit = max(float(np.finfo(x.dtype).eps) for x in (y, z, self.images))
        if gap > unit * squared_norm(self.images, self.xp) * squared_norm(y, self.xp):
            raise ValueError("the adjoint of a is none: inner products with a @ x do not agree")
        return z

    def misfit(self, left: Array, right: Array) -> float:
        """Estimate the squared Frobenius norm of the difference without another product."""
        gap = self.images - left @ (right @ self.probes)
        return squared_norm(gap, self.xp) / _PROBES

    def draft(self) -> None:
        """Offer no draft: converting stored entries or an operator gains nothing."""

    def to_array(self) -> Array:
        """Return the matrix, by multiplying the identity."""
        return self.matmat(self.xp.eye(self.shape[1], dtype=self.like.dtype))


def _product(factor: Any, x: Array, rows: int, *, name: str) -> Array:
    """Multiply a block of vectors by an operator and check what comes back."""
    try:
        y = np.asarray(factor @ x)
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"{name} failed for {x.shape[1]} columns: {error}") from error
    if y.shape != (rows, x.shape[1]):
        raise ValueError(f"{name} must have shape {(rows, x.shape[1])}, got {y.shape}")
    return finite(as_floating(y, namespace(y), name=name), namespace(y), name=name)


def _slabs(shape: tuple[int, ...], entries: int) -> Iterator[slice]:
    """Cut the rows of a matrix into slabs of about so many entries."""
    height = max(1, entries // shape[1])
    m = shape[0]
    return (slice(start, min(start + height, m)) for start in range(0, m, height))


def operand(a: Any, rng: np.random.Generator) -> Operand:
    """Return what `a` is: an array, a ``scipy.sparse`` matrix, or something with products."""
    if type(a).__module__.startswith("scipy.sparse") and hasattr(a, "tocsr"):
        return _sparse(a)
    plain = hasattr(a, "__getitem__") and not hasattr(a, "_fields")
    if hasattr(a, "__matmul__") and hasattr(a, "shape") and not plain:
        return _matrix_free(a, rng)
    return _dense(a)


def _dense(a: Any) -> Dense:
    """Validate an array by its norm: a moderate one proves entries finite and squares safe."""
    xp, a = prepare(a, ndim=2, check_finite=False)
    total = squared_norm(a, xp)
    limits = xp.finfo(a.dtype)
    low, high = float(limits.smallest_normal) ** 0.5, float(limits.max) ** 0.5
    if low < total < high or (total == 0 and not bool(xp.any(a != 0))):
        return Dense(a, xp, total, 1.0)
    a, scale = equilibrate(finite(a, xp), xp, axis=(0, 1))
    return Dense(a, xp, squared_norm(a, xp), float(scale[0, 0]))


def _sparse(a: Any) -> Sparse:
    """Validate the stored entries of a sparse matrix, and bring them to a safe scale."""
    if 0 in a.shape:
        raise ValueError(f"a is empty: shape {a.shape}")
    matrix = a.tocsr(copy=True)
    matrix.sum_duplicates()
    xp = namespace()
    data = finite(as_floating(matrix.data, xp), xp, name="a.data")
    data, scale = equilibrate(data, xp, axis=0) if data.size else (data, np.ones(1))
    matrix = type(matrix)((data, matrix.indices, matrix.indptr), shape=matrix.shape)
    total = float(np.vdot(data, data).real)
    return Sparse(matrix, matrix.conj().T.tocsr(), xp, total, float(scale[0]))


def _compressed_rows(matrix: Any, x: Array) -> Array:
    """Multiply by a matrix in compressed rows, by the kernel where that is worth loading it."""
    if matrix.nnz * x.shape[1] >= _KERNEL_WORK and accepts(matrix.data, x):
        from tdecomp._kernels._sparse import compressed_rows

        out = np.empty((matrix.shape[0], x.shape[1]), dtype=np.result_type(matrix.data, x))
        compressed_rows(matrix.indptr, matrix.indices, matrix.data, np.ascontiguousarray(x), out)
        return out
    return matrix @ x


def _matrix_free(a: Any, rng: np.random.Generator) -> MatrixFree:
    """Find the adjoint of an operator on NumPy arrays, its norm and scale from one product."""
    backward = next((getattr(a, name) for name in ("mH", "H") if hasattr(a, name)), None)
    if not isinstance(a.shape, tuple) or len(a.shape) != 2 or getattr(a, "dtype", None) is None:
        raise TypeError(f"a is a {type(a).__name__} without a shape (m, n) and a dtype")
    if backward is None:
        raise TypeError(
            f"a is a {type(a).__name__} with products but no adjoint; give it an attribute mH or "
            "H that multiplies by the conjugate transpose, as scipy's LinearOperator has"
        )
    m, n = (int(size) for size in a.shape)
    if 0 in (m, n):
        raise ValueError(f"a is empty: shape {(m, n)}")
    xp = namespace()
    like = as_floating(np.empty(1, dtype=a.dtype), xp)
    probes = normal(rng, (n, _PROBES), like, xp)
    images = _product(a, probes, m, name="a @ x")
    images, scale = equilibrate(images, xp, axis=(0, 1))
    return MatrixFree(a, backward, (m, n), xp, float(scale[0, 0]), probes, images)
