"""What a sum of Kronecker products is asked for: shapes of the factors that fit the matrix."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

from tdecomp.kronecker._divisors import divisors

Shapes = tuple[tuple[int, int], ...]


def check_shapes(shapes: Any) -> Shapes:
    """Return the shapes of two or more factors as pairs of positive ints."""
    try:
        pairs = tuple((operator.index(m), operator.index(n)) for m, n in shapes)
    except (TypeError, ValueError):
        pairs = ()
    if len(pairs) < 2 or min(map(min, pairs)) < 1:
        raise ValueError(
            "shapes must hold the shapes of two or more factors, such as ((m1, n1), (m2, n2)), "
            f"all of them positive ints, got {shapes!r}"
        )
    return pairs


def check_fit(
    shapes: Shapes, shape: Sequence[int], *, pad: bool | None, name: str = "a"
) -> tuple[int, int]:
    """Return the shape of the product: that of the matrix, or with `pad` a larger one.

    Where there is no padding on offer, `pad` is None.
    """
    product = math.prod(m for m, _ in shapes), math.prod(n for _, n in shapes)
    wanted = int(shape[0]), int(shape[1])
    if product == wanted:
        return product
    larger = pad is not None and all(p >= w for p, w in zip(product, wanted, strict=True))
    if pad and larger:
        return product
    near = tuple(_nearest(size, whole) for size, whole in zip(shapes[0], wanted, strict=True))
    way = "pass pad=True to fill it up with zeros" if larger else "choose other shapes"
    raise ValueError(
        f"factors of shapes {shapes} make a matrix of shape {product}, but {name} has shape "
        f"{wanted}; {way}: the nearest sizes of a first factor that divide it are {near}"
    )


def _nearest(size: int, whole: int) -> int:
    """Return the divisor of `whole` that is nearest to `size`, by ratio."""
    return min(divisors(whole), key=lambda d: abs(math.log(d / size)))
