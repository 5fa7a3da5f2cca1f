"""Functions of many variables, as products of Chebyshev series."""

from tdecomp.chebyshev import potentials
from tdecomp.chebyshev._algebra import add, inner, norm, scale
from tdecomp.chebyshev._calculus import cumulative_integral, diff, integrate
from tdecomp.chebyshev._canonical import from_cp
from tdecomp.chebyshev._compose import compose
from tdecomp.chebyshev._construct import UnresolvedError, chebyshev_tucker
from tdecomp.chebyshev._conversion import to_tucker
from tdecomp.chebyshev._evaluate import evaluate
from tdecomp.chebyshev._extrema import Extremum, maximum, minimum, sup_norm
from tdecomp.chebyshev._fields import gradient, hessian, laplacian
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._gridded import from_grid
from tdecomp.chebyshev._on_grid import evaluate_grid
from tdecomp.chebyshev._product import multiply
from tdecomp.chebyshev._restrict import fix, permute, restrict
from tdecomp.chebyshev._roots import roots
from tdecomp.chebyshev._scattered import from_samples
from tdecomp.chebyshev._simplify import simplify

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
