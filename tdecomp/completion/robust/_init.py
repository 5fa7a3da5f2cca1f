"""Where factors start: what a caller gives, checked and in the units of the problem."""

from __future__ import annotations

from typing import Any

from tdecomp._typing import Array
from tdecomp._xp import adjoint, namespace, prepare
from tdecomp.completion.robust._sensing import Sensing
from tdecomp.linalg._formats import LowRank


def check_square(shape: tuple[int, int]) -> None:
    """Refuse to look for semidefinite matrices that are not square."""
    if shape[0] != shape[1]:
        raise ValueError(f"a semidefinite matrix is square, but measurements are of shape {shape}")


def check_init(
    init: Any, problem: Sensing, rank: int, *, symmetric: bool = False
) -> tuple[Array, Array] | None:
    """Return the factors of a start, both tall, or None; of a symmetric one both are the left."""
    if init is None:
        return None
    if not isinstance(init, LowRank):
        raise TypeError(f"init must be a LowRank or None, got {type(init).__name__}")
    m, n = problem.operator.shape
    found = (tuple(init.left.shape), tuple(init.right.shape))
    if found != ((m, rank), (rank, n)):
        raise ValueError(
            f"init must have factors of shape ({m}, {rank}) and ({rank}, {n}), got "
            f"{found[0]} and {found[1]}"
        )
    xp = namespace(problem.y, *init)
    left, right = (prepare(x, ndim=2, name="init")[1] for x in init)
    right, dtype = left if symmetric else adjoint(right, xp), problem.y.dtype
    if not bool(xp.any(left != 0)) and not bool(xp.any(right != 0)):
        raise ValueError("init is zero, from where no step leads away; leave it out")
    for x in (left, right):
        if xp.isdtype(x.dtype, "complex floating") > xp.isdtype(dtype, "complex floating"):
            raise TypeError(f"init must be real, as y and the measurements are, got {x.dtype}")
    return xp.astype(left, dtype), xp.astype(right, dtype)


def scaled_start(start: tuple[Array, Array], problem: Sensing) -> tuple[Array, Array]:
    """Return both factors in the units of the problem."""
    left, right = start
    return left / problem.root, right / problem.root
