"""The table of values that functions are asked for, made anew in each build of the docs."""

import numpy as np

from tdecomp.chebyshev import chebyshev_tucker, evaluate
from tdecomp.testing import Function, functions

HEAD = "function | ranks | coefficients | error | values | Chebfun3F | times fewer"
# One has a kink in a corner: the tolerance that it is asked to.
COARSE = {58: 1e-8}


def function_table() -> str:
    """Return the table in Markdown."""
    rule = "|".join(["---"] * (HEAD.count("|") + 1))
    return "\n".join([f"| {HEAD} |", f"|{rule}|", *map(_row, functions())])


def _row(row: Function) -> str:
    asked = []

    def counted(x, y, z):
        asked.append(x.size)
        return row.f(x, y, z)

    fit = chebyshev_tucker(counted, [(-1, 1)] * 3, rtol=COARSE.get(row.number))
    x = np.random.default_rng(5).uniform(-1, 1, (1000, 3))
    exact = row.f(*x.T)
    largest = max(float(np.max(np.abs(exact))), float(abs(row.f(0.0, 0.0, 0.0))))
    error = float(np.max(np.abs(evaluate(fit.tensor, x) - exact))) / largest
    count = sum(asked)
    cells = (
        f"${row.formula}$" + (" \\*" if row.number in COARSE else ""),
        ", ".join(map(str, fit.tensor.rank)),
        ", ".join(map(str, fit.tensor.shape)),
        f"{error:.0e}",
        f"{count:,}",
        f"{row.chebfun3f:,}",
        f"{row.chebfun3f / count:.3g}",
    )
    return f"| {' | '.join(cells)} |"
