"""Ways to write a size as a product."""

from __future__ import annotations


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
