"""The tensor-train and the tensor-ring format."""

from __future__ import annotations

from typing import Any, NamedTuple

from tdecomp._precision import full_precision
from tdecomp._typing import Array, DType
from tdecomp._xp import namespace
from tdecomp.tt._chain import region_of


class TensorTrain(NamedTuple):
    r"""A tensor train, also known as a matrix product state: a chain of three-way cores.

    .. math:: X_{i_0 \ldots i_{d-1}} = G^{(0)}_{i_0} G^{(1)}_{i_1} \cdots G^{(d-1)}_{i_{d-1}}

    with matrices :math:`G^{(k)}_i` of shape :math:`r_k \times r_{k+1}` and
    :math:`r_0 = r_d = 1`. The rank :math:`r_k` is at least that of the unfolding
    :math:`n_0 \cdots n_{k-1} \times n_k \cdots n_{d-1}`, and can be made equal to it.

    Attributes
    ----------
    cores : tuple of array, shape (r_k, n_k, r_k+1)
        One core for each mode.

    References
    ----------
    .. [1] I. V. Oseledets, "Tensor-train decomposition", SIAM J. Sci. Comput. 33, 2011.
       doi:10.1137/090752286

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.tt import TensorTrain
    >>> train = TensorTrain((np.ones((1, 3, 2)), np.ones((2, 4, 1))))
    >>> train.shape, train.rank
    ((3, 4), (2,))
    >>> train.to_array((slice(0, 2), 0))
    array([2., 2.])
    """

    cores: tuple[Array, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape ``(n_0, ..., n_{d-1})`` of the tensor, after the axes of a batch."""
        batch = self.cores[0].shape[:-3]
        return (*map(int, batch), *(int(core.shape[-2]) for core in self.cores))

    @property
    def modes(self) -> int:
        """Number of modes; axes of `shape` before them are a batch."""
        return len(self.cores)

    @property
    def rank(self) -> tuple[int, ...]:
        """The ranks ``(r_1, ..., r_{d-1})`` between neighbouring cores."""
        return tuple(int(core.shape[-3]) for core in self.cores[1:])

    @property
    def dtype(self) -> DType:
        """The dtype of the tensor."""
        return self.cores[0].dtype

    @full_precision
    def to_array(self, region: Any = None) -> Array:
        """Return the tensor, or a region of it.

        Parameters
        ----------
        region : slice or tuple, optional
            A slice of the first mode, or one entry for each mode: a slice, an int (which drops
            the mode), or a 1-d array of indices.

        Returns
        -------
        array
            The entries: two halves contracted from the ends inwards, and one product of the two.
        """
        xp = namespace(*self.cores)
        entries, shape = region_of(self.cores, region, xp)
        return xp.reshape(entries, shape)


class TensorRing(NamedTuple):
    r"""A tensor ring: a tensor train whose ends are joined.

    .. math:: X_{i_0 \ldots i_{d-1}} = \operatorname{tr}\left( G^{(0)}_{i_0} G^{(1)}_{i_1}
              \cdots G^{(d-1)}_{i_{d-1}} \right)

    with matrices :math:`G^{(k)}_i` of shape :math:`r_k \times r_{k+1}` and :math:`r_d = r_0`. No
    mode comes first: rotating the cores rotates the modes. Unlike trains, rings of given rank
    are not a closed set, and a best approximation may not exist.

    Attributes
    ----------
    cores : tuple of array, shape (r_k, n_k, r_k+1)
        One core for each mode.

    References
    ----------
    .. [1] Q. Zhao, G. Zhou, S. Xie, L. Zhang, A. Cichocki, "Tensor ring decomposition", 2016.
       arXiv:1606.05535

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.tt import TensorRing
    >>> ring = TensorRing((np.ones((2, 3, 2)), np.ones((2, 4, 2))))
    >>> ring.shape, ring.rank
    ((3, 4), (2, 2))
    >>> ring.to_array((slice(0, 2), 0))
    array([4., 4.])
    """

    cores: tuple[Array, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape ``(n_0, ..., n_{d-1})`` of the tensor, after the axes of a batch."""
        batch = self.cores[0].shape[:-3]
        return (*map(int, batch), *(int(core.shape[-2]) for core in self.cores))

    @property
    def modes(self) -> int:
        """Number of modes; axes of `shape` before them are a batch."""
        return len(self.cores)

    @property
    def rank(self) -> tuple[int, ...]:
        """The ranks ``(r_0, ..., r_{d-1})``, each that before the core of its mode."""
        return tuple(int(core.shape[-3]) for core in self.cores)

    @property
    def dtype(self) -> DType:
        """The dtype of the tensor."""
        return self.cores[0].dtype

    @full_precision
    def to_array(self, region: Any = None) -> Array:
        """Return the tensor, or a region of it.

        Parameters
        ----------
        region : slice or tuple, optional
            A slice of the first mode, or one entry for each mode: a slice, an int (which drops
            the mode), or a 1-d array of indices.

        Returns
        -------
        array
            The entries: two halves contracted from the ends inwards, and one product of the two.
        """
        xp = namespace(*self.cores)
        entries, shape = region_of(self.cores, region, xp)
        return xp.reshape(entries, shape)


# Else NumPy would take the tuple for a stack of arrays in ``array @ format``.
for _format in (TensorTrain, TensorRing):
    setattr(_format, "__array_ufunc__", None)  # noqa: B010 - NamedTuple takes no other attribute
