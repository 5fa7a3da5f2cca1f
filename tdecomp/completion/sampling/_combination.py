"""Linear combinations of vectors that can be sampled can be sampled too, by rejection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import check_count
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._shim import host
from tdecomp._typing import Array, DType, Namespace, Seed
from tdecomp._xp import conj, floats, namespace, prepare, times_power
from tdecomp.completion.sampling._forest import moved, sums_of
from tdecomp.completion.sampling._matrix import LengthSquaredMatrix
from tdecomp.completion.sampling._rows import SampledRows
from tdecomp.completion.sampling._trees import scaled, shifted
from tdecomp.completion.sampling._vector import LengthSquaredVector
from tdecomp.ops._region import index_of, indices_of, is_index, parts

_BLOCK_ENTRIES = 1 << 20
_LEAST = 64


class Combination(NamedTuple):
    r"""A sum of multiples of vectors that can be sampled: a vector that is never formed.

    .. math:: u = \sum_k \lambda_k v_k

    Its entries cost as many look-ups as there are terms, and its samples a few times that: an
    index `j` is proposed with density

    .. math:: q_j = \frac1Z \sum_k |\lambda_k| \, \|v_k\| \, \frac{|v_{kj}|^2}{\|v_k\|^2},
              \qquad Z = \sum_k |\lambda_k| \, \|v_k\|,

    by drawing a term and then an index of it, and accepted with probability
    :math:`|u_j|^2 / (Z^2 q_j)`, which by Cauchy and Schwarz is at most one. One proposal in
    :math:`\varphi = Z^2 / \|u\|^2` is accepted.

    Attributes
    ----------
    terms : tuple of SampledRows
        The vectors, as rows of one matrix or more; their weights are the coefficients.
    exponents : tuple of int
        Each of the terms counts ``2 ** exponent`` times.
    conjugate : bool
        Whether the vectors are conjugated.

    See Also
    --------
    combine : builds one from vectors and coefficients.

    Notes
    -----
    The usual choice, terms in proportion to :math:`|\lambda_k|^2 \|v_k\|^2`, accepts one proposal
    in :math:`\tau \sum_k |\lambda_k|^2 \|v_k\|^2 / \|u\|^2` for :math:`\tau` terms [1]_, which is
    never fewer and often many more. Where terms cancel, both numbers grow without bound.

    The vectors are looked up when they are needed: what is changed in them changes here.

    References
    ----------
    .. [1] N.-H. Chia, A. Gilyen, T. Li, H.-H. Lin, E. Tang, C. Wang, "Sampling-based sublinear
       low-rank matrix arithmetic framework for dequantizing quantum machine learning", J. ACM
       69(5), 33 (2022). arXiv:1910.06151

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion import sampling
    >>> x, y = (sampling.LengthSquaredVector(v) for v in ([1.0, 1.0, 0.0], [0.0, 1.0, 1.0]))
    >>> u = sampling.combine([2.0, -2.0], [x, y])
    >>> u.to_array().tolist(), float(u.query(2))
    ([2.0, 0.0, -2.0], -2.0)
    >>> sorted(set(u.sample(100, rng=0).tolist()))
    [0, 2]
    """

    terms: tuple[SampledRows, ...]
    exponents: tuple[int, ...]
    conjugate: bool

    @property
    def shape(self) -> tuple[int]:
        """Length of the vector."""
        return (self.terms[0].matrix.shape[1],)

    @property
    def modes(self) -> int:
        """One: a vector."""
        return 1

    @property
    def rank(self) -> int:
        """Number of terms."""
        return sum(int(part.indices.shape[0]) for part in self.terms)

    @property
    def dtype(self) -> DType:
        """The dtype of the vector."""
        return self.terms[0].weights.dtype

    @property
    def _xp(self) -> Namespace:
        return self.terms[0].matrix._xp

    @full_precision
    def to_array(self, region: Any = None) -> Array:
        """Return the vector, or a region of it, at the cost of all its terms.

        Parameters
        ----------
        region : slice or tuple, optional
            A slice, or a tuple of one: a slice, an int, or a 1-d array of indices.

        Returns
        -------
        array
            The entries.
        """
        (part,) = parts(region, 1)
        if not isinstance(part, slice):
            return self._at(part, "region[0]")
        whole = sum(
            shifted(p.transposed_times(self._xp.ones_like(p.weights)[:, None]), e, self._xp)
            for p, e in zip(self.terms, self.exponents, strict=True)
        )
        whole = whole[:, 0][part]
        return conj(whole, self._xp) if self.conjugate else whole

    @full_precision
    def query(self, index: Any, /) -> Array:
        """Return some entries, each at the cost of one look-up for each term.

        Parameters
        ----------
        index : int or array of int, shape (s,)
            Which.

        Returns
        -------
        array
            The entries: of shape () for an int.
        """
        return self._at(index, "index")

    def _at(self, index: Any, name: str) -> Array:
        single = is_index(index)
        place = [index_of(index, self.shape[0], name)] if single else index
        like = self.terms[0].weights
        place = indices_of(place, self.shape[0], like, self._xp, name=name)
        out = self._entries(place)
        return out[0] if single else out

    def _entries(self, index: Array) -> Array:
        xp, count = self._xp, int(index.shape[0])
        width = max(1, _BLOCK_ENTRIES // self.rank)
        blocks = [
            sum(
                shifted(xp.sum(p.columns(index[s : min(s + width, count)]), axis=0), e, xp)
                for p, e in zip(self.terms, self.exponents, strict=True)
            )
            for s in range(0, max(1, count), width)
        ]
        out = blocks[0] if len(blocks) == 1 else xp.concat(blocks)
        return conj(out, xp) if self.conjugate else out

    def sample(self, size: int, /, *, rng: Seed = None, max_tries: int = 10_000) -> Array:
        r"""Draw indices with chances proportional to squared entries, by rejection.

        Parameters
        ----------
        size : int
            How many.
        rng : int, numpy.random.Generator or None
            Where numbers come from.
        max_tries : int, optional
            How many proposals to make for each accepted one, on average, before giving up.

        Returns
        -------
        array of int, shape (size,)
            Indices, with replacement.

        Raises
        ------
        ValueError
            If so many proposals are rejected: the terms cancel, all or nearly so.
        """
        size, rng = check_count(size, name="size"), generator(rng)
        max_tries = check_count(max_tries, name="max_tries", least=1)
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
            most = max(_LEAST, _BLOCK_ENTRIES // self.rank)
            count = min(most, left, max(_LEAST, math.ceil(1.1 * (size - kept) / rate)))
            index, chances = self._proposed(count, rng)
            good = index[rng.random(count) < chances]
            found.append(good)
            kept, tried = kept + good.size, tried + count
        drawn = np.concatenate([*found, np.empty(0, np.int64)])[:size]
        return moved(drawn, self.terms[0].weights, self._xp)

    def estimate_norm(self, samples: int = 1000, /, *, rng: Seed = None) -> float:
        r"""Estimate the Euclidean norm without forming the vector.

        The chance that a proposal is accepted has the mean :math:`\|u\|^2 / Z^2`.

        Parameters
        ----------
        samples : int, optional
            Number of proposals. Of :math:`\|u\|^2 / Z^2 = 1 / \varphi` the relative standard error
            is at most :math:`\sqrt{(\varphi - 1) / \mathtt{samples}}`.
        rng : int, numpy.random.Generator or None
            Where numbers come from.

        Returns
        -------
        float
            The root of an unbiased estimate of the squared norm.
        """
        samples, rng = check_count(samples, name="samples", least=1), generator(rng)
        sizes, unit = self._sizes()
        whole = sum(floats(sizes))
        if not whole > 0:
            return 0.0
        width = max(_LEAST, _BLOCK_ENTRIES // self.rank)
        chances = [
            self._proposed(min(width, samples - start), rng)[1]
            for start in range(0, samples, width)
        ]
        return scaled(whole * math.sqrt(float(np.mean(np.concatenate(chances)))), unit)

    def _sizes(self) -> tuple[Array, int]:
        r"""Return :math:`|\lambda_k| \|v_k\|` for all terms over a power of two, and that."""
        xp, pairs = self._xp, list(zip(self.terms, self.exponents, strict=True))
        tops = [floats(xp.max(xp.abs(part.weights))[None])[0] for part, _ in pairs]
        unit = max(e + math.frexp(top)[1] for top, (_, e) in zip(tops, pairs, strict=True))
        return xp.concat([_sizes(part, e - unit) for part, e in pairs]), unit

    def _proposed(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return proposed indices, and the chance that each is accepted."""
        xp, (sizes, unit) = self._xp, self._sizes()
        if not bool(xp.any(sizes > 0)):
            raise ValueError("all terms are zero: there is nothing to draw")
        which = host(LengthSquaredVector(xp.sqrt(sizes)).sample(count, rng=rng))
        index, first = np.empty(count, dtype=np.int64), 0
        for part in self.terms:
            last = first + int(part.indices.shape[0])
            hit = np.flatnonzero((which >= first) & (which < last))
            rows = xp.take(part.indices, moved(which[hit] - first, sizes, xp), axis=0)
            index[hit] = host(part.matrix._draw_columns(rows, rng.random(hit.size)))
            first = last
        return index, self._chances(moved(index, sizes, xp), float(xp.sum(sizes)), unit)

    def _chances(self, index: Array, whole: float, unit: int) -> np.ndarray:
        r"""Return :math:`|u_j|^2 / (Z \sum_k |\lambda_k v_{kj}|^2 / (|\lambda_k| \|v_k\|))`."""
        xp = self._xp
        entry: Array = 0.0
        envelope: Array = 0.0
        for part, exponent in zip(self.terms, self.exponents, strict=True):
            block = shifted(part.columns(index), exponent - unit, xp)
            sizes = _sizes(part, exponent - unit)
            inverse = xp.where(sizes > 0, 1 / xp.where(sizes > 0, sizes, 1.0), 0.0)
            entry = entry + xp.sum(block, axis=0)
            squares = xp.astype(xp.abs(block), sizes.dtype) ** 2
            envelope = envelope + xp.sum(squares * inverse[:, None], axis=0)
        top = xp.astype(xp.abs(entry), envelope.dtype) ** 2
        return host(top / (whole * envelope)).astype(np.float64)


