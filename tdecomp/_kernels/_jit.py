"""How every kernel is compiled: cached where a directory is writable, without the global lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def kernel(function: Callable[..., None]) -> Any:
    """Compile `function` on its first call, in parallel where it says ``prange``.

    Arithmetic keeps its order (no ``fastmath``), so that a kernel gives what its twin gives.
    """
    return _compiled(function, parallel=True)


def routine(function: Callable[..., Any]) -> Any:
    """Compile `function` for one thread: a part of kernels, or too short for more."""
    return _compiled(function, parallel=False)


def _compiled(function: Callable[..., Any], *, parallel: bool) -> Any:
    """Compile for the cache if there can be one."""
    options = {"nogil": True, "parallel": parallel, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no directory for the cache: a read-only installation without a home
        return numba.njit(cache=False, **options)(function)
