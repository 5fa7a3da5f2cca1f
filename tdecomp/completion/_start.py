"""Where a completion starts: from the known entries, at random, or from another completion."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tdecomp._errors import check_choice
from tdecomp._random import normal
from tdecomp._typing import Array, Namespace
from tdecomp._xp import as_array, equilibrate, finite, namespace, times_power
from tdecomp.completion._biases import Biases
from tdecomp.completion._format import Completion
from tdecomp.completion._methods._spectral import spectral
from tdecomp.completion._observed import Observed


def start(
    observed: Observed,
    rank: int,
    init: Any,
    rng: np.random.Generator,
    xp: Namespace,
    *,
    root: float,
) -> tuple[Array, Array]:
    """Return factors (m, k) and (n, k) to start from; those of a completion over `root`."""
    like, (m, n) = observed.rows.values, observed.shape
    if isinstance(init, Completion):
        if init.shape != (m, n) or init.rank != rank:
            raise ValueError(
                f"init must have shape {(m, n)} and rank {rank}, got {init.shape} and {init.rank}"
            )
        left, right = (given(init, name, like, root, xp) for name in ("left", "right"))
        return _alike(left, xp.matrix_transpose(right), xp)
    if not isinstance(init, str):
        kind = type(init).__name__
        ways = {
            "Fit": "; pass its tensor",
            "LowRank": "; pass Completion(*init, mean, row_bias, column_bias), zeros will do",
        }
        way = ways.get(kind, "")
        raise TypeError(
            f"init must be 'spectral', 'rising', 'random' or a Completion, got {kind}{way}"
        )
    if check_choice(init, ("spectral", "random"), name="init") == "spectral":
        return spectral(observed, rank, rng, xp)
    left, right = (normal(rng, (size, rank), like, xp) / rank**0.25 for size in (m, n))
    return left, right


def _alike(left: Array, right: Array, xp: Namespace) -> tuple[Array, Array]:
    """Share the size of two factors, by powers of two, where squares of either could overflow."""
    (a, one), (b, other) = (equilibrate(part, xp, axis=(0, 1)) for part in (left, right))
    sizes = [math.frexp(float(part[0, 0]))[1] - 1 for part in (one, other)]
    if not any(sizes):
        return left, right
    half = sum(sizes) // 2
    return times_power(a, float(half), xp), times_power(b, float(sum(sizes) - half), xp)


def with_offsets_of(
    factors: tuple[Array, Array], init: Any, offsets: Biases, xp: Namespace, *, scale: float
) -> tuple[Array, Array]:
    """Put offsets behind factors: those of a completion over `scale`, or those that are given.

    Where the mean of a completion is another, its rows make up for it: it starts as the matrix
    that it is.
    """
    parts = [offsets.rows, offsets.columns]
    if isinstance(init, Completion):
        mean, *parts = (
            given(init, name, factors[0], scale, xp)
            for name in ("mean", "row_bias", "column_bias")
        )
        parts[0] = parts[0] + (mean - offsets.mean)
    left, right = (
        xp.concat([factor, part[:, None]], axis=1)
        for factor, part in zip(factors, parts, strict=True)
    )
    return left, right


def given(init: Any, name: str, like: Array, unit: float, xp: Namespace) -> Array:
    """Return a part of a format in the dtype of the data, at their scale."""
    factor = as_array(getattr(init, name), xp, like, f"init.{name}")
    namespace(factor, like)
    (m, n), k = init.shape, init.rank
    shapes = {"left": (m, k), "right": (k, n), "mean": (), "row_bias": (m,), "column_bias": (n,)}
    if tuple(factor.shape) != shapes[name]:
        raise ValueError(f"init.{name} must have shape {shapes[name]}, got {tuple(factor.shape)}")
    finite(factor, xp, name=f"init.{name}")
    kinds = [xp.isdtype(array.dtype, "complex floating") for array in (factor, like)]
    if kinds == [True, False]:
        raise TypeError(f"init.{name} is complex, and the entries of x are real")
    return xp.astype(factor / unit, like.dtype)
