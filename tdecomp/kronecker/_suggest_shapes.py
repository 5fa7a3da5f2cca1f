"""Which shapes: factorisations of the sides of a matrix, and what each of them captures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import check_count
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._typing import Seed
from tdecomp._xp import eps
from tdecomp.kronecker._captured import captured, drawn, extended, sampled
from tdecomp.kronecker._divisors import n_padded_splits, padded_splits
from tdecomp.kronecker._targets import Shapes
from tdecomp.linalg._operand import MatrixFree, Operand, operand

# Sides from here on are no matrix's: products of two, and their primes, are exact and quick below.
_SIDES = 1 << 31
# Pairs of factorisations that are listed at most, those that a sample is taken of, and those
# that the matrix is multiplied for; as many of an operator that is too large to be formed.
_LISTED, _SAMPLED, _MEASURED, _APPLIED = 1 << 22, 512, 24, 8
# Entries of an operator that is formed.
_FORMED = 1 << 24
# Energies are sums of squares, each of which is off by a few eps of the whole.
_ROUNDINGS = 64


class Suggestion(NamedTuple):
    """Shapes of Kronecker factors, and what so many terms of them capture of a matrix.

    Attributes
    ----------
    shapes : tuple of tuple of int
        Shapes of the factors: the ``shapes=`` of `kronecker_svd` and `monarch`.
    pad : tuple of int
        How many rows and columns of zeros the matrix lacks for these shapes: with any, pass
        ``pad=True``.
    rank : int
        The number of terms: as many as the parameters are enough for, or needed, always fewer
        than the matrix has entries; without a number of them the one with the most energy per
        parameter, without a matrix 1.
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

    All factorisations :math:`m = m_1 m_2 \cdots`, :math:`n = n_1 n_2 \cdots` are listed, ones
    included but for factors of a single entry, and such of the next larger sizes where a side has
    too few primes. Without a matrix the fewest parameters :math:`\sum_k m_k n_k` of a term come
    first, among equals the fewest added zeros, then the factors whose sides are most alike in
    ratio. With one, it is the energy per parameter that decides: if `max_parameters` is given,
    what that many capture; if not, the largest

    .. math:: \max_r \frac{-\log(1 - E_r)}{r \sum_k m_k n_k} , \qquad
              E_r = \frac{\sum_{i \le r} \sigma_i^2}{\|A\|_F^2} ,

    the rate at which parameters lower the logarithm of the error.

    Parameters
    ----------
    m, n : int
        The sides of the matrix.
    a : array, scipy.sparse matrix, or operator, shape (m, n), optional
        The matrix. Sparse ones stay sparse; an operator (``shape``, ``dtype``, ``@``, an adjoint)
        is multiplied with the identity.
    factors : int
        How many factors a term has.
    max_parameters : int, optional
        How many parameters all terms together may have; never as many as the matrix has entries.
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
        If an argument is out of range (sides are below :math:`2^{31}`), `a` has another shape or
        is not finite, there are too many factorisations, or none has fewer parameters than the
        matrix has entries, or as few as `max_parameters`.

    See Also
    --------
    kronecker_svd, monarch, butterfly : they take such shapes.

    Notes
    -----
    A prime side cannot be split but into one and itself, and generally one of :math:`p` primes not
    into more than :math:`p` factors above one. For :math:`c > p` of them, as far as
    :math:`2^c` is not above the side, the next larger number that has :math:`c` primes is split
    instead: of a matrix with 769 rows, 770. Both are listed, and which is first is told by the
    rule above: outer products of long vectors may take fewer parameters than a balanced
    product of a padded matrix. ``suggestion.pad`` tells them apart.

    Two factors: the energy of :math:`r` terms is that of the :math:`r` largest singular values of
    the rearranged matrix. Sixteen of them come from one step of subspace iteration, two products
    with the matrix, which captures no more than is there; the others share the rest, and those
    that are counted have at least their even share of it. Of more factors, the leading singular
    vectors are split further, term by term.

    That is done for 24 factorisations, which a sample of :math:`128 \times 128` entries of each
    rearranged matrix shows to be the most promising, out of the 512 with the fewest parameters.
    The cost is some fifty products of the matrix with sixteen vectors.

    The sample of a sparse matrix has the rows and columns of 128 of its stored entries, drawn by
    their squares. An operator of at most :math:`2^{24}` entries is formed, by one product with
    the identity. Of a larger one a sample costs 64 of its columns, and as every look at a
    rearranged operator takes three products with the identity, a few columns at a time, only
    eight factorisations are looked at: all in all some thirty such products.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.kronecker import suggest_shapes
    >>> best = suggest_shapes(768, 3072)[0]
    >>> best.shapes, best.n_parameters
    (((24, 64), (32, 48)), 3072)
    >>> for found in suggest_shapes(769, 3072, limit=3):
    ...     print(found.shapes, found.pad, found.n_parameters)
    ((1, 1536), (769, 2)) (0, 0) 3074
    ((769, 2), (1, 1536)) (0, 0) 3074
    ((2, 768), (385, 4)) (1, 0) 3076
    >>> rng = np.random.default_rng(0)
    >>> a = np.kron(rng.standard_normal((4, 6)), rng.standard_normal((5, 2)))
    >>> best = suggest_shapes(20, 12, a=a)[0]
    >>> best.shapes, round(best.energy, 12)
    (((4, 6), (5, 2)), 1.0)
    """
    m, n = (_side(size, name=name) for size, name in ((m, "m"), (n, "n")))
    count = check_count(factors, name="factors", least=2)
    limit = check_count(limit, name="limit", least=1)
    draws = generator(rng)
    most = m * n - 1
    if max_parameters is not None:
        most = min(most, check_count(max_parameters, name="max_parameters", least=1))
    if a is not None:
        found = _listed(m, n, count, most, _SAMPLED)
        op = _matrix(a, (m, n), draws)
        return tuple(_ranked(op, found, most, max_parameters is None, draws)[:limit])
    suggestions = []
    for shapes in _listed(m, n, count, most, limit):
        rank = 1 if max_parameters is None else _affordable(shapes, most)
        suggestions.append(_suggestion(shapes, (m, n), rank, math.nan))
    return tuple(suggestions)


def _side(size: int, *, name: str) -> int:
    """Validate a side of the matrix."""
    size = check_count(size, name=name, least=1)
    if size >= _SIDES:
        raise ValueError(f"{name} must be an int below {_SIDES}, got {size}")
    return size


def _matrix(a: Any, shape: tuple[int, int], draws: np.random.Generator) -> Operand:
    """Validate the matrix, and form a small operator."""
    given = getattr(a, "shape", None)
    op = None if isinstance(given, tuple) and given != shape else operand(a, draws)
    if op is None or op.shape != shape:
        got = given if op is None else op.shape
        raise ValueError(f"a must have the shape {shape} of the first two, got {got}")
    if not isinstance(op, MatrixFree) or math.prod(shape) > _FORMED:
        return op
    if shape[0] < shape[1]:
        unit = np.eye(shape[0], dtype=op.like.dtype)
        return operand(op.rmatmat(unit).conj().T, draws)
    return operand(op.to_array(), draws)


def _listed(m: int, n: int, count: int, most: int, limit: int) -> list[Shapes]:
    """Return factorisations in the order of their parameters, added zeros and proportions."""
    # Factors of two entries and more make 2^count of them, and padding at most doubles a side.
    if count > (m * n).bit_length() + 2:
        raise _useless(m, n, count)
    numbers = [n_padded_splits(size, count) for size in (m, n)]
    if math.prod(numbers) > _LISTED:
        raise ValueError(
            f"there are {numbers[0]} times {numbers[1]} factorisations of {m} and {n} into "
            f"{count} factors, too many to list: pass a smaller factors="
        )
    rows, columns = padded_splits(m, count), padded_splits(n, count)
    tall, wide = (np.asarray(sizes, dtype=np.int64) for sizes in (rows, columns))
    parameters = tall @ wide.T
    # A factor of a single entry is none.
    whole = (tall == 1).astype(float) @ (wide == 1).astype(float).T == 0
    fits = whole & (parameters < m * n)
    if not np.any(fits):
        raise _useless(m, n, count)
    least = int(np.min(parameters[fits]))
    if least > most:
        raise ValueError(f"max_parameters must be at least {least}, for one term, got {most}")
    i, j = np.nonzero(fits & (parameters <= most))
    ratios = np.log(tall[i] / wide[j])
    spread = np.round(np.max(ratios, axis=1) - np.min(ratios, axis=1), 9)
    added = np.prod(tall, axis=1)[i] * np.prod(wide, axis=1)[j]
    order = np.lexsort((spread, added, parameters[i, j]))[:limit]
    return [tuple(zip(rows[i[k]], columns[j[k]], strict=True)) for k in order]


def _useless(m: int, n: int, count: int) -> ValueError:
    """Refuse to suggest what saves nothing."""
    return ValueError(
        f"{count} Kronecker factors have no fewer parameters than a matrix of shape {(m, n)} "
        "has entries: keep the matrix"
    )


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
    return min(most // sum(sizes), math.prod(sizes[:-1]))


def _suggestion(shapes: Shapes, shape: tuple[int, int], rank: int, energy: float) -> Suggestion:
    """Put together what is suggested."""
    return Suggestion(shapes, _pad(shapes, shape), rank, rank * _parameters(shapes), energy)


def _ranked(
    op: Operand, found: Sequence[Shapes], most: int, sparing: bool, draws: np.random.Generator
) -> list[Suggestion]:
    """Return the most promising shapes, the best first."""
    unit = _ROUNDINGS * eps(op.like.dtype, op.xp)
    choose = _fastest if sparing else _fullest

    def best(look: Callable[..., np.ndarray], among: Sequence[Shapes]) -> list[_Plan]:
        plans = (choose(look(op, shapes, draws), shapes, most, unit) for shapes in among)
        # Among equals the fewest zeros are added.
        return sorted(plans, key=lambda plan: (*plan.order, *np.prod(plan.shapes, axis=0)))

    measured = _APPLIED if isinstance(op, MatrixFree) else _MEASURED
    if len(found) > measured:
        look = partial(sampled, stored=drawn(op, draws))
        found = [plan.shapes for plan in best(look, found)[:measured]]
    return [
        _suggestion(plan.shapes, op.shape, plan.rank, plan.energy)
        for plan in best(captured, found)
    ]


class _Plan(NamedTuple):
    """How many terms of some shapes to take, what they capture, and the place in the order."""

    shapes: Shapes
    rank: int
    energy: float
    order: tuple[float, ...]


def _fastest(parts: np.ndarray, shapes: Shapes, most: int, unit: float) -> _Plan:
    """Take the number of terms that lowers the error the fastest."""
    term = _parameters(shapes)
    sums = np.minimum(1.0, np.cumsum(parts))[: _affordable(shapes, most)]
    counts = term * np.arange(1, sums.shape[0] + 1)
    rates = -np.log(np.maximum(1.0 - sums, unit)) / counts
    k = int(np.argmax(rates))
    return _Plan(shapes, k + 1, float(sums[k]), (-float(rates[k]), term))


def _fullest(parts: np.ndarray, shapes: Shapes, most: int, unit: float) -> _Plan:
    """Take as many terms as fit, or are needed."""
    rank = _affordable(shapes, most)
    energy = extended(parts, shapes, rank)
    # What rounding cannot tell from as much needs no further terms.
    enough = np.flatnonzero(np.cumsum(parts[:rank]) >= energy - unit)
    rank = int(enough[0]) + 1 if enough.size else rank
    known = energy if energy < 1 - unit else 1.0
    return _Plan(shapes, rank, energy, (-known, rank * _parameters(shapes)))
