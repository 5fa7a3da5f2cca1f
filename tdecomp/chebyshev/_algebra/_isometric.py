"""Functions as tensors of the same norm: coefficients in orthonormal polynomials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tdecomp._typing import Array, Namespace
from tdecomp._xp import device, times_power
from tdecomp.chebyshev._format import ChebyshevTucker
from tdecomp.chebyshev._legendre import to_chebyshev, to_legendre
from tdecomp.ops._mode_products import _mode_product
from tdecomp.tucker._algebra_norm import orthonormal


class Isometric(NamedTuple):
    """A core times a power of two, and orthonormal columns of coefficients for each variable.

    The norm of the core is that of the function on the unit box.
    """

    core: Array
    factors: tuple[Array, ...]
    exponent: Array


def isometric(core: Array, factors: Sequence[Array], xp: Namespace) -> Isometric:
    """Return the tensor of a function in Chebyshev-Tucker format."""
    core, bases, exponent = orthonormal(core, [to_legendre(v, xp) for v in factors], xp)
    return Isometric(core, tuple(bases), exponent)


def as_series(x: Isometric, domain: Array, xp: Namespace) -> ChebyshevTucker:
    """Return the function of a tensor."""
    factors = tuple(to_chebyshev(z, xp) for z in x.factors)
    return ChebyshevTucker(times_power(x.core, x.exponent, xp), factors, domain)


def padded(z: Array, count: int, xp: Namespace) -> Array:
    """Return coefficients of either kind with zeros for higher degrees."""
    if z.shape[0] == count:
        return z
    zeros = xp.zeros((count - z.shape[0], z.shape[1]), dtype=z.dtype, device=device(z))
    return xp.concat([z, zeros])


def summed(
    terms: Sequence[tuple[Array, Sequence[slice]]], stacks: Sequence[Array], xp: Namespace
) -> tuple[Array, tuple[Array, ...]]:
    """Return the sum of cores, each of which belongs to some columns of a stack of each variable.

    The columns become orthonormal. No block of zeros is multiplied.
    """
    pairs = [xp.linalg.qr(stack) for stack in stacks]
    total = None
    for core, spans in terms:
        term = core
        for k, span in enumerate(spans):
            term = _mode_product(term, pairs[k][1][:, span], k, xp=xp)
        total = term if total is None else total + term
    return total, tuple(q for q, _ in pairs)
