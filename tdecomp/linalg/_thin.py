"""Products with a thin result, laid out the way they are computed fastest."""

from __future__ import annotations

from tdecomp._typing import Array, Namespace


def thin_product(a: Array, x: Array, xp: Namespace) -> Array:
    """Return ``a @ x`` for an `x` of few columns, column by column in memory where that counts.

    Formed as the transpose of a wide product: for a few dozen columns and a large `a`, OpenBLAS
    was measured 1.3 to 1.7 times as fast that way, and what follows reads columns anyway.
    """
    return xp.matrix_transpose(xp.matrix_transpose(x) @ xp.matrix_transpose(a))
