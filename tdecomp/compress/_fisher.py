"""What a layer's weights matter: streamed factors of the Fisher information."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from tdecomp._errors import check_count
from tdecomp._precision import full_precision
from tdecomp._shim import index_add
from tdecomp._typing import Array
from tdecomp._xp import adjoint, device, equilibrate, integers, namespace, prepare
from tdecomp.compress._rows import stacked, triangular
from tdecomp.compress._stored import stored

_MATRIX = 2
_BLOCK_ENTRIES = 1 << 25


class Fisher(NamedTuple):
    r"""The empirical Fisher information of a weight matrix, as one Kronecker product.

    If :math:`G_d` is the gradient of example :math:`d`, a change :math:`D` of the weights changes
    its loss by :math:`\operatorname{Re}\langle G_d, D \rangle`, in the mean square by the Fisher
    form :math:`\frac1N \sum_d |\langle G_d, D \rangle|^2`. Its Kronecker approximation is

    .. math:: \|L D R\|_F^2 , \qquad
              R R^* = \tfrac1N \sum_d G_d^* G_d , \quad
              L^* L = \sum_d G_d G_d^* \, / \, \sum_d \|G_d\|_F^2 ,

    exact if all :math:`G_d` are multiples of one matrix, and always of the right trace. So
    weighted errors of different matrices share a unit, that of the loss, and may be added.

    Attributes
    ----------
    n_examples : int
        How many examples :math:`N` were seen.
    rows : array, shape (k, m) or (m,)
        A triangular factor of :math:`\sum_d G_d G_d^*`; for an embedding the roots of its
        diagonal, because that matrix is as large as the vocabulary squared.
    columns : array, shape (k, n)
        A triangular factor of :math:`\sum_d G_d^* G_d`.

    Notes
    -----
    One example is one term of the loss: squaring the gradient of a *batch mean* gives another,
    smaller thing. For a layer :math:`y = W x` the gradient of each example is a product of its
    inputs and the gradients of its outputs: see `of_linear`.

    An example costs :math:`2 m n (m + n)` flops.

    With one step of power iteration from the identity the factors are those of Shampoo, and the
    product is near the best Kronecker approximation [2]_ that GFWSVD [1]_ iterates for. The
    factors are accumulated by TSQR, as in `Calibration`.

    References
    ----------
    .. [1] V. Chekalina et al., "Generalized Fisher-weighted SVD: scalable Kronecker-factored
       Fisher approximation for compressing large language models", 2025. arXiv:2505.17974.
    .. [2] D. Morwani et al., "A new perspective on Shampoo's preconditioner", 2024.
       arXiv:2406.17748.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.compress import Fisher
    >>> gradients = np.array([[[2.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 4.0]]])
    >>> fisher = Fisher.of(gradients)
    >>> fisher.column_scale() ** 2  # mean over the rows of the mean squared gradients
    array([1., 4.])
    """

    n_examples: int
    rows: Array
    columns: Array

    @classmethod
    @full_precision
    def of(cls, gradients: Any, /) -> Fisher:
        """Return the information in the gradients of examples.

        Parameters
        ----------
        gradients : array, shape (..., m, n)
            The gradient of the loss of each example by the weights.

        Returns
        -------
        Fisher
            In the dtype of `gradients`, float32 for narrower ones.

        Raises
        ------
        ValueError
            If `gradients` are empty or hold NaN or Inf.
        """
        xp, g = prepare(gradients, ndim=2, batch=True, name="gradients")
        m, n = g.shape[-2:]
        g = xp.reshape(g, (-1, m, n))
        rows = xp.reshape(adjoint(g, xp), (-1, m))
        columns = xp.reshape(g, (-1, n))
        return cls(int(g.shape[0]), triangular(rows, xp), triangular(columns, xp))

    @classmethod
    @full_precision
    def of_linear(cls, inputs: Any, gradients: Any, /) -> Fisher:
        r"""Return the information in a layer's inputs and the gradients of its outputs.

        Parameters
        ----------
        inputs : array, shape (N, T, n)
            What the layer saw in :math:`N` examples of :math:`T` tokens.
        gradients : array, shape (N, T, m)
            The gradient of each example's loss by the outputs. Where a row is zero, as for
            padding, the token counts nothing.

        Returns
        -------
        Fisher
            That of :math:`G_d = \sum_t g_{dt} x_{dt}^*`, of which a few are formed at a time.

        Raises
        ------
        ValueError
            If the shapes do not fit, or an array is empty or holds NaN or Inf.
        """
        xp = namespace(inputs, gradients)
        _, x = prepare(inputs, ndim=3, like=gradients, name="inputs")
        _, g = prepare(gradients, ndim=3, like=x, name="gradients")
        if x.shape[:2] != g.shape[:2]:
            raise ValueError(
                "inputs and gradients must have shapes (N, T, n) and (N, T, m), got "
                f"{tuple(x.shape)} and {tuple(g.shape)}"
            )
        x = xp.conj(x) if xp.isdtype(x.dtype, "complex floating") else x
        g = xp.matrix_transpose(g)
        examples, step = x.shape[0], max(1, _BLOCK_ENTRIES // (g.shape[1] * x.shape[2]))
        blocks = [slice(k, min(k + step, examples)) for k in range(0, examples, step)]
        found = cls.of(g[blocks[0], :, :] @ x[blocks[0], :, :])
        for block in blocks[1:]:
            found = found.merge(cls.of(g[block, :, :] @ x[block, :, :]))
        return found

    @classmethod
    @full_precision
    def of_embedding(cls, ids: Array, gradients: Any, /, *, size: int) -> Fisher:
        """Return the information in looked-up rows and the gradients of what was looked up.

        Parameters
        ----------
        ids : array of int, shape (N, T)
            The tokens of the examples.
        gradients : array, shape (N, T, n)
            The gradient of each example's loss by the rows looked up.
        size : int
            How many rows the embedding has.

        Returns
        -------
        Fisher
            That of an embedding of shape ``(size, n)``, with a diagonal for its rows.

        Raises
        ------
        ValueError
            If the shapes do not fit, or `gradients` are empty or hold NaN or Inf.
        """
        xp, g = prepare(gradients, ndim=3, name="gradients")
        if tuple(ids.shape) != tuple(g.shape[:2]):
            raise ValueError(
                f"ids must have shape {tuple(g.shape[:2])}, as gradients, got {tuple(ids.shape)}"
            )
        g, scale = equilibrate(g, xp, axis=(0, 1, 2))
        # A token that occurs c times in an example appears as c rows, each its sum over sqrt(c).
        same = xp.astype(ids[:, :, None] == ids[:, None, :], g.dtype)
        sums = (same / xp.sqrt(xp.sum(same, axis=-1, keepdims=True))) @ g
        squares = xp.linalg.vector_norm(sums, axis=-1) ** 2
        size = check_count(size, name="size", least=1)
        zeros = xp.zeros(size, dtype=squares.dtype, device=device(g))
        flat = xp.reshape(xp.astype(ids, integers(xp)), (-1,))
        rows = xp.sqrt(index_add(zeros, flat, xp.reshape(squares, (-1,)), xp))
        columns = triangular(xp.reshape(sums, (-1, g.shape[-1])), xp)
        return cls(int(g.shape[0]), rows * scale[0, 0, 0], columns * scale[0, 0, 0])

    @full_precision
    def merge(self, other: Fisher, /) -> Fisher:
        """Return the information in the examples of both.

        Parameters
        ----------
        other : Fisher
            Of other examples for the same weights.

        Returns
        -------
        Fisher
            New factors.

        Raises
        ------
        ValueError
            If they belong to matrices of different shapes.
        """
        xp = namespace(self.columns, other.columns)
        if self.shape != other.shape or self.rows.ndim != other.rows.ndim:
            raise ValueError(f"one has shape {self.shape}, the other {other.shape}")
        if self.rows.ndim == 1:
            rows = xp.hypot(self.rows, other.rows)
        else:
            rows = stacked([self.rows, other.rows], xp)
        columns = stacked([self.columns, other.columns], xp)
        return Fisher(self.n_examples + other.n_examples, rows, columns)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape ``(m, n)`` of the weight matrix."""
        return int(self.rows.shape[-1]), int(self.columns.shape[-1])

    def right(self) -> Array:
        """Return the column weight ``R``, which carries the scale.

        Returns
        -------
        array, shape (n, k)
            Lower triangular, for ``weighted_svd(..., right=R)``.
        """
        return adjoint(self.columns, namespace(self.columns)) / math.sqrt(self.n_examples)

    def left(self) -> Array:
        """Return the row weight ``L``, of Frobenius norm 1.

        Returns
        -------
        array, shape (k, m) or (m,)
            Upper triangular, or a diagonal; for ``weighted_svd(..., left=L)``.
        """
        xp = namespace(self.rows)
        rows, _ = equilibrate(self.rows, xp, axis=tuple(range(self.rows.ndim)))
        norm = xp.linalg.vector_norm(rows)
        return rows / xp.where(norm > 0, norm, xp.ones_like(norm))

    def column_scale(self) -> Array:
        r"""Return the diagonal column weight of FWSVD.

        Its squares are the means of the diagonal Fisher information :math:`F` over each column,
        so that :math:`\|D \operatorname{diag}\|_F^2` stands for :math:`\sum_{ij} F_{ij} D_{ij}^2`.

        Returns
        -------
        array, shape (n,)
            A diagonal.
        """
        return _lengths(self.columns) / math.sqrt(self.n_examples * self.shape[0])

    def row_scale(self) -> Array:
        """Return the same for rows: the roots of the means of the information over each row.

        Returns
        -------
        array, shape (m,)
            A diagonal.
        """
        return _lengths(self.rows) / math.sqrt(self.n_examples * self.shape[1])

    def to_arrays(self) -> dict[str, Array]:
        """Return the fields as arrays by name, to be stored by any format; see `from_arrays`.

        Returns
        -------
        dict of str to array
            In C order.
        """
        return stored(self._asdict())

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], /) -> Fisher:
        """Rebuild the information from what `to_arrays` returned.

        Parameters
        ----------
        arrays : mapping of str to array
            By the name of the field.

        Returns
        -------
        Fisher
            As it was.

        Raises
        ------
        ValueError
            If a field is missing or has the wrong number of dimensions.
        """
        missing = [field for field in cls._fields if field not in arrays]
        if missing:
            raise ValueError(f"Fisher factors are the arrays {cls._fields}, missing: {missing}")
        n_examples, rows, columns = (arrays[field] for field in cls._fields)
        if rows.ndim not in (1, _MATRIX) or columns.ndim != _MATRIX:
            raise ValueError(
                "rows and columns must have shapes (k, m) or (m,), and (k, n), got "
                f"{tuple(rows.shape)} and {tuple(columns.shape)}"
            )
        return cls(check_count(int(n_examples), name="n_examples", least=1), rows, columns)


def _lengths(factor: Array) -> Array:
    """Return the lengths of the columns of `factor`, which may be a diagonal."""
    xp = namespace(factor)
    if factor.ndim < _MATRIX:
        return factor
    factor, scale = equilibrate(factor, xp, axis=(0, 1))
    return xp.linalg.vector_norm(factor, axis=0) * scale[0, :]
