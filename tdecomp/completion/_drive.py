"""One loop for all methods: when to stop, on known entries or on some that were held out."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tdecomp._iterate import Callback, Fit, Status, Step, iterate
from tdecomp._typing import Array, Namespace
from tdecomp.completion._entries import Entries
from tdecomp.completion._problem import Solver

# After how many steps that do not help the held-out entries a method stops.
_PATIENCE = 3


class _Held(NamedTuple):
    """The state of a method, and the factors that were best on the entries held out."""

    inner: Any
    best: float
    factors: tuple[Array, Array]
    waited: int


def drive(
    solver: Solver,
    held: Entries | None,
    *,
    max_iter: int,
    tol: float,
    callback: Callback | None,
    rounding: float,
    xp: Namespace,
) -> Fit[tuple[Array, Array]]:
    """Iterate until the objective stands still, or until held-out entries say that it is enough.

    Parameters
    ----------
    solver : Solver
        The method.
    held : Entries or None
        What was set aside, at the scale of the problem: then the factors that fit it best are
        returned, and three steps in a row that do not fit it better end the iteration.
    max_iter, tol, callback
        As everywhere; the callback sees a pair of factors.
    rounding : float
        A relative error, and root of the objective, that is as good as zero.
    xp : namespace
        Their library.

    Returns
    -------
    Fit
        The factors (m, k) and (n, k), with the error of the last step.
    """
    rules: dict[str, Any] = {"max_iter": max_iter, "tol": tol, "callback": callback}

    def advance(state: Any) -> Step[Any]:
        following = solver.step(state)
        exact = max(following.error, following.merit or 0.0) <= rounding
        return following._replace(verdict=Status.CONVERGED) if exact else following

    if held is None:
        return iterate(advance, solver.state, show=solver.factors, **rules)

    def step(state: _Held) -> Step[_Held]:
        following = advance(state.inner)
        factors = solver.factors(following.state)
        missed = _misfit(held, factors, xp)
        if missed < state.best:
            return following._replace(state=_Held(following.state, missed, factors, 0))
        waited = state.waited + 1
        enough = Status.CONVERGED if waited >= _PATIENCE else following.verdict
        after = _Held(following.state, state.best, state.factors, waited)
        return following._replace(state=after, verdict=enough)

    begun = _Held(solver.state, math.inf, solver.factors(solver.state), 0)
    return iterate(step, begun, show=lambda state: state.factors, **rules)


def _misfit(held: Entries, factors: tuple[Array, Array], xp: Namespace) -> float:
    """Return the weighted sum of squares of what a model misses."""
    left, right = (
        xp.take(factor, index, axis=0)
        for factor, index in zip(factors, (held.rows, held.columns), strict=True)
    )
    missed = xp.abs(held.values - xp.sum(left * right, axis=1)) ** 2
    return float(xp.sum(missed if held.weights is None else held.weights * missed))
