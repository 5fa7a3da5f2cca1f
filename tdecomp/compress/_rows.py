"""Stacks of rows that are too many to keep: only their triangular factor is."""

from __future__ import annotations

import array_api_compat as compat
import numpy as np

from tdecomp._typing import Array, Namespace


def triangular(rows: Array, xp: Namespace) -> Array:
    """Return the factor ``R`` of shape (..., min(k, n), n) of a QR decomposition of `rows`.

    ``R^* R`` equals ``rows^* rows`` to rounding, and the condition number is never squared. The
    standard always forms ``Q`` as well; where the library can do without, it does.
    """
    if compat.is_numpy_array(rows):
        return np.linalg.qr(rows, mode="r")
    if compat.is_jax_array(rows):
        return xp.linalg.qr(rows, mode="r")
    if compat.is_torch_array(rows):
        return xp.linalg.qr(rows, mode="r")[1]
    return xp.linalg.qr(rows)[1]


def stacked(parts: list[Array], xp: Namespace) -> Array:
    """Return the triangular factor of the rows of all `parts`, in their common dtype.

    Applied to a stream block by block, ``R <- qr([R; rows]).R``, it is TSQR.
    """
    dtype = xp.result_type(*parts)
    return triangular(xp.concat([xp.astype(part, dtype) for part in parts], axis=0), xp)
