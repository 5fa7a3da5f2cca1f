"""Functions from their values on a whole grid: where ranks are nearly as large as degrees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tdecomp._iterate import Fit, Status
from tdecomp._xp import eps, namespace
from tdecomp.chebyshev._evaluate import evaluate
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._gridded import from_grid
from tdecomp.chebyshev._points import points
from tdecomp.chebyshev._sampler import Sampler

# Below so many units of rounding a tolerance is that of rounding.
_ROUNDING = 1e3
# Points at which an interpolation is judged.
_JUDGED = 1000


def interpolated(ask: Sampler, sizes: Sequence[int], tol: float) -> ChebyshevTucker:
    """Return the interpolation on the unit box with so many coefficients, compressed to `tol`."""
    values = ask.on_grid([points(n) for n in sizes])
    unit = eps(values.dtype, namespace(values))
    return from_grid(values, rtol=tol if tol > _ROUNDING * unit else None)


def judged(
    ask: Sampler, sizes: Sequence[int], tol: float, rng: np.random.Generator
) -> Fit[ChebyshevTucker]:
    """Return the same with the largest error at random points, over the largest value."""
    found = interpolated(ask, sizes, tol)
    t = np.sin(np.pi / 2 * rng.uniform(-1, 1, (_JUDGED, ask.d)))
    missed = float(np.max(np.abs(evaluate(found, t) - ask(t))))
    return Fit(found, missed / (ask.largest or 1.0), 1, Status.CONVERGED)