# Else NumPy would take the tuple for an array in products with one.
setattr(Combination, "__array_ufunc__", None)  # noqa: B010 - NamedTuple takes no other attribute


def _sizes(part: SampledRows, exponent: int) -> Array:
    """Return the norms of terms, each ``2 ** exponent`` times."""
    xp, trees = part.matrix._xp, part.matrix._trees
    sums = sums_of(trees.rows, part.indices, xp)
    shifts = xp.take(trees.exponents, part.indices, axis=0) - part.unit + exponent
    norms = times_power(xp.sqrt(sums), shifts, xp)
    return norms * xp.astype(xp.abs(part.weights), norms.dtype)


@full_precision
def combine(
    coefficients: Any, vectors: LengthSquaredMatrix | Sequence[LengthSquaredVector], /
) -> Combination:
    r"""Combine vectors that can be sampled to one that can: :math:`u = \sum_k \lambda_k v_k`.

    Parameters
    ----------
    coefficients : array, shape (t,)
        The numbers :math:`\lambda_k`.
    vectors : LengthSquaredMatrix of t rows, or sequence of t LengthSquaredVector
        The vectors, all of one length, dtype and library.

    Returns
    -------
    Combination
        Their sum, which refers to them.

    Raises
    ------
    TypeError, ValueError
        If numbers and vectors are not equally many, or vectors differ in length or dtype.

    Notes
    -----
    No entry is read.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion import sampling
    >>> rows = sampling.LengthSquaredMatrix(np.eye(3))
    >>> u = sampling.combine([1.0, 0.0, 2.0], rows)
    >>> u.shape, u.query([0, 2]).tolist()
    ((3,), [1.0, 2.0])
    """
    groups = _grouped(vectors)
    first = groups[0][0]
    xp = namespace(*(matrix._stored.values for matrix, _ in groups))
    numbers = prepare(coefficients, ndim=1, like=first._stored.values, name="coefficients")[1]
    numbers = _narrowed(numbers, first.dtype, xp)
    if int(numbers.shape[0]) != sum(len(rows) for _, rows in groups):
        count = sum(len(rows) for _, rows in groups)
        raise ValueError(f"{numbers.shape[0]} coefficients do not fit {count} vectors")
    terms, begin = [], 0
    for matrix, rows in groups:
        part = numbers[begin : begin + len(rows)]
        index = moved(np.asarray(rows, dtype=np.int64), part, xp)
        terms.append(SampledRows(matrix, index, part, matrix._trees.unit))
        begin += len(rows)
    return Combination(tuple(terms), tuple(part.unit for part in terms), False)


