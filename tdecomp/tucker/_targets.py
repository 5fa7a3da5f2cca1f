"""What a caller may ask of a Tucker decomposition: modes, ranks, an error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tdecomp._errors import check_rank, check_reachable, check_rtol
from tdecomp._typing import DType, Namespace
from tdecomp._xp import eps
from tdecomp.linalg._truncation import reachable_rtol
from tdecomp.ops._unfold import check_mode


def check_modes(modes: Any, ndim: int, *, name: str = "modes") -> tuple[int, ...]:
    """Return distinct modes of a tensor, in the order given; all of them for None."""
    if modes is None:
        return tuple(range(ndim))
    if not isinstance(modes, Sequence) or isinstance(modes, str):
        raise TypeError(f"{name} must be a sequence of ints, got {modes!r}")
    chosen = tuple(check_mode(mode, ndim, name=f"{name}[{k}]") for k, mode in enumerate(modes))
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"{name} must name at least one mode and none twice, got {modes!r}")
    return chosen


def check_ranks(rank: Any, shape: tuple[int, ...], modes: Sequence[int]) -> tuple[int, ...]:
    """Return one rank for each of `modes`: an int serves all, up to the sizes of the modes.

    The rank of an unfolding is at most the product of the others: ranks beyond that are lowered.
    """
    sizes = [shape[mode] for mode in modes]
    if isinstance(rank, tuple | list):
        if len(rank) != len(modes):
            raise ValueError(
                f"rank must have one entry for each of {len(modes)} modes, got {len(rank)}"
            )
        ranks = [
            check_rank(r, n, name=f"rank[{k}]")
            for k, (r, n) in enumerate(zip(rank, sizes, strict=True))
        ]
    else:
        value = check_rank(rank, max(sizes))
        ranks = [min(value, n) for n in sizes]
    alone = math.prod(shape) // math.prod(sizes)
    while True:
        total = alone * math.prod(ranks)
        lowered = [min(r, total // r) for r in ranks]
        if lowered == ranks:
            return tuple(ranks)
        ranks = lowered


def check_tucker_target(
    rank: Any, rtol: Any, shape: tuple[int, ...], modes: Sequence[int]
) -> tuple[tuple[int, ...] | None, float | None]:
    """Validate the pair `rank`, `rtol`, of which at least one must be given."""
    if rank is None and rtol is None:
        raise ValueError(
            f"pass rank= (an int, or {len(modes)} of them) or rtol= (a relative error), or both"
        )
    ranks = None if rank is None else check_ranks(rank, shape, modes)
    return ranks, None if rtol is None else check_rtol(rtol)


def floor_of(shape: tuple[int, ...], modes: Sequence[int], dtype: DType, xp: Namespace) -> float:
    """Return the relative error that rounding may cost when `modes` are compressed in `dtype`."""
    size, unit = math.prod(shape), eps(dtype, xp)
    steps = [reachable_rtol(shape[k], size // shape[k], unit) for k in modes]
    return math.hypot(*steps)


def precision_for(
    rtol: float,
    shape: tuple[int, ...],
    modes: Sequence[int],
    *,
    dtype: DType,
    wide: DType,
    xp: Namespace,
) -> tuple[DType, float]:
    """Return in which dtype to work, and what to set aside for rounding; refuse the impossible.

    A tolerance that `dtype` cannot guarantee is met by working in `wide` and rounding the result
    once, which costs a few eps for each array of it.
    """
    floor = floor_of(shape, modes, dtype, xp)
    if rtol >= floor or wide == dtype:
        check_reachable(rtol, floor, dtype=dtype)
        return dtype, floor / 4
    stored = 2 * (len(modes) + 1) * eps(dtype, xp)
    floor = min(floor, 2 * stored + floor_of(shape, modes, wide, xp))
    check_reachable(rtol, floor, dtype=dtype)
    return wide, floor / 2
