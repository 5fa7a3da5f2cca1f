"""Soft-impute for a series of penalties, each begun where the last one ended."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import check_callback, check_count, check_number, check_rank, check_size
from tdecomp._iterate import Callback, Fit, Progress, is_true
from tdecomp._precision import full_precision
from tdecomp._random import generator, normal
from tdecomp._typing import Array, Namespace, Seed
from tdecomp._xp import conj
from tdecomp.completion._biases import ridge_of_biases
from tdecomp.completion._drive import drive
from tdecomp.completion._entries import read
from tdecomp.completion._format import Completion
from tdecomp.completion._masked import times
from tdecomp.completion._methods._singular import of_columns, orthonormal
from tdecomp.completion._methods._soft_impute import soft_impute
from tdecomp.completion._observed import Observed
from tdecomp.completion._penalties import CRUSHING
from tdecomp.completion._pose import Options, Posed, pose
from tdecomp.completion._units import Units, in_units, rounding

# The penalties where none are given: how many, and the last over the first.
_COUNT, _LAST = 10, 1e-2
# Directions and rounds of the iteration for the largest penalty.
_BLOCK, _ROUNDS = 8, 30


class ImputePath(NamedTuple):
    """Completions of one matrix for a series of penalties.

    Attributes
    ----------
    regularizations : tuple of float
        The penalties, from the largest down.
    fits : tuple of Fit
        What `complete` returns for each; fewer where the callback has stopped the path.
    """

    regularizations: tuple[float, ...]
    fits: tuple[Fit[Completion], ...]


@full_precision
def soft_impute_path(
    x: Any,
    /,
    *,
    rank: int,
    regularizations: Sequence[float] | None = None,
    weights: Any = None,
    biases: bool | float = False,
    duplicates: str = "error",
    max_iter: int = 100,
    tol: float = 1e-5,
    rng: Seed = None,
    callback: Callback | None = None,
) -> ImputePath:
    r"""Complete a matrix for a series of penalties on its singular values.

    .. math:: \min_Z \sum_{(i,j) \in \Omega} w_{ij} |x_{ij} - z_{ij}|^2 + 2 \lambda \|Z\|_*

    From :math:`\lambda = \|W \circ P_\Omega(X)\|_2` on, where the minimum is zero, the rank grows
    as the penalty falls, and each minimum is near the one before [1]_.

    Parameters
    ----------
    x : COO, sparse matrix or array, shape (m, n)
        What is known, as `complete` takes it.
    rank : int
        The largest rank, between 1 and ``min(m, n)``.
    regularizations : sequence of float, optional
        The penalties, in any order. By default ten, evenly in their logarithms, from the one that
        makes the matrix zero down to a hundredth of it.
    weights, biases, duplicates, max_iter, tol, rng
        As for `complete`; ``max_iter`` and ``tol`` hold for each penalty, and offsets are fitted
        once, before the first.
    callback : callable, optional
        Called with a `Progress` after each penalty, ``iteration`` its number from 1; returning
        True ends the path.

    Returns
    -------
    ImputePath
        The penalties and the fits.

    Raises
    ------
    ValueError
        If there is no penalty, one is negative, or an argument is refused as in `complete`.

    See Also
    --------
    complete : ``method="soft_impute"`` for one penalty.

    Notes
    -----
    Each step costs three passes over the entries, :math:`6 |\Omega| k` operations, and
    :math:`O((m + n) k^2)` more.

    References
    ----------
    .. [1] R. Mazumder, T. Hastie, R. Tibshirani, "Spectral regularization algorithms for learning
       large incomplete matrices", JMLR 11, 2010, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion import soft_impute_path
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((30, 2)) @ rng.standard_normal((2, 20))
    >>> x[rng.random(x.shape) < 0.4] = np.nan
    >>> path = soft_impute_path(x, rank=5, regularizations=[16.0, 4.0, 1.0], rng=0)
    >>> [int(np.linalg.matrix_rank(fit.tensor.to_array())) for fit in path.fits]
    [1, 2, 2]
    """
    asked = _checked(regularizations)
    check_callback(callback)
    rules: dict[str, Any] = {
        "max_iter": check_count(max_iter, name="max_iter", least=1),
        "tol": check_number(tol, name="tol"),
    }
    xp, entries = read(x, weights, duplicates=duplicates)
    limit = check_rank(rank, min(entries.shape), way="pass a rank")
    draw, ridge = generator(rng), ridge_of_biases(biases)
    options = Options(limit, 0.0, False, False, ridge, False, "spectral", draw)
    scaled, units = in_units(entries, xp)
    posed = pose(scaled, units, options, xp)
    if asked is None:
        asked = _from(_norm(posed.problem.observed, draw, xp), units)
    fits = _followed(posed, asked, rules, callback)
    return ImputePath(asked[: len(fits)], fits)


def _checked(regularizations: Any) -> tuple[float, ...] | None:
    """Return the penalties, descending."""
    if regularizations is None:
        return None
    if not hasattr(regularizations, "__iter__") or isinstance(regularizations, str):
        raise TypeError(f"regularizations must be a sequence of numbers, got {regularizations!r}")
    found = [check_size(value, name="regularizations") for value in regularizations]
    if not found:
        raise ValueError("regularizations must hold one penalty at least, got none")
    return tuple(sorted(found, reverse=True))


def _from(norm: float, units: Units) -> tuple[float, ...]:
    """Return penalties from the one that makes the matrix zero down, in the units of the data."""
    largest = _product(norm, units.scale, units.heaviest)
    last = largest * _LAST
    if norm and not (0 < last and largest < math.inf):
        raise ValueError(
            "x times weights leaves the range of numbers, and so do penalties for it: pass "
            "weights of another unit"
        )
    return tuple(float(largest * _LAST ** (i / (_COUNT - 1))) for i in range(_COUNT))


def _product(*factors: float) -> float:
    """Multiply numbers, of which no two need have a product that is one."""
    parts, exponents = zip(*map(math.frexp, factors), strict=True)
    try:
        return math.ldexp(math.prod(parts), sum(exponents))
    except OverflowError:
        return math.inf


def _followed(
    posed: Posed,
    regularizations: tuple[float, ...],
    rules: dict[str, Any],
    callback: Callback | None,
) -> tuple[Fit[Completion], ...]:
    """Fit penalty after penalty, from the last factors on."""
    problem, begun = posed.problem, time.monotonic()
    unit = 1 / posed.units.scale, 1 / posed.units.heaviest
    rules = dict(rules, rounding=rounding(problem.observed.dtype, problem.xp), xp=problem.xp)
    fits: list[Fit[Completion]] = []
    for value in regularizations:
        problem = problem._replace(regularization=min(_product(value, *unit), CRUSHING))
        fit = drive(soft_impute(problem), None, callback=None, **rules)
        problem = problem._replace(left=fit.tensor[0], right=fit.tensor[1])
        error, tensor = posed.error(fit.tensor), posed.completion(fit.tensor)
        fits.append(Fit(tensor, error, fit.n_iter, fit.status))
        seen = Progress(len(fits), error, time.monotonic() - begun, tensor)
        if callback is not None and is_true(callback(seen)):
            break
    return tuple(fits)


def _norm(observed: Observed, rng: np.random.Generator, xp: Namespace) -> float:
    """Return the spectral norm of the weighted known entries, zeros for the others."""
    rows, columns, (m, n) = observed
    ahead, back = (_weighted(side.values, side.weights) for side in (rows, columns))
    right = normal(rng, (n, min(_BLOCK, m, n)), rows.values, xp)
    for _ in range(_ROUNDS):
        basis = orthonormal(times(rows, ahead, conj(right, xp), xp), xp)
        right = times(columns, back, conj(basis, xp), xp)
    return float(of_columns(basis, right, xp).s[0])


def _weighted(values: Array, weights: Array | None) -> Array:
    return values if weights is None else weights * values
