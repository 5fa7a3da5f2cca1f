"""The minimisation of a generalised loss, handed to SciPy and translated back."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tdecomp._iterate import Callback, Fit, Progress, Status
from tdecomp._random import like
from tdecomp._shim import host
from tdecomp._typing import Array, Namespace
from tdecomp.cp._format import CP
from tdecomp.cp._initial import values_of
from tdecomp.cp._normalise import _normalise

# Pairs of steps and gradients that the quasi-Newton matrix is made of.
_MEMORY = 10
# So many small changes in a row are no accident of one line search.
_PATIENCE = 2
# Evaluations that one step may take, on average.
_EVALUATIONS = 20


class Deviance(NamedTuple):
    """The objective, from that of the best model of each entry to that of the best constant."""

    objective: Any
    ridge: float
    least: float
    span: float

    @classmethod
    def of(cls, objective: Any, ridge: float) -> Deviance:
        """Find the two models that the deviance is measured by."""
        loss = objective.loss
        least = objective.total(lambda x: loss.value(x, loss.best(x)))
        constant = _constant(objective)
        most = objective.total(lambda x: loss.value(x, 0 * x + constant))
        return cls(objective, ridge, least, max(most - least, 0.0))

    @property
    def rounding(self) -> float:
        """The deviance that rounding of the data makes."""
        values = values_of(self.objective.x)
        unit = float(self.objective.xp.finfo(values.dtype).eps)
        return unit * (unit + abs(self.least) / (self.span or 1.0))

    def part(self, value: float) -> float:
        """Return the part of the deviance that an objective stands for."""
        return (value - self.least) / (self.span or 1.0)

    def at(self, factors: Sequence[Array]) -> tuple[float, float, list[Array]]:
        """Return the part of the deviance that is left, what is to be minimised, its gradient."""
        sums = self.objective.at(list(factors))
        part = self.part(sums.value)
        squares = sum(float((f * f).sum()) for f in map(host, factors)) if self.ridge else 0.0
        share = self.ridge / (self.span or 1.0)
        return part, part + share * squares, self.with_ridge(sums.products, factors)

    def with_ridge(self, gradient: Sequence[Array], factors: Sequence[Array]) -> list[Array]:
        """Return the gradient of what is minimised from that of the objective."""
        unit = self.span or 1.0
        if not self.ridge:
            return [g / unit for g in gradient]
        share = 2 * self.ridge
        return [(g + share * f) / unit for g, f in zip(gradient, factors, strict=True)]


def _constant(objective: Any) -> float:
    """Return the best constant model: where the derivatives sum to zero."""
    from scipy.optimize import brentq

    loss, xp = objective.loss, objective.xp
    values = values_of(objective.x)

    def best(x: float) -> float:
        return float(loss.best(like(np.asarray([x]), values, xp))[0])

    def slope(c: float) -> float:
        return float(objective.total(lambda x: loss.derivative(x, 0 * x + c)))

    low, high = map(best, objective.extremes())
    if not low < high:
        return low
    ends = slope(low), slope(high)
    if ends[0] >= 0 or ends[1] <= 0:
        return low if ends[0] >= 0 else high
    # The best constant of most losses is that of the mean.
    middle = best(objective.total(lambda x: x) / objective.total(lambda x: 0 * x + 1))
    if low < middle < high:
        sizes = objective.total(lambda x: xp.abs(loss.derivative(x, 0 * x + middle)))
        if abs(slope(middle)) <= math.sqrt(float(xp.finfo(values.dtype).eps)) * sizes:
            return middle
    return float(brentq(slope, low, high))


def minimised(
    deviance: Deviance,
    factors: Sequence[Array],
    *,
    tol: float,
    max_iter: int,
    callback: Callback | None,
    unit: float,
    xp: Namespace,
) -> Fit[CP]:
    """Hand the problem to SciPy, and translate what comes back."""
    from scipy.optimize import Bounds, minimize

    state = _Minimisation(deviance, factors, tol=tol, callback=callback, unit=unit, xp=xp)
    bounded = deviance.objective.loss.lower == 0.0
    result = minimize(
        state.evaluate,
        state.flat(factors),
        jac=True,
        method="L-BFGS-B",
        bounds=Bounds(0.0, math.inf) if bounded else None,
        callback=state.see,
        options={
            "maxiter": max_iter,
            "maxfun": _EVALUATIONS * (max_iter + 1),
            "maxcor": _MEMORY,
            "ftol": 0.0,
            "gtol": 0.0,
        },
    )
    part, _, _ = deviance.at(state.cut(result.x))
    return Fit(state.shown(result.x), max(part, 0.0), int(result.nit), state.status(result))


class _Minimisation:
    """What SciPy calls: unknowns as one vector of doubles on the host."""

    def __init__(
        self,
        deviance: Deviance,
        factors: Sequence[Array],
        *,
        tol: float,
        callback: Callback | None,
        unit: float,
        xp: Namespace,
    ) -> None:
        self._deviance, self._tol, self._callback = deviance, tol, callback
        self._unit, self._xp = unit, xp
        self._shapes = [tuple(map(int, f.shape)) for f in factors]
        self._like = factors[0]
        self._start = time.monotonic()
        self._steps, self._small, self._last = 0, 0, math.inf
        self._parts: dict[float, float] = {}
        self._reason: Status | None = None

    def flat(self, factors: Sequence[Array]) -> np.ndarray:
        """Join factors to one vector."""
        return np.concatenate([host(f).astype(float).ravel() for f in factors])

    def cut(self, vector: np.ndarray) -> list[Array]:
        """Cut a vector into factors, of the library and dtype of the data."""
        ends = np.cumsum([math.prod(shape) for shape in self._shapes])[:-1]
        pairs = zip(np.split(vector, ends), self._shapes, strict=True)
        return [like(part.reshape(shape), self._like, self._xp) for part, shape in pairs]

    def evaluate(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the objective and its gradient; remember the deviance that goes with it."""
        part, value, gradient = self._deviance.at(self.cut(vector))
        if not self._parts:
            self._last = value
        self._parts[value] = part
        return value, self.flat(gradient)

    def see(self, intermediate_result: Any) -> None:
        """Report a step, and stop where that was the last one."""
        value = float(intermediate_result.fun)
        part = self._parts.get(value, value)
        self._parts = {value: part}
        self._steps += 1
        if self._callback is not None:
            elapsed = time.monotonic() - self._start
            shown = self.shown(intermediate_result.x)
            if self._callback(Progress(self._steps, part, elapsed, shown)) is True:
                self._reason = Status.INTERRUPTED
                raise StopIteration
        small = self._last - value <= self._tol * max(value, self._deviance.rounding)
        self._small, self._last = (self._small + 1 if small else 0), value
        if self._small >= _PATIENCE or value <= self._deviance.rounding:
            self._reason = Status.CONVERGED
            raise StopIteration

    def shown(self, vector: np.ndarray) -> CP:
        """Return the normal form of a model, at the scale of the data."""
        factors = self.cut(vector)
        cp = _normalise(CP(self._xp.ones_like(factors[0][0, :]), tuple(factors)), xp=self._xp)
        return cp._replace(weights=cp.weights * self._unit)

    def status(self, result: Any) -> Status:
        """Say why SciPy stopped."""
        if not math.isfinite(float(result.fun)):
            return Status.NONFINITE
        if self._reason is not None:
            return self._reason
        if result.status == 1:
            return Status.MAX_ITER
        return Status.CONVERGED if result.status == 0 else Status.STAGNATED
