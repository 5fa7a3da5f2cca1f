r"""Functional Tucker approximation by fibres: as few values of a function as its ranks ask for.

Every round

1. grows the fibres of each variable until no new one adds to what the others span, and refines
   those that span all until their series have settled;
2. interpolates: factors are the cardinal functions of the fibres, the core holds the values at
   all combinations of their nodes, of which those known from the round before are not asked for
   again; or, where this and one more round would ask for as many values as a whole grid, takes all
   values on that;
3. compares fibres through nodes of the other variables, some of them where the core is largest,
   with their interpolation, and the whole with values at fresh points. Fibres through what is
   missed join in, and the next round begins.

Of many variables fibres through nodes are compared before values at combinations of nodes are
asked for, and these are a tensor train where one takes fewer values than there are combinations.

Without the comparison of fibres through nodes a function with a peak looks resolved as soon as
its flanks are.

References
----------
.. [1] S. Dolgov, D. Kressner, C. Stroessner, "Functional Tucker approximation using Chebyshev
   interpolation", SIAM J. Sci. Comput. 43, 2021. doi:10.1137/20M1356944
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tdecomp._iterate import Callback, Fit, Status, Step, iterate
from tdecomp.chebyshev._chop import LEAST
from tdecomp.chebyshev._core import arrays, of_arrays
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._points import points
from tdecomp.chebyshev._sampling._combinations import Combinations
from tdecomp.chebyshev._sampling._cross import crossed, expected, pays
from tdecomp.chebyshev._sampling._fibres import FINEST, Basis, Fibres
from tdecomp.chebyshev._sampling._many import FEW, begun, climbed, peaks, scattered
from tdecomp.chebyshev._sampling._sampler import Points, Sampler, Values
from tdecomp.chebyshev._sampling._screen import missed_fibres
from tdecomp.chebyshev._sampling._whole import interpolated
from tdecomp.chebyshev._values._evaluate import evaluate
from tdecomp.tt import TensorTrain
from tdecomp.tt._sampler import ExhaustedError

# The seed: a grid of at most so many points, at most so many for each variable.
_SEED, _SIDE, _LEAST_SIDE = 200, 9, 3
# Fibres to begin with, through the largest values of the seed and through random points.
_FIBRES, _FIBRES_OF_MANY = (2, 4), (1, 2)
# At how many points fibres of many variables are asked at first.
_COARSE = 9
# Fibres are enough if they are so many times their rank, and points too.
_SPARE = 1.8
# The least numbers of points by which the whole is judged, and a fibre; and in units of the
# tolerance what is let pass: by fibres through nodes, and by the whole, where all errors meet.
_JUDGED, _COMPARED, _COMPARED_MOST, _FIBRE_SLACK, SLACK = 64, 16, 64, 30.0, 50.0
# Of many variables fibres are compared before the whole, which all their errors meet.
_MISSED_SLACK = 5.0
# A round that lies ahead, as fibres join in, asks for so many times as many; whole grids
# are so much finer than series are long.
_AHEAD, _FINER = 1.0, 1.2
# By what factor tolerances of fibres fall.
_NEARER = 3.0
# The whole is judged by that part of all values; of many variables it takes more to meet errors.
_PART, _PART_OF_MANY = 100, 30
_ROUNDS = 20
# A train of so many entries, or fewer, is handed on as an array.
_DENSE = 1 << 17


class _Task(NamedTuple):
    """What is asked, how exactly, and where chance comes from."""

    ask: Sampler
    tol: float
    rng: np.random.Generator
    table: Combinations

    def small(self, *lines: Fibres) -> float:
        """Return what counts as nothing: below the tolerance, or the noise of fibres."""
        return max(self.tol * self.ask.largest, *(line.noise for line in lines))

    def anywhere(self, count: int) -> Points:
        """Return random points of the unit box, as dense near its faces as Chebyshev points."""
        if self.ask.d > FEW:
            return scattered(self.ask.d, count, self.rng)
        return np.sin(np.pi / 2 * self.rng.uniform(-1, 1, (count, self.ask.d)))


class _Core(NamedTuple):
    """Values at all combinations of nodes, which are numbers in the finest of all grids."""

    values: Values
    nodes: list[npt.NDArray[np.intp]]


class _State(NamedTuple):
    """Fibres, which grow in place; points with values; and what has come of them.

    Fibres are compared to that part of the tolerance.
    """

    lines: list[Fibres]
    seen: Points
    values: Values
    core: _Core | None
    function: ChebyshevTucker | None
    error: float
    part: float = 1.0


def fibre_sampled(
    ask: Sampler, tol: float, rng: np.random.Generator, *, callback: Callback | None = None
) -> Fit[ChebyshevTucker]:
    """Return an approximation on the unit box, with errors near `tol` times the largest value.

    Its error is the largest seen, over the largest value. The status is MAX_ITER if evaluations
    were used up, and STAGNATED if a series does not end.
    """
    task = _Task(ask, tol, rng, Combinations(ask, rng))
    seen, values = _seeded(task)
    # Through the largest values, and anywhere.
    few = _FIBRES if ask.d <= FEW else _FIBRES_OF_MANY
    largest = np.argsort(-np.abs(values), kind="stable")[: few[0]]
    first = np.concatenate([seen[largest], task.anywhere(few[1])])
    n = LEAST if ask.d <= FEW else _COARSE
    lines = [Fibres(ask, k, first, n, stable=ask.d > FEW) for k in range(ask.d)]
    if ask.d > FEW:
        seen, values = climbed(ask, lines, seen, values)
    return iterate(
        lambda state: _step(task, state),
        _State(lines, seen, values, None, None, math.inf),
        max_iter=_ROUNDS,
        tol=-1.0,
        callback=callback,
        show=lambda state: state.function,
    )


def _step(task: _Task, state: _State) -> Step[_State]:
    """Make a round, of which nothing is left where evaluations run out."""
    try:
        return _round(task, state)
    except ExhaustedError:
        if state.function is None:
            raise
        return Step(state, state.error, verdict=Status.MAX_ITER)


def _round(task: _Task, state: _State) -> Step[_State]:
    """Let fibres grow, interpolate, and compare."""
    lines = state.lines
    finer = task._replace(tol=state.part * task.tol)
    ends = [_spanned(line, finer) for line in lines]
    function, core, consistent = _interpolated(finer, state, ends)
    part = _PART if task.ask.d <= FEW else _PART_OF_MANY
    fresh = task.anywhere(max(_JUDGED, task.ask.evaluations // part))
    seen = np.concatenate([state.seen, fresh])
    values = np.concatenate([state.values, task.ask(fresh)])
    missed = np.abs(evaluate(function, seen) - values)
    good = float(np.max(missed)) <= SLACK * task.small(*lines)
    error = float(np.max(missed)) / task.ask.largest if task.ask.largest else 0.0
    verdict = (
        Status.STAGNATED if None in ends else Status.CONVERGED if good and consistent else None
    )
    if verdict is None and not good:
        _joined(lines, seen, missed)
    # Errors of all variables meet in the whole: where no fibre is missed, all are to be nearer. Of
    # many variables, fibres may have been missed the first time.
    again = task.ask.d <= FEW or state.function is not None
    nearer = state.part / _NEARER if again and consistent and not good else state.part
    return Step(_State(lines, seen, values, core, function, error, nearer), error, verdict=verdict)


def _interpolated(
    task: _Task, state: _State, ends: list[int | None]
) -> tuple[ChebyshevTucker, _Core | None, bool]:
    """Return what interpolates, its core if that is an array, and whether no fibre is missed."""
    lines = state.lines
    sizes = _whole(lines, ends)
    if sizes:
        return _shortened(interpolated(task.ask, sizes, task.tol), ends), None, True
    bases = [line.basis(end or line.n) for line, end in zip(lines, ends, strict=True)]
    train = _train(task, state, ends, bases)
    if train is not None:
        return _function(train, bases), None, True
    core = _core(task.ask, lines, bases, state.core)
    return _function(core.values, bases), core, _crossed(lines, bases, core, task)


def _seeded(task: _Task) -> tuple[Points, Values]:
    """Return the points of a coarse grid, of many variables random ones, and their values."""
    d = task.ask.d
    side = min(_SIDE, int(_SEED ** (1 / d)))
    axes = np.meshgrid(*[points(side)] * d, indexing="ij")
    grid = np.stack(axes, axis=-1).reshape(-1, d)
    seen = grid if side >= _LEAST_SIDE else begun(d, task.rng)
    return seen, task.ask(seen)


def _spanned(line: Fibres, task: _Task) -> int | None:
    """Let fibres and points grow until few span all, and settle; return the length of series."""
    # Of many variables, fibres that are missed are found by other means from then on.
    grown = task.ask.d > FEW and line.nodes.size > 0
    while True:
        pivots = line.pivots(task.small(line))
        if grown or _SPARE * pivots.size <= min(line.tried, line.n):
            break
        if line.n < 2 * pivots.size:
            line.refine()
        else:
            line.offer(
                task.anywhere(max(4 if task.ask.d <= FEW else 2, line.count // 2)),
                task.small(line),
            )
    line.keep(pivots)
    return line.settle(task.small(line))


def _whole(lines: list[Fibres], ends: list[int | None]) -> list[int]:
    """Return the sizes of a whole grid if it asks for fewer values than rounds; else nothing.

    What a series leaves out is aliased: the grid is finer than the series are long.
    """
    sizes = [math.ceil(_FINER * (end or 0)) for end in ends]
    nodes = expected([line.count for line in lines])
    fibres = sum(line.count * line.n for line in lines)
    return sizes if 0 < math.prod(sizes) <= _AHEAD * (nodes + fibres) else []


def _shortened(f: ChebyshevTucker, ends: list[int | None]) -> ChebyshevTucker:
    """Return a function with as many coefficients as series need."""
    factors = zip(f.factors, ends, strict=True)
    return ChebyshevTucker(f.core, tuple(factor[:end] for factor, end in factors), f.domain)


def _train(
    task: _Task, state: _State, ends: list[int | None], bases: list[Basis]
) -> TensorTrain | Values | None:
    """Return the values at all combinations of nodes as a train, where that asks for fewer.

    Before, fibres through nodes join in until none is missed.
    """
    if not pays([basis.nodes.size for basis in bases]):
        return None
    for line in state.lines if None not in ends else ():
        small = task.small(line)
        looked = peaks(state.seen, state.values, line.count // 4 + 1)
        for _ in range(_ROUNDS):
            task.table.put(*_nodes(state.lines, bases))
            missed = missed_fibres(line, bases[line.k], task.table, looked, _MISSED_SLACK * small)
            if not missed.size:
                break
            line.append(missed)
            line.keep(line.pivots(small))
            ends[line.k] = line.settle(small)
            bases[line.k] = line.basis(ends[line.k] or line.n)
    return crossed(task.table, task.small(*state.lines))


def _core(ask: Sampler, lines: list[Fibres], bases: list[Basis], known: _Core | None) -> _Core:
    """Return the values at all combinations of nodes, asking for those that are new."""
    places, nodes = _nodes(lines, bases)
    grid = np.stack(np.meshgrid(*places, indexing="ij"), axis=-1)
    new = np.ones(grid.shape[:-1], bool)
    if known is not None:
        pairs = [np.intersect1d(a, b, return_indices=True)[1:] for a, b in _both(nodes, known)]
        new[np.ix_(*(here for here, _ in pairs))] = False
    parts = [ask(grid[new])] if np.any(new) else []
    parts += [] if known is None else [known.values]
    values = np.empty(new.shape, np.result_type(*parts))
    if np.any(new):
        values[new] = parts[0]
    if known is not None:
        here, there = (np.ix_(*side) for side in zip(*pairs, strict=True))
        values[here] = known.values[there]
    return _Core(values, nodes)


def _both(
    nodes: list[npt.NDArray[np.intp]], known: _Core
) -> list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    return list(zip(nodes, known.nodes, strict=True))


def _nodes(
    lines: list[Fibres], bases: list[Basis]
) -> tuple[list[Points], list[npt.NDArray[np.intp]]]:
    """Return nodes, and their numbers in a grid of which all others are a part."""
    pairs = list(zip(lines, bases, strict=True))
    places = [line.points[basis.nodes] for line, basis in pairs]
    return places, [basis.nodes * (FINEST // (line.n - 1)) for line, basis in pairs]


def _function(core: Values | TensorTrain | None, bases: list[Basis]) -> ChebyshevTucker:
    """Return the interpolation on the unit box; a train that is no larger becomes an array."""
    if isinstance(core, TensorTrain) and math.prod(core.shape) <= _DENSE:
        core = core.to_array()
    dtype = np.result_type(*arrays(core), *(basis.series for basis in bases))
    factors = tuple(basis.series.astype(dtype) for basis in bases)
    box = np.tile([-1.0, 1.0], (len(bases), 1))
    core = of_arrays(core, [part.astype(dtype) for part in arrays(core)])
    return ChebyshevTucker(core, factors, box)


def _crossed(lines: list[Fibres], bases: list[Basis], core: _Core, task: _Task) -> bool:
    """Compare fibres through nodes with their interpolation; those that are missed join in."""
    consistent = True
    places = [line.points[basis.nodes] for line, basis in zip(lines, bases, strict=True)]
    for line, basis in zip(lines, bases, strict=True):
        chosen = _combinations(core, line, task)
        through = np.stack([p[i] for p, i in zip(places, chosen, strict=True)], axis=-1)
        # At the nodes their values are in the core: a part of the other points is enough.
        known: Any = np.moveaxis(core.values, line.k, 0)
        others = tuple(index for k, index in enumerate(chosen) if k != line.k)
        at = _compared(line, basis, task)
        ends = known[:, *others].reshape(known.shape[0], -1)
        asked = line.along(through, line.points[at])
        missed = np.abs(asked - basis.values[at] @ ends)
        bad = np.max(missed, axis=0) > _FIBRE_SLACK * task.small(line)
        # Of fibres that are far smaller than others too few digits are resolved.
        bad |= np.max(np.abs(asked), axis=0) > _FIBRE_SLACK * np.max(np.abs(line.values))
        if np.any(bad):
            consistent = False
            line.append(through[bad])
    return consistent


def _compared(line: Fibres, basis: Basis, task: _Task) -> npt.NDArray[np.intp]:
    """Return points along a variable, half of them where the interpolation is large."""
    count = max(_COMPARED, min(line.n // 8, _COMPARED_MOST))
    sizes = np.sum(np.abs(basis.values), axis=1)
    sizes[basis.nodes] = 0.0
    largest = np.argsort(-sizes, kind="stable")[: count // 2]
    anywhere = task.rng.permutation(line.n)[: count - largest.size]
    return np.concatenate([largest, anywhere])


def _combinations(core: _Core, line: Fibres, task: _Task) -> list[npt.NDArray[np.intp]]:
    """Return nodes to put fibres through, half of them where the core is large."""
    count = max(2, line.count // 2)
    chosen = [task.rng.integers(n, size=count) for n in core.values.shape]
    peaks = np.max(np.abs(core.values), axis=line.k, keepdims=True)
    highest = np.argsort(-peaks, axis=None, kind="stable")[: count // 2]
    for index, peak in zip(chosen, np.unravel_index(highest, peaks.shape), strict=True):
        index[: peak.size] = peak
    return chosen


def _joined(lines: list[Fibres], seen: Points, missed: npt.NDArray[np.float64]) -> None:
    """Add fibres through the points that are missed most."""
    for line in lines:
        worst = np.argsort(-missed, kind="stable")[: max(3, line.count // 4)]
        line.append(seen[worst])
