"""Linear combinations of vectors that can be sampled can be sampled too."""

from __future__ import annotations

from typing import Any, NamedTuple

from tdecomp._errors import check_count
from tdecomp._precision import full_precision
from tdecomp._random import generator
from tdecomp._typing import Array, DType, Namespace, Seed
from tdecomp._xp import conj, times_power
from tdecomp.completion.sampling._forest import moved
from tdecomp.completion.sampling._rejection import BLOCK_ENTRIES, accepted, estimated_norm
from tdecomp.completion.sampling._rows import SampledRows
from tdecomp.completion.sampling._terms import Term, levelled
from tdecomp.completion.sampling._trees import scaled
from tdecomp.ops._region import index_of, indices_of, is_index, parts


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

    The vectors are looked up when they are needed: what is changed in them changes here. Whatever
    the scales of vectors and coefficients, nothing overflows or vanishes unless the sum does.

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

    def _levelled(self) -> tuple[list[Term], Array]:
        """Return the terms over a power of two, and its exponent."""
        return levelled(list(zip(self.terms, self.exponents, strict=True)))

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
        terms, unit = self._levelled()
        whole = times_power(sum(term.whole() for term in terms), unit, self._xp)[part]
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
        width = max(1, BLOCK_ENTRIES // self.rank)
        terms, unit = self._levelled()
        blocks = [
            sum(xp.sum(t.columns(index[s : min(s + width, count)]), axis=0) for t in terms)
            for s in range(0, max(1, count), width)
        ]
        out = times_power(blocks[0] if len(blocks) == 1 else xp.concat(blocks), unit, xp)
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
        drawn = accepted(self._levelled()[0], size, rng, max_tries)
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
        terms, unit = self._levelled()
        return scaled(estimated_norm(terms, samples, rng), int(unit))


# Else NumPy would take the tuple for an array in products with one.
setattr(Combination, "__array_ufunc__", None)  # noqa: B010 - NamedTuple takes no other attribute
