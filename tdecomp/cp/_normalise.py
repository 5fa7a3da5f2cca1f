"""The normal form of a CP decomposition: unit columns, descending weights, canonical signs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tdecomp._precision import full_precision
from tdecomp._program import one_program
from tdecomp._typing import Array, Namespace
from tdecomp._xp import equilibrate
from tdecomp.cp._format import CP, as_cp

# Magnitudes that differ by fewer eps than this are one: else rounding could choose the pivot.
_TIE = 64.0


@full_precision
def normalise(cp: Any, /) -> CP:
    r"""Return the same tensor with unit columns, descending weights and canonical signs.

    Of the scalings :math:`w_r\, a_r \otimes b_r \otimes \cdots = (w_r \alpha \beta \cdots)\,
    \tfrac{a_r}{\alpha} \otimes \tfrac{b_r}{\beta} \otimes \cdots` of a component this is the one
    with columns of length one, a weight that is real and at least zero, and with a real positive
    entry of largest magnitude (the first of several) in each column of every factor but the last,
    which takes the remaining sign, or phase. Components come by descending weight.

    Parameters
    ----------
    cp : CP
        The decomposition, or TensorLy's.

    Returns
    -------
    CP
        Its normal form; the weights have the real dtype. A component that is zero keeps its
        columns of zeros and gets the weight 0.

    Raises
    ------
    TypeError, ValueError
        If `cp` is not a decomposition, or has an entry that is not finite.

    See Also
    --------
    align : an order and signs taken from another decomposition.

    Notes
    -----
    Normalising twice changes nothing beyond rounding, and neither does any other scaling or order
    of the components, unless two weights are equal, or two entries of largest magnitude nearly
    so. Lengths are computed at the scale of the column, and their product by exponents:
    intermediate results overflow only where the weight itself does.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import cp
    >>> a = np.array([[3.0], [-4.0]])
    >>> weights, factors = cp.normalise(cp.CP(np.array([2.0]), (a, a)))
    >>> float(weights[0])
    50.0
    >>> factors[0][:, 0], factors[1][:, 0]
    (array([-0.6,  0.8]), array([-0.6,  0.8]))
    """
    xp, cp = as_cp(cp)
    return _normalise(cp, xp=xp)


def _normalise(cp: CP, *, xp: Namespace) -> CP:
    """Scale columns to one, turn them, and sort by weight."""
    mantissas, exponents, columns = unit_columns(cp, xp=xp)
    turned, phases = _turned(columns[:-1], cp.weights, xp)
    columns = [*turned, columns[-1] * phases]
    weights = scaled_by_two(xp.abs(mantissas), exponents, xp)
    order = xp.argsort(weights, descending=True, stable=True)
    return CP(
        xp.take(weights, order, axis=0),
        tuple(xp.take(column, order, axis=1) for column in columns),
    )


def unit_columns(cp: CP, *, xp: Namespace) -> tuple[Array, Array, list[Array]]:
    """Return weights as mantissas and exponents of two, and factors with columns of length one.

    The mantissas have the signs or phases of the weights; they are 0 where a column is.
    """
    mantissas, exponents = _mantissas(cp.weights, xp)
    columns = []
    for factor in cp.factors:
        column, mantissas, carried = _unit(factor, mantissas, xp)
        columns.append(column)
        exponents = exponents + carried
    return mantissas, exponents, columns


@one_program
def _unit(factor: Array, mantissas: Array, xp: Namespace) -> tuple[Array, Array, Array]:
    """Return columns of length one, numbers times their lengths, exponents of two taken out."""
    scaled, scale = equilibrate(factor, xp, axis=0, always=True)
    lengths = xp.linalg.vector_norm(scaled, axis=0)
    mantissas, carried = _mantissas(mantissas * lengths, xp)
    unit = scaled / xp.where(lengths > 0, lengths, xp.ones_like(lengths))
    return unit, mantissas, carried + xp.log2(scale[0, :])


@one_program
def _mantissas(values: Array, xp: Namespace) -> tuple[Array, Array]:
    """Return numbers of magnitude near one, and the exponents of two that were taken out."""
    scaled, scale = equilibrate(values[None, :], xp, axis=0, always=True)
    return scaled[0, :], xp.log2(scale[0, :])


@one_program
def scaled_by_two(mantissas: Array, exponents: Array, xp: Namespace) -> Array:
    """Return ``mantissas * 2**exponents``, by three factors that are all in range."""
    limit = math.floor(math.log2(float(xp.finfo(mantissas.dtype).max))) - 2
    for _ in range(3):
        part = xp.clip(exponents, -limit, limit)
        mantissas = mantissas * xp.pow(xp.full_like(part, 2.0), part)
        exponents = exponents - part
    return mantissas


@one_program
def _turned(columns: Sequence[Array], weights: Array, xp: Namespace) -> tuple[list[Array], Array]:
    """Make the pivots of unit columns positive; return the phases taken out, with the weights'."""
    phases, turned = phase_of(weights, xp), []
    for column in columns:
        phase = phase_of(xp.take_along_axis(column, pivots(column, xp), axis=0)[0, :], xp)
        phases = phases * phase
        inverse = xp.conj(phase) if xp.isdtype(phase.dtype, "complex floating") else phase
        turned.append(column * inverse)
    return turned, phases


@one_program
def pivots(column: Array, xp: Namespace) -> Array:
    """Return where each column has its entry of largest magnitude, the first of nearly equals."""
    sizes = xp.abs(column)
    slack = 1.0 - _TIE * float(xp.finfo(sizes.dtype).eps)
    ties = sizes >= slack * xp.max(sizes, axis=0, keepdims=True)
    return xp.argmax(xp.astype(ties, sizes.dtype), axis=0, keepdims=True)


@one_program
def phase_of(x: Array, xp: Namespace) -> Array:
    """Return ``x / abs(x)``, and 1 where that is 0 / 0."""
    size = xp.abs(x)
    return xp.where(size > 0, x / xp.where(size > 0, size, xp.ones_like(size)), xp.ones_like(x))
