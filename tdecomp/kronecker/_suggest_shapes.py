"""Which shapes: factorisations of the sides of a matrix, and what each of them captures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import check_count
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._typing import Seed
from tdecomp._xp import eps, prepare
from tdecomp.kronecker._captured import captured, extended, sampled
from tdecomp.kronecker._divisors import primes, splits
from tdecomp.kronecker._operands import padded
from tdecomp.kronecker._targets import Shapes
from tdecomp.linalg._operand import Dense, operand

# Pairs of factorisations that are listed at most, those that a sample is taken of, and those
# that the matrix is multiplied for.
_LISTED, _SAMPLED, _MEASURED = 1 << 22, 512, 24
# Energies are sums of squares, each of which is off by a few eps of the whole.
_ROUNDINGS = 64


class Suggestion(NamedTuple):
    """Shapes of Kronecker factors, and what so many terms of them capture of a matrix.

    Attributes
    ----------
    shapes : tuple of tuple of int
        Shapes of the factors: the ``shapes=`` of `kronecker_svd` and `monarch`.
    pad : tuple of int
        How many rows and columns of zeros the matrix lacks for them: with any, pass ``pad=True``.
    rank : int
        The number of terms: as many as the parameters are enough for, or needed; without a number
        of them the one with the most energy per parameter, without a matrix 1.
    n_parameters : int
        The numbers that these terms hold.
    energy : float
        The part of the squared norm that they capture, at least; NaN without a matrix. The
        relative error is at most ``sqrt(1 - energy)``.
    """

    shapes: Shapes
    pad: tuple[int, int]
    rank: int
    n_parameters: int
    energy: float


@full_precision
def suggest_shapes(
    m: int,
    n: int,
    /,
    *,
    a: Any = None,
    factors: int = 2,
    max_parameters: int | None = None,
    limit: int = 10,
    rng: Seed = 0,
) -> tuple[Suggestion, ...]:
    r"""Return shapes for the Kronecker factors of a matrix, the most promising first.

    All factorisations :math:`m = m_1 m_2 \cdots`, :math:`n = n_1 n_2 \cdots` are listed. Without
    a matrix the fewest parameters :math:`\sum_k m_k n_k` of a term come first, among equals the
    factors whose sides are most alike in ratio. With one, it is the energy per parameter that
    decides: if `max_parameters` is given, what that many capture; if not, the largest

    .. math:: \max_r \frac{-\log(1 - E_r)}{r \sum_k m_k n_k} , \qquad
              E_r = \frac{\sum_{i \le r} \sigma_i^2}{\|A\|_F^2} ,

    the rate at which parameters lower the logarithm of the error.

    Parameters
    ----------
    m, n : int
        The sides of the matrix.
    a : array, shape (m, n), optional
        The matrix.
    factors : int
        How many factors a term has.
    max_parameters : int, optional
        How many parameters all terms together may have.
    limit : int
        The largest number of suggestions.
    rng : int, numpy.random.Generator or None
        Draws what the spectra are estimated from. The default makes the result reproducible.

    Returns
    -------
    tuple of Suggestion
        At least one.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, `a` has another shape, is empty or not finite, there are
        too many factorisations, or none has fewer parameters than the matrix has entries, or as
        few as `max_parameters`.

    See Also
    --------
    kronecker_svd, monarch, butterfly : they take such shapes.

    Notes
    -----
    A side that is the product of fewer primes than `factors` is raised to the next larger number
    that is not, unless it is below :math:`2^k` for :math:`k` factors: a matrix with 769 rows gets
    one row of zeros.

    Two factors: the energy of :math:`r` terms is that of the :math:`r` largest singular values of
    the rearranged matrix. Sixteen of them come from one step of subspace iteration, two products
    with the matrix, which captures no more than is there; the others share the rest, and those
    that are counted have at least their even share of it. Of more factors, the leading singular
    vectors are split further, term by term.

    That is done for 24 factorisations, which a sample of :math:`128 \times 128` entries of each
    rearranged matrix shows to be the most promising. The cost is some fifty products of the
    matrix with sixteen vectors.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.kronecker import suggest_shapes
    >>> best = suggest_shapes(768, 3072)[0]
    >>> best.shapes, best.n_parameters
    (((24, 64), (32, 48)), 3072)
    >>> suggest_shapes(769, 3072)[0].pad
    (1, 0)
    >>> rng = np.random.default_rng(0)
    >>> a = np.kron(rng.standard_normal((4, 6)), rng.standard_normal((5, 2)))
    >>> best = suggest_shapes(20, 12, a=a)[0]
    >>> best.shapes, round(best.energy, 12)
    (((4, 6), (5, 2)), 1.0)
    """
    m, n = (check_count(size, name=name, least=1) for size, name in ((m, "m"), (n, "n")))
    count = check_count(factors, name="factors", least=2)
    limit = check_count(limit, name="limit", least=1)
    draws = generator(rng)
    if max_parameters is not None:
        max_parameters = check_count(max_parameters, name="max_parameters", least=1)
    if a is not None:
        found = _listed(m, n, count, max_parameters, _SAMPLED)
        return tuple(_ranked(_matrix(a, (m, n), draws), found, max_parameters, draws)[:limit])
    suggestions = []
    for shapes in _listed(m, n, count, max_parameters, limit):
        rank = 1 if max_parameters is None else _affordable(shapes, max_parameters)
        suggestions.append(_suggestion(shapes, (m, n), rank, math.nan))
    return tuple(suggestions)


def _matrix(a: Any, shape: tuple[int, int], draws: np.random.Generator) -> Dense:
    """Validate the matrix."""
    _, a = prepare(a, ndim=2)
    if tuple(a.shape) != shape:
        raise ValueError(f"a must have the shape {shape} of the first two, got {tuple(a.shape)}")
    op = operand(a, draws)
    assert isinstance(op, Dense)
    return op


def _listed(m: int, n: int, count: int, most: int | None, limit: int) -> list[Shapes]:
    """Return factorisations in the order of their parameters, then of their proportions."""
    rows, columns = (splits(_raised(size, count), count) for size in (m, n))
    if len(rows) * len(columns) > _LISTED:
        raise ValueError(
            f"there are {len(rows)} times {len(columns)} factorisations of {m} and {n} into "
            f"{count} factors, too many to list: pass a smaller factors="
        )
    tall, wide = np.asarray(rows, dtype=np.float64), np.asarray(columns, dtype=np.float64)
    parameters = tall @ wide.T
    # A factor of a single entry is none.
    whole = (tall == 1).astype(float) @ (wide == 1).astype(float).T == 0
    fits = whole & (parameters < m * n)
    if not np.any(fits):
        raise ValueError(
            f"{count} Kronecker factors have no fewer parameters than a matrix of shape {(m, n)} "
            "has entries: keep the matrix"
        )
    least = int(np.min(parameters[fits]))
    if most is not None and least > most:
        raise ValueError(f"max_parameters must be at least {least}, for one term, got {most}")
    i, j = np.nonzero(fits if most is None else fits & (parameters <= most))
    ratios = np.log(tall[i] / wide[j])
    spread = np.round(np.max(ratios, axis=1) - np.min(ratios, axis=1), 9)
    order = np.lexsort((spread, parameters[i, j]))[:limit]
    return [tuple(zip(rows[i[k]], columns[j[k]], strict=True)) for k in order]


def _raised(size: int, count: int) -> int:
    """Return the next size that is a product of so many primes, for all but small ones."""
    while size >= 2**count and len(primes(size)) < count:
        size += 1
    return size


def _pad(shapes: Shapes, shape: tuple[int, int]) -> tuple[int, int]:
    """Return how many rows and columns are missing."""
    rows, columns = zip(*shapes, strict=True)
    return math.prod(rows) - shape[0], math.prod(columns) - shape[1]


def _parameters(shapes: Shapes) -> int:
    """Count the entries of the factors of one term."""
    return sum(m * n for m, n in shapes)


def _affordable(shapes: Shapes, most: int) -> int:
    """Return how many terms there can be, within a number of parameters."""
    sizes = sorted(m * n for m, n in shapes)
    return max(1, min(most // sum(sizes), math.prod(sizes[:-1])))


def _suggestion(shapes: Shapes, shape: tuple[int, int], rank: int, energy: float) -> Suggestion:
    """Put together what is suggested."""
    return Suggestion(shapes, _pad(shapes, shape), rank, rank * _parameters(shapes), energy)


def _ranked(
    op: Dense, found: Sequence[Shapes], most: int | None, draws: np.random.Generator
) -> list[Suggestion]:
    """Return the most promising shapes, the best first."""
    shape, pad = op.shape, _pad(found[0], op.shape)
    op = op._replace(array=padded(op.array, (shape[0] + pad[0], shape[1] + pad[1]), op.xp))
    unit = _ROUNDINGS * eps(op.array.dtype, op.xp)

    def best(look: Callable[..., np.ndarray], among: Sequence[Shapes]) -> list[_Plan]:
        plans = (_plan(look(op, shapes, draws), shapes, shape, most, unit) for shapes in among)
        return sorted(plans, key=lambda plan: plan.order)

    if len(found) > _MEASURED:
        found = [plan.shapes for plan in best(sampled, found)[:_MEASURED]]
    return [
        _suggestion(plan.shapes, shape, plan.rank, plan.energy) for plan in best(captured, found)
    ]


class _Plan(NamedTuple):
    """How many terms of some shapes to take, what they capture, and the place in the order."""

    shapes: Shapes
    rank: int
    energy: float
    order: tuple[float, ...]


def _plan(
    parts: np.ndarray, shapes: Shapes, shape: tuple[int, int], most: int | None, unit: float
) -> _Plan:
    """Choose the number of terms: as many as fit, or those that lower the error the fastest."""
    term = _parameters(shapes)
    sums = np.minimum(1.0, np.cumsum(parts))
    if most is None:
        sums = sums[: _affordable(shapes, math.prod(shape) - 1)]
        counts = term * np.arange(1, sums.shape[0] + 1)
        rates = -np.log(np.maximum(1.0 - sums, unit)) / counts
        k = int(np.argmax(rates))
        return _Plan(shapes, k + 1, float(sums[k]), (-float(rates[k]), term))
    rank = _affordable(shapes, most)
    energy = extended(parts, shapes, rank)
    # What rounding cannot tell from as much needs no further terms.
    enough = np.flatnonzero(sums[:rank] >= energy - unit)
    rank = int(enough[0]) + 1 if enough.size else rank
    return _Plan(shapes, rank, energy, (-energy if energy < 1 - unit else -1.0, rank * term))
