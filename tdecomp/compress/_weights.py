"""The norm that a method is optimal in, as a pair of weights."""

from __future__ import annotations

from typing import Any, NamedTuple

from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import as_floating, device, equilibrate, prepare
from tdecomp.linalg import LowRank, weighted_svd


class Weights(NamedTuple):
    r"""The norm :math:`\|L (W - \hat W) R\|_F` in which a method measures what it does to `W`.

    Attributes
    ----------
    left : array, shape (m,) or (p, m), optional
        The row weight: a vector is a diagonal, a matrix is :math:`L` itself. None is the identity.
    right : array, shape (n,) or (n, q), optional
        The column weight.
    unit : str
        What the errors are measured in: ``'entries'`` of the checkpoint or the ``'loss'``, and
        nothing where every matrix has a unit of its own, like the size of its outputs.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.compress import Weights
    >>> weights = Weights(right=np.array([1.0, 100.0]))
    >>> weights.spectrum(np.array([[5.0, 0.0], [0.0, 1.0]]))
    array([100.,   5.])
    >>> weights.fit(np.array([[5.0, 0.0], [0.0, 1.0]]), rank=1).to_array()
    array([[0., 0.],
           [0., 1.]])
    """

    left: Array | None = None
    right: Array | None = None
    unit: str = ""

    @property
    def comparable(self) -> bool:
        """Whether errors of matrices with this unit may be added."""
        return self.unit != ""

    @full_precision
    def fit(self, w: Any, /, *, rank: int | None = None, rtol: float | None = None) -> LowRank:
        """Return the closest matrix of given rank, or of least rank for a relative error.

        Parameters
        ----------
        w : array, shape (m, n)
            The matrix. Its precision is that of the result; the weights are brought to it.
        rank : int, optional
            As in `tdecomp.weighted_svd`.
        rtol : float, optional
            As in `tdecomp.weighted_svd`.

        Returns
        -------
        LowRank
            The factors.

        Raises
        ------
        ValueError
            As `tdecomp.weighted_svd` does.
        """
        xp, w = prepare(w, ndim=2, like=_first(self.left, self.right), name="w")
        left = None if self.left is None else _like(self.left, w, xp)
        right = None if self.right is None else _like(self.right, w, xp)
        return weighted_svd(w, left=left, right=right, rank=rank, rtol=rtol)

    @full_precision
    def spectrum(self, w: Any, /) -> Array:
        r"""Return the singular values of :math:`L W R`, whose tails are the errors of `fit`.

        Parameters
        ----------
        w : array, shape (m, n)
            The matrix.

        Returns
        -------
        array, shape (k,)
            Descending; `k` is ``min(m, n)`` or less, if a weight has fewer dimensions.

        Raises
        ------
        ValueError
            If a shape does not fit or an input is not finite.
        """
        product, scale, xp = self._weighted(w)
        return xp.linalg.svdvals(product) * scale

    @full_precision
    def error(self, w: Any, approximation: LowRank, /) -> Array:
        r"""Return :math:`\|L (W - \hat W) R\|_F`, by forming the difference.

        Parameters
        ----------
        w : array, shape (m, n)
            The matrix.
        approximation : LowRank
            What replaces it.

        Returns
        -------
        array, shape ()
            The error.

        Raises
        ------
        ValueError
            If a shape does not fit or an input is not finite.
        """
        _, w = prepare(w, ndim=2, like=_first(self.left, self.right), name="w")
        product, scale, xp = self._weighted(w - approximation.to_array())
        return xp.linalg.vector_norm(product) * scale

    def _weighted(self, w: Any) -> tuple[Array, Array, Namespace]:
        """Return ``L W R`` at a safe scale, and that scale."""
        xp, w = prepare(w, ndim=2, like=_first(self.left, self.right), name="w")
        w, scale = equilibrate(w, xp, axis=(0, 1))
        scale = scale[0, 0]
        if self.left is not None:
            w, unit = _times(_like(self.left, w, xp), w, xp, name="left")
            scale = scale * unit
        if self.right is not None:
            right = _like(self.right, w, xp)
            right = xp.matrix_transpose(right) if right.ndim > 1 else right
            w, unit = _times(right, xp.matrix_transpose(w), xp, name="right")
            w, scale = xp.matrix_transpose(w), scale * unit
        return w, scale, xp


def _first(*arrays: Array | None) -> Array | None:
    """Return the first that is an array, not a list."""
    return next((x for x in arrays if hasattr(x, "dtype")), None)


def _like(weight: Array, w: Array, xp: Namespace) -> Array:
    """Bring a weight to the precision of `w`, but never from complex to real."""
    weight = xp.asarray(weight, device=device(w)) if not hasattr(weight, "dtype") else weight
    weight = as_floating(weight, xp, name="weight")
    dtype = w.dtype
    if xp.isdtype(weight.dtype, "complex floating"):
        dtype = xp.result_type(w.dtype, xp.complex64)
    elif xp.isdtype(dtype, "complex floating"):
        dtype = xp.real(w).dtype
    return xp.astype(weight, dtype)


def _times(weight: Array, a: Array, xp: Namespace, *, name: str) -> tuple[Array, Array]:
    """Return the product of a row weight and `a` at a safe scale, and that scale."""
    ndim = 1 if weight.ndim == 1 else 2
    _, weight = prepare(weight, ndim=ndim, name=name)
    if weight.shape[-1] != a.shape[0]:
        raise ValueError(
            f"{name} is made for length {weight.shape[-1]}, w has length {a.shape[0]} on that side"
        )
    weight, unit = equilibrate(weight, xp, axis=tuple(range(ndim)))
    weight = xp.astype(weight, xp.result_type(weight.dtype, a.dtype))
    a = xp.astype(a, weight.dtype)
    product = weight[:, None] * a if ndim == 1 else weight @ a
    return product, xp.reshape(unit, ())
