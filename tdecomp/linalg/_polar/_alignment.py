"""How much of a gradient's nuclear norm a direction gains: exactly, and at least."""

from __future__ import annotations

from typing import Any

from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import conj, equilibrate, prepare, quotient


@full_precision
def alignment(g: Any, u: Any, /) -> Array:
    r"""Measure how well a matrix does for the isometric factor of another.

    .. math:: \frac{\operatorname{Re} \langle G, U \rangle}{\|G\|_*}

    is 1 for the isometric factor of :math:`G`, the best of all :math:`U` with
    :math:`\|U\|_2 \le 1`: the share of the steepest descent in the spectral norm that a step
    along :math:`U` keeps. For :math:`G = \sum \sigma_i u_i v_i^*` and
    :math:`U = \sum \phi_i u_i v_i^*` it is the mean of the :math:`\phi_i` with weights
    :math:`\sigma_i`.

    Parameters
    ----------
    g : array, shape (..., m, n)
        The matrix, or a batch of them.
    u : array, shape (..., m, n)
        What stands for its isometric factor.

    Returns
    -------
    array, shape (...)
        The alignment; 1 where `g` is zero, of which every direction keeps all.

    Raises
    ------
    TypeError, ValueError
        If the shapes differ, or an argument is empty, not finite or has fewer than two axes.

    See Also
    --------
    tdecomp.randomized_polar : which knows a lower bound of it without a second decomposition.

    Notes
    -----
    The singular values of `g`: :math:`O(m n \min(m, n))`.

    References
    ----------
    .. [1] S. Choudhury et al., "Muon with Nesterov momentum: heavy-tailed noise and
       (randomized) inexact polar decomposition", arXiv:2605.06884, 2026.

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> from tdecomp.linalg import alignment
    >>> g = np.diag([4.0, 3.0, 2.0, 1.0])
    >>> float(alignment(g, td.polar(g).U))
    1.0
    >>> float(alignment(g, td.polar(g, rank=2).U))
    0.7
    """
    xp, g = prepare(g, ndim=2, batch=True, name="g")
    _, u = prepare(u, ndim=2, batch=True, like=g, name="u")
    if u.shape != g.shape:
        raise ValueError(f"u must have the shape of g, {tuple(g.shape)}, got {tuple(u.shape)}")
    g, _ = equilibrate(g, xp, axis=(-2, -1))
    return quotient(inner(g, u, xp), xp.sum(xp.linalg.svdvals(g), axis=-1), xp, of_nothing=1.0)


def inner(g: Array, u: Array, xp: Namespace) -> Array:
    """Return the real part of the inner products of two stacks of matrices."""
    product = conj(g, xp) * u
    if xp.isdtype(product.dtype, "complex floating"):
        product = xp.real(product)
    return xp.sum(product, axis=(-2, -1))
