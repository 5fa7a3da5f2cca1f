"""Functions from their values on a whole grid: where ranks are nearly as large as degrees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tdecomp._iterate import Fit, Status
from tdecomp._xp import equilibrate, namespace
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._points import points
from tdecomp.chebyshev._sampling._manner import manner_of
from tdecomp.chebyshev._sampling._sampler import Sampler
from tdecomp.chebyshev._transform import coefficients
from tdecomp.chebyshev._values._evaluate import evaluate
from tdecomp.tucker import sthosvd
from tdecomp.tucker._targets import floor_of

# Points at which an interpolation, or its truncation, is judged.
JUDGED = 1000


def interpolated(ask: Sampler, sizes: Sequence[int], tol: float) -> ChebyshevTucker:
    """Return the interpolation on the unit box with so many coefficients, compressed to `tol`.

    Values at Chebyshev points are what is compressed: errors near the faces of the box, where
    these are dense, count for more than they would in the norm of L2.
    """
    values = ask.on_grid([points(n) for n in sizes])
    xp = namespace(values)
    floor = floor_of(tuple(sizes), range(ask.d), values.dtype, xp)
    safe, scale = equilibrate(values, xp, axis=tuple(range(ask.d)))
    found = sthosvd(safe, rtol=max(tol, floor))
    series = tuple(coefficients(u, xp) for u in found.factors)
    return ChebyshevTucker(found.core * scale, series, np.tile([-1.0, 1.0], (ask.d, 1)))


def judged(
    ask: Sampler, sizes: Sequence[int], tol: float, rng: np.random.Generator
) -> Fit[ChebyshevTucker]:
    """Return the same with the largest error at random points, over the largest value."""
    found = interpolated(ask, sizes, tol)
    t = manner_of(ask.d).anywhere(ask.d, JUDGED, rng)
    missed = float(np.max(np.abs(evaluate(found, t) - ask(t))))
    return Fit(found, missed / (ask.largest or 1.0), 1, Status.CONVERGED)
