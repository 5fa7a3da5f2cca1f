"""The format of functions of ``A^* A``: sampled rows around a small matrix."""

from __future__ import annotations

from typing import Any, NamedTuple

from tdecomp._precision import full_precision
from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import adjoint
from tdecomp.completion.sampling._rows import SampledRows
from tdecomp.ops._region import is_index, parts


class SampledTransform(NamedTuple):
    r"""A function of ``A^* A``, held by sampled rows of `A`.

    .. math:: f(A^* A) \approx R^* U R + f(0)\, I, \qquad
              U = W \operatorname{diag}(\mathtt{gains})\, W^*

    with `R` over its unit, a power of two.

    Attributes
    ----------
    rows : SampledRows
        The matrix `R`, of shape (r, n), never formed.
    W : array, shape (r, k)
        Orthonormal columns.
    gains : array, shape (k,)
        :math:`(f(\sigma^2) - f(0)) / \sigma^2`, with :math:`\sigma` over the unit in the
        denominator.
    at_zero : array, shape ()
        :math:`f(0)`.

    See Also
    --------
    transform : finds one.
    recommend : a row of :math:`A f(A^* A)`.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.completion import sampling
    >>> a = np.diag([3.0, 0.0, 0.0])
    >>> found = sampling.transform(a, lambda t: t + 1.0, samples=4, rng=0)
    >>> np.round(found.to_array(), 12).tolist()
    [[10.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """

    rows: SampledRows
    W: Array
    gains: Array
    at_zero: Array

    @property
    def shape(self) -> tuple[int, int]:
        """Shape ``(n, n)`` of the function."""
        n = self.rows.matrix.shape[1]
        return (n, n)

    @property
    def modes(self) -> int:
        """Two: a matrix."""
        return 2

    @property
    def rank(self) -> int:
        """Number of singular values in which it differs from a multiple of the identity."""
        return int(self.gains.shape[0])

    @property
    def dtype(self) -> DType:
        """The dtype of the matrix."""
        return self.W.dtype

    @property
    def _xp(self) -> Namespace:
        return self.rows.matrix._xp

    @full_precision
    def to_array(self, region: Any = None) -> Array:
        """Return the function, or a region of it, from look-ups in its rows and columns alone.

        Parameters
        ----------
        region : slice or tuple, optional
            A slice of the rows, or one entry for each mode: a slice, an int, which drops the
            mode, or a 1-d array of indices.

        Returns
        -------
        array
            The region.
        """
        xp, (lines, across) = self._xp, parts(region, 2)
        matrix = self.rows.matrix
        left, right = (
            xp.reshape(matrix._index(part, 1, f"region[{mode}]"), (-1,))
            for mode, part in enumerate((lines, across))
        )
        high, wide = (self.rows.adjoint_entries(index, self.W) for index in (left, right))
        same = xp.astype(left[:, None] == right[None, :], self.dtype)
        out = (high * self.gains) @ adjoint(wide, xp) + self.at_zero * same
        out = out[:, 0] if is_index(across) else out
        return out[0, ...] if is_index(lines) else out

    @full_precision
    def __matmul__(self, x: Array) -> Array:
        """Multiply by a vector (n,) or a matrix (n, k), at the cost of all sampled rows."""
        block = x[:, None] if x.ndim == 1 else x
        inner = adjoint(self.W, self._xp) @ self.rows.times(block)
        out = self.rows.adjoint_times(self.W @ (self.gains[:, None] * inner))
        out = out + self.at_zero * block
        return out[:, 0] if x.ndim == 1 else out


# Else NumPy would take the tuple for a stack of matrices in ``array @ format``.
setattr(SampledTransform, "__array_ufunc__", None)  # noqa: B010 - NamedTuple takes no other
