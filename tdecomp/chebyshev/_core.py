"""What is done with cores of functions: arrays, or tensor trains where arrays are too large.

An array of `d` axes has as many entries as the product of the ranks. A train of the same shape
has three-way arrays, one for each variable, and takes part in all that follows one by one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tdecomp._typing import Array, Namespace
from tdecomp._xp import namespace, prepare
from tdecomp.chebyshev._train import truncated_train
from tdecomp.ops._mode_products import _mode_product
from tdecomp.tt import TensorTrain
from tdecomp.tt._algebra import _norm
from tdecomp.tt._chain import as_chain, dense
from tdecomp.tucker import sthosvd
from tdecomp.tucker._format import expand


def as_core(core: Any, d: int, *, name: str) -> tuple[Namespace, Any]:
    """Validate a core of `d` variables."""
    if not isinstance(core, TensorTrain):
        return prepare(core, ndim=d, name=name)
    xp, cores = as_chain(core, name=name)
    if len(cores) != d:
        raise ValueError(f"{name} must have {d} modes, one for each factor, got {len(cores)}")
    return xp, TensorTrain(cores)


def arrays(core: Any) -> tuple[Array, ...]:
    """Return what a core consists of."""
    return core.cores if isinstance(core, TensorTrain) else (core,)


def of_arrays(core: Any, found: Sequence[Array]) -> Any:
    """Return a core of the same kind as another one, of other arrays."""
    return TensorTrain(tuple(found)) if isinstance(core, TensorTrain) else found[0]


def variables(core: Any) -> int:
    """Return for how many variables a core is."""
    return len(core.cores) if isinstance(core, TensorTrain) else int(core.ndim)


def mode_product(core: Any, matrix: Array, k: int, xp: Namespace) -> Any:
    """Multiply a core by a matrix along a variable."""
    if not isinstance(core, TensorTrain):
        return _mode_product(core, matrix, k, xp=xp)
    found = list(core.cores)
    found[k] = matrix @ found[k]
    return TensorTrain(tuple(found))


def dropped(core: Any, chosen: Sequence[int], xp: Namespace) -> Any:
    """Return a core without some variables, in which its size is one; an array without any."""
    if not isinstance(core, TensorTrain):
        kept = (int(n) for k, n in enumerate(core.shape) if k not in chosen)
        return xp.reshape(core, tuple(kept))
    found: list[Array] = []
    carry = None
    for k, cell in enumerate(core.cores):
        if k in chosen:
            carry = cell[:, 0, :] if carry is None else carry @ cell[:, 0, :]
            continue
        found.append(cell if carry is None else _before(carry, cell, xp))
        carry = None
    if not found:
        return xp.reshape(carry, ())
    if carry is not None:
        found[-1] = found[-1] @ carry
    return TensorTrain(tuple(found))


def expanded(core: Any, matrices: Sequence[Array], xp: Namespace) -> Array:
    """Return the array that a core becomes when it is multiplied along every variable."""
    if not isinstance(core, TensorTrain):
        return expand(core, list(matrices), xp)
    pairs = zip(matrices, core.cores, strict=True)
    return dense([matrix @ cell for matrix, cell in pairs], xp)


def contracted(core: Any, rows: Sequence[Array], xp: Namespace) -> Array:
    """Return the contractions (N,) of a core with `N` rows (N, r_k) for every variable."""
    if isinstance(core, TensorTrain):
        return _through(core.cores, rows, xp)
    left = xp.reshape(core, (1, -1))
    for k, row in enumerate(rows):
        blocks = xp.reshape(left, (left.shape[0], row.shape[1], -1))
        left = row @ blocks[0, ...] if k == 0 else (row[:, None, :] @ blocks)[:, 0, :]
    return left[:, 0]


def width(core: Any) -> int:
    """Return how many entries a contraction needs at a time for each point."""
    if isinstance(core, TensorTrain):
        return max(int(cell.shape[0] * cell.shape[1]) for cell in core.cores)
    return int(max(*core.shape, math.prod(core.shape[1:])))


def norm(core: Any) -> Array:
    """Return the Frobenius norm, real."""
    xp = namespace(*arrays(core))
    if isinstance(core, TensorTrain):
        return _norm(core.cores, xp=xp)
    return xp.linalg.vector_norm(core)


def truncated(core: Any, **targets: Any) -> tuple[Any, tuple[Array, ...]]:
    """Return a core of least ranks, and orthonormal matrices along every variable.

    The `targets`, ``rank`` and ``rtol``, are those of `sthosvd`.
    """
    if isinstance(core, TensorTrain):
        return truncated_train(core, **targets)
    found = sthosvd(core, **targets)
    return found.core, found.factors


def _through(cores: Sequence[Array], rows: Sequence[Array], xp: Namespace) -> Array:
    """Contract from the first core to the last, for all points at once."""
    left = rows[0] @ cores[0][0, :, :]
    for cell, row in zip(cores[1:], rows[1:], strict=True):
        r, n, s = cell.shape
        outer = xp.reshape(left[:, :, None] * row[:, None, :], (-1, r * n))
        left = outer @ xp.reshape(cell, (r * n, s))
    return left[:, 0]


def _before(carry: Array, cell: Array, xp: Namespace) -> Array:
    """Multiply a three-way array by a matrix from the left."""
    r, n, s = cell.shape
    return xp.reshape(carry @ xp.reshape(cell, (r, n * s)), (carry.shape[0], n, s))
