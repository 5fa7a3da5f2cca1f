"""Formats of this library and of TensorLy, validated; what several conversions share."""

from __future__ import annotations

from typing import Any

from tdecomp._iterate import Fit
from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, namespace, prepare
from tdecomp.cp import CP
from tdecomp.cp._format import as_cp
from tdecomp.linalg import SVD, LowRank
from tdecomp.ops import COO
from tdecomp.ops._coo import check_coo
from tdecomp.ops._operands import first_array
from tdecomp.tt import TensorRing, TensorTrain
from tdecomp.tt._chain import as_chain
from tdecomp.tucker import Tucker
from tdecomp.tucker._format import as_tucker


def as_format(x: Any, algorithm: str) -> tuple[Namespace, Any]:
    """Validate a format of this library or TensorLy's, and name the way of what is none."""
    if isinstance(x, Fit):
        raise TypeError("x is a Fit: pass x.tensor")
    if hasattr(x, "projections"):
        raise TypeError("x is a PARAFAC2 decomposition, which no format here stands for")
    if isinstance(x, COO):
        return check_coo(x)
    if isinstance(x, SVD | LowRank):
        return _matrix(x)
    if hasattr(x, "weights") and hasattr(x, "factors"):
        return as_cp((x.weights, x.factors), name="x")
    if hasattr(x, "core") and hasattr(x, "factors"):
        xp, core, factors = as_tucker(x, name="x")
        return xp, Tucker(core, tuple(factors))
    cores = getattr(x, "cores", getattr(x, "factors", None))
    if isinstance(cores, list | tuple) and cores:
        ring = isinstance(x, TensorRing) or (
            not isinstance(x, TensorTrain) and getattr(cores[0], "shape", (1,))[0] != 1
        )
        xp, checked = as_chain(cores, name="x", ring=ring)
        return xp, TensorRing(checked) if ring else TensorTrain(checked)
    if hasattr(x, "shape") or isinstance(x, list):
        raise TypeError(f"x is an array, not a format: decompose it by {algorithm}")
    raise TypeError(
        f"x must be a CP, Tucker, TensorTrain, TensorRing, SVD, LowRank or COO, got "
        f"{type(x).__name__}; a bare tuple does not say which: name its type, as in CP(*x)"
    )


def _matrix(x: SVD | LowRank) -> tuple[Namespace, CP]:
    """Validate a matrix format, and read it as a CP of two modes."""
    pair = (x.U, x.Vh) if isinstance(x, SVD) else (x.left, x.right)
    first = first_array(pair)
    left, right = (
        prepare(a, ndim=2, like=first, name=f"x.{name}")[1]
        for a, name in zip(pair, ("U", "Vh") if isinstance(x, SVD) else ("left", "right"),
                           strict=True)
    )  # fmt: skip
    if left.shape[1] != right.shape[0]:
        raise ValueError(
            f"x has factors that do not fit, of shapes {tuple(left.shape)} and "
            f"{tuple(right.shape)}"
        )
    xp = namespace(left, right)
    weights = x.S if isinstance(x, SVD) else None
    return as_cp((weights, (left, xp.matrix_transpose(right))), name="x")


def filled(x: Tucker, xp: Namespace) -> tuple[Array, ...]:
    """Return the factors of all modes, identities where there are none."""
    where = {"dtype": x.dtype, "device": device(x.core)}
    pairs = zip(x.factors, x.rank, strict=True)
    return tuple(xp.eye(r, **where) if factor is None else factor for factor, r in pairs)


def opened(ring: TensorRing, xp: Namespace) -> TensorTrain:
    """Carry the index of the bond that closes a ring along all other bonds."""
    r = ring.cores[0].shape[0]
    if r == 1:
        return TensorTrain(ring.cores)
    if len(ring.cores) == 1:
        diagonal = xp.linalg.diagonal(xp.permute_dims(ring.cores[0], (1, 0, 2)))
        return TensorTrain((xp.sum(diagonal, axis=1)[None, :, None],))
    first, *between, last = ring.cores
    _, n, q = first.shape
    cores = [xp.reshape(xp.permute_dims(first, (1, 0, 2)), (1, n, r * q))]
    unit = xp.eye(r, dtype=first.dtype, device=device(first))
    for core in between:
        p, n, q = core.shape
        product = unit[:, None, None, :, None] * core[None, :, :, None, :]
        cores.append(xp.reshape(product, (r * p, n, r * q)))
    p, n, _ = last.shape
    cores.append(xp.reshape(xp.permute_dims(last, (2, 0, 1)), (r * p, n, 1)))
    return TensorTrain(tuple(cores))
