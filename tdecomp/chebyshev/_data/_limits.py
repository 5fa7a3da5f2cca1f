"""What a truncation may be asked for, and what it costs to store its result."""

from __future__ import annotations

from typing import Any

from tdecomp._errors import ToleranceError
from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import eps


def lowered(rank: int | tuple[int, ...] | None, core: Array) -> Any:
    """Return ranks that are no larger than those of a core."""
    sizes = tuple(map(int, core.shape))
    if rank is None or isinstance(rank, int):
        return None if rank is None else min(rank, max(sizes))
    return tuple(map(min, rank, sizes))


def storage(work: DType, dtype: DType, d: int, xp: Namespace) -> float:
    """Return the relative error of a core and `d` factors that are stored in another dtype."""
    return 0.0 if dtype == work else 2 * (d + 1) * eps(dtype, xp)


def missed_by(part: float, rtol: float, reachable: float, which: str = "") -> ToleranceError:
    """Return the error of a tolerance that values that were left out forbid."""
    way = "leave rtol out" if reachable >= 1 else f"ask for rtol >= {reachable:.3g}"
    return ToleranceError(
        f"rtol={rtol:.3g} cannot be guaranteed: values{which} that are left out are missed by "
        f"{part:.3g}, as they are noisy, or too far apart; {way}",
        reachable=reachable,
    )
