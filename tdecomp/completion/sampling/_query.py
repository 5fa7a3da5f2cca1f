"""What looks up entries of a vector: an array, a vector that is held, or a sum of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tdecomp._program import one_program
from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import conj, equilibrate, prepare, times_power
from tdecomp.completion.sampling._combination import Combination
from tdecomp.completion.sampling._matrix import LengthSquaredMatrix
from tdecomp.completion.sampling._vector import LengthSquaredVector

Query = Callable[[Array], Array]


def query_of(x: Any, size: int, like: LengthSquaredMatrix, name: str) -> tuple[Query, DType]:
    """Return what looks up entries of a vector, and their dtype."""
    xp = like._xp
    look_up: Query
    found: tuple[int, ...]
    if isinstance(x, Combination):
        found, look_up = x.shape, x._entries
    elif isinstance(x, LengthSquaredVector):
        found, look_up = x.shape, x.__getitem__
    else:
        x = prepare(x, ndim=1, like=like._stored.values, name=name)[1]
        found, look_up = tuple(x.shape), lambda index: xp.take(x, index, axis=0)
    if found != (size,):
        raise ValueError(f"{name} must have shape ({size},), got {found}")
    return look_up, x.dtype


@one_program
def quotients(
    pair: tuple[Array, Array], entry: Array, factor: float, exponent: float, xp: Namespace
) -> Array:
    """Return ``factor * conj(left) * right / entry * 2 ** exponent`` for each draw.

    It overflows only if its value does. What is on the right may have columns.
    """
    (left, low), (right, high) = (equilibrate(x, xp, axis=0, always=True) for x in pair)
    powers = xp.round(xp.log2(low)) + xp.round(xp.log2(high)) + exponent
    wide = (slice(None),) + (None,) * (right.ndim - 1)
    return times_power(factor * (conj(left, xp) / entry)[wide] * right, powers, xp)


def any_complex(xp: Namespace, *dtypes: DType) -> bool:
    """Tell whether one of the dtypes is complex, and so the estimate."""
    return any(xp.isdtype(dtype, "complex floating") for dtype in dtypes)
