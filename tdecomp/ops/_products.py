"""All the MTTKRPs of one dense tensor, for factors that change one at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from tdecomp import _kernels
from tdecomp._typing import Array, Namespace
from tdecomp.ops._factor_products import _khatri_rao
from tdecomp.ops._mttkrp import contract_left, contract_others, contract_right, even_split

# Multiplications above which loading the kernels, half a second, is soon made up for.
_KERNEL_WORK = 2e9
# Below these numbers of columns and of rows that stay, products are too thin for the kernels.
_COLUMNS, _ROWS = 4, 16
# Entries of a slab of the model; and of a block of its rows, which stays in the cache.
_SLAB, _CACHED, _FEWEST, _MOST = 1 << 20, 1 << 15, 8, 48


class Products(Protocol):
    """Data that multiply their unfoldings by Khatri-Rao products: what CP algorithms ask for."""

    def mttkrp(self, mode: int, factors: Sequence[Array], /) -> Array:
        """Return the product for `mode`, in an array of its own."""

    def distance(self, factors: Sequence[Array], /) -> float:
        """Return the distance from the CP tensor of `factors`, without cancellation."""


class DenseProducts:
    r"""A dimension tree of depth two over a dense tensor.

    The modes are split into two groups of consecutive ones. Contracting one group with its
    factors reads the tensor once and serves every mode of the other group for as long as those
    factors, which are compared by identity, stay what they are. A sweep that updates the modes in
    ascending order thus reads the tensor twice, whatever the number of modes, and makes exactly
    the products that `mttkrp` would make one by one: :math:`4 R \prod n_k` flops [1]_.

    References
    ----------
    .. [1] A.-H. Phan, P. Tichavsky, A. Cichocki, "Fast alternating LS algorithms for high order
       CANDECOMP/PARAFAC tensor factorizations", IEEE Trans. Signal Process. 61, 2013, Section
       III. doi:10.1109/TSP.2013.2269903
    """

    def __init__(self, x: Array, rank: int, *, sweeps: int, xp: Namespace) -> None:
        # Of two equally even splits the later: what stays of the larger pass is then contiguous.
        self._split = x.ndim - even_split(tuple(x.shape[::-1])) if x.ndim > 1 else 1
        self._known: dict[bool, tuple[Any, Any]] = {}
        self._contract = _contractions(x, self._split, rank, sweeps, xp)

    def mttkrp(self, mode: int, factors: Sequence[Array], /) -> Array:
        """Return the product for `mode`, from what is known of its group while that holds."""
        split = self._split
        leading = mode < split
        inside, outside = factors[:split], factors[split:]
        if not leading:
            inside, outside = outside, inside
        used, partial = self._known.get(leading, (None, None))
        if used is None or any(a is not b for a, b in zip(used, outside, strict=True)):
            partial = self._contract.group(outside, leading)
            self._known[leading] = (list(outside), partial)
        return self._contract.rest(partial, inside, mode if leading else mode - split)

    def distance(self, factors: Sequence[Array], /) -> float:
        """Return the distance from the CP tensor of `factors`, by forming the difference."""
        return self._contract.distance(factors[: self._split], factors[self._split :])


class _Plain:
    """Contractions by the matrix products of the array's library."""

    def __init__(self, x: Array, rank: int, xp: Namespace) -> None:
        self._x, self._rank, self._xp = x, rank, xp

    def group(self, factors: Sequence[Array], last: bool) -> Array:
        """Contract the last or the first modes with their `factors`."""
        if not factors:
            return self._xp.stack([self._x] * self._rank, axis=-1)
        contract = contract_right if last else contract_left
        return contract(self._x, factors, xp=self._xp)

    def rest(self, partial: Array, factors: Sequence[Array], mode: int) -> Array:
        """Contract all modes of a group but one."""
        return contract_others(partial, factors, mode, xp=self._xp)

    def distance(self, leading: Sequence[Array], trailing: Sequence[Array]) -> float:
        """Subtract the model slab by slab, and add the squares."""
        xp = self._xp
        left = _khatri_rao(leading, xp=xp)
        right = xp.ones_like(left[:1, :]) if not trailing else _khatri_rao(trailing, xp=xp)
        x = xp.reshape(self._x, (left.shape[0], right.shape[0]))
        rows = max(1, _SLAB // right.shape[0])
        total = 0.0
        for start in range(0, left.shape[0], rows):
            slab = slice(start, min(start + rows, left.shape[0]))
            gap = x[slab, :] - left[slab, :] @ xp.matrix_transpose(right)
            total += float(xp.linalg.vector_norm(gap)) ** 2
        return math.sqrt(total)


class _Compiled:
    """Contractions by the kernels, in memory that is used again."""

    def __init__(self, x: np.ndarray, split: int, rank: int) -> None:
        from tdecomp._kernels._tile import lanes

        self._lanes = lanes(x.dtype.itemsize)
        self._rank = rank
        self._width = -(-rank // self._lanes) * self._lanes
        self._shapes = x.shape[:split], x.shape[split:]
        rows, columns = (math.prod(shape) for shape in self._shapes)
        self._x = np.ascontiguousarray(x).reshape(rows, columns)
        self._leading = np.empty((rows, self._width), x.dtype)
        self._shares = np.empty((_kernels.threads(), columns, self._width), x.dtype)

    def group(self, factors: Sequence[np.ndarray], last: bool) -> Array:
        """Contract the last or the first modes with their `factors`."""
        from tdecomp._kernels._contract import left_product, right_product

        padded = [self._padded(factor) for factor in factors]
        if last:
            right_product(self._x, _khatri_rao(padded, xp=np), self._lanes, self._leading)
            return self._leading.reshape(*self._shapes[0], self._width)
        outer = _khatri_rao(padded[:-1], xp=np) if padded[1:] else np.ones_like(padded[0][:1])
        left_product(self._x, outer, padded[-1], self._lanes, self._shares)
        return self._shares.sum(axis=0).reshape(*self._shapes[1], self._width)

    def rest(self, partial: np.ndarray, factors: Sequence[np.ndarray], mode: int) -> Array:
        """Contract all modes of a group but one."""
        from tdecomp._kernels._contract import contract_first, contract_last

        sizes, width = list(partial.shape[:-1]), self._width
        for factor in reversed(factors[mode + 1 :]):
            n = sizes.pop()
            out = np.empty((math.prod(sizes), width), partial.dtype)
            contract_last(partial.reshape(-1, n, width), self._padded(factor), out)
            partial = out
        for factor in factors[:mode]:
            n = sizes.pop(0)
            out = np.empty((math.prod(sizes), width), partial.dtype)
            first = partial.reshape(n, -1, width)
            contract_first(first, self._padded(factor), out, _kernels.threads())
            partial = out
        return np.array(partial.reshape(-1, width)[:, : self._rank])

    def distance(self, leading: Sequence[np.ndarray], trailing: Sequence[np.ndarray]) -> float:
        """Subtract the model row by row, in one reading of the tensor."""
        from tdecomp._kernels._contract import squared_gap

        left = np.ascontiguousarray(_khatri_rao(leading, xp=np))
        columns = self._x.shape[1]
        right = np.zeros((left.shape[1], -(-columns // self._lanes) * self._lanes), left.dtype)
        right[:, :columns] = _khatri_rao(trailing, xp=np).T
        block = max(_FEWEST, min(_MOST, _CACHED // right.shape[1]))
        sums = np.empty(-(-left.shape[0] // block))
        squared_gap(self._x, left, right, self._lanes, block, sums)
        return math.sqrt(sums.sum())

    def _padded(self, factor: np.ndarray) -> np.ndarray:
        """Fill the columns up to whole vectors with zeros."""
        if factor.shape[1] == self._width:
            return np.ascontiguousarray(factor)
        padded = np.zeros((factor.shape[0], self._width), factor.dtype)
        padded[:, : self._rank] = factor
        return padded


def _contractions(
    x: Array, split: int, rank: int, sweeps: int, xp: Namespace
) -> _Plain | _Compiled:
    """Choose the kernels for real NumPy arrays and enough work, else the library's products."""
    sides = math.prod(x.shape[:split]), math.prod(x.shape[split:])
    work = 2.0 * sweeps * rank * math.prod(sides)
    fits = rank >= _COLUMNS and min(sides) >= _ROWS and x.ndim > 1
    if fits and work > _KERNEL_WORK and _kernels.accepts(x) and x.dtype.kind == "f":
        return _Compiled(x, split, rank)
    return _Plain(x, rank, xp)
