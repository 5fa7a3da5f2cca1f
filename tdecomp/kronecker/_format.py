"""Sums of Kronecker products: the type, its products with vectors and its entries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, overload

from tdecomp._precision import full_precision
from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import adjoint, conj, namespace, prepare
from tdecomp.kronecker._apply import apply, check_stacks
from tdecomp.kronecker._balance import balanced
from tdecomp.kronecker._entries import everything, rows_and_columns
from tdecomp.ops._operands import promoted


class KroneckerSum(NamedTuple):
    r"""A matrix held as a sum of Kronecker products.

    .. math:: A = \sum_{k=1}^{r} L_k \otimes R_k , \qquad
              A_{(i_1 i_2), (j_1 j_2)} = \sum_k (L_k)_{i_1 j_1} (R_k)_{i_2 j_2} ,

    pairs of indices in row-major order, as in ``numpy.kron``. With `rest` the products have more
    factors: :math:`L_k \otimes R_k \otimes \cdots`.

    Attributes
    ----------
    left : array, shape (r, m_1, n_1)
        The first factor of each term.
    right : array, shape (r, m_2, n_2)
        The second factor of each term.
    rest : tuple of array, shape (r, m_k, n_k)
        Further factors, if there are any.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.kronecker import KroneckerSum
    >>> k = KroneckerSum(np.ones((1, 2, 2)), np.eye(3)[None])
    >>> k.shape, k.rank, k.n_parameters
    ((6, 6), 1, 13)
    >>> k @ np.arange(6.0)
    array([3., 5., 7., 3., 5., 7.])
    """

    left: Array
    right: Array
    rest: tuple[Array, ...] = ()

    @property
    def factors(self) -> tuple[Array, ...]:
        """All factors, the first one leftmost."""
        return (self.left, self.right, *self.rest)

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Shapes ``((m_1, n_1), (m_2, n_2), ...)`` of the factors of a term."""
        return tuple((int(f.shape[-2]), int(f.shape[-1])) for f in self.factors)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape ``(m_1 m_2 ..., n_1 n_2 ...)`` of the matrix."""
        rows, columns = zip(*self.shapes, strict=True)
        return math.prod(rows), math.prod(columns)

    @property
    def modes(self) -> int:
        """Two: a matrix."""
        return 2

    @property
    def rank(self) -> int:
        """Number of terms."""
        return int(self.left.shape[0])

    @property
    def dtype(self) -> DType:
        """The dtype of the matrix: that of products of the factors."""
        if all(f.dtype == self.left.dtype for f in self.factors):
            return self.left.dtype
        return namespace(*self.factors).result_type(*(f.dtype for f in self.factors))

    @property
    def n_parameters(self) -> int:
        """Number of entries that are held: ``r * sum(m_k n_k)``."""
        return self.rank * sum(m * n for m, n in self.shapes)

    @property
    def mT(self) -> KroneckerSum:
        """The transpose: that of every factor."""
        xp = namespace(*self.factors)
        return of_factors([xp.matrix_transpose(f) for f in self.factors])

    @property
    def mH(self) -> KroneckerSum:
        """The adjoint: that of every factor."""
        xp = namespace(*self.factors)
        return of_factors([adjoint(f, xp) for f in self.factors])

    @full_precision
    def to_array(self, region: Any = None) -> Array:
        """Return the matrix, or rows and columns of it.

        Parameters
        ----------
        region : slice or tuple, optional
            A slice of the rows, or one entry for rows and one for columns: a slice, an int (which
            drops the axis), or a 1-d array of indices.

        Returns
        -------
        array
            The entries; beside them memory holds no more than twice as much again.
        """
        check_stacks(self.factors)
        xp = namespace(*self.factors)
        if region is None:
            return everything(self.factors, xp)
        return rows_and_columns(self.factors, self.shape, region, xp)

    @overload
    def __matmul__(self, x: KroneckerSum) -> KroneckerSum: ...

    @overload
    def __matmul__(self, x: Any) -> Array: ...

    @full_precision
    def __matmul__(self, x: Any) -> Any:
        """Multiply by a vector, a matrix or a batch, without forming the matrix.

        A term costs :math:`n_1 n_2 m_2 + n_1 m_1 m_2` multiplications for a vector. The product
        with another sum is the sum that `matmul` returns. Factors of NumPy that make up for each
        other, such as 1e300 and 1e-300, are first brought to one size; in other libraries
        the product of `x` with a single factor must be in range.
        """
        if isinstance(x, KroneckerSum):
            xp, (left, right) = as_sums([self, x], names=("a", "b"))
            return product(left, right, xp)
        return apply(self.factors, x)


# Else NumPy would take the tuple for a stack of arrays in ``array @ format``.
setattr(KroneckerSum, "__array_ufunc__", None)  # noqa: B010 - NamedTuple takes no other attribute


def of_factors(factors: Sequence[Array]) -> KroneckerSum:
    """Return the sum of all factors in order."""
    left, right, *rest = factors
    return KroneckerSum(left, right, tuple(rest))


def of_vectors(
    columns: Sequence[Array],
    sizes: Array | float,
    shapes: Sequence[tuple[int, int]],
    xp: Namespace,
) -> KroneckerSum:
    """Return terms whose vectorised factors are columns, times `sizes`, spread evenly."""
    lengths = [xp.linalg.vector_norm(c, axis=0) for c in columns]
    share = math.prod(lengths[1:], start=lengths[0]) ** (1 / len(columns))
    share = share * sizes ** (1 / len(columns))
    stacks = []
    for c, length, shape in zip(columns, lengths, shapes, strict=True):
        ratio = share / xp.where(length > 0, length, xp.ones_like(length))
        stack = xp.matrix_transpose(c * xp.astype(ratio, c.dtype))
        stacks.append(xp.reshape(stack, (c.shape[1], *shape)))
    return of_factors(stacks)


def as_sum(value: Any, /, *, name: str = "k") -> tuple[Namespace, KroneckerSum]:
    """Validate the factors of a sum of Kronecker products, and promote them to one dtype."""
    try:
        left, right, *rest = value
        rest = tuple(rest[0]) if rest else ()
    except (TypeError, ValueError):
        raise TypeError(
            f"{name} must be a KroneckerSum, or a pair of stacks of factors, got "
            f"{type(value).__name__}"
        ) from None
    given = (left, right, *rest)
    like = next((x for x in given if hasattr(x, "dtype")), None)
    xp = namespace(*given, like)
    stacks = [
        prepare(f, ndim=3, like=like, name=f"{name}.factors[{j}]")[1] for j, f in enumerate(given)
    ]
    if len({int(stack.shape[0]) for stack in stacks}) > 1:
        shapes = [tuple(stack.shape) for stack in stacks]
        raise ValueError(f"{name} must have as many terms in each factor, got shapes {shapes}")
    return xp, of_factors(promoted(stacks, xp))


def as_sums(
    values: Sequence[Any], /, *, names: Sequence[str]
) -> tuple[Namespace, list[KroneckerSum]]:
    """Validate sums of as many factors, and bring them to their common dtype."""
    checked = [as_sum(k, name=name)[1] for k, name in zip(values, names, strict=True)]
    counts = [len(k.factors) for k in checked]
    if len(set(counts)) > 1:
        raise ValueError(f"terms must have as many factors in each sum, got {counts}")
    xp = namespace(*(k.left for k in checked))
    flat = promoted([f for k in checked for f in k.factors], xp)
    return xp, [of_factors(flat[j : j + counts[0]]) for j in range(0, len(flat), counts[0])]


def product(a: KroneckerSum, b: KroneckerSum, xp: Namespace) -> KroneckerSum:
    """Multiply each term by each other one, factor by factor, at scales where none overflows."""
    columns, rows = [n for _, n in a.shapes], [m for m, _ in b.shapes]
    if columns != rows:
        raise ValueError(
            f"factors of a must have as many columns as those of b have rows, got {columns} and "
            f"{rows}"
        )
    pairs = zip(balanced(a.factors, xp), balanced(b.factors, xp), strict=True)
    products = [f[:, None, :, :] @ g[None, :, :, :] for f, g in pairs]
    return of_factors([xp.reshape(p, (-1, *p.shape[2:])) for p in products])


def conjugate(k: KroneckerSum, xp: Namespace) -> KroneckerSum:
    """Return the complex conjugate."""
    return of_factors([conj(f, xp) for f in k.factors])