def _narrowed(numbers: Array, dtype: DType, xp: Namespace) -> Array:
    """Return coefficients in a dtype that may hold fewer digits, but not fewer dimensions."""
    if xp.isdtype(numbers.dtype, "complex floating") and xp.isdtype(dtype, "real floating"):
        raise TypeError("coefficients are complex, the vectors are real")
    return xp.astype(numbers, dtype)


def _grouped(vectors: Any) -> list[tuple[LengthSquaredMatrix, list[int]]]:
    """Return neighbours that are rows of one matrix together."""
    if isinstance(vectors, LengthSquaredMatrix):
        return [(vectors, list(range(vectors.shape[0])))]
    groups: list[tuple[LengthSquaredMatrix, list[int]]] = []
    for k, vector in enumerate(vectors):
        if not isinstance(vector, LengthSquaredVector):
            raise TypeError(f"vectors[{k}] must be a LengthSquaredVector, got {type(vector)}")
        if not groups or groups[-1][0] is not vector._matrix:
            groups.append((vector._matrix, []))
        groups[-1][1].append(vector._row)
    if not groups:
        raise ValueError("there is nothing to combine: give at least one vector")
    kinds = {(matrix.shape[1], str(matrix.dtype)) for matrix, _ in groups}
    if len(kinds) > 1:
        raise ValueError(f"vectors must have one length and dtype, got {sorted(kinds)}")
    return groups
