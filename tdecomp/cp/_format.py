"""The CP format: a weighted sum of rank-one tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from tdecomp._precision import full_precision
from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import namespace, prepare, real_dtype
from tdecomp.ops._factor_products import _khatri_rao
from tdecomp.ops._operands import first_array, promoted
from tdecomp.ops._region import index_of, is_index, parts, restrict

# Components taken at a time where the two halves of all of them would outgrow the tensor.
_WIDTH = 64


class CP(NamedTuple):
    r"""A canonical polyadic decomposition: a sum of rank-one tensors.

    .. math:: X_{i_0 \ldots i_{d-1}} = \sum_{r < R} w_r\, A^{(0)}_{i_0 r} \cdots
              A^{(d-1)}_{i_{d-1} r}

    Attributes
    ----------
    weights : array, shape (R,)
        The weight of each component.
    factors : tuple of array, shape (n_k, R)
        One matrix for each mode; column `r` of all of them makes component `r`.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.cp import CP
    >>> cp = CP(np.array([2.0]), (np.ones((3, 1)), np.ones((4, 1)), np.ones((5, 1))))
    >>> cp.shape, cp.rank
    ((3, 4, 5), 1)
    >>> cp.to_array((slice(0, 2), 0, [1, 3]))
    array([[2., 2.],
           [2., 2.]])
    """

    weights: Array
    factors: tuple[Array, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape ``(n_0, ..., n_{d-1})`` of the tensor, after the axes of a batch."""
        batch = self.weights.shape[:-1]
        return (*map(int, batch), *(int(factor.shape[-2]) for factor in self.factors))

    @property
    def modes(self) -> int:
        """Number of modes; axes of `shape` before them are a batch."""
        return len(self.factors)

    @property
    def rank(self) -> int:
        """Number of components."""
        return int(self.factors[0].shape[-1])

    @property
    def dtype(self) -> DType:
        """The dtype of the tensor."""
        return self.factors[0].dtype

    @full_precision
    def to_array(self, region: Any = None) -> Array:
        """Return the tensor, or a region of it.

        Parameters
        ----------
        region : slice or tuple, optional
            A slice of the first mode, or one entry for each mode: a slice, an int (which drops
            the mode), or a 1-d array of indices.

        Returns
        -------
        array
            The entries, as a product of two Khatri-Rao halves: beside the result the memory
            holds no more than that much again, or a few dozen columns of the halves.
        """
        xp = namespace(self.weights, *self.factors)
        weights, factors = _section(self, region, xp)
        if not factors:
            return xp.sum(weights, axis=-1)
        sizes = [factor.shape[-2] for factor in factors]
        total, split = math.prod(sizes), _split(sizes)
        width = max(_WIDTH, total // (math.prod(sizes[:split]) + math.prod(sizes[split:])))
        rank = weights.shape[-1]
        out = None
        for start in range(0, rank, width):
            chosen = slice(start, min(start + width, rank))
            part = [factor[..., chosen] for factor in factors]
            left = _khatri_rao(part[:split], xp=xp) * weights[..., None, chosen]
            if split < len(part):
                left = left @ xp.matrix_transpose(_khatri_rao(part[split:], xp=xp))
            else:
                left = xp.sum(left, axis=-1)
            out = left if out is None else out + left
        return xp.reshape(out, (*weights.shape[:-1], *sizes))


# Else NumPy would take the tuple for a stack of arrays in ``array @ format``.
setattr(CP, "__array_ufunc__", None)  # noqa: B010 - NamedTuple takes no other attribute


def _split(sizes: Sequence[int]) -> int:
    """Return how many modes make the left half, so that both halves together are shortest."""
    if len(sizes) == 1:
        return 1
    return min(range(1, len(sizes)), key=lambda s: math.prod(sizes[:s]) + math.prod(sizes[s:]))


def _section(cp: CP, region: Any, xp: Namespace) -> tuple[Array, list[Array]]:
    """Return weights and factors of a region, single indices multiplied into the weights."""
    weights, factors = cp.weights, []
    for mode, (factor, part) in enumerate(zip(cp.factors, parts(region, cp.modes), strict=True)):
        if is_index(part):
            weights = weights * factor[..., index_of(part, factor.shape[-2], mode), :]
        else:
            factors.append(restrict(factor, part, -2, xp, mode=mode))
    return weights, factors


def as_cp(value: Any, /, *, name: str = "cp", like: Array | None = None) -> tuple[Namespace, CP]:
    """Validate a pair of weights and factors, TensorLy's included, and promote it to one dtype.

    Weights of None are ones. Real weights of complex factors stay real.
    """
    try:
        weights, factors = value
        factors = tuple(factors)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name} must be a CP, or a pair of weights and factors, got {type(value).__name__}"
        ) from None
    if not factors:
        raise ValueError(f"{name} has no factors: give at least one mode")
    like = first_array((weights, *factors)) if like is None else like
    xp = namespace(weights, *factors, like)
    matrices = [
        prepare(factor, ndim=2, like=like, name=f"{name}.factors[{k}]")[1]
        for k, factor in enumerate(factors)
    ]
    if len({matrix.shape[1] for matrix in matrices}) > 1:
        shapes = [tuple(matrix.shape) for matrix in matrices]
        raise ValueError(f"{name}.factors must have one number of columns, got shapes {shapes}")
    if weights is None:
        weights = xp.ones_like(matrices[0][0, :])
    weights = prepare(weights, ndim=1, like=like, name=f"{name}.weights")[1]
    if weights.shape[0] != matrices[0].shape[1]:
        raise ValueError(
            f"{name}.weights must have {matrices[0].shape[1]} entries, one for each column of the "
            f"factors, got {weights.shape[0]}"
        )
    weights, *matrices = _aligned(weights, matrices, xp)
    return xp, CP(weights, tuple(matrices))


def _aligned(weights: Array, matrices: Sequence[Array], xp: Namespace) -> list[Array]:
    """Bring weights and factors to one precision, and to complex numbers where one needs them."""
    if xp.isdtype(weights.dtype, "complex floating"):
        return promoted([weights, *matrices], xp)
    _, *matrices = promoted([weights, *matrices], xp)
    return [xp.astype(weights, real_dtype(matrices[0].dtype, xp), copy=False), *matrices]


def as_pair(a: Any, b: Any, /, *, names: tuple[str, str]) -> tuple[Namespace, CP, CP]:
    """Validate two decompositions of tensors of one shape, and promote them to one dtype."""
    (_, a), (_, b) = as_cp(a, name=names[0]), as_cp(b, name=names[1])
    if a.shape != b.shape:
        raise ValueError(
            f"{names[0]} and {names[1]} must stand for tensors of one shape, got {a.shape} and "
            f"{b.shape}"
        )
    xp = namespace(a.factors[0], b.factors[0])
    dtype = xp.result_type(a.dtype, b.dtype)
    a, b = (
        as_cp(CP(x.weights, tuple(xp.astype(y, dtype, copy=False) for y in x.factors)))[1]
        for x in (a, b)
    )
    return xp, a, b
