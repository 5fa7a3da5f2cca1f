"""What pictures of functions share: their variables, and values on grids of the host."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tdecomp._shim import host as on_host
from tdecomp.chebyshev import ChebyshevTucker, evaluate_grid
from tdecomp.chebyshev._format import as_function
from tdecomp.plot._style import Values, check_labels, host


class Drawn(NamedTuple):
    """A function, the names of its variables, and its box."""

    f: ChebyshevTucker
    labels: list[str]
    box: Values

    def axis(self, k: int, count: int) -> Values:
        """Return evenly spaced coordinates of a variable."""
        return np.linspace(self.box[k, 0], self.box[k, 1], count)

    def values(self, axes: list[Values]) -> Values:
        """Return the values at all combinations of coordinates, magnitudes of complex ones."""
        return host(evaluate_grid(self.f, *(axis.tolist() for axis in axes)))


def as_drawn(f: Any, labels: Any, *, least: int = 1) -> Drawn:
    """Validate a function and the names of its variables, of which there are enough."""
    _, core, factors, domain = as_function(f, trains=True)
    d = len(factors)
    if d < least:
        raise ValueError(f"f must have at least {least} variables, got {d}")
    names = check_labels(labels, d, kind="variable")
    box = np.asarray(on_host(domain), dtype=np.float64)
    return Drawn(ChebyshevTucker(core, tuple(factors), domain), names, box)
