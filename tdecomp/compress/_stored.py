"""Statistics as arrays that any file format takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import array_api_compat as compat
import numpy as np

from tdecomp._typing import Array
from tdecomp._xp import device, integers, namespace


def stored(fields: Mapping[str, Any], /) -> dict[str, Array]:
    """Return the arrays among `fields` in C order, the integers as arrays beside them.

    Factors come out of LAPACK in Fortran order. Of such an array, safetensors writes the memory
    as it lies and reads other numbers back, without a word.
    """
    like = next(x for x in fields.values() if not isinstance(x, int))
    xp = namespace(like)
    return {
        name: xp.asarray(x, dtype=integers(xp), device=device(like))
        if isinstance(x, int)
        else _in_order(x)
        for name, x in fields.items()
    }


def _in_order(x: Array) -> Array:
    """Return `x` with its last axis contiguous, where its library knows of such things."""
    if compat.is_numpy_array(x):
        return np.asarray(x, order="C")
    return x.contiguous() if compat.is_torch_array(x) else x
