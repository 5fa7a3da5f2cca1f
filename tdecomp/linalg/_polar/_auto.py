"""Which method: a function of shape, library and device, by measured times.

On a CPU eigenvectors of a symmetric matrix take a third of the time of singular vectors, and
iterations lose against both; many small matrices are a matter of calls, not of flops.
"""

from __future__ import annotations

import os

import array_api_compat as compat

from tdecomp import _kernels
from tdecomp._typing import Array
from tdecomp._xp import device, differentiated, is_numpy, namespace

# Below these shorter sides singular vectors are as fast as eigenvectors, and products more.
_SQUARE, _TALL = 256, 128
_ASPECT = 2
_SINGLE = 32
# Batches for which a compiled loop pays, and the longest side that stays in the nearest caches.
_MANY, _SMALL = 64, 64


def choose(a: Array) -> str:
    """Return the name of the method for a stack of tall matrices."""
    m, n = a.shape[-2:]
    if differentiated(a):
        return "svd"
    on_cpu = is_numpy(a) or (compat.is_torch_array(a) and str(device(a)) == "cpu")
    if on_cpu and _gram_pays(m, n, single=namespace(a).finfo(a.dtype).bits == _SINGLE):
        return "gram"
    count = a.size // (m * n) if is_numpy(a) else 0
    if count >= _MANY and m <= _SMALL and a.dtype.kind == "f" and _kernels.accepts(a):
        return "batched"
    return "svd"


def _gram_pays(m: int, n: int, *, single: bool) -> bool:
    """Tell whether eigenvectors, in double precision, and products beat singular vectors.

    Products and eigenvectors gain from a second thread, singular vectors hardly do.
    """
    if m >= _ASPECT * n:
        return n >= _TALL
    return n >= _SQUARE and not (single and _threads() == 1)


def _threads() -> int:
    """Return how many threads the environment leaves to BLAS."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        if os.environ.get(name, "").isdecimal():
            return int(os.environ[name])
    known = getattr(os, "sched_getaffinity", None)
    return len(known(0)) if known else os.cpu_count() or 1
