"""What shows its components: to CP without an iteration."""

from __future__ import annotations

import math
from typing import Any

from tdecomp._precision import full_precision
from tdecomp._typing import Namespace
from tdecomp._xp import concrete, device
from tdecomp.convert._read import as_format, filled, opened
from tdecomp.cp import CP
from tdecomp.cp._format import as_cp
from tdecomp.ops import COO
from tdecomp.tt import TensorRing, TensorTrain
from tdecomp.tucker import Tucker


@full_precision
def to_cp(x: Any, /) -> CP:
    r"""Return a CP decomposition of the tensor that another format stands for, if it shows one.

    - An SVD has its singular values for weights, a LowRank ones.
    - A Tucker tensor whose core is zero off its superdiagonal, or whose ranks are 1 in all modes
      but two: a core that is a matrix is the sum of its rows, or of its columns.
    - A train, or a ring with a bond of rank 1, whose cores are vectors or diagonal in their bonds.

    What takes an iteration is refused: the error says which one.

    Parameters
    ----------
    x : CP, Tucker, TensorTrain, TensorRing, SVD or LowRank
        The tensor; TensorLy's objects are read as well.

    Returns
    -------
    CP
        The same tensor, to the rounding of one product.

    Raises
    ------
    TypeError, ValueError
        If `x` is no format, or not valid, or its components have to be found by `cp_als`.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import convert, tucker
    >>> core = np.zeros((2, 2, 2))
    >>> core[0, 0, 0], core[1, 1, 1] = 3.0, 4.0
    >>> convert.to_cp(tucker.Tucker(core, (np.ones((5, 2)), None, np.ones((6, 2))))).weights
    array([3., 4.])
    """
    xp, fmt = as_format(x, "cp_als(x, rank=...)")
    if isinstance(fmt, COO):
        raise TypeError("x is a COO, whose components have to be found: cp_als(x, rank=...)")
    if isinstance(fmt, CP):
        return fmt
    if isinstance(fmt, Tucker):
        return _tucker_to_cp(fmt, xp)
    if isinstance(fmt, TensorRing):
        fmt = opened(fmt, xp)
    return _train_to_cp(fmt, xp)


def _tucker_to_cp(x: Tucker, xp: Namespace) -> CP:
    """Read components off a diagonal core, or one that is a matrix."""
    factors = list(filled(x, xp))
    least, size = min(x.rank), math.prod(x.rank)
    step = sum(math.prod(x.rank[k + 1 :]) for k in range(x.modes))
    flat = xp.reshape(x.core, (-1,))
    places = xp.arange(size, device=device(flat))
    diagonal = (places % step == 0) & (places < step * least)
    if concrete(xp.all(diagonal | (flat == 0))):
        weights = flat[: step * (least - 1) + 1 : step]
        return CP(weights, tuple(factor[:, :least] for factor in factors))
    wide = [mode for mode, r in enumerate(x.rank) if r > 1]
    if len(wide) > 2:
        raise ValueError(
            f"the core of rank {x.rank} is not diagonal, so that components have to be found: fit "
            "it by small = cp_als(x.core, rank=...).tensor, then CP(small.weights, [a @ b for "
            "a, b in zip(x.factors, small.factors)])"
        )
    short, long = sorted((*wide, *(k for k in range(x.modes) if k not in wide))[:2],
                         key=lambda mode: x.rank[mode])  # fmt: skip
    matrix = xp.reshape(x.core, (x.rank[min(short, long)], x.rank[max(short, long)]))
    matrix = matrix if short < long else xp.matrix_transpose(matrix)
    factors[long] = factors[long] @ xp.matrix_transpose(matrix)
    spread = xp.ones_like(matrix[:, 0])[None, :]
    return CP(spread[0, :], tuple(f * spread if f.shape[1] == 1 else f for f in factors))


def _train_to_cp(train: TensorTrain, xp: Namespace) -> CP:
    """Read components off cores that are vectors or diagonal in their bonds."""
    rank = max(train.rank, default=1)
    factors, runs = [], 0
    for core in train.cores:
        r, n, q = core.shape
        runs += r == 1 and q > 1
        if r == q and r > 1:
            off = xp.eye(r, dtype=core.dtype, device=device(core))[:, None, :] == 0
            if not concrete(xp.all(~off | (core == 0))):
                runs = 2
            moved = xp.permute_dims(core, (1, 0, 2))
            factors.append(xp.linalg.diagonal(moved))
        elif 1 in (r, q):
            factors.append(xp.reshape(xp.permute_dims(core, (1, 0, 2)), (n, r * q)))
        else:
            runs = 2
    if runs > 1:
        raise ValueError(
            f"the train of ranks {train.rank} has cores that are not diagonal, so that components "
            "have to be found: fit to_tucker(x, rtol=...).core by cp_als, or the array"
        )
    spread = xp.ones((1, rank), dtype=train.dtype, device=device(train.cores[0]))
    alike = [f * spread if f.shape[1] == 1 else f for f in factors]
    return as_cp((None, alike), name="x")[1]
