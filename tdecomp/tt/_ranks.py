"""Ranks of trains: what a shape allows, and what rounding lets a tolerance be."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tdecomp._errors import check_rank, check_rtol
from tdecomp._typing import Array, Namespace
from tdecomp._xp import eps
from tdecomp.linalg._truncation import reachable_rtol

# Rounding the entries of orthonormal cores costs each of them less than this many eps.
_STORED = 8.0


def largest_ranks(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the ranks of a general tensor: the shorter side of each unfolding."""
    return tuple(min(math.prod(shape[:k]), math.prod(shape[k:])) for k in range(1, len(shape)))


def check_ranks(
    rank: object, rtol: object, shape: Sequence[int]
) -> tuple[tuple[int, ...] | None, float | None]:
    """Validate `rank`, an int for all bonds or one for each, and `rtol`; one must be given.

    A single int is a limit: bonds near the ends of a train, which allow less, take what they can.
    """
    limits = largest_ranks(shape)
    most = max(limits, default=1)
    if rank is None and rtol is None:
        raise ValueError(
            f"pass rank= (an int between 1 and {most}, or one for each of {len(limits)} bonds) or "
            "rtol= (a relative error), or both"
        )
    checked = None if rtol is None else check_rtol(rtol)
    if rank is None:
        return None, checked
    if isinstance(rank, tuple | list):
        if len(rank) != len(limits):
            raise ValueError(
                f"rank must be an int or have one entry for each of {len(limits)} bonds between "
                f"{len(shape)} modes, got {tuple(rank)}"
            )
        pairs = enumerate(zip(rank, limits, strict=True))
        return tuple(check_rank(r, top, name=f"rank[{k}]") for k, (r, top) in pairs), checked
    value = check_rank(rank, most)
    return tuple(min(value, top) for top in limits), checked


def floor_of(sides: Sequence[int], eps: float) -> float:
    """Return the relative error below which a sweep of computed SVDs stays.

    It depends on the shorter sides of the matrices. The errors of the steps are independent:
    their squares add up.
    """
    return math.hypot(*(reachable_rtol(side, side, eps) for side in sides))


def number(x: Array | float) -> float:
    """Return a real 0-d array as a float, through which no gradient flows."""
    return float(x.detach() if hasattr(x, "detach") else x)


def doubled(cores: Sequence[Array], xp: Namespace) -> list[Array] | None:
    """Return single-precision arrays in double; None where they are, or where there is none."""
    dtype = cores[0].dtype
    if dtype not in (xp.float32, xp.complex64):
        return None
    wide = xp.float64 if dtype == xp.float32 else xp.complex128
    arrays = [xp.astype(core, wide) for core in cores]
    return arrays if arrays[0].dtype == wide else None


def stored_floor(modes: int, dtype: object, xp: Namespace) -> float:
    """Return the relative error below which rounding orthonormal cores to `dtype` stays."""
    return _STORED * eps(dtype, xp) * math.sqrt(modes)


class Budget:
    """The norm that a sweep of truncations may leave out, step by step.

    Truncations of a tensor in orthonormal bases leave out mutually orthogonal parts, so their
    squares add up exactly. What a step did not use is left to the later ones.
    """

    def __init__(self, allowed: float, steps: int) -> None:
        self.rest = allowed * allowed
        self.steps = steps

    @property
    def atol(self) -> float:
        """What the next step may leave out."""
        return math.sqrt(max(self.rest, 0.0) / max(self.steps, 1))

    def spend(self, tail: float) -> None:
        """Account for what a step left out."""
        self.rest -= tail * tail
        self.steps -= 1
