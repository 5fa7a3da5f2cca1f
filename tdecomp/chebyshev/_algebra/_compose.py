"""Functions of Chebyshev-Tucker functions, from their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tdecomp._errors import check_callable
from tdecomp._iterate import Callback, Fit
from tdecomp._precision import full_precision
from tdecomp._shim import host
from tdecomp._typing import Array, Seed
from tdecomp.chebyshev._algebra._together import together
from tdecomp.chebyshev._construct import chebyshev_tucker
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._values._evaluate import evaluate


@full_precision
def compose(
    op: Callable[..., Any],
    /,
    *functions: Any,
    rtol: float | None = None,
    rank: int | tuple[int, ...] | None = None,
    max_evals: int = 10_000_000,
    rng: Seed = 0,
    callback: Callback | None = None,
) -> Fit[ChebyshevTucker]:
    r"""Approximate :math:`x \mapsto \mathrm{op}(f(x), g(x), \dots)` as `chebyshev_tucker` does.

    Parameters
    ----------
    op : callable
        Takes one array of values of each function, all of one axis, in their library, and returns
        an array of as many values, real or complex.
    *functions : ChebyshevTucker
        Functions of one box; at least one.
    rtol, rank, max_evals, rng, callback : optional
        As in `chebyshev_tucker`.

    Returns
    -------
    Fit
        The function, with the error that was measured.

    Raises
    ------
    TypeError, ValueError
        If `op` cannot be called, or one of the others is something else; if boxes differ; if `op`
        returns a value that is not finite, which is named with its point, as ``1 / f`` where `f`
        vanishes.
    UnresolvedError
        If the result is not smooth, as that of ``abs``, or takes more evaluations.

    See Also
    --------
    multiply, add : products and sums, without values at points.

    Notes
    -----
    Errors of the functions are magnified by the derivative of `op`, and are seen as noise where
    `rtol` is below them.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.chebyshev import chebyshev_tucker, compose, evaluate
    >>> f = chebyshev_tucker(lambda x, y: 2 + x * y, [(-1, 1)] * 2).tensor
    >>> g = compose(np.sqrt, f).tensor
    >>> print(f"{float(evaluate(g, [0.5, 0.5])):.12f}")
    1.500000000000
    """
    check_callable(op, name="op")
    if not functions:
        raise ValueError("functions is empty: give at least one")
    names = [f"functions[{k}]" for k in range(len(functions))]
    xp, domain, pairs = together(functions, names=names, trains=True)
    known = [ChebyshevTucker(core, tuple(factors), domain) for core, factors in pairs]

    def composed(*coordinates: Array) -> Any:
        x = xp.stack(coordinates, axis=-1)
        return op(*(evaluate(f, x) for f in known))

    return chebyshev_tucker(
        composed,
        host(domain),
        rtol=rtol,
        rank=rank,
        max_evals=max_evals,
        rng=rng,
        callback=callback,
        like=domain,
    )
