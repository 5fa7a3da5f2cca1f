"""Ways to write a size as a product."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations


def primes(n: int) -> list[int]:
    """Return the prime factors of `n`, in ascending order."""
    found, p = [], 2
    while p * p <= n:
        if n % p:
            p += 1
        else:
            found.append(p)
            n //= p
    return found + [n] * (n > 1)


def divisors(n: int) -> list[int]:
    """Return all divisors of `n`, in ascending order."""
    found = {1}
    for p in primes(n):
        found |= {d * p for d in found}
    return sorted(found)


def splits(n: int, count: int) -> list[tuple[int, ...]]:
    """Return all ways to write `n` as a product of so many factors, in lexicographic order."""
    if count == 1:
        return [(n,)]
    return [(d, *rest) for d in divisors(n) for rest in splits(n // d, count - 1)]


def padded_sizes(n: int, count: int) -> list[int]:
    r"""Return for :math:`0, 1, \dots` factors above one the least size from `n` that has them.

    That is the least number with as many primes. Of more than `count` factors, or so many that
    their product is above `n` even if all are 2, there is no entry; 1 alone has no factors.
    """
    if n == 1:
        return [1]
    most = min(count, n.bit_length() - 1)
    sizes = [n]
    for parts in range(1, most + 1):
        size = sizes[-1]
        while len(primes(size)) < parts:
            size += 1
        sizes.append(size)
    return sizes


def padded_splits(n: int, count: int) -> list[tuple[int, ...]]:
    """Return all ways to write `n` as a product of so many factors, or a larger size.

    With so many factors above one as `n` has no primes for, the next size that has them.
    """
    return sorted(
        split
        for parts, size in _parts(n, count)
        for whole in _whole_splits(size, parts)
        for split in _spread(whole, count)
    )


def n_padded_splits(n: int, count: int) -> int:
    """Count them, without listing them."""
    return sum(
        math.comb(count, parts) * _n_whole_splits(size, parts) for parts, size in _parts(n, count)
    )


def _parts(n: int, count: int) -> list[tuple[int, int]]:
    """Return the numbers of factors above one that there may be, and the sizes they are of."""
    return list(enumerate(padded_sizes(n, count)))[min(1, n - 1) :]


def _whole_splits(n: int, count: int) -> Iterator[tuple[int, ...]]:
    """Yield the splits into factors that are all above one."""
    if count < 2:
        yield (n,) * count
        return
    for d in divisors(n)[1:-1]:
        for rest in _whole_splits(n // d, count - 1):
            yield (d, *rest)


def _n_whole_splits(n: int, count: int) -> int:
    """Count them: all splits, less by inclusion and exclusion those with ones."""
    found = primes(n)
    powers = [found.count(p) for p in set(found)]
    return (count == 0) + sum(
        (1 - 2 * (ones % 2))
        * math.comb(count, ones)
        * math.prod(math.comb(e + count - ones - 1, e) for e in powers)
        for ones in range(count)
    )


def _spread(whole: tuple[int, ...], count: int) -> Iterator[tuple[int, ...]]:
    """Yield what comes of a split if ones fill it up to so many factors."""
    for places in combinations(range(count), len(whole)):
        split = [1] * count
        for place, size in zip(places, whole, strict=True):
            split[place] = size
        yield tuple(split)
