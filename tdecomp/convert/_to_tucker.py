"""To Tucker: a core no larger than the tensor, truncated where that is asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tdecomp._errors import ToleranceError, check_reachable, check_rtol
from tdecomp._precision import full_precision
from tdecomp._random import like
from tdecomp._shim import host
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, eps, equilibrate
from tdecomp.convert._read import as_format, filled, opened
from tdecomp.cp import CP, norm
from tdecomp.cp._normalise import _normalise
from tdecomp.ops import COO
from tdecomp.tt import TensorRing, TensorTrain
from tdecomp.tt import round as round_train
from tdecomp.tt._chain import dense
from tdecomp.tucker import Tucker, truncate
from tdecomp.tucker._targets import floor_of

# The part of an error that trains spend on smaller ranks before their core is multiplied out.
_SHARE = 0.25


@full_precision
def to_tucker(
    x: Any, /, *, rank: int | Sequence[int] | None = None, rtol: float | None = None
) -> Tucker:
    r"""Return a Tucker decomposition of the tensor that another format stands for.

    - A CP of rank `R` has its weights on the superdiagonal of the core, and its own factors. Modes
      shorter than `R` are multiplied into the core and get None for a factor, so that the core is
      never larger than the tensor. An SVD and a LowRank are CPs of two modes.
    - A core :math:`G^{(k)}` of a train is :math:`Q_k` times one of :math:`\min(n_k, r_k r_{k+1})`
      rows by a QR decomposition of its unfolding; the small cores are multiplied out. A ring is a
      train first.
    - A COO becomes the block of its slices that are not empty, in columns of the identity.

    Parameters
    ----------
    x : CP, Tucker, TensorTrain, TensorRing, SVD, LowRank or COO
        The tensor; TensorLy's objects are read as well.
    rank, rtol : optional
        Recompress to these ranks, or within :math:`\mathtt{rtol}\, \|X\|_F`, as
        `tdecomp.tucker.truncate` does.

    Returns
    -------
    Tucker
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
    >>> convert.to_tucker(x).core[:, :, 0]
    array([[2., 0.],
           [0., 0.]])
    >>> convert.to_tucker(x, rtol=1e-12).rank
    (1, 1, 1)
    """
    xp, fmt = as_format(x, "sthosvd(x, rtol=...)")
    if rtol is not None:
        check_rtol(rtol)
    left = rtol
    if isinstance(fmt, TensorRing):
        fmt = opened(fmt, xp)
    if isinstance(fmt, CP):
        exact = _cp_to_tucker(fmt, xp)
        if rtol is not None:
            slack, modes = _cancelled(fmt, xp), range(fmt.modes)
            floor = slack + max(slack, floor_of(exact.rank, modes, fmt.dtype, xp))
            check_reachable(rtol, floor, dtype=fmt.dtype)
            left = rtol - slack
    elif isinstance(fmt, TensorTrain):
        if rtol is not None:
            # Some of the error goes to smaller ranks first, so that the core is not too large.
            fmt, left = _rounded(fmt, rtol, xp), (1 - _SHARE) * rtol
        exact = _train_to_tucker(fmt, xp)
    elif isinstance(fmt, COO):
        exact = _coo_to_tucker(fmt, xp)
    else:
        exact = fmt
    if rank is None and rtol is None:
        return exact
    if not isinstance(fmt, Tucker):
        exact = exact._replace(factors=filled(exact, xp))
    return truncate(exact, rank=rank, rtol=left)


def _cp_to_tucker(cp: CP, xp: Namespace) -> Tucker:
    """Put the weights on a superdiagonal; multiply factors that are wide into it."""
    tall = [factor.shape[0] >= cp.rank for factor in cp.factors]
    unit = xp.eye(cp.rank, dtype=cp.dtype, device=device(cp.weights))
    inner = tuple(unit if t else factor for t, factor in zip(tall, cp.factors, strict=True))
    outer = tuple(factor if t else None for t, factor in zip(tall, cp.factors, strict=True))
    return Tucker(CP(cp.weights, inner).to_array(), outer)


def _cancelled(cp: CP, xp: Namespace) -> float:
    """Return the relative error of rounding that components cost which cancel."""
    sizes = _normalise(cp, xp=xp).weights
    top = float(xp.max(sizes))
    if not 0 < top < math.inf:
        return 0.0
    total, terms = float(norm(cp)) / top, float(xp.sum(sizes / top))
    return 2 * cp.modes * eps(sizes.dtype, xp) * (terms / total if total > 0 else 1.0)


def _rounded(train: TensorTrain, rtol: float, xp: Namespace) -> TensorTrain:
    """Spend a part of a tolerance on smaller ranks; refuse what the two steps cannot reach."""
    rank = tuple(min(n, core.shape[0] * core.shape[2])
                 for n, core in zip(train.shape, train.cores, strict=True))  # fmt: skip
    floor = floor_of(rank, range(train.modes), train.dtype, xp) / (1 - _SHARE)
    try:
        rounded = round_train(train, rtol=_SHARE * rtol)
    except ToleranceError as error:
        check_reachable(rtol, max(error.reachable / _SHARE, floor), dtype=train.dtype)
        raise
    check_reachable(rtol, floor, dtype=train.dtype)
    return rounded


def _train_to_tucker(train: TensorTrain, xp: Namespace) -> Tucker:
    """Split an orthonormal factor off each core that is long, and multiply the rest out."""
    factors: list[Array | None] = []
    small: list[Array] = []
    for core in train.cores:
        r, n, q = core.shape
        if r * q >= n:
            factors.append(None)
            small.append(core)
            continue
        columns = xp.reshape(xp.permute_dims(core, (1, 0, 2)), (n, r * q))
        safe, scale = equilibrate(columns, xp, axis=(0, 1))
        factor, triangle = xp.linalg.qr(safe)
        factors.append(factor)
        rest = xp.reshape(triangle * scale, (r * q, r, q))
        small.append(xp.permute_dims(rest, (1, 0, 2)))
    return Tucker(dense(small, xp), tuple(factors))


def _coo_to_tucker(x: COO, xp: Namespace) -> Tucker:
    """Keep the slices that are not empty."""
    rows, factors, shape = [], [], []
    for mode, n in enumerate(x.shape):
        known, places = np.unique(host(x.indices[mode, ...]), return_inverse=True)
        known = known if known.size else np.zeros(1, dtype=np.int64)
        shape.append(int(known.size))
        rows.append(places)
        full = known.size == n
        factors.append(None if full else like(np.eye(n)[:, known], x.values, xp))
    indices = xp.asarray(np.stack(rows), device=device(x.indices))
    return Tucker(COO(indices, x.values, tuple(shape)).to_array(), tuple(factors))
