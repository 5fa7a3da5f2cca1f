"""All the MTTKRPs of one dense tensor, for factors that change one at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import NamedTuple, Protocol

import numpy as np

from tdecomp import _kernels
from tdecomp._typing import Array, Namespace
from tdecomp.ops._factor_products import _khatri_rao
from tdecomp.ops._mttkrp import contract_left, contract_others, contract_right

# Multiplications above which loading the kernels, half a second, is soon made up for.
_KERNEL_WORK = 2e9
# Below these numbers of columns and of rows that stay, products are too thin for the kernels.
_COLUMNS, _ROWS = 4, 16
# A third group pays where contracting any of them leaves less than this part of the tensor.
_LEFT_OVER = 1 / 6
# Columns of the tensor that a thread takes at a time.
_STRIPE = 512
# Entries of a slab of the model; and of a block of its rows, which stays in the cache.
_SLAB, _CACHED, _FEWEST, _MOST = 1 << 20, 1 << 15, 8, 48


class Products(Protocol):
    """Data that multiply their unfoldings by Khatri-Rao products: what CP algorithms ask for."""

    def mttkrp(self, mode: int, factors: Sequence[Array], /) -> Array:
        """Return the product for `mode`, in an array of its own."""

    def distance(self, factors: Sequence[Array], /) -> float:
        """Return the distance from the CP tensor of `factors`, without cancellation."""


class _Known(NamedTuple):
    """A tensor contracted with the factors of one group of modes."""

    group: int
    used: dict[int, Array]
    partial: Array


class DenseProducts:
    r"""A dimension tree over a dense tensor, which lives from sweep to sweep.

    The modes are split into groups of consecutive ones. Contracting one group with its factors
    reads the tensor once, and serves every mode of the other groups for as long as those factors,
    which are compared by identity, stay what they are. When nothing known serves, the group
    before that of the mode in question is contracted: in cyclic sweeps it is the last to change.
    With two groups a sweep reads the tensor twice, whatever the number of modes [1]_; with three,
    what one sweep leaves serves the next, and two sweeps read it three times [2]_. The products
    are those that `mttkrp` would make one by one.

    References
    ----------
    .. [1] A.-H. Phan, P. Tichavsky, A. Cichocki, "Fast alternating LS algorithms for high order
       CANDECOMP/PARAFAC tensor factorizations", IEEE Trans. Signal Process. 61, 2013, Section
       III. doi:10.1109/TSP.2013.2269903
    .. [2] L. Ma, E. Solomonik, "Efficient parallel CP decomposition with pairwise perturbation and
       multi-sweep dimension tree", IPDPS 2021, Section III. arXiv:2010.12056
    """

    def __init__(self, x: Array, rank: int, *, sweeps: int, xp: Namespace) -> None:
        self._contract = _contractions(x, rank, sweeps, xp)
        self._groups = self._contract.groups
        self._known: _Known | None = None

    @property
    def compiled(self) -> bool:
        """Whether the kernels do the work."""
        return isinstance(self._contract, _Compiled)

    def mttkrp(self, mode: int, factors: Sequence[Array], /) -> Array:
        """Return the product for `mode`, from what is known of other groups while that holds."""
        own = next(k for k, group in enumerate(self._groups) if mode in group)
        known = self._known
        if known is None or known.group == own or _outdated(known, factors):
            before = (own - 1) % len(self._groups)
            used = {k: factors[k] for k in self._groups[before]}
            known = _Known(before, used, self._contract.group(before, list(used.values())))
            self._known = known
        rest = [k for g, group in enumerate(self._groups) if g != known.group for k in group]
        return self._contract.rest(known.partial, [factors[k] for k in rest], rest.index(mode))

    def distance(self, factors: Sequence[Array], /) -> float:
        """Return the distance from the CP tensor of `factors`, by forming the difference."""
        split = self._groups[-1].start
        return self._contract.distance(factors[:split], factors[split:])


def _outdated(known: _Known, factors: Sequence[Array]) -> bool:
    """Tell whether a factor of the contracted group has changed since."""
    return any(factors[mode] is not factor for mode, factor in known.used.items())


def even_groups(shape: Sequence[int], number: int) -> tuple[range, ...]:
    """Split modes into consecutive groups that leave the least when one of them is contracted.

    Of equally good splits the one with the longest rest before the last group is taken.
    """
    d = len(shape)
    if d < number:
        return (range(0), *(range(k, k + 1) for k in range(d)))

    def smallest(cuts: tuple[int, ...]) -> tuple[int, int]:
        ends = (0, *cuts, d)
        sizes = [math.prod(shape[a:b]) for a, b in pairwise(ends)]
        return min(sizes), -sizes[-1]

    cuts = max(combinations(range(1, d), number - 1), key=smallest)
    ends = (0, *cuts, d)
    return tuple(range(a, b) for a, b in pairwise(ends))


class _Plain:
    """Contractions of two groups by the matrix products of the array's library."""

    def __init__(self, x: Array, rank: int, xp: Namespace) -> None:
        self.groups = even_groups(x.shape, 2)
        self._x, self._rank, self._xp = x, rank, xp

    def group(self, chosen: int, factors: Sequence[Array]) -> Array:
        """Contract the first group or the last one."""
        if not factors:
            return self._xp.stack([self._x] * self._rank, axis=-1)
        contract = contract_right if chosen else contract_left
        return contract(self._x, factors, xp=self._xp)

    def rest(self, partial: Array, factors: Sequence[Array], mode: int) -> Array:
        """Contract all modes that are left but one."""
        return contract_others(partial, factors, mode, xp=self._xp)

    def distance(self, leading: Sequence[Array], trailing: Sequence[Array]) -> float:
        """Subtract the model slab by slab, and add the squares."""
        xp = self._xp
        right = _khatri_rao(trailing, xp=xp)
        left = _khatri_rao(leading, xp=xp) if leading else xp.ones_like(right[:1, :])
        x = xp.reshape(self._x, (left.shape[0], right.shape[0]))
        rows = max(1, _SLAB // right.shape[0])
        total = 0.0
        for start in range(0, left.shape[0], rows):
            slab = slice(start, min(start + rows, left.shape[0]))
            gap = x[slab, :] - left[slab, :] @ xp.matrix_transpose(right)
            total += float(xp.linalg.vector_norm(gap)) ** 2
        return math.sqrt(total)


class _Compiled:
    """Contractions of two or three groups by the kernels, in memory that is used again."""

    def __init__(self, x: np.ndarray, rank: int) -> None:
        from tdecomp._kernels._tile import lanes

        self._rank, self._lanes = rank, lanes(x.dtype.itemsize)
        self._width = self._whole(rank)
        self.groups = _pays(x.shape, even_groups(x.shape, 3), self._width) or even_groups(
            x.shape, 2
        )
        self._shapes = [tuple(x.shape[k] for k in group) for group in self.groups]
        self._sizes = [math.prod(shape) for shape in self._shapes]
        self._x = np.ascontiguousarray(x)
        self._shares = _kernels.threads() if x.size // self._sizes[0] < _STRIPE else 1
        largest = max(x.size // self._sizes[0] * self._shares, x.size // min(self._sizes))
        self._memory = np.empty(largest * self._width, x.dtype)

    def group(self, chosen: int, factors: Sequence[np.ndarray]) -> Array:
        """Contract a group of modes."""
        padded = [self._padded(factor) for factor in factors]
        left = [shape for k, shape in enumerate(self._shapes) if k != chosen]
        product = (
            self._last(padded)
            if chosen == len(self.groups) - 1
            else (self._middle(padded) if chosen else self._first(padded))
        )
        return product.reshape(*sum(left, ()), self._width)

    def _first(self, factors: Sequence[np.ndarray]) -> Array:
        from tdecomp._kernels._contract import left_product

        outer = _khatri_rao(factors[:-1], xp=np) if factors[1:] else np.ones_like(factors[0][:1])
        columns = self._x.size // self._sizes[0]
        out = self._out(self._shares, columns)
        x = self._x.reshape(self._sizes[0], columns)
        left_product(x, outer, factors[-1], self._lanes, _STRIPE, out)
        return out[0] if self._shares == 1 else out.sum(axis=0)

    def _middle(self, factors: Sequence[np.ndarray]) -> Array:
        from tdecomp._kernels._contract import middle_product

        out = self._out(self._sizes[0], self._sizes[2])
        middle_product(self._x.reshape(self._sizes), _khatri_rao(factors, xp=np), self._lanes, out)
        return out

    def _last(self, factors: Sequence[np.ndarray]) -> Array:
        from tdecomp._kernels._contract import right_product

        x = self._x.reshape(-1, self._sizes[-1])
        out = self._out(1, x.shape[0])[0]
        right_product(x, _khatri_rao(factors, xp=np), self._lanes, out)
        return out

    def _out(self, count: int, rows: int) -> Array:
        """Return memory for `count` products with that many `rows`."""
        return self._memory[: count * rows * self._width].reshape(count, rows, self._width)

    def rest(self, partial: np.ndarray, factors: Sequence[np.ndarray], mode: int) -> Array:
        """Contract all modes that are left but one."""
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
        x = self._x.reshape(left.shape[0], -1)
        right = np.zeros((left.shape[1], self._whole(x.shape[1])), left.dtype)
        right[:, : x.shape[1]] = _khatri_rao(trailing, xp=np).T
        block = max(_FEWEST, min(_MOST, _CACHED // right.shape[1]))
        sums = np.empty(-(-left.shape[0] // block))
        squared_gap(x, left, right, self._lanes, block, sums)
        return math.sqrt(sums.sum())

    def _whole(self, columns: int) -> int:
        """Return the number of columns that fills whole vectors."""
        return -(-columns // self._lanes) * self._lanes

    def _padded(self, factor: np.ndarray) -> np.ndarray:
        """Fill the columns up to whole vectors with zeros."""
        if factor.shape[1] == self._width:
            return np.ascontiguousarray(factor)
        padded = np.zeros((factor.shape[0], self._width), factor.dtype)
        padded[:, : self._rank] = factor
        return padded


def _pays(shape: Sequence[int], groups: tuple[range, ...], width: int) -> tuple[range, ...] | None:
    """Return three groups if contracting any of them leaves little, else None."""
    smallest = min(math.prod(shape[k] for k in group) for group in groups)
    return groups if width <= _LEFT_OVER * smallest else None


def _contractions(x: Array, rank: int, sweeps: int, xp: Namespace) -> _Plain | _Compiled:
    """Choose the kernels for real NumPy arrays and enough work, else the library's products."""
    sides = [math.prod(x.shape[k] for k in group) for group in even_groups(x.shape, 2)]
    work = 2.0 * sweeps * rank * math.prod(sides)
    fits = rank >= _COLUMNS and min(sides) >= _ROWS
    if fits and work > _KERNEL_WORK and _kernels.accepts(x) and x.dtype.kind == "f":
        return _Compiled(x, rank)
    return _Plain(x, rank, xp)
