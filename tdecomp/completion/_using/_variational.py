"""Completion whose penalties, noise and effective rank are learnt from the data."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tdecomp._errors import check_callback, check_choice, check_count, check_number, check_rank
from tdecomp._iterate import Callback, Fit, Progress, Status, iterate
from tdecomp._precision import full_precision
from tdecomp._random import generator, normal
from tdecomp._typing import Array, Namespace, Seed
from tdecomp._xp import device
from tdecomp.completion._biases import Biases, fit_biases, no_biases
from tdecomp.completion._entries import read
from tdecomp.completion._format import Completion
from tdecomp.completion._masked import weighted_squares
from tdecomp.completion._methods._spectral import spectral
from tdecomp.completion._observed import Observed, group
from tdecomp.completion._units import Units, in_units, shown
from tdecomp.completion._using._beliefs import Normal
from tdecomp.completion._using._free_energy import State, step

# The variances of the noise and of rows at a start, in units of the data.
_SPECTRAL, _RANDOM = (0.3, 0.03), (1.0, 0.1)
# The share of the noise below which factors have vanished.
_NOTHING = 1e-2
# The ridge of the biases to start from.
_RIDGE = 5.0


@full_precision
def variational_als(
    x: Any,
    /,
    *,
    rank: int,
    weights: Any = None,
    biases: bool = False,
    duplicates: str = "error",
    init: str = "spectral",
    max_iter: int = 100,
    tol: float = 1e-4,
    rng: Seed = None,
    callback: Callback | None = None,
) -> Fit[Completion]:
    r"""Fit a matrix of low rank by its posterior mean, with every penalty learnt from the data.

    .. math:: x_{ij} = \mu + b_i + c_j + u_i \cdot v_j + \varepsilon_{ij}, \quad
              \varepsilon_{ij} \sim N(0, \sigma^2 / w_{ij}), \quad u_i \sim N(0, \Pi), \quad
              v_j \sim N(0, \Gamma)

    with diagonal :math:`\Pi, \Gamma`, approximated by independent normal rows: each sweep
    minimises the free energy over one of them at a time, as `complete` does with the objective
    [1]_, and over the variances too [2]_. No step raises the free energy. Where alternating least
    squares multiplies with the estimate of a row, this one multiplies with the estimate and how
    uncertain that is: rows with few entries pull less, and directions that the data do not
    support shrink to nothing, so that neither a penalty nor, within reason, a rank is to be
    chosen.

    Parameters
    ----------
    x : COO, sparse matrix or array, shape (m, n)
        What is known, real, as in `complete`.
    rank : int
        The largest rank `k`, between 1 and ``min(m, n)``.
    weights : array, optional
        As in `complete`: the precision of each entry, but for a factor that all share.
    biases : bool
        Whether rows and columns have offsets :math:`b, c`, of variances that are learnt as well.
    duplicates : {"error", "mean"}
        What becomes of several entries at one place.
    init : {"spectral", "random"}
        Where to start: from the leading singular vectors, with little doubt, which recovers what
        is nearly exact; or from small random factors, with much doubt, which grow where the data
        insist, better for data that are mostly noise, as ratings are.
    max_iter : int
        The largest number of sweeps.
    tol : float
        Stop when the free energy of an entry falls by at most this, in nats.
    rng : int, numpy.random.Generator or None
        Of the start.
    callback : callable, optional
        Called with a `Progress` after each sweep.

    Returns
    -------
    Fit
        ``tensor``, a `Completion` of the posterior means; ``error``, the relative residual on the
        known entries; ``n_iter``; ``status``.

    Raises
    ------
    TypeError
        If entries are complex, `biases` is no bool, or `init` no string.
    ValueError
        If an argument is refused as in `complete`.

    See Also
    --------
    complete : with penalties that are given.
    cross_validate : chooses those.

    Notes
    -----
    A sweep costs :math:`2 |\Omega| k^2` multiplications and :math:`(m + n) k^3` for the inverses
    of the normal equations, which are kept: :math:`(m + n) k^2` numbers. The free energy has
    several minima, the more the larger the rank; another `rng` may find another one. Zeros are
    one of them, where random factors may end if a table is small or the rank large, also of data
    without noise: then the spectral start is tried too, and the lower minimum returned.

    References
    ----------
    .. [1] Y. J. Lim, Y. W. Teh, "Variational Bayesian approach to movie rating prediction", KDD
       Cup and Workshop 2007.
    .. [2] A. Ilin, T. Raiko, "Practical approaches to principal component analysis in the
       presence of missing values", Journal of Machine Learning Research 11 (2010), section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion import variational_als
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.standard_normal((60, 2)) @ rng.standard_normal((2, 50))
    >>> known = rng.random(truth.shape) < 0.4
    >>> x = np.where(known, truth + 0.3 * rng.standard_normal(truth.shape), np.nan)
    >>> fit = variational_als(x, rank=8, rng=0)
    >>> bool(np.linalg.norm(fit.tensor.to_array() - truth) < 0.2 * np.linalg.norm(truth))
    True
    """
    xp, entries = read(x, weights, duplicates=duplicates)
    if xp.isdtype(entries.values.dtype, "complex floating"):
        raise TypeError(f"x must be real, got dtype {entries.values.dtype}")
    k = check_rank(rank, min(entries.shape), way="pass a rank")
    check_callback(callback)
    if not isinstance(biases, bool):
        raise TypeError(f"biases must be a bool: their penalty is learnt, got {biases!r}")
    if not isinstance(init, str):
        raise TypeError(f"init must be 'spectral' or 'random', got {type(init).__name__}")
    kind = check_choice(init, ("spectral", "random"), name="init")
    entries, units = in_units(entries, xp)
    start = no_biases(entries, xp)
    if biases:
        start = fit_biases(entries, _RIDGE / units.heaviest, xp)
    observed = group(entries._replace(values=entries.values - start.mean), xp)
    total = weighted_squares(entries.values, observed.rows, xp) or 1.0
    most, draw = check_count(max_iter, name="max_iter", least=1), generator(rng)
    least, begun = check_number(tol, name="tol"), time.monotonic()

    def show(state: State) -> Completion:
        return _shown(state, start, units, xp)

    def run(kind: str, before: int) -> Fit[State]:
        return iterate(
            lambda state: step(observed, state, total, biases, xp),
            _start(observed, k, start, (kind, draw), xp),
            max_iter=most - before,
            tol=least,
            callback=_seeing(callback, before, begun, show),
            show=lambda state: state,
        )

    fit = run(kind, 0)
    if kind == "random" and fit.status is Status.CONVERGED and _vanished(fit.tensor, xp):
        fit = _better(fit, run("spectral", fit.n_iter)) if fit.n_iter < most else fit
    return Fit(show(fit.tensor), fit.error, fit.n_iter, fit.status)


def _seeing(
    callback: Callback | None, before: int, begun: float, show: Callable[[State], Completion]
) -> Callback | None:
    """Let a callback see the matrix, with the sweeps and the time of an earlier start counted."""
    if callback is None:
        return None

    def seeing(progress: Progress) -> object:
        count, elapsed = before + progress.iteration, time.monotonic() - begun
        return callback(Progress(count, progress.error, elapsed, show(progress.tensor)))

    return seeing


def _vanished(state: State, xp: Namespace) -> bool:
    """Tell whether factors say next to nothing beside the noise."""
    return float(xp.sum(state.left.prior * state.right.prior)) < _NOTHING * state.noise


def _better(first: Fit[State], second: Fit[State]) -> Fit[State]:
    """Return the fit of less free energy, with the sweeps of both and the status of the last."""
    best = min(first, second, key=lambda fit: fit.tensor.energy)
    return best._replace(n_iter=first.n_iter + second.n_iter, status=second.status)


def _start(
    observed: Observed, rank: int, offsets: Biases, init: tuple[str, np.random.Generator],
    xp: Namespace,
) -> State:  # fmt: skip
    """Return factors to start from, and how little is certain of them."""
    like = observed.rows.values
    where = {"dtype": like.dtype, "device": device(like)}

    def believed(mean: Array, spread: float, prior: float) -> Normal:
        m, k = mean.shape
        covariance = xp.zeros((m, k, k), **where) + spread * xp.eye(k, **where)
        return Normal(mean, covariance, xp.full(k, prior, **where), 0.0)

    kind, rng = init
    if kind == "spectral":
        noise, spread = _SPECTRAL
        means = spectral(observed, rank, rng, xp)
    else:
        noise, spread = _RANDOM
        means = tuple(spread * normal(rng, (size, rank), like, xp) for size in observed.shape)
    left, right = (believed(mean, spread, 1.0) for mean in means)
    rows, columns = (believed(part[:, None], spread**2, spread) for part in offsets[1:])
    return State(left, right, rows, columns, noise, math.inf)


def _shown(state: State, start: Biases, units: Units, xp: Namespace) -> Completion:
    """Return the means at the scale of the data."""
    offsets = Biases(start.mean, state.rows.mean[:, 0], state.columns.mean[:, 0])
    return shown((state.left.mean, state.right.mean), offsets, units, xp)
