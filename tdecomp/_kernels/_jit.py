"""How every kernel is compiled: cached where a directory is writable, without the global lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def kernel(function: Callable[..., None]) -> Any:
    """Compile `function` on its first call, in parallel where it says ``prange``.

    Arithmetic keeps its order (no ``fastmath``), so that a kernel gives what its twin gives.
    """
    options = {"nogil": True, "parallel": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no directory for the cache: a read-only installation without a home
        return numba.njit(cache=False, **options)(function)
