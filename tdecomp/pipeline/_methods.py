"""The norm of each tensor: that of the method where its statistics are known, else none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tdecomp._typing import Array
from tdecomp.compress import Statistics, Weights, afm
from tdecomp.linalg import randomized_svd
from tdecomp.pipeline._request import Request

_EMPTY = Statistics()
# A sketch beats the full SVD from about this many times fewer triplets than there are on.
_SKETCHED = 12
SKETCH_TOL = 1e-6


class Factors(NamedTuple):
    """Two factors, and what the bias beside them has to become, where a method moves it."""

    left: Array
    right: Array
    bias: Array | None


def method_for(request: Request, name: str, *, has_bias: bool) -> str:
    """Return the method that the tensor `name` gets: plain `svd` where nothing is known of it."""
    statistics = (request.calibration or {}).get(name, _EMPTY)
    if request.method == "svd" or statistics == _EMPTY:
        return "svd"
    if request.method == "afm" and (not has_bias or statistics.tokens is not None):
        return "svd_llm"
    return request.method


def lacking(request: Request, name: str, method: str) -> str:
    """Return why the statistics of the tensor `name` do not serve `method`; empty if they do."""
    statistics = (request.calibration or {}).get(name, _EMPTY)
    return "" if statistics.serves(method) else f"calibration found nothing in it for {method}"


def norm_for(request: Request, name: str, method: str) -> Weights:
    """Return the norm in which `method` is optimal for the tensor `name`."""
    return (request.calibration or {}).get(name, _EMPTY).weights(method)


def sketched(method: str, rank: int, shape: tuple[int, int]) -> bool:
    """Tell whether `rank` is so small that a sketch finds the factors."""
    return method == "svd" and _SKETCHED * (rank + 10) <= min(shape)


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Make a refusal of the mathematics name the tensor that it is about."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def factorise(
    request: Request, name: str, method: str, matrix: Array, *, rank: int, bias: Array | None
) -> Factors:
    """Return the best factors of `rank` in the norm of `method`."""
    if method == "afm":
        inputs = (request.calibration or {})[name].inputs
        assert inputs is not None
        return Factors(*afm(matrix, inputs, bias=bias, rank=rank))
    if sketched(method, rank, matrix.shape):
        u, s, vh = randomized_svd(matrix, rank=rank, tol=SKETCH_TOL, rng=request.seed).tensor
        return Factors(u * s**0.5, s[:, None] ** 0.5 * vh, None)
    return Factors(*norm_for(request, name, method).fit(matrix, rank=rank), None)
