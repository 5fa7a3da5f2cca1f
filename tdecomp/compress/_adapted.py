"""A weight split into a frozen residual and an adapter to train, and how large an adapter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tdecomp._errors import check_count, check_rank
from tdecomp._precision import full_precision
from tdecomp._typing import Array, DType
from tdecomp._xp import namespace
from tdecomp.kronecker import KroneckerSum
from tdecomp.kronecker._apply import operands
from tdecomp.kronecker._format import of_factors
from tdecomp.linalg import LowRank, elbow_rank, energy_rank


class Adapted(NamedTuple):
    """A matrix as the sum of a residual, which is frozen, and an adapter, which is trained.

    Attributes
    ----------
    residual : array, shape (m, n)
        What the adapter leaves over.
    adapter : KroneckerSum or LowRank
        The factors to train.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import LowRank
    >>> from tdecomp.compress import Adapted
    >>> adapted = Adapted(np.eye(3), LowRank(np.ones((3, 1)), np.ones((1, 3))))
    >>> adapted.n_parameters
    6
    >>> adapted @ np.array([1.0, 0.0, 2.0])
    array([4., 3., 5.])
    """

    residual: Array
    adapter: KroneckerSum | LowRank

    @property
    def shape(self) -> tuple[int, int]:
        """Shape ``(m, n)`` of the matrix."""
        m, n = self.residual.shape
        return int(m), int(n)

    @property
    def modes(self) -> int:
        """Two: a matrix."""
        return 2

    @property
    def rank(self) -> int:
        """Number of terms of the adapter."""
        return self.adapter.rank

    @property
    def dtype(self) -> DType:
        """The dtype of the factors, and of the matrix."""
        return self.adapter.dtype

    @property
    def n_parameters(self) -> int:
        """Number of entries to train; `tdecomp.n_parameters` counts the residual as well."""
        return _count(self.adapter)

    @full_precision
    def to_array(self, region: slice | None = None) -> Array:
        """Return the matrix, the adapter merged into it, or the rows of it in `region`."""
        rows = self.residual if region is None else self.residual[region, :]
        return self._widened(rows) + self.adapter.to_array(region)

    @full_precision
    def __matmul__(self, x: Any) -> Array:
        """Multiply by a vector, a matrix or a batch; the adapter is never formed."""
        kept = self.adapter
        factors = kept.factors if isinstance(kept, KroneckerSum) else tuple(kept)
        whole = (self._widened(self.residual), *factors)
        _, x, (residual, *parts) = operands(whole, x, self.shape[1])
        adapter = of_factors(parts) if isinstance(kept, KroneckerSum) else LowRank(*parts)
        return residual @ x + adapter @ x

    def _widened(self, x: Array) -> Array:
        return namespace(x).astype(x, self.dtype, copy=False)


# Else NumPy would take the tuple for a stack of arrays in ``array @ format``.
setattr(Adapted, "__array_ufunc__", None)  # noqa: B010 - NamedTuple takes no other attribute


def _count(adapter: KroneckerSum | LowRank) -> int:
    if isinstance(adapter, KroneckerSum):
        return adapter.n_parameters
    return adapter.rank * sum(adapter.shape)


def split(w: Array, adapter: KroneckerSum | LowRank, dtype: Any) -> Adapted:
    """Take an adapter out of `w`, which came in `dtype`: a residual to be stored stays narrow."""
    xp = namespace(w)
    residual = w - adapter.to_array()
    narrow = str(dtype).endswith("float16")
    return Adapted(xp.astype(residual, dtype) if narrow else residual, adapter)


class Size(NamedTuple):
    """How large an adapter is asked for, in the words of the user."""

    rank: int | None
    n_parameters: int | None
    energy: float | None
    elbow: bool
    min_rank: int

    def choose(self, limit: int, cost: int, spectrum: Callable[[], Array]) -> int:
        """Return a rank up to `limit`, at `cost` numbers each; the smallest of the wishes wins."""
        if self[:3] == (None, None, None) and not self.elbow:
            raise ValueError(
                f"pass rank= (an int between 1 and {limit}), n_parameters= (at least {cost}, what "
                "one term takes), energy= (the part to keep) or elbow=True; the smallest wins"
            )
        way = "to choose it by the spectrum pass energy= or elbow=True"
        ranks = [limit if self.rank is None else check_rank(self.rank, limit, way=way)]
        if self.n_parameters is not None:
            ranks.append(check_count(self.n_parameters, name="n_parameters", least=cost) // cost)
        most = min(ranks)
        least = check_rank(self.min_rank, most, name="min_rank", way="")
        if self.energy is None and not self.elbow:
            return most
        s = spectrum()
        if self.energy is not None:
            ranks.append(energy_rank(s, energy=self.energy))
        if self.elbow:
            ranks.append(elbow_rank(s))
        return max(least, min(ranks))
