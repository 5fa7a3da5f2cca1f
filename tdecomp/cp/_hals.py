"""Nonnegative least squares for a factor, from the products that a sweep makes anyway."""

from __future__ import annotations

from tdecomp._descent import descend
from tdecomp._kernels import accepts
from tdecomp._typing import Array, Namespace
from tdecomp._xp import eps

# Multiplications from which on the kernel saves more than a cold import of numba.
_KERNEL_WORK = 1 << 16


def hals(factor: Array, mttkrp: Array, gram: Array, *, inner: int = 8, xp: Namespace) -> Array:
    r"""Lower the misfit over one nonnegative factor, column by column (HALS).

    With the Khatri-Rao product :math:`K` of all other factors, :math:`M = X_{(n)} K` and
    :math:`G = K^T K`, the misfit is :math:`\|X\|^2 - 2 \langle A, M \rangle + \langle A^T A, G
    \rangle`. Given all other columns, the best nonnegative column `r` is

    .. math:: a_r \leftarrow \bigl[\, a_r + (M_r - A\, G_r) / G_{rr} \,\bigr]_+ .

    Rows do not meet in that formula, so that the columns are taken in turn for each row by itself
    [1]_, several times over, since the products cost more than the passes [2]_.

    Parameters
    ----------
    factor : array, shape (n, r)
        The present factor :math:`A`, real and nonnegative.
    mttkrp : array, shape (n, r)
        :math:`M`.
    gram : array, shape (r, r)
        :math:`G`, with a ridge on its diagonal if there is one.
    inner : int
        How often every column is taken.
    xp : namespace
        The library.

    Returns
    -------
    array, shape (n, r)
        A nonnegative factor of no larger misfit, up to rounding.

    Notes
    -----
    A column whose partners vanish has :math:`G_{rr} = 0` and stays. A column that would itself
    vanish keeps entries of the size of rounding, `eps` times the largest of the factor: its
    partners then find the best rank-one term for it in their turn, and it comes back to life
    where one helps. Exact zeros in other columns stay exact.

    References
    ----------
    .. [1] A. Cichocki, A.-H. Phan, "Fast local algorithms for large scale nonnegative matrix and
       tensor factorizations", IEICE Trans. Fundamentals E92-A, 2009, Algorithm 2.
       doi:10.1587/transfun.E92.A.708
    .. [2] N. Gillis, F. Glineur, "Accelerated multiplicative updates and hierarchical ALS
       algorithms for nonnegative matrix factorization", Neural Comput. 24, 2012.
       doi:10.1162/NECO_a_00256
    """
    work = inner * factor.shape[0] * factor.shape[1] ** 2
    if work >= _KERNEL_WORK and accepts(factor, mttkrp, gram):
        from tdecomp._kernels._descent import nonnegative_rows
        from tdecomp._kernels._threads import threads_for

        found = factor.copy(order="C")
        with threads_for(2 * work):
            nonnegative_rows(mttkrp, gram, inner, found)
    else:
        found = descend(gram[None, :, :], mttkrp - factor @ gram, factor, inner, xp)
    return alive(found, xp)


def alive(factor: Array, xp: Namespace) -> Array:
    """Give columns of zeros entries of the size of rounding, from which they can grow."""
    top = xp.max(factor)
    spark = eps(factor.dtype, xp) * xp.where(top > 0, top, xp.ones_like(top))
    dead = xp.all(factor == 0, axis=0)
    return xp.where(dead[None, :], spark, factor)
