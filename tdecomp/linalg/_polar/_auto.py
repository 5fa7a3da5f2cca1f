"""Which method: a function of shape, library and device, by measured times.

On a CPU eigenvectors of a symmetric matrix take a third of the time of singular vectors, and
iterations lose against both; many small matrices are a matter of calls, not of flops.
"""

from __future__ import annotations

import array_api_compat as compat

from tdecomp import _kernels
from tdecomp._typing import Array
from tdecomp._xp import device, differentiated, is_numpy

# Below, singular vectors are as fast as eigenvectors, and two products more.
_GRAM = 128
# Batches for which a compiled loop pays, and the longest side that stays in the nearest caches.
_MANY, _SMALL = 64, 64


def choose(a: Array) -> str:
    """Return the name of the method for a stack of tall matrices."""
    m, n = a.shape[-2:]
    if differentiated(a):
        return "svd"
    if n >= _GRAM and (is_numpy(a) or (compat.is_torch_array(a) and str(device(a)) == "cpu")):
        return "gram"
    count = a.size // (m * n) if is_numpy(a) else 0
    if count >= _MANY and m <= _SMALL and a.dtype.kind == "f" and _kernels.accepts(a):
        return "batched"
    return "svd"
