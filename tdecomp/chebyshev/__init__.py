"""Functions of many variables, as products of Chebyshev series."""

from tdecomp.chebyshev import potentials
from tdecomp.chebyshev._calculus import cumulative_integral, diff, integrate
from tdecomp.chebyshev._canonical import from_cp
from tdecomp.chebyshev._construct import UnresolvedError, chebyshev_tucker
from tdecomp.chebyshev._conversion import to_tucker
from tdecomp.chebyshev._evaluate import evaluate
from tdecomp.chebyshev._extrema import Extremum, maximum, minimum, sup_norm
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._gridded import from_grid
from tdecomp.chebyshev._on_grid import evaluate_grid
from tdecomp.chebyshev._roots import roots

__all__ = [
    "ChebyshevTucker",
    "Extremum",
    "UnresolvedError",
    "chebyshev_tucker",
    "cumulative_integral",
    "diff",
    "evaluate",
    "evaluate_grid",
    "from_cp",
    "from_grid",
    "integrate",
    "maximum",
    "minimum",
    "potentials",
    "roots",
    "sup_norm",
    "to_tucker",
]
