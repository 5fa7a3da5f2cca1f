"""Kronecker products of square matrices: what is asked of factors, eigenvalues, a right side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tdecomp._typing import Array, Namespace
from tdecomp._xp import (
    adjoint,
    as_array,
    as_floating,
    concrete,
    eps,
    equilibrate,
    finite,
    namespace,
)
from tdecomp.cp._normalise import scaled_by_two
from tdecomp.kronecker._algebra import scalar
from tdecomp.kronecker._format import KroneckerSum


def hermitian_factors(k: KroneckerSum, xp: Namespace, *, name: str = "k") -> list[Array]:
    """Return the factors of the one term, each Hermitian to the last bit."""
    factors = square_factors(k, name=name)
    for j, f in enumerate(factors):
        bound = f.shape[0] * eps(f.dtype, xp) * xp.max(xp.abs(f))
        if concrete(xp.max(xp.abs(f - adjoint(f, xp))) <= bound) is False:
            raise ValueError(
                f"{name}.factors[{j}] must be Hermitian; systems of other matrices are solved "
                "without a shift and with one term only"
            )
    return [f / 2 + adjoint(f, xp) / 2 for f in factors]


def square_factors(k: KroneckerSum, *, name: str = "k") -> list[Array]:
    """Return the factors of the one term, all of them square."""
    if k.rank != 1:
        raise ValueError(
            f"{name} must have one term here, got {k.rank}; an iterative solver takes "
            "to_linear_operator(k)"
        )
    for j, (m, n) in enumerate(k.shapes):
        if m != n:
            raise ValueError(f"{name}.factors[{j}] must be square, got {m} x {n}")
    return [f[0, :, :] for f in k.factors]


def right_hand_side(b: Any, n: int, like: Array) -> Array:
    """Validate a vector (n,) or matrices (..., n, c), of which there may be none: c may be 0."""
    xp = namespace(b, like)
    b = as_floating(as_array(b, xp, like, "b"), xp, name="b")
    if b.ndim == 0 or b.shape[-1 if b.ndim == 1 else -2] != n:
        raise ValueError(
            f"b must have shape ({n},) or (..., {n}, c) for a matrix of {n} rows, got "
            f"{tuple(b.shape)}"
        )
    return finite(b, xp, name="b")


def products(values: Sequence[Array], xp: Namespace) -> Array:
    """Return all products of entries, one of each vector, in row-major order.

    They overflow, or vanish, only where the product of all factors does.
    """
    out, exponent = xp.ones_like(values[0][:1]), 0.0
    for value in values:
        scaled, scale = equilibrate(value, xp, axis=0)
        out = xp.reshape(out[:, None] * scaled[None, :], (-1,))
        exponent = exponent + xp.log2(scale[0])
    return scaled_by_two(out, exponent, xp)


def sign_and_log(values: Array, xp: Namespace) -> tuple[Array, Array]:
    """Return sign, or phase, and logarithm of the magnitude of a product: 0 and -inf of zero."""
    sizes = xp.abs(values)
    safe = xp.where(sizes != 0, sizes, xp.ones_like(sizes))
    logs = xp.where(sizes != 0, xp.log(safe), -xp.inf)
    return unsigned_zero(xp.prod(xp.where(sizes != 0, values / safe, 0 * values)), xp), xp.sum(
        logs
    )


def unsigned_zero(sign: Array, xp: Namespace) -> Array:
    """Return a sign or phase; where it is 0, without the signs that others have left on it."""
    return xp.where(sign != 0, sign, xp.zeros_like(sign))


def shifted(values: Array, shift: Any, xp: Namespace) -> Array:
    """Add a shift, real or complex."""
    number = scalar(shift, values, xp, name="shift")
    return xp.astype(values, number.dtype, copy=False) + number
