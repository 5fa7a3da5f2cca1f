"""Functions of one box, before they meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import concrete, eps, floats, namespace
from tdecomp.chebyshev._core import arrays, of_arrays
from tdecomp.chebyshev._format import as_function

# By how many units of rounding the ends of two boxes may differ.
_SLACK = 8


def together(
    functions: Sequence[Any], *, names: Sequence[str], trains: bool = False
) -> tuple[Namespace, Array, list[tuple[Any, list[Array]]]]:
    """Validate functions of one box and bring them to their common dtype."""
    read = [
        as_function(f, name=name, trains=trains) for f, name in zip(functions, names, strict=True)
    ]
    xp = namespace(*(domain for *_, domain in read))
    for name, (_, _, _, domain) in zip(names, read, strict=True):
        _check_box(read[0][3], domain, (names[0], name), xp)
    dtype = xp.result_type(*(core.dtype for _, core, _, _ in read))
    finest = min((domain for *_, domain in read), key=lambda domain: eps(domain.dtype, xp))
    return (
        xp,
        finest,
        [(_cast(core, dtype, xp), _all_cast(v, dtype, xp)) for _, core, v, _ in read],
    )


def _cast(core: Any, dtype: DType, xp: Namespace) -> Any:
    """Return a core of another dtype."""
    return of_arrays(core, _all_cast(arrays(core), dtype, xp))


def _all_cast(found: Sequence[Array], dtype: DType, xp: Namespace) -> list[Array]:
    return [xp.astype(x, dtype, copy=False) for x in found]


def _check_box(first: Array, second: Array, names: tuple[str, str], xp: Namespace) -> None:
    """Refuse functions of different boxes, up to rounding."""
    if first.shape != second.shape:
        raise ValueError(
            f"{names[0]} has {first.shape[0]} variables, and {names[1]} {second.shape[0]}"
        )
    unit = max(eps(first.dtype, xp), eps(second.dtype, xp))
    slack = _SLACK * unit * xp.maximum(xp.abs(first), xp.abs(second))
    differ = xp.any(xp.abs(first - second) > slack, axis=1)
    if concrete(xp.any(differ)):
        k = int(xp.argmax(xp.astype(differ, xp.int32)))
        (a, b), (c, e) = (tuple(map(float, floats(x[k, :]))) for x in (first, second))
        raise ValueError(
            f"{names[0]} and {names[1]} must have one box, but variable {k} is in [{a}, {b}] and "
            f"[{c}, {e}]; restrict brings functions to smaller boxes"
        )
