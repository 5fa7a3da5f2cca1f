"""Tensors of which the spectra of all unfoldings are known."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import numpy as np

from tdecomp._errors import check_rank
from tdecomp._random import generator
from tdecomp._typing import Array, DType, Seed
from tdecomp.testing._gaussian import gaussian
from tdecomp.testing._place import haar, is_complex, place
from tdecomp.testing._spectra import resolve


def tensor(
    shape: tuple[int, ...],
    s: str | Any,
    /,
    *,
    rng: Seed = 0,
    dtype: DType = np.float64,
    like: Array | None = None,
) -> Array:
    r"""Return a tensor whose unfoldings all have the singular values `s`.

    :math:`\mathcal X = \sum_i s_i\, u_i^{(1)} \otimes \dots \otimes u_i^{(d)}` with orthonormal
    vectors in every mode: a superdiagonal core. Its Tucker decomposition, its CP decomposition
    and its unfoldings along any split of the modes have one spectrum, so the best error of each
    truncation to rank :math:`r` is the tail :math:`(\sum_{i > r} s_i^2)^{1/2}`.

    Parameters
    ----------
    shape : tuple of int
        Two modes or more.
    s : str or array, shape (k,)
        A kind of `spectrum`, or at most ``min(shape)`` descending values; the rest are zero.
    rng : int, numpy.random.Generator or None
        Where the numbers come from.
    dtype : dtype
        What NumPy array to return.
    like : array, optional
        Whose library, dtype and device to take instead.

    Returns
    -------
    array, shape `shape`
        The tensor.

    Raises
    ------
    ValueError
        If `s` does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.ops import unfold
    >>> from tdecomp.testing import tensor
    >>> x = tensor((4, 3, 5), [3.0, 2.0, 1.0])
    >>> np.linalg.svdvals(unfold(x, 1))
    array([3., 2., 1.])
    """
    s = resolve(s, min(shape))
    draws, kind = generator(rng), is_complex(dtype, like)
    factors = [haar(draws, size, s.size, complex_=kind) for size in shape]
    joined = reduce(_columnwise, factors[1:])
    return place(((factors[0] * s) @ joined.T).reshape(shape), dtype, like)


def low_rank_tensor(
    shape: tuple[int, ...],
    rank: tuple[int, ...],
    /,
    *,
    noise: float = 0.0,
    rng: Seed = 0,
    dtype: DType = np.float64,
    like: Array | None = None,
) -> Array:
    r"""Return a random tensor of multilinear rank `rank`, under noise of known size.

    :math:`\mathcal X = \mathcal T + \mathcal E` with a Gaussian core in orthonormal factors,
    :math:`\|\mathcal T\|_F = 1`, :math:`\|\mathcal E\|_F = \mathtt{noise}` and
    :math:`\mathcal E \perp \mathcal T`. Some tensor of that rank is thus at the relative
    distance :math:`\mathtt{noise} / \sqrt{1 + \mathtt{noise}^2}`: the best one is no farther.

    Parameters
    ----------
    shape, rank : tuple of int
        One size and one rank for each mode; no rank may exceed its size or the product of the
        other ranks.
    noise : float
        The norm of the noise relative to the signal.
    rng : int, numpy.random.Generator or None
        Where the numbers come from.
    dtype : dtype
        What NumPy array to return.
    like : array, optional
        Whose library, dtype and device to take instead.

    Returns
    -------
    array, shape `shape`
        The tensor.

    Raises
    ------
    ValueError
        If `rank` does not fit `shape`.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.ops import unfold
    >>> from tdecomp.testing import low_rank_tensor
    >>> x = low_rank_tensor((6, 5, 4), (3, 2, 2))
    >>> [int(np.linalg.matrix_rank(unfold(x, mode))) for mode in range(3)]
    [3, 2, 2]
    """
    if len(rank) != len(shape):
        raise ValueError(f"rank must have one entry per mode, got {rank} for shape {shape}")
    for mode, (r, n) in enumerate(zip(rank, shape, strict=True)):
        others = math.prod(rank[:mode] + rank[mode + 1 :])
        check_rank(r, min(n, others), name=f"rank[{mode}]")
    draws, kind = generator(rng), is_complex(dtype, like)
    wide = np.complex128 if kind else np.float64
    signal = gaussian(rank, rng=draws, dtype=wide)
    for n in shape:
        # The first axis is contracted and the new one comes last, so the modes come round again.
        factor = haar(draws, n, signal.shape[0], complex_=kind)
        signal = np.tensordot(signal, factor, axes=(0, 1))
    signal /= np.linalg.norm(signal)
    error = gaussian(shape, rng=draws, dtype=wide) if noise else np.zeros(shape)
    error = error - np.vdot(signal, error) * signal
    return place(signal + noise * error / (np.linalg.norm(error) or 1.0), dtype, like)


def _columnwise(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Multiply every entry of a column of `a` by the column of `b`."""
    return np.reshape(a[:, None, :] * b[None, :, :], (-1, a.shape[1]))
