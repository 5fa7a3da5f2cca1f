"""Loops that matrix products cannot express, compiled by numba when first needed.

Nothing here imports numba until `accepts` has said yes to real work.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np

_DTYPES = frozenset("fdFD")


def accepts(*arrays: Any) -> bool:
    """Tell whether a kernel can take `arrays`: NumPy's, float or complex, with numba at hand."""
    known = all(type(a) is np.ndarray and a.dtype.char in _DTYPES for a in arrays)
    return known and find_spec("numba") is not None


def threads() -> int:
    """Return how many threads a parallel kernel runs on: `numba.set_num_threads` sets it."""
    import numba

    return int(numba.get_num_threads())
