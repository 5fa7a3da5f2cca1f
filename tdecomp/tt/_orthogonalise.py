"""Trains with orthonormal cores around a centre that holds the norm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, equilibrate, times_power
from tdecomp.ops._unfold import check_mode
from tdecomp.tt._chain import as_chain, left_matrix_of
from tdecomp.tt._formats import TensorTrain
from tdecomp.tt._ranks import number


@full_precision
def orthogonalise(train: Any, /, *, center: int = -1) -> TensorTrain:
    r"""Make all cores of a train orthonormal but one, without changing the tensor.

    Cores before the centre become left-orthonormal, :math:`\sum_i G_i^* G_i = I`, those behind it
    right-orthonormal, :math:`\sum_i G_i G_i^* = I`. The norm of the tensor is then that of the
    core at the centre, and an error made in that core is the error made in the tensor.

    Parameters
    ----------
    train : TensorTrain
        The train, or a sequence of its cores.
    center : int
        The mode whose core is left free; negative ones count from the end.

    Returns
    -------
    TensorTrain
        The same tensor to rounding. Ranks that the shape does not allow shrink to what it allows.

    Raises
    ------
    TypeError, ValueError
        If `train` is no train, or there is no such mode.

    Notes
    -----
    One QR decomposition for each core but the centre, about :math:`4 \sum_k n_k r_k r_{k+1}^2`
    flops. Powers of two are kept aside on the way, so that cores of any scale neither overflow
    nor vanish.

    References
    ----------
    .. [1] I. V. Oseledets, "Tensor-train decomposition", SIAM J. Sci. Comput. 33, 2011,
       Algorithm 2. doi:10.1137/090752286

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tt
    >>> train = tt.TensorTrain((np.ones((1, 3, 5)), np.ones((5, 4, 1))))
    >>> tt.orthogonalise(train, center=1).rank
    (3,)
    """
    xp, cores = as_chain(train, name="train")
    center = check_mode(center, len(cores), name="center")
    left = _swept(cores[:center], xp)
    right = _swept([_turned(core, xp) for core in reversed(cores[center + 1 :])], xp)
    core, exponent = _carried(left.carry, cores[center], left.exponent, xp)
    if right.carry is not None:
        core = core @ xp.matrix_transpose(right.carry)
    core = times_power(core, exponent + right.exponent, xp)
    return TensorTrain((*left.cores, core, *(_turned(q, xp) for q in reversed(right.cores))))


class Sweep(NamedTuple):
    """What a sweep from the left leaves behind.

    `lengths` are those of the columns of what lies to the left of each bond that was passed, each
    with the power of two that belongs to it.
    """

    cores: list[Array]
    carry: Array | None
    exponent: Array | float
    lengths: list[tuple[Array, Array | float]]


def _swept(cores: Sequence[Array], xp: Namespace) -> Sweep:
    """Return left-orthonormal cores, the triangle that is left over, and its power of two."""
    out: list[Array] = []
    lengths: list[tuple[Array, Array | float]] = []
    carry, exponent = None, 0.0
    for core in cores:
        block, exponent = _carried(carry, core, exponent, xp)
        rho, n, r = block.shape
        q, carry = xp.linalg.qr(xp.reshape(block, (rho * n, r)))
        lengths.append((xp.linalg.vector_norm(carry, axis=0), exponent))
        out.append(xp.reshape(q, (rho, n, q.shape[1])))
    return Sweep(out, carry, exponent, lengths)


def _carried(
    carry: Array | None, core: Array, exponent: Array | float, xp: Namespace
) -> tuple[Array, Array | float]:
    """Multiply a core by the triangle of the one before, and set its power of two aside."""
    if carry is not None:
        core = xp.reshape(carry @ left_matrix_of(core, xp), (carry.shape[0], *core.shape[1:]))
    core, scale = equilibrate(core, xp, axis=(0, 1, 2))
    return core, exponent + xp.log2(scale[0, 0, 0])


def left_orthogonal(cores: Sequence[Array], xp: Namespace) -> Sweep:
    """Return cores with the centre last, at the scale ``2 ** exponent``."""
    sweep = _swept(cores[:-1], xp)
    last, exponent = _carried(sweep.carry, cores[-1], sweep.exponent, xp)
    return sweep._replace(cores=[*sweep.cores, last], carry=None, exponent=exponent)


def _turned(core: Array, xp: Namespace) -> Array:
    """Return the core of the train that is read backwards."""
    return xp.permute_dims(core, (2, 1, 0))


def interface_lengths(cores: Sequence[Array], xp: Namespace) -> list[tuple[Array, float]]:
    r"""Return the lengths of the rows of what lies to the right of each bond.

    :math:`\| e_j^T G^{(k+1)} \cdots G^{(d-1)} \|` for all `j`, as the roots of the diagonal of a
    Gram matrix that is carried through the train, with the power of two that belongs to them.
    They measure rounding errors: only their magnitudes matter.
    """
    gram, exponent = xp.ones_like(cores[-1][0, :1, :1]), 0.0
    found = []
    for core in reversed(cores[1:]):
        unit, size = equilibrate(core, xp, axis=(0, 1, 2), always=True)
        gram = left_matrix_of(unit @ gram, xp) @ adjoint(left_matrix_of(unit, xp), xp)
        gram, square = equilibrate(gram, xp, axis=(0, 1), always=True)
        exponent += math.log2(number(size[0, 0, 0])) + math.log2(number(square[0, 0])) / 2
        diagonal = xp.linalg.diagonal(gram)
        if xp.isdtype(gram.dtype, "complex floating"):
            diagonal = xp.real(diagonal)
        found.append((xp.sqrt(xp.where(diagonal > 0, diagonal, 0 * diagonal)), exponent))
    return found[::-1]
