"""The Tucker format: a core multiplied by a factor along each mode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from tdecomp._precision import full_precision
from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import namespace, prepare
from tdecomp.ops._mode_products import _mode_product
from tdecomp.ops._operands import promoted
from tdecomp.ops._region import index_of, is_index, parts, restrict


class Tucker(NamedTuple):
    r"""A Tucker decomposition: a small core in bases of its own for every mode.

    .. math:: X = G \times_0 A_0 \times_1 A_1 \cdots \times_{d-1} A_{d-1}, \qquad
              X_{i_0 \ldots i_{d-1}} = \sum_{j} G_{j_0 \ldots j_{d-1}}
              \prod_k (A_k)_{i_k j_k}

    Attributes
    ----------
    core : array, shape (..., r_0, ..., r_{d-1})
        The core.
    factors : tuple of (array, shape (..., n_k, r_k), or None)
        One for each mode; None stands for the identity: a mode that was left alone.

    References
    ----------
    .. [1] L. R. Tucker, "Some mathematical notes on three-mode factor analysis", Psychometrika
       31, 1966. doi:10.1007/BF02289464
    .. [2] T. G. Kolda, B. W. Bader, "Tensor decompositions and applications", SIAM Review 51,
       2009, section 4. doi:10.1137/07070111X

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.tucker import Tucker
    >>> x = Tucker(np.ones((1, 2, 3)), (np.ones((4, 1)), None, np.ones((5, 3))))
    >>> x.shape, x.rank
    ((4, 2, 5), (1, 2, 3))
    >>> x.to_array((slice(0, 2), 1, [0, 4]))
    array([[3., 3.],
           [3., 3.]])
    """

    core: Array
    factors: tuple[Array | None, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape ``(n_0, ..., n_{d-1})`` of the tensor, after the axes of a batch."""
        sizes = (
            r if factor is None else factor.shape[-2]
            for factor, r in zip(self.factors, self.rank, strict=True)
        )
        return (*map(int, self.core.shape[: -self.modes]), *map(int, sizes))

    @property
    def modes(self) -> int:
        """Number of modes; axes of `shape` before them are a batch."""
        return len(self.factors)

    @property
    def rank(self) -> tuple[int, ...]:
        """The sizes ``(r_0, ..., r_{d-1})`` of the core."""
        return tuple(map(int, self.core.shape[-self.modes :]))

    @property
    def dtype(self) -> DType:
        """The dtype of the tensor."""
        return self.core.dtype

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
            The entries, at the cost of the region: the modes in the order of fewest flops.
        """
        xp = namespace(self.core, *self.factors)
        core, factors, dropped = cut(self, region, xp)
        full = expand(core, factors, xp)
        lead = full.ndim - len(factors)
        kept = [full.shape[lead + k] for k in range(len(factors)) if k not in dropped]
        return xp.reshape(full, (*full.shape[:lead], *kept))


# Else NumPy would take the tuple for a stack of arrays in ``array @ format``.
setattr(Tucker, "__array_ufunc__", None)  # noqa: B010 - NamedTuple takes no other attribute


def together(
    tensors: Sequence[Any], *, names: Sequence[str]
) -> tuple[Namespace, list[tuple[Array, list[Array | None]]]]:
    """Validate Tucker tensors of one shape and bring them to their common dtype."""
    read = [as_tucker(x, name=name) for x, name in zip(tensors, names, strict=True)]
    xp = namespace(*(core for _, core, _ in read))
    shapes = [Tucker(core, tuple(factors)).shape for _, core, factors in read]
    if len(set(shapes)) > 1:
        raise ValueError(f"{' and '.join(names)} must have one shape, got {shapes}")
    dtype = xp.result_type(*(core.dtype for _, core, _ in read))
    return xp, [
        (
            xp.astype(core, dtype, copy=False),
            [None if u is None else xp.astype(u, dtype, copy=False) for u in factors],
        )
        for _, core, factors in read
    ]


def cut(x: Tucker, region: Any, xp: Namespace) -> tuple[Array, list[Array | None], frozenset[int]]:
    """Restrict core and factors to a region; modes that an int drops are left with size 1."""
    core, factors, dropped = x.core, list(x.factors), set()
    for mode, part in enumerate(parts(region, x.modes)):
        factor, axis = factors[mode], mode - x.modes
        size = int(core.shape[axis] if factor is None else factor.shape[-2])
        if is_index(part):
            index = index_of(part, size, mode)
            part = slice(index, index + 1)  # noqa: PLW2901 - the part in another form
            dropped.add(mode)
        if factor is None:
            core = restrict(core, part, axis, xp, mode=mode)
        else:
            factors[mode] = restrict(factor, part, -2, xp, mode=mode)
    return core, factors, frozenset(dropped)


def expand(
    core: Array, factors: list[Array | None], xp: Namespace, *, skip: int | None = None
) -> Array:
    """Multiply a core, or a batch of them, by its factors, in the order of fewest flops."""
    d = len(factors)
    steps = []
    for mode, factor in enumerate(factors):
        if factor is not None and mode != skip:
            n, r = factor.shape[-2:]
            steps.append((1 / max(r, 1) - 1 / max(n, 1), mode))
    for _, mode in sorted(steps):
        core = _times(core, factors[mode], mode - d, d, xp)
    return core


def _times(core: Array, factor: Array, axis: int, d: int, xp: Namespace) -> Array:
    """Multiply along a negative axis of the `d` last, batch axes of both lined up."""
    if core.ndim == d and factor.ndim == 2:
        return _mode_product(core, factor, axis + d, xp=xp)
    shape = core.shape
    first, after = shape[: core.ndim - d], shape[core.ndim + axis + 1 :]
    before = shape[core.ndim - d : core.ndim + axis]
    flat = (*first, math.prod(before), shape[axis], math.prod(after))
    product = factor[..., None, :, :] @ xp.reshape(core, flat)
    return xp.reshape(product, (*product.shape[: len(first)], *before, factor.shape[-2], *after))


def as_tucker(
    value: Any, /, *, name: str, like: Array | None = None
) -> tuple[Namespace, Array, list[Array | None]]:
    """Validate a Tucker tensor, or a pair of core and factors, and promote to one dtype."""
    core, factors = getattr(value, "core", None), getattr(value, "factors", None)
    if core is None and type(value) in (tuple, list) and len(value) == 2:
        core, factors = value
    if core is None or not isinstance(factors, list | tuple) or not factors:
        raise TypeError(
            f"{name} must be a Tucker, or a pair of a core and a sequence of factors, "
            f"got {type(value).__name__}"
        )
    arrays = [core, *(factor for factor in factors if factor is not None)]
    like = next((a for a in (like, *arrays) if hasattr(a, "dtype")), None)
    xp = namespace(like, *arrays)
    _, core = prepare(core, ndim=len(factors), like=like, name=f"{name}.core")
    checked = [
        None
        if factor is None
        else prepare(factor, ndim=2, like=like, name=f"{name}.factors[{k}]")[1]
        for k, factor in enumerate(factors)
    ]
    for k, factor in enumerate(checked):
        if factor is not None and factor.shape[1] != core.shape[k]:
            raise ValueError(
                f"{name}.factors[{k}] must have {core.shape[k]} columns for a core of shape "
                f"{tuple(core.shape)}, got shape {tuple(factor.shape)}"
            )
    core, *real = promoted([core, *(f for f in checked if f is not None)], xp)
    rest = iter(real)
    return xp, core, [None if factor is None else next(rest) for factor in checked]
