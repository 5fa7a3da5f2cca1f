"""Functions of many variables, as products of Chebyshev series."""

from tdecomp.chebyshev import potentials
from tdecomp.chebyshev._algebra._compose import compose
from tdecomp.chebyshev._algebra._fields import gradient, hessian, laplacian
from tdecomp.chebyshev._algebra._product import multiply
from tdecomp.chebyshev._algebra._restrict import fix, permute, restrict
from tdecomp.chebyshev._algebra._simplify import simplify
from tdecomp.chebyshev._algebra._sums import add, inner, norm, scale
from tdecomp.chebyshev._calculus import cumulative_integral, diff, integrate
from tdecomp.chebyshev._construct import UnresolvedError, chebyshev_tucker
from tdecomp.chebyshev._data._canonical import from_cp
from tdecomp.chebyshev._data._conversion import to_tucker
from tdecomp.chebyshev._data._gridded import from_grid
from tdecomp.chebyshev._data._scattered import from_samples
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._search._extrema import Extremum, maximum, minimum, sup_norm
from tdecomp.chebyshev._search._roots import roots
from tdecomp.chebyshev._values._evaluate import evaluate
from tdecomp.chebyshev._values._on_grid import evaluate_grid

__all__ = [
    "ChebyshevTucker",
    "Extremum",
    "UnresolvedError",
    "add",
    "chebyshev_tucker",
    "compose",
    "cumulative_integral",
    "diff",
    "evaluate",
    "evaluate_grid",
    "fix",
    "from_cp",
    "from_grid",
    "from_samples",
    "gradient",
    "hessian",
    "inner",
    "integrate",
    "laplacian",
    "maximum",
    "minimum",
    "multiply",
    "norm",
    "permute",
    "potentials",
    "restrict",
    "roots",
    "scale",
    "simplify",
    "sup_norm",
    "to_tucker",
]
