"""Where the series of several fibres end together: at what tolerances ask for, or at noise."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from tdecomp._xp import namespace
from tdecomp.chebyshev._chop import chop
from tdecomp.chebyshev._sampling._sampler import Values
from tdecomp.chebyshev._transform import coefficients

# What is left of a series counts from so many tolerances on, and is level, the noise of values, if
# its second half is no less than this part of the first. To know what is left takes more of it.
_COUNTS, _LEVEL, _SEEN = 50.0, 0.3, 3.0

# Series fall like powers if from octave to octave they fall by much the same factor; no less.
_STEADY, _FALLS = 1.3, 1.3


def settled_length(values: Values, tol: float) -> int | None:
    """Return how many coefficients resolve values (n, p) up to `tol`, None if more are needed."""
    c = coefficients(values, namespace(values))
    sizes = np.sum(np.abs(c), axis=1)
    largest = float(np.max(sizes))
    if largest <= tol:
        return 1
    end = chop(sizes, max(tol / largest, float(np.finfo(c.dtype).eps)))
    return None if end is None else _further(np.abs(c), end, tol)


def _further(sizes: npt.NDArray[np.float64], end: int, tol: float) -> int | None:
    """Return where series end that are said to end earlier, None if none is in sight.

    The rule that ends them takes one that falls slowly, that of a kink, for level. What is left
    of a series may only count where it is level, the noise of values.
    """
    n = sizes.shape[0]
    rest = np.max(np.cumsum(sizes[::-1], axis=0)[::-1], axis=1)
    if rest[end] <= _COUNTS * tol:
        return end
    half = (end + n) // 2
    if _SEEN * end <= n and np.max(sizes[half:]) > _LEVEL * np.max(sizes[end:half]):
        return end
    further = int(np.sum(rest > _COUNTS * tol))
    return further if _SEEN * further <= n else None


def falls_like_a_power(values: Values) -> bool:
    """Tell whether series of values (n, p) fall so, as those of kinks and jumps do.

    Those of smooth functions, once they fall, do so the faster the further.
    """
    sizes = np.max(np.abs(coefficients(values, namespace(values))), axis=1)
    ends = [sizes.size // 8, sizes.size // 4, sizes.size // 2, sizes.size]
    first, second, third = (float(np.max(sizes[a:b])) for a, b in itertools.pairwise(ends))
    return (
        first >= _FALLS * second
        and second >= _FALLS * third > 0
        and (second / third <= (first / second) ** _STEADY)
    )
