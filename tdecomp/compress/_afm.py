"""Atomic feature mimicking: principal components of the outputs, bias included."""

from __future__ import annotations

from typing import Any, NamedTuple

from tdecomp._precision import full_precision
from tdecomp._typing import Array, DType
from tdecomp._xp import namespace, prepare
from tdecomp.compress._calibration import Calibration
from tdecomp.compress._weights import Weights
from tdecomp.linalg import LowRank


class Affine(NamedTuple):
    """A low-rank layer ``y = left @ (right @ x) + bias``.

    Attributes
    ----------
    left : array, shape (m, r)
        The tall factor.
    right : array, shape (r, n)
        The wide factor.
    bias : array, shape (m,)
        What is added.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.compress import Affine
    >>> layer = Affine(np.ones((2, 1)), np.ones((1, 3)), np.array([10.0, 20.0]))
    >>> layer(np.ones((5, 3)))[0]
    array([13., 23.])
    """

    left: Array
    right: Array
    bias: Array

    @property
    def weight(self) -> LowRank:
        """The linear part."""
        return LowRank(self.left, self.right)

    @property
    def rank(self) -> int:
        """Number of columns of `left`."""
        return int(self.left.shape[-1])

    @property
    def dtype(self) -> DType:
        """The dtype of the layer."""
        return self.left.dtype

    @full_precision
    def __call__(self, x: Array, /) -> Array:
        """Return the outputs (..., m) for inputs `x` of shape (..., n)."""
        xp = namespace(self.left)
        return (x @ xp.matrix_transpose(self.right)) @ xp.matrix_transpose(self.left) + self.bias


@full_precision
def afm(
    w: Any,
    calibration: Calibration,
    /,
    *,
    bias: Any = None,
    rank: int | None = None,
    rtol: float | None = None,
) -> Affine:
    r"""Return the affine map of given rank whose outputs are closest to those of a layer.

    Over all low-rank weights *and* biases :math:`\sum_t \|(W x_t + b) - (\hat W x_t + \hat b)\|^2`
    is least for

    .. math:: \hat W = U_r U_r^* W , \qquad \hat b = b + (W - \hat W)\,\mu ,

    with :math:`U_r` the principal components of the outputs: the leading left singular vectors of
    :math:`W R`, :math:`R R^*` the covariance of the inputs and :math:`\mu` their mean. The error
    per input is the tail of the singular values of :math:`W R`.

    Parameters
    ----------
    w : array, shape (m, n)
        The weights of ``y = w @ x + bias``.
    calibration : Calibration
        Of the inputs ``x``.
    bias : array, shape (m,), optional
        The bias; zero by default.
    rank : int, optional
        At most ``min(m, n)``.
    rtol : float, optional
        Guarantee this error, relative to the variation of the outputs, at the least rank.

    Returns
    -------
    Affine
        ``left`` (m, r) with orthonormal columns, ``right`` (r, n), ``bias`` (m,).

    Raises
    ------
    ValueError
        If a shape does not fit, an option is out of range, or an input is empty or not finite.

    See Also
    --------
    svd_llm : leaves the bias alone.

    Notes
    -----
    The norm of the method is ``Weights(right=calibration.right(centred=True))``. The paper
    decomposes the covariance of the outputs, with the same result.

    References
    ----------
    .. [1] H. Yu, J. Wu, "Compressing transformers: features are low-rank, but weights are not!",
       AAAI 2023, section 3. doi:10.1609/aaai.v37i9.26304

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import compress
    >>> x = np.array([[1.0, 7.0], [2.0, 7.0]])  # only the first entry varies
    >>> w = np.array([[5.0, 0.0], [0.0, 1.0]])
    >>> small = compress.afm(w, compress.Calibration.of(x), rank=1)
    >>> np.allclose(small(x), x @ w.T)
    True
    """
    weights = Weights(right=calibration.right(centred=True))
    left, right = weights.fit(w, rank=rank, rtol=rtol)
    xp, w = prepare(w, ndim=2, like=left, name="w")
    mean = xp.astype(calibration.mean, left.dtype)
    moved = xp.astype(w, left.dtype) @ mean - left @ (right @ mean)
    if bias is None:
        return Affine(left, right, moved)
    _, bias = prepare(bias, ndim=1, like=left, name="bias")
    if bias.shape != moved.shape:
        raise ValueError(f"bias must have shape {tuple(moved.shape)}, got {tuple(bias.shape)}")
    return Affine(left, right, xp.astype(bias, left.dtype) + moved)
