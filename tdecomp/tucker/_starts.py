"""Where an iteration over factors starts."""

from __future__ import annotations

from typing import Any

from tdecomp._random import generator, normal
from tdecomp._typing import Array, DType, Namespace, Seed
from tdecomp._xp import eps
from tdecomp.tucker._format import Tucker, as_tucker
from tdecomp.tucker._hosvd import Plan, decompose

# A relative error below this many eps is rounding.
_EXACT = 16.0


def start(
    x: Array, wanted: dict[int, int], init: Any, rng: Seed, xp: Namespace
) -> list[Array | None]:
    """Return orthonormal factors to start from, for the modes and ranks `wanted`."""
    d = x.ndim
    factors: list[Array | None] = [None] * d
    if isinstance(init, str) and init == "sthosvd":
        plan = Plan(tuple(wanted), tuple(wanted.values()), None, "auto", 0, nested=True)
        return list(decompose(x, plan, xp)[0].factors)
    if isinstance(init, str) and init == "random":
        draws = generator(rng)
        for mode, r in wanted.items():
            factors[mode] = xp.linalg.qr(normal(draws, (x.shape[mode], r), x, xp))[0]
        return factors
    if isinstance(init, str):
        raise ValueError(f"init must be 'sthosvd', 'random' or a Tucker, got {init!r}")
    _, core, given = as_tucker(init, name="init", like=x)
    found = Tucker(core, tuple(given))
    check_start(found, tuple(map(int, x.shape)), wanted)
    for mode in wanted:
        factors[mode] = xp.astype(xp.linalg.qr(given[mode])[0], x.dtype)
    return factors


def check_start(found: Tucker, shape: tuple[int, ...], wanted: dict[int, int]) -> None:
    """Refuse a previous result that is of another shape or other ranks."""
    named = {k: found.rank[k] for k, factor in enumerate(found.factors) if factor is not None}
    if found.shape != shape or named != dict(sorted(wanted.items())):
        raise ValueError(
            f"init must stand for shape {shape} with ranks {wanted} of the modes, got shape "
            f"{found.shape} with ranks {named}"
        )


def settled(error: float, dtype: DType, xp: Namespace) -> float | None:
    """Return the change 0 for an error that is rounding, and so no longer comparable."""
    return 0.0 if error <= _EXACT * eps(dtype, xp) else None
