r"""Functional Tucker approximation by fibres: as few values of a function as its ranks ask for.

Every round

1. grows the fibres of each variable until no new one adds to what the others span, or they span
   all polynomials that their series need, and refines those that span all until their series have
   settled: to the tolerance, or to the noise of values;
2. interpolates, by what asks for the fewest values: factors are the cardinal functions of the
   fibres, and the core holds the values at all combinations of their nodes, of which those known
   from the round before are not asked for again; or a tensor train stands for these, found from
   few of them; or all values on a grid as fine as the series are long are taken, where ranks are
   nearly as large as degrees;
3. compares fibres through nodes of the other variables with their interpolation - before a train
   is built, after a core is known - and the whole with values at fresh points. Fibres through what
   is missed join in, and the next round begins.

Without the comparison of fibres through nodes a function with a peak looks resolved as soon as
its flanks are. Where no fibre is missed but the whole is, the tolerance of fibres falls.

A tenth of the values that may be asked for is held back until there is a first approximation: if
the others run out, it is made of the fibres that there are.

References
----------
.. [1] S. Dolgov, D. Kressner, C. Stroessner, "Functional Tucker approximation using Chebyshev
   interpolation", SIAM J. Sci. Comput. 43, 2021. doi:10.1137/20M1356944
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tdecomp._iterate import Callback, Fit, Status, Step, iterate
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._points import points
from tdecomp.chebyshev._sampling._combinations import Combinations
from tdecomp.chebyshev._sampling._cross import crossed, expected, pays
from tdecomp.chebyshev._sampling._fibres import Basis, Fibres
from tdecomp.chebyshev._sampling._manner import Manner, manner_of
from tdecomp.chebyshev._sampling._many import begun, climbed, peaks
from tdecomp.chebyshev._sampling._nodes import MOST_AXES, Core, core_of, function_of
from tdecomp.chebyshev._sampling._sampler import Points, Sampler, Values
from tdecomp.chebyshev._sampling._screen import missed_fibres, missed_of_core
from tdecomp.chebyshev._sampling._settled import falls_like_a_power, settled_length
from tdecomp.chebyshev._sampling._whole import interpolated
from tdecomp.chebyshev._values._evaluate import evaluate
from tdecomp.tt._sampler import ExhaustedError

# The seed: a grid of at most so many points, at most so many for each variable.
_SEED, _SIDE, _LEAST_SIDE = 200, 9, 3
# Fibres are enough if they are so many times their rank, and points too.
_SPARE = 1.8
# Of as many fibres as points, more than so many, series are not followed that fall like powers.
_ENDLESS = 500
# The least number of points by which the whole is judged. In units of the tolerance, what is let
# pass: by fibres through nodes, before a train and of a core, and by the whole, where all errors
# meet.
_JUDGED, _MISSED_SLACK, _FIBRE_SLACK, SLACK = 64, 5.0, 30.0, 50.0
# Whole grids are so much finer than series are long.
_FINER = 1.2
# By what factor tolerances of fibres fall, and how many eps are the least: below, the rounding of
# interpolation is met, and where errors do not fall by that factor either, they will not.
_NEARER, _NEAREST, _FALLING = 3.0, 0.3, 2.0
_ROUNDS = 20
# What part of the values is held back, and how many a last resort asks for.
_HELD, _LAST = 10, 1 << 17


class _Task(NamedTuple):
    """What is asked, how exactly, in which manner, and where chance comes from."""

    ask: Sampler
    tol: float
    manner: Manner
    rng: np.random.Generator
    table: Combinations

    def small(self, *lines: Fibres) -> float:
        """Return what counts as nothing: below the tolerance, or the noise of fibres."""
        return max(self.tol * self.ask.largest, *(line.noise for line in lines))

    def anywhere(self, count: int) -> Points:
        """Return random points of the unit box."""
        return self.manner.anywhere(self.ask.d, count, self.rng)


class _State(NamedTuple):
    """Fibres, which grow in place; points with values; and what has come of them.

    Fibres are compared to that part of the tolerance.
    """

    lines: list[Fibres]
    seen: Points
    values: Values
    core: Core | None = None
    function: ChebyshevTucker | None = None
    error: float = math.inf
    part: float = 1.0


class _Found(NamedTuple):
    """What interpolates, its core if that is known as an array, and whether no fibre is missed."""

    function: ChebyshevTucker
    core: Core | None = None
    consistent: bool = True


def fibre_sampled(
    ask: Sampler, tol: float, rng: np.random.Generator, *, callback: Callback | None = None
) -> Fit[ChebyshevTucker]:
    """Return an approximation on the unit box, with errors near `tol` times the largest value.

    Its error is the largest seen, over the largest value. The status is MAX_ITER if evaluations
    were used up, and STAGNATED if a series does not end.
    """
    task = _Task(ask, tol, manner_of(ask.d), rng, Combinations(ask, rng))
    return iterate(
        lambda state: _step(task, state),
        _begun(task),
        max_iter=_ROUNDS,
        tol=-1.0,
        callback=callback,
        show=lambda state: state.function,
    )


def _begun(task: _Task) -> _State:
    """Return the first values and fibres, through the largest of them and anywhere."""
    ask, manner = task.ask, task.manner
    side = min(_SIDE, int(_SEED ** (1 / ask.d)))
    if side >= _LEAST_SIDE:
        axes = np.meshgrid(*[points(side)] * ask.d, indexing="ij")
        seen = np.stack(axes, axis=-1).reshape(-1, ask.d)
    else:
        seen = begun(ask.d, task.rng)
    values = ask(seen)
    largest = np.argsort(-np.abs(values), kind="stable")[: manner.peaks]
    first = np.concatenate([seen[largest], task.anywhere(manner.others)])
    lines = [Fibres(ask, k, first, manner.n, stay=manner.searches) for k in range(ask.d)]
    if manner.searches:
        seen, values = climbed(ask, lines, seen, values)
    return _State(lines, seen, values)


def _step(task: _Task, state: _State) -> Step[_State]:
    """Make a round, of which nothing is left where evaluations run out; but of the first."""
    task.ask.held = task.ask.limit // _HELD if state.function is None else 0
    try:
        return _round(task, state)
    except ExhaustedError:
        if state.function is None:
            state = _last_resort(task, state)
        return Step(state, state.error, verdict=Status.MAX_ITER)


def _round(task: _Task, state: _State) -> Step[_State]:
    """Let fibres grow, interpolate, and compare."""
    lines = state.lines
    finer = task._replace(tol=state.part * task.tol)
    for line in lines:
        _grown(line, finer)
    found = _interpolated(finer, state)
    fresh = task.anywhere(max(_JUDGED, task.ask.evaluations // task.manner.judged))
    seen = np.concatenate([state.seen, fresh])
    values = np.concatenate([state.values, task.ask(fresh)])
    missed = np.abs(evaluate(found.function, seen) - values)
    error = float(np.max(missed)) / (task.ask.largest or 1.0)
    good = float(np.max(missed)) <= SLACK * task.small(*lines)
    # Errors of all variables meet in the whole: where no fibre is missed, all are to be nearer;
    # but not yet where fibres are only searched for from now on.
    first = task.manner.searches and state.function is None
    nearer = found.consistent and not good and not first
    part = state.part / _NEARER if nearer else state.part
    rounding = part * task.tol < _NEAREST * float(np.finfo(values.dtype).eps)
    verdict = None
    if not _ended(lines):
        verdict = Status.STAGNATED
    elif good and found.consistent:
        verdict = Status.CONVERGED
    elif nearer and rounding and error > state.error / _FALLING:
        verdict = Status.MAX_ITER
    elif not good:
        _joined(lines, seen, missed)
    after = _State(lines, seen, values, found.core, found.function, error, part)
    return Step(after, error, verdict=verdict)


def _ended(lines: list[Fibres]) -> bool:
    """Tell whether all series end."""
    return all(line.length is not None for line in lines)


def _grown(line: Fibres, task: _Task) -> None:
    """Let fibres and points grow until few span all, and settle.

    Fibres whose series have so many coefficients cannot span more than as many: further ones are
    noise, or what series leave out, as of kinks. Where they are still many at many points, and
    series fall slowly, there are not values enough to see them end.
    """
    known = task.manner.searches and line.numbers.size > 0
    while True:
        small = task.small(line)
        pivots = line.pivots(small)
        if known or _SPARE * pivots.size <= min(line.tried, line.n):
            break
        length = settled_length(line.values, small)
        if length is not None and pivots.size >= length:
            most = pivots[:length]
            if settled_length(line.values[:, most], small) is not None:
                pivots = most
                break
        if line.n < 2 * pivots.size:
            if line.n > _ENDLESS and falls_like_a_power(line.values):
                line.length = None
                return
            line.refine()
        else:
            count = max(task.manner.offered, line.count // 2)
            line.offer(task.anywhere(count), small)
    line.keep(pivots)
    line.settle(task.small(line))


def _interpolated(task: _Task, state: _State) -> _Found:
    """Interpolate, by what is expected to ask for the fewest values."""
    lines = state.lines
    sizes = _whole(lines)
    if sizes:
        f = interpolated(task.ask, sizes, task.tol)
        pairs = zip(f.factors, lines, strict=True)
        return _Found(f._replace(factors=tuple(u[: line.length] for u, line in pairs)))
    bases = [line.basis() for line in lines]
    if len(lines) > MOST_AXES or pays([basis.nodes.size for basis in bases]):
        bases = _completed(task, state, bases)
        return _Found(function_of(crossed(task.table, task.small(*lines)), bases))
    core = core_of(task.ask, bases, state.core)
    consistent = True
    for line in lines:
        tol = _FIBRE_SLACK * task.small(line)
        missed = missed_of_core(line, bases, core.values, tol, task.rng)
        if missed.size:
            consistent = False
            line.append(missed)
    return _Found(function_of(core.values, bases), core, consistent)


def _whole(lines: list[Fibres]) -> list[int]:
    """Return the sizes of a whole grid if it asks for fewer values than rounds; else nothing.

    A round that lies ahead, as fibres join in, asks for as many values again. What a series leaves
    out is aliased: the grid is finer than the series are long.
    """
    if len(lines) > MOST_AXES:
        return []
    sizes = [math.ceil(_FINER * (line.length or 0)) for line in lines]
    nodes = expected([line.count for line in lines])
    fibres = sum(line.count * line.n for line in lines)
    return sizes if 0 < math.prod(sizes) <= nodes + fibres else []


def _completed(task: _Task, state: _State, bases: list[Basis]) -> list[Basis]:
    """Let fibres through nodes join in until none is missed; return what interpolates them."""
    lines, bases = state.lines, list(bases)

    def put() -> None:
        task.table.put([basis.places for basis in bases], [basis.numbers for basis in bases])

    put()
    for line in lines if _ended(lines) else ():
        small = task.small(line)
        looked = peaks(state.seen, state.values, line.count // 4 + 1)
        for _ in range(_ROUNDS):
            missed = missed_fibres(line, bases[line.k], task.table, looked, _MISSED_SLACK * small)
            if not missed.size:
                break
            line.append(missed)
            line.keep(line.pivots(small))
            line.settle(small)
            bases[line.k] = line.basis()
            put()
    return bases


def _joined(lines: list[Fibres], seen: Points, missed: npt.NDArray[np.float64]) -> None:
    """Add fibres through the points that are missed most."""
    worst = np.argsort(-missed, kind="stable")
    for line in lines:
        line.append(seen[worst[: max(3, line.count // 4)]])


def _last_resort(task: _Task, state: _State) -> _State:
    """Return what comes of fibres that still grow, by as many nodes as values are left for."""
    ask, lines = task.ask, state.lines
    if ask.d > MOST_AXES:
        raise ExhaustedError
    ask.held = 0
    # One half is for nodes, the other to judge by: what was seen may lie on them.
    half = min((ask.limit - ask.evaluations) // 2, _LAST)
    most = max(1, int(half ** (1 / ask.d)))
    for line in lines:
        line.keep(line.pivots(task.small(line))[:most])
    bases = [line.basis() for line in lines]
    core = core_of(ask, bases, None)
    function = function_of(core.values, bases)
    t = task.anywhere(min(half, _JUDGED))
    missed = float(np.max(np.abs(evaluate(function, t) - ask(t)), initial=0.0))
    seen = float(np.max(np.abs(evaluate(function, state.seen) - state.values)))
    error = max(missed, seen) / (ask.largest or 1.0)
    return state._replace(function=function, core=core, error=error)
