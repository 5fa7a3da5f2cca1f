"""Which method: a function of shape, library and device, by measured times.

On a CPU a bidiagonal matrix, or eigenvectors of a small symmetric one, take half the time of
singular vectors, and iterations lose against all; many small matrices are a matter of calls, not
of flops.
"""

from __future__ import annotations

import array_api_compat as compat

from tdecomp import _kernels
from tdecomp._typing import Array
from tdecomp._xp import device, differentiated, is_numpy, namespace

# From these shorter sides on, by the bits of a number, reduced matrices are faster than singular
# vectors, of matrices near to singular too.
_LARGE = {32: 192, 64: 128}
# From this ratio of sides on eigenvectors, on the short side, are faster still.
_ASPECT = 3
# Batches for which a compiled loop pays, and the longest side that stays in the nearest caches.
_MANY, _SMALL = 64, 64


def choose(a: Array) -> str:
    """Return the name of the method for a stack of tall matrices."""
    m, n = a.shape[-2:]
    if differentiated(a):
        return "svd"
    on_cpu = is_numpy(a) or (compat.is_torch_array(a) and str(device(a)) == "cpu")
    if on_cpu and n >= _LARGE[namespace(a).finfo(a.dtype).bits]:
        return "gram" if m >= _ASPECT * n else "bidiagonal"
    count = a.size // (m * n) if is_numpy(a) else 0
    if count >= _MANY and m <= _SMALL and a.dtype.kind == "f" and _kernels.accepts(a):
        return "batched"
    return "svd"
