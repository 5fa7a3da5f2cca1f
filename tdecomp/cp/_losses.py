"""Elementwise losses of generalised CP decompositions, and what is known of each."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from tdecomp._errors import check_callable, check_choice, check_number
from tdecomp._typing import Array, Namespace
from tdecomp._xp import eps, namespace


def _same(x: Array) -> Array:
    """Return the data: the model that fits them best under most losses."""
    return x


class Loss(NamedTuple):
    r"""An elementwise loss :math:`f(x, m)` of data and model, for `gcp`.

    The first three fields are enough. Functions get and return arrays of one shape and of the
    library of the data, and must be finite for all finite models above the lower bound.

    Attributes
    ----------
    value : callable
        ``value(x, m)``, the loss of each entry.
    derivative : callable
        ``derivative(x, m)``, its derivative by `m`.
    lower : float
        The lower bound of the model: 0, kept by nonnegative factors, or ``-inf``.
    best : callable
        ``best(x)``, the `m` of least loss, by default `x` itself. It tells what a perfect fit is.
    domain : tuple of float
        The smallest and the largest legal entry of the data.
    zeros : tuple of float, optional
        The numbers `(a, b)` with :math:`f(0, m) = a m + b m^2`, if there are: the loss of a sparse
        tensor is then summed over its entries only.
    rescaled : callable, optional
        ``rescaled(u)``, a pair of a loss `g` and an exponent `p` with :math:`f(u x, u m) = u^p
        g(x, m)` up to what does not depend on `m`, if there is one: data of any scale are then
        brought to a moderate one.

    See Also
    --------
    huber : a loss with a parameter.
    negative_binomial : another one.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import cp
    >>> quartic = cp.Loss(lambda x, m: (m - x) ** 4, lambda x, m: 4 * (m - x) ** 3, -np.inf)
    >>> fit = cp.gcp(np.ones((2, 3, 4)), rank=1, loss=quartic, rng=0)
    >>> bool(fit.tensor.to_array().min() > 0.9)
    True
    """

    value: Callable[[Any, Any], Any]
    derivative: Callable[[Any, Any], Any]
    lower: float = -math.inf
    best: Callable[[Any], Any] = _same
    domain: tuple[float, float] = (-math.inf, math.inf)
    zeros: tuple[float, float] | None = None
    rescaled: Callable[[float], tuple[Loss, float]] | None = None


def huber(delta: float = 1.0, /) -> Loss:
    r"""Return Huber's loss, quadratic near the data and linear away from them.

    .. math:: f(x, m) = (x - m)^2 \text{ where } |x - m| \le \delta,
              \quad 2 \delta |x - m| - \delta^2 \text{ elsewhere}

    Parameters
    ----------
    delta : float
        Where outliers begin, in the unit of the data.

    Returns
    -------
    Loss
        The loss, for `gcp`.

    Raises
    ------
    TypeError, ValueError
        If `delta` is not a positive number.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import cp
    >>> cp.huber(1.0).value(np.zeros(2), np.array([0.5, 10.0]))
    array([ 0.25, 19.  ])
    """
    delta = check_number(delta, name="delta")
    if not 0 < delta < math.inf:
        raise ValueError(f"delta must be a positive number, got {delta}")

    def value(x: Array, m: Array) -> Array:
        xp = namespace(x, m)
        gap = xp.abs(x - m)
        near = xp.where(gap > delta, delta * xp.ones_like(gap), gap)
        return near * (2 * gap - near)

    def derivative(x: Array, m: Array) -> Array:
        xp = namespace(x, m)
        gap = m - x
        bound = delta * xp.ones_like(gap)
        return 2 * xp.where(gap > delta, bound, xp.where(gap < -delta, -bound, gap))

    return Loss(value, derivative, rescaled=lambda unit: (huber(delta / unit), 2.0))


def negative_binomial(failures: float = 1.0, /) -> Loss:
    r"""Return the loss of counts of successes before a number of failures.

    .. math:: f(x, m) = (r + x) \log(1 + m) - x \log m, \qquad m \ge 0

    with `m` the odds of success: the mean of the data is :math:`r m`.

    Parameters
    ----------
    failures : float
        The number :math:`r` of failures.

    Returns
    -------
    Loss
        The loss, for `gcp`.

    Raises
    ------
    TypeError, ValueError
        If `failures` is not a positive number.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import cp
    >>> loss = cp.negative_binomial(2.0)
    >>> loss.derivative(np.array([4.0]), np.array([2.0]))
    array([0.])
    """
    failures = check_number(failures, name="failures")
    if not 0 < failures < math.inf:
        raise ValueError(f"failures must be a positive number, got {failures}")

    return _odds_of_success(failures, 1.0)


def named(loss: str | Loss) -> Loss:
    """Return the loss of a name, or the loss itself."""
    if isinstance(loss, str):
        return LOSSES[check_choice(loss, tuple(LOSSES), name="loss")]
    if not isinstance(loss, Loss):
        raise TypeError(
            f"loss must be one of {', '.join(map(repr, LOSSES))}, or a Loss, got "
            f"{type(loss).__name__}"
        )
    for name in ("value", "derivative", "best"):
        check_callable(getattr(loss, name), name=f"loss.{name}")
    if loss.lower not in (0.0, -math.inf):
        raise ValueError(f"the lower bound of a loss must be 0 or -inf, got {loss.lower}")
    return loss


def best_is_data(loss: Loss) -> bool:
    """Tell whether the model of least loss is the data themselves."""
    return loss.best is _same


def _floor(m: Array, xp: Namespace) -> float:
    """Return what keeps logarithms and quotients finite at 0: the last third of the digits."""
    return float(eps(m.dtype, xp) ** (2 / 3))


def _gaussian() -> Loss:
    """Return the loss of that name."""

    def value(x: Array, m: Array) -> Array:
        return (m - x) ** 2

    def derivative(x: Array, m: Array) -> Array:
        return 2 * (m - x)

    return Loss(value, derivative, zeros=(0.0, 1.0), rescaled=lambda _: (_gaussian(), 2.0))


def _poisson() -> Loss:
    """Return the loss of that name."""

    def value(x: Array, m: Array) -> Array:
        xp = namespace(x, m)
        return m - x * xp.log(m + _floor(m, xp))

    def derivative(x: Array, m: Array) -> Array:
        return 1 - x / (m + _floor(m, namespace(m)))

    return Loss(
        value,
        derivative,
        lower=0.0,
        domain=(0.0, math.inf),
        zeros=(1.0, 0.0),
        rescaled=lambda _: (_poisson(), 1.0),
    )


def _poisson_log() -> Loss:
    """Return the loss of that name."""

    def best(x: Array) -> Array:
        xp = namespace(x)
        return xp.log(x + _floor(x, xp))

    def value(x: Array, m: Array) -> Array:
        xp = namespace(x, m)
        return _exp(m, xp) - x * m

    def derivative(x: Array, m: Array) -> Array:
        return _exp(m, namespace(m)) - x

    return Loss(value, derivative, best=best, domain=(0.0, math.inf))


def _exp(m: Array, xp: Namespace) -> Array:
    """Return the exponential, held where line searches that go too far would overflow."""
    top = math.log(float(xp.finfo(m.dtype).max)) / 2
    return xp.exp(xp.where(m < top, m, top * xp.ones_like(m)))


def _bernoulli_odds() -> Loss:
    """Return the loss of that name."""

    def best(x: Array) -> Array:
        return x / (1 - x + _floor(x, namespace(x)))

    def value(x: Array, m: Array) -> Array:
        xp = namespace(x, m)
        return xp.log1p(m) - x * xp.log(m + _floor(m, xp))

    def derivative(x: Array, m: Array) -> Array:
        return 1 / (1 + m) - x / (m + _floor(m, namespace(m)))

    return Loss(value, derivative, 0.0, best, (0.0, 1.0))


def _bernoulli_logit() -> Loss:
    """Return the loss of that name."""

    def best(x: Array) -> Array:
        xp = namespace(x)
        return xp.log(x + _floor(x, xp)) - xp.log(1 - x + _floor(x, xp))

    def value(x: Array, m: Array) -> Array:
        xp = namespace(x, m)
        return xp.where(m > 0, m, xp.zeros_like(m)) + xp.log1p(xp.exp(-xp.abs(m))) - x * m

    def derivative(x: Array, m: Array) -> Array:
        xp = namespace(x, m)
        decay = xp.exp(-xp.abs(m))
        return xp.where(m > 0, xp.ones_like(m), decay) / (1 + decay) - x

    return Loss(value, derivative, best=best, domain=(0.0, 1.0))


def _gamma() -> Loss:
    """Return the loss of that name."""

    def value(x: Array, m: Array) -> Array:
        xp = namespace(x, m)
        m = m + _floor(m, xp)
        return x / m + xp.log(m)

    def derivative(x: Array, m: Array) -> Array:
        m = m + _floor(m, namespace(m))
        return (1 - x / m) / m

    return Loss(value, derivative, 0.0, domain=(0.0, math.inf), rescaled=lambda _: (_gamma(), 0.0))


def _rayleigh() -> Loss:
    """Return the loss of that name."""

    def value(x: Array, m: Array) -> Array:
        xp = namespace(x, m)
        m = m + _floor(m, xp)
        return 2 * xp.log(m) + (math.pi / 4) * (x / m) ** 2

    def derivative(x: Array, m: Array) -> Array:
        m = m + _floor(m, namespace(m))
        return (2 - (math.pi / 2) * (x / m) ** 2) / m

    return Loss(
        value,
        derivative,
        lower=0.0,
        best=lambda x: math.sqrt(math.pi) / 2 * x,
        domain=(0.0, math.inf),
        rescaled=lambda _: (_rayleigh(), 0.0),
    )


def _odds_of_success(failures: float, one: float) -> Loss:
    r"""Return the negative binomial loss in a unit of data and model in which 1 is `one`.

    With :math:`q` for it, of :math:`r q \log(1 + m / q) + x \log(1 + q / m)` that is the part
    which depends on `m`, divided by `q` below 1: nothing overflows, and what is left at the ends
    is the loss of a gamma distribution, and that of Poisson's.
    """
    rescaled = _rescaled_odds(failures, one)

    def value(x: Array, m: Array) -> Array:
        xp = namespace(x, m)
        m = m + _floor(m, xp)
        least = eps(m.dtype, xp) ** 2
        if one < 1:
            inverse = xp.log1p(one / m) / one if one > least else 1 / m
            return failures * xp.log(m + one) + x * inverse
        grown = one * xp.log1p(m / one) if one * least < 1 else m
        return failures * grown + x * (xp.log1p(m / one) - xp.log(m))

    def derivative(x: Array, m: Array) -> Array:
        m = m + _floor(m, namespace(m))
        return (failures - x / m) / (m + one if one < 1 else 1 + m / one)

    return Loss(value, derivative, 0.0, lambda x: x / failures, (0.0, math.inf), None, rescaled)


def _rescaled_odds(failures: float, one: float) -> Callable[[float], tuple[Loss, float]]:
    """Return what the loss becomes in other units."""

    def rescaled(unit: float) -> tuple[Loss, float]:
        return _odds_of_success(failures, one / unit), 0.0 if one < unit else 1.0

    return rescaled


LOSSES: dict[str, Loss] = {
    "gaussian": _gaussian(),
    "poisson": _poisson(),
    "poisson-log": _poisson_log(),
    "bernoulli-odds": _bernoulli_odds(),
    "bernoulli-logit": _bernoulli_logit(),
    "gamma": _gamma(),
    "rayleigh": _rayleigh(),
    "huber": huber(),
    "negative-binomial": negative_binomial(),
}
"""Losses by name, those with a parameter with its default."""
