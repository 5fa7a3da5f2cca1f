"""Tensor trains of functions, from few of their values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import ToleranceError, check_callable, check_count, check_reachable
from tdecomp._iterate import Callback, Fit, Status, Step, iterate
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._shim import host
from tdecomp._typing import Array, Seed
from tdecomp._xp import eps
from tdecomp.tt._evaluate import as_indices
from tdecomp.tt._formats import TensorTrain
from tdecomp.tt._held_out import HeldOut, held_out
from tdecomp.tt._ranks import check_ranks, largest_ranks
from tdecomp.tt._round import round
from tdecomp.tt._sampler import ExhaustedError, Sampler, random_points
from tdecomp.tt._sweep import Cross, half_sweep, started

# Random points to start from, fresh points after each half sweep.
_START, _PROBE = 2, 200
# Blocks are truncated this many times finer than the tolerance: interpolation amplifies.
_FINER = 10.0
# What a block whose rank may still grow is offered, relative to its rank.
_GROWTH = 0.25
# Interpolation at a given rank uses half as many more, and this many at least.
_MORE = 2
# Each time when every rank has settled and the error is still too large, blocks are cut finer.
_TIGHTER = 4.0
# Rounding of values and of interpolation, in eps, for each root of a mode.
_NOISE = 16.0
# A measured error that falls by less than this factor has settled.
_SETTLED = 0.9


class State(NamedTuple):
    """What a half sweep hands to the next one, which goes the other way."""

    cross: Cross
    error: float
    tau: float
    points: tuple[np.ndarray, np.ndarray]
    forward: bool


class Task(NamedTuple):
    """What does not change from one half sweep to the next.

    The train is interpolated within `limits`, and then rounded to `ranks`.
    """

    sampler: Sampler
    rng: np.random.Generator
    ranks: tuple[int, ...] | None
    limits: tuple[int, ...] | None
    rtol: float | None
    samples: int


@full_precision
def tt_cross(
    f: Callable[[Array], Any],
    shape: Sequence[int],
    /,
    *,
    rank: int | Sequence[int] | None = None,
    rtol: float | None = None,
    init: Any = None,
    samples: int = 1000,
    max_evaluations: int = 10_000_000,
    max_iter: int = 60,
    rng: Seed = None,
    callback: Callback | None = None,
    like: Array | None = None,
) -> Fit[TensorTrain]:
    r"""Build the train of a function on a grid from few of its values, and measure its error.

    At every bond the matrix of the function is interpolated from a few of its rows and columns,
    :math:`X \approx C\, X_{I, :}` with :math:`C = Q\, Q_I^+`, where `Q` holds the leading left
    singular vectors of the columns known so far and `I` the rows that `maxvol` chooses. Half
    sweeps from the left and from the right renew rows and columns by turns. After each one the
    train is compared with the function at fresh random points; the worst of them join rows and
    columns, a quarter more of them than the ranks so far, until the error is small enough.

    Parameters
    ----------
    f : callable
        Maps indices, an array of ints of shape (m, d), to `m` values: an array of the same
        library, or what NumPy makes an array of. It is asked for up to some hundred thousand
        rows at a time, and should not depend on how they are divided into batches.
    shape : sequence of int
        The sizes of the `d` modes.
    rank : int or tuple of int, optional
        The largest rank of every bond, or one for each of the ``d - 1`` bonds.
    rtol : float, optional
        Go on until the measured error is at most this. One of `rank` and `rtol` must be given.
    init : array of int, shape (s, d), optional
        Points to start from, besides two random ones: where the function is known to be large,
        or different from elsewhere.
    samples : int
        How many random points the error is measured at.
    max_evaluations : int
        The largest number of values to ask for, those of the measurement included.
    max_iter : int
        The largest number of half sweeps.
    rng : int, numpy.random.Generator or None
        Where random points come from.
    callback : callable, optional
        Called with a `Progress` after each half sweep, whose `tensor` is the train so far and
        whose `error` was measured at 200 points; returning True stops.
    like : array, optional
        Whose library and device the indices have that `f` is given; by default NumPy's.

    Returns
    -------
    Fit
        The train, rounded, in the dtype of the values. `error` is

        .. math:: \left( \frac{1}{m} \sum_{p=1}^m |F_{i_p} - X_{i_p}|^2 \right)^{1/2} \Bigl/
                  \max \left\{ \Bigl( \frac{1}{N} \sum_i |X_i|^2 \Bigr)^{1/2},
                  \Bigl( \frac{1}{m} \sum_p |F_{i_p}|^2 \Bigr)^{1/2} \right\}

        at ``m = samples`` uniformly random points that nothing else has used: an estimate of the
        relative error in the Frobenius norm, unbiased in the square of its numerator; the error
        itself where the grid has no more than `samples` points. `n_iter` counts half sweeps.
        `status` is CONVERGED where `error`, two standard errors added to its square, is at most
        `rtol` (without `rtol`: where more half sweeps at these ranks gain nothing), MAX_ITER
        where a limit came first, STAGNATED where the error stopped falling.

    Raises
    ------
    TypeError, ValueError
        If `f` cannot be called, an option is out of range, or `f` returns another shape, or a
        value that is not finite, which is named with its index.
    ToleranceError
        If `rtol` is below what rounding of the values allows.

    See Also
    --------
    tt_svd : guaranteed, from all values.
    Counted : count what is asked for.

    Notes
    -----
    Rows and columns are chosen on the host by NumPy, where the values go and from where the cores
    come back. About :math:`2 \sum_k r_k n_k r_{k+1}` values at the final ranks, and somewhat more
    for the way there; a fibre is asked for only once. With `rank` the function is interpolated at
    ranks half as large again, and the result rounded to `rank`: nearly as good as `tt_svd`.

    What is measured at random points says nothing of what random points do not meet: if the train
    is off by more than `t` in a fraction `p` of the entries, all `m` points miss them with
    probability :math:`(1 - p)^m`, so that with 1000 points and 95 % confidence :math:`p < 0.3` %.
    The spike of a function that vanishes elsewhere is found only if `init` names it.

    References
    ----------
    .. [1] I. V. Oseledets, E. E. Tyrtyshnikov, "TT-cross approximation for multidimensional
       arrays", Linear Algebra Appl. 432, 2010. doi:10.1016/j.laa.2009.07.024
    .. [2] D. V. Savostyanov, "Quasioptimality of maximum-volume cross interpolation of tensors",
       Linear Algebra Appl. 458, 2014. doi:10.1016/j.laa.2014.06.006
    .. [3] Y. Núñez Fernández et al., "Learning tensor networks with tensor cross interpolation:
       new algorithms and libraries", SciPost Phys. 18, 2025. arXiv:2407.02454

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tt
    >>> fit = tt.tt_cross(lambda i: np.sin(i.sum(axis=1)), (10,) * 8, rtol=1e-10, rng=0)
    >>> fit.tensor.rank, fit.status.name
    ((2, 2, 2, 2, 2, 2, 2), 'CONVERGED')
    """
    check_callable(f, name="f")
    sizes = tuple(check_count(n, name=f"shape[{k}]", least=1) for k, n in enumerate(shape))
    if not sizes:
        raise ValueError("shape must have at least one mode")
    ranks, rtol = check_ranks(rank, rtol, sizes)
    limits = None if ranks is None else tuple(r + max(_MORE, r // 2) for r in ranks)
    samples = check_count(samples, name="samples", least=1)
    max_iter = check_count(max_iter, name="max_iter", least=1)
    spare = check_count(max_evaluations, name="max_evaluations", least=1) - samples
    draws = generator(rng)
    sampler = Sampler(f, sizes, np.empty(0) if like is None else like, spare)
    points = random_points(draws, sizes, _START)
    if init is not None:
        known = as_indices(np.asarray(init), sizes, np.empty(0), np)
        points = np.concatenate([known, points])
    task = Task(sampler, draws, ranks, limits, rtol, samples)
    none = np.empty((0, len(sizes)), dtype=np.int64)
    tau = 0.0 if rtol is None else rtol / (_FINER * math.sqrt(len(sizes)))
    state = State(started(points), math.inf, tau, (none, none), True)
    fit = iterate(
        lambda state: _step(task, state),
        state,
        max_iter=max_iter,
        tol=0.0,
        callback=callback,
        show=lambda state: TensorTrain(tuple(map(sampler.back, state.cross.cores))),
    )
    if fit.status is Status.CONVERGED and rtol is not None:
        return fit
    sampler.limit += samples
    train = _rounded(fit.tensor, task)
    found = held_out(sampler, tuple(map(host, train.cores)), draws, samples)
    met = rtol is not None and found.upper <= rtol
    return Fit(train, found.error, fit.n_iter, Status.CONVERGED if met else fit.status)


class Counted:
    """A function that counts the values it is asked for.

    Parameters
    ----------
    f : callable
        Maps indices of shape (m, d) to `m` values.

    Attributes
    ----------
    evaluations : int
        How many values were asked for.

    Raises
    ------
    TypeError
        If `f` cannot be called.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tt
    >>> f = tt.Counted(lambda i: 1.0 / (1 + i.sum(axis=1)))
    >>> fit = tt.tt_cross(f, (20,) * 6, rtol=1e-6, rng=0)
    >>> f.evaluations < 20**6 / 1000
    True
    """

    def __init__(self, f: Callable[[Array], Any]) -> None:
        check_callable(f, name="f")
        self.f = f
        self.evaluations = 0

    def __call__(self, indices: Array) -> Any:
        """Return the values, and count them."""
        self.evaluations += int(indices.shape[0])
        return self.f(indices)


def _step(task: Task, state: State) -> Step[State]:
    """Make half a sweep, measure the error, and tell where to look next."""
    sampler, rtol = task.sampler, task.rtol
    unit = _unit(task, state)
    try:
        cross = half_sweep(
            sampler,
            state.cross,
            np.concatenate(state.points),
            forward=state.forward,
            tau=max(state.tau, unit),
            limits=task.limits,
        )
        probe = held_out(sampler, cross.cores, task.rng, _PROBE)
    except ExhaustedError:
        if not state.cross.cores:
            raise ValueError(
                f"max_evaluations={int(sampler.limit) + task.samples} is too small for samples="
                f"{task.samples} and half a sweep"
            ) from None
        return Step(state, state.error, verdict=Status.MAX_ITER)
    if rtol is not None:
        unit = _unit(task, state._replace(cross=cross))
        floor = _NOISE / 4 * unit * math.sqrt(len(sampler.shape))
        check_reachable(rtol, floor, dtype=cross.cores[0].dtype)
        if probe.error <= rtol:
            train, found = _verified(task, TensorTrain(cross.cores))
            if found is not None and found.upper <= rtol:
                cross = cross._replace(cores=train.cores)
                done = state._replace(cross=cross, error=found.error)
                return Step(done, found.error, verdict=Status.CONVERGED)
    growing = _growing(cross, sampler.shape, task.limits)
    tau = state.tau if growing else state.tau / _TIGHTER
    count = max(_START, math.ceil(_GROWTH * max(growing, default=0)))
    points = (state.points[1], probe.worst[:count])
    following = State(cross, probe.error, tau, points, not state.forward)
    settled = not growing and probe.error >= _SETTLED * state.error
    exact = rtol is None and probe.error <= unit
    if exact or (settled and task.limits is not None):
        verdict = Status.CONVERGED if rtol is None else Status.STAGNATED
        return Step(following, probe.error, verdict=verdict)
    return Step(following, probe.error, change=math.inf)


def _unit(task: Task, state: State) -> float:
    """Return the relative size of rounding in the values; 0 before there are any."""
    cores = state.cross.cores
    return 4 * eps(cores[0].dtype, task.sampler.xp) if cores else 0.0


def _growing(cross: Cross, shape: Sequence[int], limits: Sequence[int] | None) -> list[int]:
    """Return the ranks of the bonds that may have a larger one."""
    tops = largest_ranks(shape)
    if limits is not None:
        tops = tuple(map(min, tops, limits))
    bonds = zip(cross.ranks, cross.saturated, tops, strict=True)
    return [r for r, saturated, top in bonds if not saturated and r < top]


def _verified(task: Task, train: TensorTrain) -> tuple[TensorTrain, HeldOut | None]:
    """Round a train, and measure its error at points that nothing else has used."""
    train = _rounded(train, task)
    if task.sampler.evaluations + task.samples > task.sampler.limit:
        return train, None
    return train, held_out(task.sampler, train.cores, task.rng, task.samples)


def _rounded(train: TensorTrain, task: Task) -> TensorTrain:
    """Remove what interpolation brought along: half of the tolerance may go to rounding."""
    if task.rtol is not None:
        try:
            return round(train, rank=task.ranks, rtol=task.rtol / 2)
        except ToleranceError:
            pass
    return train if task.ranks is None else round(train, rank=task.ranks)
