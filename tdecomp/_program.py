"""Several operations as one program, where a library compiles each of them otherwise."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, TypeVar

T = TypeVar("T")


def one_program(function: Callable[..., T]) -> Callable[..., T]:
    """Let JAX compile `function` as a whole, once for each shape and dtype of its arrays.

    JAX compiles whatever it is asked, each operation for each shape: a dozen small operations
    take ten times as long to compile, and to start, as all of them in one program. Arguments are
    arrays and collections of arrays; whole numbers and keywords are constants; the namespace is
    the keyword `xp` or the last argument. The function must not look at values. Other libraries
    call it as it is.
    """
    programs: dict[tuple[Any, ...], Callable[..., T]] = {}

    @wraps(function)
    def run(*args: Any, **constants: Any) -> T:
        if "xp" not in constants:
            *args, constants["xp"] = args  # type: ignore[assignment]
        if constants["xp"].__name__ != "jax.numpy":
            return function(*args, **constants)
        numbers = tuple(i for i, value in enumerate(args) if isinstance(value, int))
        key = numbers, *constants.items()
        if key not in programs:
            jit = sys.modules["jax"].jit
            programs[key] = jit(partial(function, **constants), static_argnums=numbers)
        return programs[key](*args)

    return run
