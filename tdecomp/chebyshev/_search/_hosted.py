"""Functions of the unit box in double precision, on the host: for what decides by values."""

from __future__ import annotations

from typing import Any

import numpy as np

from tdecomp._shim import host
from tdecomp._typing import Array, Namespace
from tdecomp._xp import differentiated, namespace, times_power
from tdecomp.chebyshev._core import arrays, of_arrays
from tdecomp.chebyshev._format import ChebyshevTucker, as_function


def on_host(
    f: Any, *, name: str = "f", trains: bool = True
) -> tuple[Namespace, ChebyshevTucker, int, Array]:
    """Return a function as one of the unit box in double precision; its exponent, and its box.

    Arrays are scaled by powers of two, whose product is two to the exponent.
    """
    xp, core, factors, domain = as_function(f, name=name, trains=trains)
    if any(map(differentiated, (*arrays(core), *factors))):
        raise ValueError(
            "under tracing (jit, vmap, gradients) there are no values to decide by; search "
            "outside, and differentiate evaluate(f, point) at the point that was found"
        )
    exponent, scaled = 0, []
    for x in (*arrays(core), *factors):
        there = host(x)
        wide = np.complex128 if np.iscomplexobj(there) else np.float64
        power = int(np.frexp(float(np.max(np.abs(there))))[1])
        scaled.append(times_power(there.astype(wide), -power, namespace(there)))
        exponent += power
    count = len(arrays(core))
    unit = np.tile([-1.0, 1.0], (len(factors), 1))
    g = ChebyshevTucker(of_arrays(core, scaled[:count]), tuple(scaled[count:]), unit)
    return xp, g, exponent, domain
