r"""Indices of a sum of vectors, drawn by rejection.

An index `j` of :math:`u = \sum_k \lambda_k v_k` is proposed by drawing a term in proportion to
:math:`|\lambda_k| \|v_k\|` and an index of that, and kept with the chance

.. math:: \frac{|u_j|^2}{Z \sum_k |\lambda_k v_{kj}|^2 / (|\lambda_k| \|v_k\|)}, \qquad
          Z = \sum_k |\lambda_k| \, \|v_k\| .
"""

from __future__ import annotations

import math

import numpy as np

from tdecomp._shim import host
from tdecomp._typing import Array
from tdecomp._xp import floats
from tdecomp.completion.sampling._forest import moved
from tdecomp.completion.sampling._terms import Term
from tdecomp.completion.sampling._vector import LengthSquaredVector

# So many look-ups are made together, and so many proposals at least.
BLOCK_ENTRIES = 1 << 20
_LEAST = 64


def accepted(terms: list[Term], size: int, rng: np.random.Generator, max_tries: int) -> np.ndarray:
    """Return `size` indices, or refuse after so many proposals for each."""
    found: list[np.ndarray] = []
    kept = tried = 0
    while kept < size:
        left = max_tries * (kept + 1) - tried
        if left <= 0:
            raise ValueError(
                f"{kept} of {tried} proposals were accepted: the terms cancel one another; "
                "raise max_tries, or form the vector by to_array()"
            )
        rate = max(kept, 1) / max(tried, 1)
        count = min(_most(terms), left, max(_LEAST, math.ceil(1.1 * (size - kept) / rate)))
        index, chances = _proposed(terms, count, rng)
        good = index[rng.random(count) < chances]
        found.append(good)
        kept, tried = kept + good.size, tried + count
    return np.concatenate([*found, np.empty(0, np.int64)])[:size]


def estimated_norm(terms: list[Term], samples: int, rng: np.random.Generator) -> float:
    """Return `Z` times the root of the mean chance of so many proposals, over their unit."""
    whole = sum(sum(floats(term.sizes)) for term in terms)
    if not whole > 0:
        return 0.0
    width = _most(terms)
    chances = [
        _proposed(terms, min(width, samples - start), rng)[1] for start in range(0, samples, width)
    ]
    return whole * math.sqrt(float(np.mean(np.concatenate(chances))))


def _most(terms: list[Term]) -> int:
    """Return how many proposals are looked up together."""
    return max(_LEAST, BLOCK_ENTRIES // sum(int(part.indices.shape[0]) for part in terms))


def _proposed(
    terms: list[Term], count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return proposed indices, and the chance that each is accepted."""
    xp = terms[0].matrix._xp
    sizes = xp.concat([term.sizes for term in terms])
    if not bool(xp.any(sizes > 0)):
        raise ValueError("all terms are zero: there is nothing to draw")
    which = host(LengthSquaredVector(xp.sqrt(sizes)).sample(count, rng=rng))
    index, first = np.empty(count, dtype=np.int64), 0
    for term in terms:
        last = first + int(term.indices.shape[0])
        hit = np.flatnonzero((which >= first) & (which < last))
        rows = xp.take(term.indices, moved(which[hit] - first, sizes, xp), axis=0)
        index[hit] = host(term.matrix._draw_columns(rows, rng.random(hit.size)))
        first = last
    return index, _chances(terms, moved(index, sizes, xp), float(xp.sum(sizes)))


def _chances(terms: list[Term], index: Array, whole: float) -> np.ndarray:
    r"""Return :math:`|u_j|^2 / (Z \sum_k |\lambda_k v_{kj}|^2 / (|\lambda_k| \|v_k\|))`."""
    xp = terms[0].matrix._xp
    entry: Array = 0.0
    envelope: Array = 0.0
    for term in terms:
        block, sizes = term.columns(index), term.sizes
        inverse = xp.where(sizes > 0, 1 / xp.where(sizes > 0, sizes, 1.0), 0.0)
        entry = entry + xp.sum(block, axis=0)
        squares = xp.astype(xp.abs(block), sizes.dtype) ** 2
        envelope = envelope + xp.sum(squares * inverse[:, None], axis=0)
    top = xp.astype(xp.abs(entry), envelope.dtype) ** 2
    # An index may be proposed, once in 2^53 times, whose squares underflow: it has no chance.
    known = envelope > 0
    envelope = xp.where(known, envelope, xp.ones_like(envelope))
    chances = xp.where(known, top / (whole * envelope), xp.zeros_like(envelope))
    return host(chances).astype(np.float64)
