"""CP decompositions by alternating least squares: the public door."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tdecomp._errors import check_callback, check_choice, check_count, check_size
from tdecomp._iterate import Callback, Fit
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._typing import Namespace, Seed
from tdecomp._xp import differentiated, prepare
from tdecomp.cp._als_fit import Options, fit_data, fit_traced, fit_weighted
from tdecomp.cp._format import CP
from tdecomp.cp._initial import as_data, check_components, check_init, values_of
from tdecomp.ops._coo import COO
from tdecomp.ops._unfold import check_mode

SOLVERS = ("auto", "cholesky", "qr")
_MAX_ITER = 1000


@full_precision
def cp_als(
    x: Any,
    /,
    *,
    rank: int,
    weights: Any = None,
    init: Any = "random",
    n_starts: int = 1,
    nonnegative: bool | Sequence[int] = False,
    fixed: Sequence[int] = (),
    ridge: float = 0.0,
    solver: str = "auto",
    accelerate: bool = True,
    tol: float = 1e-8,
    max_iter: int | None = None,
    rng: Seed = None,
    callback: Callback | None = None,
) -> Fit[CP]:
    r"""Approximate a tensor by a sum of rank-one tensors, one factor at a time.

    .. math:: \min_{w, A^{(0)}, \ldots, A^{(d-1)}} \Bigl\| X - \sum_r w_r\, a^{(0)}_r \otimes
              \cdots \otimes a^{(d-1)}_r \Bigr\|_F

    Given all factors but one, that one solves a linear least-squares problem; a sweep solves for
    each of them in turn. No sweep raises the objective.

    Parameters
    ----------
    x : array, shape (n_0, ..., n_{d-1}), or COO
        The tensor. What a COO does not store is zero, unless `weights` says that it is missing.
    rank : int
        The number `R` of components, between 1 and the product of all sizes but the largest: with
        that many every tensor is exact.
    weights : array, broadcastable to the shape of `x`, or COO
        Minimise :math:`\sum_i w_i |x_i - \hat x_i|^2` with nonnegative weights; 0 means missing,
        and what is missing may be NaN. Entries that a COO does not store have weight 0. Rows of
        factors are then solved for one by one: nothing is imputed but in the first 40 sweeps from
        a random start, where less than half is observed, which begin with zeros there that fade.
        Where a tenth is observed one start in four still fails, and reports it: pass `n_starts`.
    init : {'random', 'hosvd', 'gevd'} or CP
        Where to start, see `initialise`.
    n_starts : int
        How many starts; all but the first are random. They race, each round twice as long and for
        the better half, where it is worth while on a core of the tensor in Khatri-Rao sketched
        bases, which makes a sweep almost free and lets the algebraic solution run as well; the
        winner goes on with the tensor itself: compression never changes what is minimised.
    nonnegative : bool or sequence of int
        Keep all factors nonnegative, or those of some modes.
    fixed : sequence of int
        Modes whose factors stay what `init`, a CP, has.
    ridge : float
        Add :math:`\lambda \sum_k \|A^{(k)}\|_F^2` to the squared misfit, with weights spread
        evenly over the factors.
    solver : {'auto', 'cholesky', 'qr'}
        How to solve for a factor: by normal equations, or by orthogonal transformations, which do
        not square the condition number but read the tensor once for each mode. ``'auto'`` takes
        normal equations while their rounding, :math:`\epsilon\, \kappa(H)^{1/2}`, is below a
        thousandth of the error. Data in coordinates, and constraints, always take them.
    accelerate : bool
        Start sweeps from where the last five point to (Anderson's method) as long as that lowers
        the objective. False makes the plain sweeps that other packages make.
    tol : float
        Stop when a sweep changes the error, with a ridge the root of the objective, by at most
        this, relatively.
    max_iter : int, optional
        The largest number of sweeps, 1000 by default.
    rng : int, numpy.random.Generator or None
        Where random starts come from.
    callback : callable, optional
        Called with a `Progress` after each sweep, whose `tensor` is the iterate; returning True
        stops.

    Returns
    -------
    Fit
        ``tensor``, a `CP` in normal form (see `normalise`); ``error``, its relative error, true
        to rounding, on the observed entries and in the weighted norm where there are weights;
        ``n_iter``, sweeps over the data; ``status``. ``DEGENERATE`` reports components that grow
        and cancel, which on dense data 40 steps of Gauss-Newton tell from those of a minimum, or a
        model that is enormous where nothing is observed and tells nothing about it; ``SWAMP`` that
        the limit came while components were nearly collinear.

    Raises
    ------
    TypeError, ValueError
        If `x` is empty or has entries that are neither finite nor missing, a slice is missing
        altogether, or an option is out of range.

    See Also
    --------
    cp_gauss_newton : fewer, dearer steps for collinear components.
    cp_arls : samples the rows of the least-squares problems.
    gcp : other losses than squares.

    Notes
    -----
    A sweep costs :math:`4 R \prod n_k` flops and two readings of the tensor, whatever the number
    of modes: a dimension tree shares what the modes have in common [1]_. For large real NumPy
    arrays, compiled loops read it near the speed of memory. Memory: the tensor and one partial
    contraction, :math:`R \sqrt{\prod n_k}` numbers or so. A sparse tensor costs :math:`2 d R`
    flops for each stored entry and mode.

    The misfit comes from :math:`\|X\|^2 - 2 \operatorname{Re} \langle X, \hat X \rangle + \|\hat
    X\|^2` where cancellation leaves six digits, elsewhere and at the end from the difference, but
    for errors above 0.01 of sparse data.

    References
    ----------
    .. [1] A.-H. Phan, P. Tichavsky, A. Cichocki, "Fast alternating LS algorithms for high order
       CANDECOMP/PARAFAC tensor factorizations", IEEE Trans. Signal Process. 61, 2013.
       doi:10.1109/TSP.2013.2269903
    .. [2] T. G. Kolda, B. W. Bader, "Tensor decompositions and applications", SIAM Rev. 51, 2009,
       Figure 3.3. doi:10.1137/07070111X
    .. [3] R. Bro, C. A. Andersson, "Improving the speed of multiway algorithms, part II:
       compression", Chemometr. Intell. Lab. 42, 1998. doi:10.1016/S0169-7439(98)00011-2

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> rng = np.random.default_rng(0)
    >>> factors = tuple(rng.standard_normal((n, 3)) for n in (20, 30, 40))
    >>> x = td.CP(np.ones(3), factors).to_array()
    >>> fit = td.cp_als(x, rank=3, n_starts=4, rng=0)
    >>> fit.error < 1e-12, fit.status.name
    (True, 'CONVERGED')
    """
    if differentiated(x):
        _check_traced(
            weights=weights is not None,
            n_starts=n_starts != 1,
            nonnegative=nonnegative not in (False, (), []),
            fixed=fixed not in ((), []),
            ridge=ridge != 0,
            solver=solver != "auto",
            callback=callback is not None,
        )
        return fit_traced(x, rank, init, max_iter, generator(rng))
    xp, data = as_data(x) if weights is None else _unchecked(x)
    shape = tuple(data.shape)
    if isinstance(nonnegative, bool | np.bool_):
        nonnegative = range(len(shape)) if nonnegative else ()
    options = Options(
        len(shape),
        check_components(rank, math.prod(shape) // max(shape)),
        check_count(n_starts, name="n_starts", least=1),
        _modes(nonnegative, len(shape), name="nonnegative"),
        _modes(fixed, len(shape), name="fixed"),
        check_size(ridge, name="ridge"),
        check_choice(solver, SOLVERS, name="solver"),
        bool(accelerate),
        check_size(tol, name="tol"),
        check_count(_MAX_ITER if max_iter is None else max_iter, name="max_iter"),
        callback,
    )
    _check_together(options, init, data, weighted=weights is not None)
    if options.nonnegative and xp.isdtype(values_of(data).dtype, "complex floating"):
        raise ValueError(
            f"nonnegative is for real data, but x has dtype {values_of(data).dtype}; pass its "
            "real part, or its magnitudes"
        )
    init = check_init(init, data, options.rank, xp=xp)
    draws = generator(rng)
    if weights is not None:
        return fit_weighted(data, weights, init, options, draws, xp=xp)
    if isinstance(data, COO) and data.modes == 1:
        data = data.to_array()  # a factor has as many entries
    return fit_data(data, init, options, draws, xp)


def _unchecked(x: Any) -> tuple[Namespace, Any]:
    """Validate data in all but their entries, which may be missing."""
    return (
        as_data(x)
        if isinstance(x, COO)
        else prepare(x, ndim=1, batch=True, check_finite=False, name="x")
    )


def _modes(modes: Any, ndim: int, *, name: str) -> tuple[int, ...]:
    """Return a set of modes in ascending order."""
    try:
        listed = list(modes)
    except TypeError:
        raise TypeError(f"{name} must be a sequence of modes, got {modes!r}") from None
    return tuple(sorted({check_mode(mode, ndim, name=name) for mode in listed}))


def _check_traced(**given: bool) -> None:
    """Refuse options that plain sweeps under a transformation would drop without a word."""
    for name, present in given.items():
        if present:
            raise ValueError(
                f"{name} cannot be obeyed under tracing (jit, vmap, gradients), where plain "
                "sweeps are made; leave it out, or pass x without gradients"
            )


def _check_together(options: Options, init: Any, x: Any, *, weighted: bool) -> None:
    """Refuse options that contradict one another."""
    check_callback(options.callback)
    if options.fixed and isinstance(init, str):
        raise ValueError("fixed modes keep the factors of init: pass init=, a CP")
    if len(options.fixed) == len(x.shape):
        raise ValueError("fixed names all modes: leave one to fit")
    if options.solver == "qr" and (isinstance(x, COO) or weighted or options.nonnegative):
        raise ValueError("solver='qr' is for dense data without weights= and nonnegative=")
