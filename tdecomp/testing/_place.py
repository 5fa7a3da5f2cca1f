"""Where test data go: drawn by NumPy in double precision, then rounded and moved once."""

from __future__ import annotations

import numpy as np

from tdecomp import _random
from tdecomp._typing import Array, DType
from tdecomp._xp import namespace


def is_complex(dtype: DType, like: Array | None) -> bool:
    """Tell whether data of `dtype`, or like the array `like`, are complex."""
    if like is None:
        return np.dtype(dtype).kind == "c"
    return bool(namespace(like).isdtype(like.dtype, "complex floating"))


def limits(dtype: DType, like: Array | None) -> tuple[float, float, float]:
    """Return eps, the smallest normal number and the largest one."""
    xp, dtype = (np, np.dtype(dtype)) if like is None else (namespace(like), like.dtype)
    info = xp.finfo(dtype)
    return float(info.eps), float(info.smallest_normal), float(info.max)


def place(values: np.ndarray, dtype: DType, like: Array | None) -> Array:
    """Return `values` as a NumPy array of `dtype`, or as an array like `like`."""
    if like is None:
        return np.ascontiguousarray(values, dtype=dtype)
    return _random.like(values, like, namespace(like))


def haar(rng: np.random.Generator, n: int, r: int, *, complex_: bool) -> np.ndarray:
    """Draw an ``n x r`` matrix with orthonormal columns, uniform among all of them."""
    values = rng.standard_normal((n, r)).astype(complex if complex_ else float)
    if complex_:
        values += 1j * rng.standard_normal((n, r))
    q, triangle = np.linalg.qr(values)
    pivots = np.diagonal(triangle)
    # The signs that Householder leaves depend on the draw; these do not.
    return q * (pivots / np.where(pivots == 0, 1, np.abs(pivots)))
