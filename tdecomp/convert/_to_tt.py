"""To tensor trains: diagonal slices, identities, beginnings and ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tdecomp._precision import full_precision
from tdecomp._random import like
from tdecomp._shim import host
from tdecomp._typing import Namespace
from tdecomp._xp import device
from tdecomp.convert._read import as_format, opened
from tdecomp.cp import CP
from tdecomp.ops import COO, coo
from tdecomp.ops._mode_products import _mode_product
from tdecomp.tt import TensorRing, TensorTrain
from tdecomp.tt import round as round_train
from tdecomp.tucker import Tucker


@full_precision
def to_tt(
    x: Any, /, *, rank: int | Sequence[int] | None = None, rtol: float | None = None
) -> TensorTrain:
    r"""Return a tensor train of the tensor that another format stands for.

    - A CP of rank `R` is a train of ranks `R` with diagonal slices, :math:`G^{(k)}_i =
      \operatorname{diag}(A^{(k)}_{i,:})`. An SVD and a LowRank are two cores.
    - A Tucker core :math:`r_0 \times \cdots \times r_{d-1}` is a train of its own: identities
      that collect the modes to the left and right of a middle one, whose core holds the entries.
      Each is multiplied by its factor.
    - A ring of ranks :math:`r_k` is a train of ranks :math:`r_0 r_k`.
    - Entries of a COO share the cores of what their coordinates have in common, from the left up
      to a middle mode, from the right beyond: ranks are numbers of different beginnings and ends.

    Parameters
    ----------
    x : CP, Tucker, TensorTrain, TensorRing, SVD, LowRank or COO
        The tensor; TensorLy's objects are read as well.
    rank, rtol : optional
        Recompress to these ranks, or within :math:`\mathtt{rtol}\, \|X\|_F`, as `tdecomp.tt.round`
        does. Without them ranks are not the least.

    Returns
    -------
    TensorTrain
        The same tensor to rounding, or within `rtol`.

    Raises
    ------
    TypeError, ValueError
        If `x` is no format, or not valid, or an option is out of range.
    ToleranceError
        If `rtol` is below what rounding allows in this precision, where terms cancel as well.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import convert, cp
    >>> x = cp.CP(np.array([2.0, 1.0]), tuple(np.ones((n, 2)) for n in (4, 5, 6)))
    >>> convert.to_tt(x).rank, convert.to_tt(x, rtol=1e-12).rank
    ((2, 2), (1, 1))
    """
    xp, fmt = as_format(x, "tt_svd(x, rtol=...)")
    if isinstance(fmt, CP):
        train = _cp_to_train(fmt, xp)
    elif isinstance(fmt, Tucker):
        train = _tucker_to_train(fmt, xp)
    elif isinstance(fmt, TensorRing):
        train = opened(fmt, xp)
    elif isinstance(fmt, COO):
        train = _coo_to_train(fmt, xp)
    else:
        train = fmt
    return train if rank is None and rtol is None else round_train(train, rank=rank, rtol=rtol)


def _cp_to_train(cp: CP, xp: Namespace) -> TensorTrain:
    """Make slices diagonal, and multiply weights into the first core."""
    first = cp.factors[0] * xp.astype(cp.weights, cp.dtype)
    if cp.modes == 1:
        return TensorTrain((xp.sum(first, axis=1)[None, :, None],))
    unit = xp.eye(cp.rank, dtype=cp.dtype, device=device(first))
    between = (unit[:, None, :] * factor[None, :, :] for factor in cp.factors[1:-1])
    last = xp.matrix_transpose(cp.factors[-1])[:, :, None]
    return TensorTrain((first[None, :, :], *between, last))


def _tucker_to_train(x: Tucker, xp: Namespace) -> TensorTrain:
    """Put the core in the middle of a train of identities, and multiply by the factors."""
    rank, where = x.rank, {"dtype": x.dtype, "device": device(x.core)}
    ahead = [math.prod(rank[:k]) for k in range(x.modes + 1)]
    behind = [math.prod(rank[k:]) for k in range(x.modes + 1)]
    middle = min(range(x.modes), key=lambda k: max(ahead[k], behind[k + 1]))
    cores = []
    for k, factor in enumerate(x.factors):
        if k < middle:
            core = xp.reshape(xp.eye(ahead[k + 1], **where), (ahead[k], rank[k], ahead[k + 1]))
        elif k > middle:
            core = xp.reshape(xp.eye(behind[k], **where), (behind[k], rank[k], behind[k + 1]))
        else:
            core = xp.reshape(x.core, (ahead[k], rank[k], behind[k + 1]))
        cores.append(core if factor is None else _mode_product(core, factor, 1, xp=xp))
    return TensorTrain(tuple(cores))


def _coo_to_train(x: COO, xp: Namespace) -> TensorTrain:
    """Take beginnings and ends of coordinates, by their numbers, for the indices of bonds."""
    indices, d = host(x.indices), x.modes
    if not x.nnz:
        return TensorTrain(tuple(like(np.zeros((1, n, 1)), x.values, xp) for n in x.shape))
    numbers = [
        np.unique(indices[rows], axis=1, return_inverse=True)[1].reshape(-1)
        for rows in [slice(0, k) for k in range(1, d)] + [slice(k, d) for k in range(1, d)]
    ]
    zero = np.zeros(x.nnz, dtype=np.int64)
    begun, ends = [zero, *numbers[: d - 1]], [*numbers[d - 1 :], zero]
    middle = next((k for k in range(d - 1) if begun[k + 1].max() > ends[k].max()), d - 1)
    bonds = [*begun[: middle + 1], *ends[middle:]]
    cores = []
    for k, (left, right) in enumerate(pairwise(bonds)):
        places = np.stack([left, indices[k], right])
        shape = (int(left.max()) + 1, x.shape[k], int(right.max()) + 1)
        if k == middle:
            moved = xp.asarray(places, device=device(x.indices))
            cores.append(coo(moved, x.values, shape).to_array())
        else:
            ones = np.zeros(shape)
            ones[tuple(places)] = 1
            cores.append(like(ones, x.values, xp))
    return TensorTrain(tuple(cores))
