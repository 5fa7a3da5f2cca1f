r"""Products of sparse factors with the supports of Kronecker products: the butterflies.

A factor of pattern :math:`(a, b, c, d)` has the support of
:math:`I_a \otimes 1_{b \times c} \otimes I_d`: its entry :math:`w_{\alpha\beta\gamma\delta}`
stands in row :math:`(\alpha, \beta, \delta)` and column :math:`(\alpha, \gamma, \delta)`. The
adjoint of a pattern is one too, so that products of such factors are closed under it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from tdecomp._precision import full_precision
from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import conj, device, namespace
from tdecomp.kronecker._apply import operands
from tdecomp.kronecker._entries import _indices
from tdecomp.ops._region import is_index, parts

# Up to so many columns of a block are multiplied one by one: a call to BLAS costs more.
_FEW = 4


class Butterfly(NamedTuple):
    r"""A matrix held as a product of sparse factors, each of the support of a Kronecker product.

    .. math:: A = X_1 X_2 \cdots X_s , \qquad \operatorname{supp} X_k \subseteq
              \operatorname{supp}(I_{a_k} \otimes 1_{b_k \times c_k} \otimes I_{d_k}) .

    The fast Fourier and Hadamard transforms are of that kind, with :math:`2 \times 2` blocks.

    Attributes
    ----------
    factors : tuple of array, shape (a_k, b_k, c_k, d_k)
        The values on the supports, leftmost factor first: entry
        :math:`(\alpha, \beta, \gamma, \delta)` stands in row :math:`(\alpha, \beta, \delta)` and
        column :math:`(\alpha, \gamma, \delta)`, in row-major order.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.kronecker import Butterfly
    >>> h = np.array([[1.0, 1.0], [1.0, -1.0]])
    >>> stages = [np.broadcast_to(h[None, :, :, None], (2**k, 2, 2, 4 // 2**k)) for k in range(3)]
    >>> hadamard = Butterfly(tuple(stages))
    >>> hadamard.shape, hadamard.n_parameters
    ((8, 8), 48)
    >>> hadamard @ np.arange(8.0)
    array([ 28.,  -4.,  -8.,   0., -16.,   0.,   0.,   0.])
    """

    factors: tuple[Array, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Shape ``(a_1 b_1 d_1, a_s c_s d_s)`` of the matrix."""
        a, b, _, d = self.factors[0].shape
        e, _, f, g = self.factors[-1].shape
        return int(a * b * d), int(e * f * g)

    @property
    def modes(self) -> int:
        """Two: a matrix."""
        return 2

    @property
    def dtype(self) -> DType:
        """The dtype of the matrix."""
        return self.factors[0].dtype

    @property
    def n_parameters(self) -> int:
        """Number of entries that are held."""
        return sum(math.prod(f.shape) for f in self.factors)

    @property
    def mT(self) -> Butterfly:
        """The transpose: that of every factor, in reverse order."""
        xp = namespace(*self.factors)
        return Butterfly(tuple(xp.permute_dims(f, (0, 2, 1, 3)) for f in reversed(self.factors)))

    @property
    def mH(self) -> Butterfly:
        """The adjoint: that of every factor, in reverse order."""
        xp = namespace(*self.factors)
        return Butterfly(tuple(conj(f, xp) for f in self.mT.factors))

    @full_precision
    def to_array(self, region: Any = None) -> Array:
        """Return the matrix, or rows and columns of it.

        Parameters
        ----------
        region : slice or tuple, optional
            A slice of the rows, or one entry for rows and one for columns: a slice, an int (which
            drops the axis), or a 1-d array of indices.

        Returns
        -------
        array
            The entries, from products of the factors with columns of the identity.
        """
        xp, like = namespace(*self.factors), self.factors[0]
        rows, columns, sizes = chosen(region, self.shape, like, xp)
        if rows.shape[0] <= columns.shape[0]:
            found = xp.take(xp.matrix_transpose(self.mT @ _units(rows, self.shape[0], like, xp)),
                            columns, axis=1)  # fmt: skip
        else:
            found = xp.take(self @ _units(columns, self.shape[1], like, xp), rows, axis=0)
        return xp.reshape(found, sizes)

    @full_precision
    def __matmul__(self, x: Any) -> Array:
        """Multiply by a vector, a matrix or a batch: for a vector as many products as entries."""
        _, x, factors = operands(self.factors, x, self.shape[1])

        def product(y: Array) -> Array:
            for factor in reversed(factors):
                y = _times(factor, y)
            return y

        return on_columns(product, x)


# Else NumPy would take the tuple for a stack of arrays in ``array @ format``.
setattr(Butterfly, "__array_ufunc__", None)  # noqa: B010 - NamedTuple takes no other attribute


def on_columns(product: Callable[[Array], Array], x: Array) -> Array:
    """Apply a product with matrices (..., n, b) to them, or to a vector (n,)."""
    return product(x) if x.ndim > 1 else product(x[:, None])[:, 0]


def chosen(
    region: Any, shape: tuple[int, int], like: Array, xp: Namespace
) -> tuple[Array, Array, tuple[int, ...]]:
    """Return the rows and columns of a region as lists of indices, and its shape."""
    asked = parts(region, 2)
    rows, columns = (_indices(part, shape[k], k, like, xp) for k, part in enumerate(asked))
    pairs = zip(asked, (rows, columns), strict=True)
    sizes = [int(index.shape[0]) for part, index in pairs if not is_index(part)]
    return rows, columns, tuple(sizes)


def _times(factor: Array, x: Array) -> Array:
    """Multiply matrices (..., a c d, count) by one factor."""
    xp = namespace(factor, x)
    a, b, c, d = factor.shape
    *batch, _, count = x.shape
    z = xp.reshape(x, (*batch, a, c, d, count))
    if c <= _FEW:
        y = sum(factor[:, :, g, :, None] * z[..., g : g + 1, :, :] for g in range(c))
    else:
        y = xp.permute_dims(factor, (0, 3, 1, 2)) @ _swapped(z, xp)
        y = _swapped(y, xp)
    return xp.reshape(y, (*batch, a * b * d, count))


def _swapped(z: Array, xp: Namespace) -> Array:
    """Exchange the two axes before the last."""
    return xp.moveaxis(z, -2, -3)


def _units(index: Array, n: int, like: Array, xp: Namespace) -> Array:
    """Return columns of the identity of size `n`."""
    places = xp.arange(n, dtype=index.dtype, device=device(like))
    return xp.astype(places[:, None] == index, like.dtype)
