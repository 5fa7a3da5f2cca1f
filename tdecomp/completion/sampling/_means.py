"""Medians of means: how many draws, and what becomes of them."""

from __future__ import annotations

import math
from collections.abc import Callable

from tdecomp._errors import check_count, check_rtol
from tdecomp._program import one_program
from tdecomp._typing import Array, Namespace

# So many draws are looked at together: memory does not grow with the accuracy that is asked for.
_TOGETHER = 1 << 16


def counts_for(
    tol: float, failure: float, samples: int | None, groups: int | None, both: bool
) -> tuple[int, int]:
    """Return the numbers of groups and of draws in each; `both` parts each have half the error."""
    tol, failure = check_rtol(tol, name="tol"), check_rtol(failure, name="failure")
    parts = 2 if both else 1
    if groups is None:
        groups = math.ceil(6 * math.log(2 * parts / failure))
    if samples is None:
        samples = math.ceil(9 * parts / (2 * tol**2))
    return (
        check_count(groups, name="groups", least=1),
        check_count(samples, name="samples", least=1),
    )


def counts_of(
    groups: int | None, samples: int | None, usual: int, *, name: str
) -> tuple[int, int] | None:
    """Return the numbers of groups and of draws in each, or None where nothing is drawn.

    A number of groups of nothing is refused, by the `name` of the draws.
    """
    if samples is None:
        if groups is not None:
            raise ValueError(f"groups counts means of draws: give {name}= too, or leave it out")
        return None
    return (
        check_count(usual if groups is None else groups, name="groups", least=1),
        check_count(samples, name=name, least=1),
    )


def median_of_means(
    ratios: Callable[[int], Array], counts: tuple[int, int], xp: Namespace
) -> Array:
    """Return the median over groups of the means in groups, of either part of complex numbers.

    ``ratios(n)`` makes `n` draws, whole groups or a piece of one at a time.
    """
    groups, samples = counts
    side, piece = max(1, _TOGETHER // samples), min(samples, _TOGETHER)
    parts = []
    for first in range(0, groups, side):
        number = min(side, groups - first)
        pieces = (min(piece, samples - start) for start in range(0, samples, piece))
        parts.append(sum(_sums(ratios(number * size), number, samples, xp) for size in pieces))
    means = parts[0] if len(parts) == 1 else xp.concat(parts)
    if not xp.isdtype(means.dtype, "complex floating"):
        return _median(means, xp)
    return _median(xp.real(means), xp) + 1j * _median(xp.imag(means), xp)


@one_program
def _sums(x: Array, groups: int, samples: int, xp: Namespace) -> Array:
    """Return what draws add to the means of their groups: divided first, they do not overflow."""
    return xp.sum(xp.reshape(x / samples, (groups, -1, *x.shape[1:])), axis=1)


@one_program
def _median(x: Array, xp: Namespace) -> Array:
    """Return the median along the first axis."""
    ordered, n = xp.sort(x, axis=0), x.shape[0]
    return ordered[(n - 1) // 2, ...] / 2 + ordered[n // 2, ...] / 2
