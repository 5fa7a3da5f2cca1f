"""One size for all factors of a Kronecker term: powers of two move from one to another.

A term may well be in range where a factor is far out of it, and another makes up for that. What
is multiplied by one factor after the other then overflows on the way, or vanishes unseen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tdecomp._typing import Array, Namespace
from tdecomp._xp import equilibrate, is_numpy
from tdecomp.cp._normalise import scaled_by_two


def balanced(factors: Sequence[Array], xp: Namespace) -> list[Array]:
    """Return floating stacks of the same terms, those of a term of about one size; no digit goes.

    Products of a few of them lie between that of all and one.
    """
    stacks, exponents = [], []
    for f in factors:
        scaled, scale = equilibrate(f, xp, axis=(1, 2), always=True)
        stacks.append(scaled)
        exponents.append(xp.round(xp.log2(scale)))
    total = sum(exponents[1:], start=exponents[0])
    # Far from a whole number before it is cut: compilers that round two copies of it apart, as
    # XLA does, shall cut both to one share.
    share = xp.floor((total + 0.5) / len(stacks))
    shares = [share] * (len(stacks) - 1)
    shares.append(total - share * len(shares))
    return [scaled_by_two(f, e, xp) for f, e in zip(stacks, shares, strict=True)]


def is_moderate(factors: Sequence[Array]) -> bool:
    """Tell whether no factor is so large or small that products with some may leave the range.

    Asked of NumPy's arrays, where it costs a microsecond. Elsewhere an answer would have to wait
    for a device, or for a compiled program to run: they pass for moderate.
    """
    if not is_numpy(*factors) or any(f.dtype.kind not in "fc" for f in factors):
        return True
    limit = 2.0 ** (np.finfo(factors[0].dtype).maxexp / 4)
    # An overflow makes no noise in a dot product, and its result tells.
    return all(1 / limit < np.vdot(f, f).real < limit for f in factors)


def is_floating(x: Array, xp: Namespace) -> bool:
    """Tell whether an array holds floats that its library computes in, so no bfloat16 of NumPy."""
    kind = getattr(x.dtype, "kind", None)
    if kind is not None:
        return kind in "fc"
    return bool(xp.isdtype(x.dtype, ("real floating", "complex floating")))
