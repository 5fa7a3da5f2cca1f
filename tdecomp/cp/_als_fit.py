"""The ways of `cp_als`: all data, weighted data, data under a transformation."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import check_count
from tdecomp._iterate import Callback, Fit, Status
from tdecomp._random import normal
from tdecomp._typing import Array, Namespace
from tdecomp._weights import elementwise
from tdecomp._xp import adjoint, device, equilibrate, prepare, squared_norm
from tdecomp.cp._format import CP
from tdecomp.cp._gauss_newton import cp_gauss_newton
from tdecomp.cp._hals import hals
from tdecomp.cp._initial import (
    _initialise,
    check_components,
    check_init,
    nearby,
    random_start,
    values_of,
)
from tdecomp.cp._initial_gevd import algebraic
from tdecomp.cp._normalise import _normalise, phase_of
from tdecomp.cp._starts import OVERSAMPLE, _cp_als, compressed, compressible, misfits, race
from tdecomp.cp._sweeps import Problem, State, als, sweep, true_error, unweighted
from tdecomp.cp._weighted import weighted_als
from tdecomp.cp._weighted_data import _entries
from tdecomp.ops._coo import COO
from tdecomp.ops._products import DenseProducts
from tdecomp.ops._sparse_layout import SparseLayout

# Sweeps of each start where they race on the tensor itself.
_SCREEN = 10
# Above this error a difference of squares keeps all but four digits: a sparse tensor then needs no
# second look at all of its entries.
_LARGE = 1e-2
# Sweeps by which the choice of kernels reckons, where the tolerance decides how many there are.
_EXPECTED = 25
# Steps of Gauss-Newton that find a minimum if there is one.
_PROBE = 40
# Beyond this power of two a ridge makes zeros of everything, or nothing.
_FAR = 1000.0


class Options(NamedTuple):
    """What was asked for, validated."""

    modes: int
    rank: int
    n_starts: int
    nonnegative: tuple[int, ...]
    fixed: tuple[int, ...]
    ridge: float
    solver: str
    accelerate: bool
    tol: float
    max_iter: int
    callback: Callback | None


class Data(NamedTuple):
    """Data whose squares are in range, the power of two taken out, their norm."""

    x: Any
    size: float
    norm: float


def fit_data(
    x: Any, init: Any, options: Options, rng: np.random.Generator, xp: Namespace
) -> Fit[CP]:
    """Fit all of the data, dense or sparse, at a power-of-two scale near one."""
    data = _moderate(x, xp)
    if data.norm == 0:
        return _of_zeros(x, init, options, xp)
    units = _units(init, data.size, options, xp)
    problem = _problem(data, units, options, xp)
    starts = _starts(data, init, units, options, rng, xp=xp)

    def show(state: State) -> CP:
        if options.fixed:
            pairs = enumerate(zip(state.factors, units, strict=True))
            known = [init.factors[k] if k in options.fixed else a * u for k, (a, u) in pairs]
            return unweighted(known, xp)
        cp = unweighted(state.factors, xp)
        return _normalise(cp._replace(weights=cp.weights * data.size), xp=xp)

    fit = als(
        problem,
        _leader(problem, starts, options, rng),
        accelerate=options.accelerate,
        max_iter=options.max_iter,
        tol=options.tol,
        callback=options.callback,
        show=show,
        attained=_minimum_finder(problem, options),
    )
    if isinstance(x, COO) and _LARGE < fit.error < math.inf:
        return fit
    weights, (first, *others) = fit.tensor
    if options.fixed:
        held = [a / unit for a, unit in zip([first, *others], units, strict=True)]
    else:
        held = [first * xp.astype(weights / data.size, first.dtype), *others]
    return fit._replace(error=true_error(problem, held))


def _minimum_finder(
    problem: Problem, options: Options
) -> Callable[[Sequence[Array]], bool] | None:
    """Return what tells whether second-order steps from some factors converge; None if it cannot.

    Sweeps hardly move where components cancel, whether there is a minimum or not.
    """
    if isinstance(problem.x, COO) or options.fixed or options.nonnegative:
        return None

    def attained(factors: Sequence[Array]) -> bool:
        fit = cp_gauss_newton(
            problem.x,
            rank=options.rank,
            init=unweighted(factors, problem.xp),
            ridge=problem.ridge,
            max_iter=_PROBE,
        )
        return fit.status is not Status.DEGENERATE

    return attained


def _of_zeros(x: Any, init: Any, options: Options, xp: Namespace) -> Fit[CP]:
    """Fit a tensor of zeros, of which there is nothing to find out."""
    known = {mode: init.factors[mode] for mode in options.fixed}
    values = values_of(x)
    factors = [
        known[mode]
        if mode in known
        else xp.zeros((n, options.rank), dtype=values.dtype, device=device(values))
        for mode, n in enumerate(x.shape)
    ]
    return Fit(unweighted(factors, xp), 0.0, 0, Status.CONVERGED)


def fit_weighted(
    x: Any, weights: Any, init: Any, options: Options, rng: np.random.Generator, *, xp: Namespace
) -> Fit[CP]:
    """Fit the observed entries, each as its weight says."""
    data = _moderate(_filled(x, weights, xp), xp)
    share = data.size ** (1 / len(data.x.shape))
    units = _units(init, data.size, options, xp)
    starts = [
        [
            init.factors[mode] if mode in options.fixed else factor * share
            for mode, factor in enumerate(start)
        ]
        for start in _starts(data, init, units, options, rng, xp=xp)
    ]
    fit = weighted_als(
        x,
        weights,
        starts,
        ridge=options.ridge,
        fixed=options.fixed,
        nonnegative=options.nonnegative,
        tol=options.tol,
        max_iter=options.max_iter,
        callback=options.callback,
        drawn=len(starts) - isinstance(init, CP),
    )
    return fit if options.fixed else fit._replace(tensor=_normalise(fit.tensor, xp=xp))


def fit_traced(
    x: Any, rank: Any, init: Any, max_iter: int | None, rng: np.random.Generator
) -> Fit[CP]:
    """Make a fixed number of plain sweeps under ``jit``, ``vmap`` or ``grad``."""
    if max_iter is None or (isinstance(init, str) and init != "random"):
        raise ValueError(
            "under tracing (jit, vmap, gradients) the number of sweeps is fixed: pass max_iter=, "
            "and init='random' or a CP"
        )
    xp, x = prepare(x, ndim=2, batch=True, name="x")
    rank = check_components(rank, math.prod(x.shape) // max(x.shape))
    max_iter = check_count(max_iter, name="max_iter")
    if isinstance(init, str):
        factors = [normal(rng, (n, rank), x, xp) for n in x.shape]
    else:
        factors = list(check_init(init, x, rank, xp=xp).factors)
    factors = _cp_als(x, factors, max_iter, xp=xp)
    total = xp.linalg.vector_norm(x)
    error = misfits(x, factors, xp=xp) / xp.where(total > 0, total, xp.ones_like(total))
    return Fit(unweighted(factors, xp), error, max_iter, Status.MAX_ITER)


def _moderate(x: Any, xp: Namespace) -> Data:
    """Scale data by a power of two where squares would leave the range."""
    values = values_of(x)
    if values.shape[0] == 0:
        return Data(x, 1.0, 0.0)
    square = squared_norm(values, xp)
    low = float(xp.finfo(values.dtype).smallest_normal) ** 0.25
    if low < square < 1 / low:
        return Data(x, 1.0, math.sqrt(square))
    values, scale = equilibrate(values, xp, axis=tuple(range(values.ndim)))
    size = float(xp.reshape(scale, (-1,))[0])
    scaled = x._replace(values=values) if isinstance(x, COO) else values
    return Data(scaled, size, math.sqrt(squared_norm(values, xp)))


def _units(init: Any, size: float, options: Options, xp: Namespace) -> list[float]:
    """Return in what units factors are held, so that squares of fixed ones are in range too.

    Those of fixed factors are powers of two; free ones share what is left of the `size` of data.
    """
    units = {}
    for mode in options.fixed:
        scale = equilibrate(init.factors[mode], xp, axis=(0, 1))[1]
        units[mode] = float(xp.reshape(scale, ()))
    modes = options.modes
    left = math.log2(size) - sum(math.log2(unit) for unit in units.values())
    return [units.get(mode, 2.0 ** (left / (modes - len(units)))) for mode in range(modes)]


def _problem(data: Data, units: list[float], options: Options, xp: Namespace) -> Problem:
    """Gather what sweeps need."""
    x = data.x
    modes = range(len(x.shape))
    sweeps = min(options.max_iter, _EXPECTED)
    sparse = isinstance(x, COO)
    products: Any = (
        SparseLayout(x) if sparse else DenseProducts(x, options.rank, sweeps=sweeps, xp=xp)
    )
    return Problem(
        x,
        products,
        data.norm**2,
        tuple(mode for mode in modes if mode not in options.fixed),
        _scaled_ridge(options, data.size, units),
        "cholesky" if sparse else options.solver,
        {mode: partial(hals, xp=xp) for mode in options.nonnegative},
        products.distance,
        xp,
    )


def _scaled_ridge(options: Options, size: float, units: list[float]) -> float:
    """Return the penalty for data divided by `size`, whose free factors are held in `units`."""
    free = next(unit for mode, unit in enumerate(units) if mode not in options.fixed)
    exponent = 2 * (math.log2(free) - math.log2(size))
    factor = math.exp2(max(-_FAR, min(_FAR, exponent)))
    return min(options.ridge * factor, 1 / sys.float_info.epsilon)


def _starts(
    data: Data,
    init: Any,
    units: list[float],
    options: Options,
    rng: np.random.Generator,
    *,
    xp: Namespace,
) -> list[list[Array]]:
    """Return the factors of all starts, weights spread evenly over the modes that are free."""
    if isinstance(init, CP):
        held = {mode: init.factors[mode] / units[mode] for mode in options.fixed}
        starts = [nearby(init, held, data.size, data.norm, xp)]
    elif init == "random":  # which needs no second look at the data
        starts = [random_start(data.x, options.rank, data.norm, rng, xp=xp)]
    else:
        starts = [_initialise(data.x, options.rank, init, rng, xp=xp)]
    for _ in range(options.n_starts - 1):
        drawn = random_start(data.x, options.rank, data.norm, rng, xp=xp)
        for mode in options.fixed:
            factors = (*drawn.factors[:mode], held[mode], *drawn.factors[mode + 1 :])
            drawn = drawn._replace(factors=factors)
        starts.append(drawn)
    return [_spread(start, options, xp) for start in starts]


def _spread(cp: CP, options: Options, xp: Namespace) -> list[Array]:
    """Multiply weights into factors that are free, and make factors nonnegative that must be."""
    free = [mode for mode in range(cp.modes) if mode not in options.fixed]
    sizes, phases = xp.abs(cp.weights) ** (1 / len(free)), phase_of(cp.weights, xp)
    factors = list(cp.factors)
    for mode in free:
        scale = sizes * phases if mode == free[-1] else sizes
        factors[mode] = factors[mode] * xp.astype(scale, cp.dtype)
    for mode in options.nonnegative:
        if mode not in options.fixed:
            factors[mode] = xp.abs(factors[mode])
    return factors


def _filled(x: Any, weights: Any, xp: Namespace) -> Any:
    """Return the data with zeros in the place of what is missing, for a start to be made of."""
    if isinstance(x, COO):
        return x
    if isinstance(weights, COO):
        places, values, *_ = _entries(x, weights)
        return COO(places, values, tuple(x.shape)).to_array()
    known = elementwise(weights, x, x.shape, xp) > 0
    return xp.where(known & xp.isfinite(x), x, xp.zeros_like(x))


def _leader(
    problem: Problem, starts: list[list[Array]], options: Options, rng: np.random.Generator
) -> Sequence[Array]:
    """Return the start that leads after a race, on a small core where that is as good.

    On a core the algebraic solution, which is cheap there, runs as well.
    """
    if len(starts) == 1 or options.max_iter == 0:
        return starts[0]
    x, xp = problem.x, problem.xp
    plain = not (options.fixed or options.nonnegative or options.ridge)
    if isinstance(x, COO) or not plain or not compressible(tuple(x.shape), options.rank):
        states = [State(tuple(start)) for start in starts]
        for _ in range(min(_SCREEN, options.max_iter)):
            states = [sweep(problem, state) for state in states]
        return min(states, key=lambda state: state.objective).factors
    width = options.rank + OVERSAMPLE
    products = DenseProducts(x, width, sweeps=_EXPECTED, xp=xp)
    small, bases = compressed(x, products, width, rng, xp)
    batch = [
        xp.stack([adjoint(basis, xp) @ start[mode] for start in starts])
        for mode, basis in enumerate(bases)
    ]
    pencil = algebraic(small, options.rank, rng, xp=xp)
    if pencil is not None:
        direct = _spread(pencil, options, xp)
        batch = [xp.concat([b, a[None, ...]]) for b, a in zip(batch, direct, strict=True)]
    winner = race(small, batch, xp)
    return [basis @ factor for basis, factor in zip(bases, winner, strict=True)]
