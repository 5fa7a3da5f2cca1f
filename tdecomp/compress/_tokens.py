"""How often each row of an embedding is looked up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from tdecomp._errors import check_count
from tdecomp._shim import index_add
from tdecomp._typing import Array
from tdecomp._xp import device, integers, namespace
from tdecomp.compress._stored import stored


class TokenCounts(NamedTuple):
    r"""How often each of ``V`` tokens occurs: the whole second moment of an embedding's input.

    An embedding is a linear layer whose inputs are the unit vectors, so their second moments are
    the diagonal of the frequencies :math:`p_w`, and the mean squared error of what it puts out
    is :math:`\sum_w p_w \|e_w - \hat e_w\|^2`.

    Attributes
    ----------
    counts : array of int, shape (V,)
        How often each token was seen.

    References
    ----------
    .. [1] P. Chen, S. Si, Y. Li, C. Chelba, C.-J. Hsieh, "GroupReduce: block-wise low-rank
       approximation for neural language model shrinking", 2018. arXiv:1806.06950, equation 2.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.compress import TokenCounts
    >>> tokens = TokenCounts.of(np.array([2, 0, 2, 2]), size=4)
    >>> tokens.counts
    array([1, 0, 3, 0])
    >>> tokens.left() ** 2  # estimated frequencies; unseen tokens keep a share
    array([0.25      , 0.08333333, 0.58333333, 0.08333333])
    """

    counts: Array

    @classmethod
    def of(cls, ids: Any, /, *, size: int) -> TokenCounts:
        """Return the counts of `ids`.

        Parameters
        ----------
        ids : array of int, any shape
            Tokens between 0 and ``size - 1``.
        size : int
            How many there are.

        Returns
        -------
        TokenCounts
            The counts.

        Raises
        ------
        TypeError
            If `ids` are not integers.
        ValueError
            If one lies outside the vocabulary.
        """
        size = check_count(size, name="size", least=1)
        xp = namespace(ids)
        if not hasattr(ids, "dtype"):
            ids = xp.asarray(ids)
        if not xp.isdtype(ids.dtype, "integral"):
            raise TypeError(f"ids must be integers, got dtype {ids.dtype}")
        ids = xp.reshape(xp.astype(ids, integers(xp)), (-1,))
        zeros = xp.zeros(size, dtype=ids.dtype, device=device(ids))
        if ids.shape[0] == 0:
            return cls(zeros)
        low, high = int(xp.min(ids)), int(xp.max(ids))
        if low < 0 or high >= size:
            raise ValueError(f"ids must lie between 0 and {size - 1}, got {low} to {high}")
        return cls(index_add(zeros, ids, xp.ones_like(ids), xp))

    def update(self, ids: Any, /) -> TokenCounts:
        """Return the counts of all tokens so far and `ids`.

        Parameters
        ----------
        ids : array of int, any shape
            More tokens.

        Returns
        -------
        TokenCounts
            New counts; these stay as they are.

        Raises
        ------
        TypeError, ValueError
            As `of` does.
        """
        return self.merge(TokenCounts.of(ids, size=self.counts.shape[0]))

    def merge(self, other: TokenCounts, /) -> TokenCounts:
        """Return the counts of both.

        Parameters
        ----------
        other : TokenCounts
            Of the same vocabulary.

        Returns
        -------
        TokenCounts
            Their sum.

        Raises
        ------
        ValueError
            If their vocabularies differ in size.
        """
        if self.counts.shape != other.counts.shape:
            raise ValueError(
                "counts must be of one vocabulary, got sizes "
                f"{self.counts.shape[0]} and {other.counts.shape[0]}"
            )
        return TokenCounts(self.counts + other.counts)

    def left(self, *, floor: float = 0.5) -> Array:
        r"""Return the row weight :math:`\sqrt{p_w}` with :math:`p_w \propto c_w + \mathtt{floor}`.

        Parameters
        ----------
        floor : float
            Occurrences granted to every token beforehand, so that one which the text happens not
            to use keeps a share. One half is the estimator of Krichevsky and Trofimov.

        Returns
        -------
        array, shape (V,)
            A diagonal of norm 1, in the default float.

        Raises
        ------
        ValueError
            If `floor` is negative or not finite, or nothing is left to weight by.
        """
        if not 0.0 <= floor < math.inf:
            raise ValueError(f"floor must be a finite number >= 0, got {floor}")
        xp = namespace(self.counts)
        weights = xp.astype(self.counts, xp.asarray(0.0).dtype) + floor
        total = float(xp.sum(weights))
        if total == 0.0:
            raise ValueError("no token was counted and floor is 0: pass floor > 0")
        return xp.sqrt(weights / total)

    def to_arrays(self) -> dict[str, Array]:
        """Return the fields as arrays by name, to be stored by any format; see `from_arrays`.

        Returns
        -------
        dict of str to array
            In C order.
        """
        return stored(self._asdict())

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], /) -> TokenCounts:
        """Rebuild the counts from what `to_arrays` returned.

        Parameters
        ----------
        arrays : mapping of str to array
            By the name of the field.

        Returns
        -------
        TokenCounts
            As it was.

        Raises
        ------
        ValueError
            If they are missing or not a vector.
        """
        if "counts" not in arrays or arrays["counts"].ndim != 1:
            raise ValueError(f"token counts have one array 'counts', a vector; got {list(arrays)}")
        return cls(arrays["counts"])
