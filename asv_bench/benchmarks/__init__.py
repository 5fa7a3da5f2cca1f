"""Speed and accuracy, tracked together.

The default sizes are for a smoke test; ``TDECOMP_BENCH=full`` in the environment selects those
that figures are quoted for.
"""

from contextlib import suppress
from importlib import import_module
from pkgutil import iter_modules

import numba

from tdecomp import _kernels

from ._problems import FULL

# What a benchmark would import when it first needs it.
LATE = (
    *("array_api_compat.numpy", "numba.np.ufunc.parallel", "sklearn.impute", "tdecomp.sklearn"),
    *(f"{_kernels.__name__}.{module.name}" for module in iter_modules(_kernels.__path__)),
)

if not FULL:
    # Hundreds of processes are forked from one that has all of it, and a compiler that is awake.
    for _name in LATE:
        with suppress(ImportError):
            import_module(_name)
    numba.njit("void()")(lambda: None)
