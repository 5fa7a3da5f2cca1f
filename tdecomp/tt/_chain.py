"""Chains of three-way cores: what a train of them and a ring of them have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, namespace, prepare
from tdecomp.ops._operands import first_array, promoted
from tdecomp.ops._region import index_of, is_index, parts, restrict


def join(a: Array, b: Array, xp: Namespace) -> Array:
    """Contract neighbours (..., p, m, r) and (..., r, n, q) to one core (..., p, m * n, q)."""
    *batch, p, m, r = a.shape
    n, q = b.shape[-2:]
    product = xp.reshape(a, (*batch, p * m, r)) @ xp.reshape(b, (*batch, r, n * q))
    return xp.reshape(product, (*batch, p, m * n, q))


def dense(cores: Sequence[Array], xp: Namespace) -> Array:
    """Return the tensor (..., n_0, ..., n_{d-1}) of a chain that is closed to a ring.

    Two halves are contracted from their outer ends inwards, then multiplied once: the split in
    the middle is the one that needs the fewest flops.
    """
    *batch, r, _, _ = cores[0].shape
    sizes = [int(core.shape[-2]) for core in cores]
    split = _split(cores)
    left = cores[0]
    for core in cores[1:split]:
        left = join(left, core, xp)
    if split == len(cores):
        right = xp.eye(r, dtype=left.dtype, device=device(left))[:, None, :]
        right = xp.broadcast_to(right, (*batch, r, 1, r))
    else:
        right = cores[-1]
        for core in reversed(cores[split:-1]):
            right = join(core, right, xp)
    axes = tuple(range(len(batch)))
    p, m, q = left.shape[-3:]
    n = right.shape[-2]
    if p > 1:
        b = len(batch)
        left = xp.permute_dims(left, (*axes, b + 1, b, b + 2))
        right = xp.permute_dims(right, (*axes, b + 2, b, b + 1))
    rows = xp.reshape(left, (*batch, m, p * q))
    return xp.reshape(rows @ xp.reshape(right, (*batch, p * q, n)), (*batch, *sizes))


def _split(cores: Sequence[Array]) -> int:
    """Return how many cores make the left half, by the multiplications of the contraction."""
    sizes = [int(core.shape[-2]) for core in cores]
    ranks = [int(cores[0].shape[-3]), *(int(core.shape[-1]) for core in cores)]
    ahead, behind = [0.0, 0.0], [0.0, 0.0]
    width = sizes[0]
    for k in range(1, len(sizes)):
        width *= sizes[k]
        ahead.append(ahead[-1] + ranks[0] * width * ranks[k] * ranks[k + 1])
    width = sizes[-1]
    for k in reversed(range(len(sizes) - 1)):
        width *= sizes[k]
        behind.append(behind[-1] + ranks[-1] * width * ranks[k] * ranks[k + 1])
    total = math.prod(sizes) * ranks[0]
    if len(sizes) == 1:
        return 1
    return min(
        range(1, len(sizes)),
        key=lambda k: ahead[k] + behind[len(sizes) - k] + total * ranks[k],
    )


def region_of(cores: Sequence[Array], region: Any, xp: Namespace) -> tuple[Array, tuple[int, ...]]:
    """Return the tensor of a region, and its shape without the modes that an int drops."""
    kept, sizes = [], []
    for mode, (core, part) in enumerate(zip(cores, parts(region, len(cores)), strict=True)):
        if is_index(part):
            index = index_of(part, int(core.shape[-2]), mode)
            kept.append(core[..., index : index + 1, :])
        else:
            kept.append(restrict(core, part, -2, xp, mode=mode))
            sizes.append(int(kept[-1].shape[-2]))
    return dense(kept, xp), (*cores[0].shape[:-3], *sizes)


def left_matrix_of(core: Array, xp: Namespace) -> Array:
    """Return a core as a matrix (r_k, n_k * r_k+1)."""
    return xp.reshape(core, (core.shape[0], core.shape[1] * core.shape[2]))


def as_chain(
    value: Any, /, *, name: str, like: Array | None = None, ring: bool = False
) -> tuple[Namespace, tuple[Array, ...]]:
    """Validate a train or ring, or a sequence of cores, and promote its cores to one dtype.

    TensorLy's trains and rings have their cores for `factors`.
    """
    cores = getattr(value, "cores", value)
    if not hasattr(value, "weights") and not hasattr(value, "core"):
        cores = getattr(value, "factors", cores)
    if not isinstance(cores, list | tuple) or not cores:
        kind = "TensorRing" if ring else "TensorTrain"
        raise TypeError(
            f"{name} must be a {kind}, or a sequence of its cores, got {type(value).__name__}"
        )
    like = first_array(cores) if like is None else like
    xp = namespace(*cores, like)
    checked = [
        prepare(core, ndim=3, like=like, name=f"{name}.cores[{k}]")[1]
        for k, core in enumerate(cores)
    ]
    shapes = [tuple(map(int, core.shape)) for core in checked]
    closed = all(a[2] == b[0] for a, b in zip(shapes, shapes[1:] + shapes[:1], strict=True))
    if not closed or not (ring or shapes[0][0] == 1):
        rule = "r_0 = r_d" if ring else "r_0 = r_d = 1"
        raise ValueError(
            f"{name}.cores must have shapes (r_k, n_k, r_k+1) with {rule}, got {shapes}"
        )
    return xp, tuple(promoted(checked, xp))


def check_same_shape(a: Sequence[Array], b: Sequence[Array], *, names: tuple[str, str]) -> None:
    """Refuse two chains that stand for tensors of different shapes."""
    one, other = (tuple(int(core.shape[-2]) for core in cores) for cores in (a, b))
    if one != other:
        raise ValueError(
            f"{names[0]} and {names[1]} must stand for tensors of one shape, got {one} and {other}"
        )
