"""The words of refusal: every check of an option, and the exceptions of the library."""

from __future__ import annotations

import contextlib
import math
import operator

import numpy as np


class ToleranceError(ValueError):
    """A tolerance that no result in this precision can honour.

    Attributes
    ----------
    reachable : float
        The smallest relative tolerance that the computation can guarantee.
    """

    def __init__(self, message: str, *, reachable: float) -> None:
        super().__init__(message)
        self.reachable = reachable


def check_rank(
    rank: object,
    limit: int | None = None,
    *,
    name: str = "rank",
    way: str = "to choose the rank by accuracy pass rtol=",
) -> int:
    """Return `rank` as an int between 1 and `limit`, or refuse it, with a `way` out."""
    legal = f"an int between 1 and {limit}" if limit is not None else "an int >= 1"
    try:
        value = None if isinstance(rank, bool) else operator.index(rank)  # type: ignore[arg-type]
    except TypeError:
        value = None
    if value is None:
        raise TypeError(
            f"{name} must be {legal}, got {rank!r} of type {type(rank).__name__}; {way}"
        )
    if value < 1 or (limit is not None and value > limit):
        raise ValueError(f"{name} must be {legal}, got {value}")
    return value


def check_number(value: object, *, name: str, legal: str = "a number") -> float:
    """Return `value`, a real number of any library, as a float."""
    if not isinstance(value, bool | str | bytes) and hasattr(value, "__float__"):
        with contextlib.suppress(TypeError, ValueError):
            return float(value)
    raise TypeError(f"{name} must be {legal}, got {value!r}")


def check_size(value: object, *, name: str) -> float:
    """Return `value` as a float that is finite and not negative, or refuse it."""
    number = check_number(value, name=name)
    if not 0 <= number < math.inf:
        raise ValueError(f"{name} must be a number >= 0, got {number}")
    return number


def check_positive(value: object, *, name: str) -> float:
    """Return `value` as a float that is finite and above zero, or refuse it."""
    number = check_number(value, name=name)
    if not 0 < number < math.inf:
        raise ValueError(f"{name} must be a number > 0, got {number}")
    return number


def check_bool(value: object, *, name: str) -> bool:
    """Return `value`, True or False of Python or NumPy, or refuse it."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise TypeError(f"{name} must be a bool, got {value!r}")


def check_callable(value: object, *, name: str) -> None:
    """Refuse what cannot be called."""
    if not callable(value):
        raise TypeError(f"{name} must be callable, got {value!r}")


def check_callback(callback: object) -> None:
    """Refuse a callback that cannot be called."""
    if callback is not None:
        check_callable(callback, name="callback")


def check_rtol(rtol: object, *, name: str = "rtol") -> float:
    """Return `rtol` as a float strictly between 0 and 1, or refuse it."""
    value = check_number(rtol, name=name, legal="a number between 0 and 1")
    if not 0.0 < value < 1.0:
        raise ValueError(
            f"{name} is a relative error and must lie strictly between 0 and 1, got {value}"
        )
    return value


def check_reachable(rtol: float, floor: float, *, dtype: object) -> None:
    """Refuse a tolerance below what rounding lets any result in `dtype` guarantee."""
    if rtol < floor:
        raise ToleranceError(
            f"rtol={rtol:.3g} cannot be guaranteed in {dtype}: rounding alone may cost "
            f"{floor:.3g}; ask for rtol >= {floor:.3g}, or pass rank= instead",
            reachable=floor,
        )


def check_target(rank: object, rtol: object, limit: int) -> tuple[int | None, float | None]:
    """Validate the pair `rank`, `rtol`, of which at least one must be given."""
    if rank is None and rtol is None:
        raise ValueError(
            f"pass rank= (an int between 1 and {limit}) or rtol= (a relative error), or both"
        )
    return (
        None if rank is None else check_rank(rank, limit),
        None if rtol is None else check_rtol(rtol),
    )


def check_choice(value: object, choices: tuple[str, ...], *, name: str) -> str:
    """Return `value` when it is one of `choices`, or refuse it by listing them."""
    if not isinstance(value, str) or value not in choices:
        options = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{name} must be one of {options}, got {value!r}")
    return str(value)


def check_count(value: object, *, name: str, least: int = 0) -> int:
    """Return `value` as an int of at least `least`, or refuse it."""
    try:
        count = None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        count = None
    if count is None:
        raise TypeError(f"{name} must be an int >= {least}, got {value!r}")
    if count < least:
        raise ValueError(f"{name} must be an int >= {least}, got {count}")
    return count


def nonfinite(
    shape: tuple[int, ...],
    first: int,
    count: int,
    *,
    name: str,
    way: str | None = None,
) -> ValueError:
    """Build the refusal of an array from its first bad entry in C order, and their number.

    The way out is that of `name`: data may have weights, and what goes with them has none.
    """
    if way is None:
        way = "pass finite numbers"
        if name in {"a", "x"}:
            way = "clean the data, or use a method that takes weights= and give them weight 0"
    index: list[str] = []
    for size in reversed(shape):
        first, position = divmod(first, size)
        index.insert(0, str(position))
    where = f"{name}[{', '.join(index)}]" if shape else name
    return ValueError(
        f"{name} has {count} non-finite entries (NaN or Inf), the first at {where}; {way}"
    )
