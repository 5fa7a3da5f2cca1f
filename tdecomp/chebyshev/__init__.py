"""Functions of many variables, as products of Chebyshev series."""

from tdecomp.chebyshev._calculus import cumulative_integral, diff, integrate
from tdecomp.chebyshev._construct import UnresolvedError, chebyshev_tucker
from tdecomp.chebyshev._evaluate import evaluate
from tdecomp.chebyshev._format import ChebyshevTucker

__all__ = [
    "ChebyshevTucker",
    "UnresolvedError",
    "chebyshev_tucker",
    "cumulative_integral",
    "diff",
    "evaluate",
    "integrate",
]
