"""Features of rows or columns, and an orthonormal basis of them."""

from __future__ import annotations

from typing import Any, NamedTuple

from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, eps, equilibrate, prepare

# How sparse matrices are made dense: those of SciPy, of pydata, of this library, and of PyTorch.
_WAYS = ("toarray", "todense", "to_array", "to_dense")


class Basis(NamedTuple):
    """An orthonormal basis of features, and what turns its coefficients into theirs."""

    basis: Array
    back: Array


def prepared(features: Any, size: int, like: Array, name: str) -> Array:
    """Return features, dense or sparse, as a finite matrix with that many rows."""
    ways = [name for name in _WAYS if hasattr(features, name)]
    if ways:
        features = getattr(features, ways[0])()
    _, features = prepare(features, ndim=2, like=like, name=name)
    if features.shape[0] != size:
        raise ValueError(f"{name} must have {size} rows, got shape {tuple(features.shape)}")
    return features


def orthonormal_basis(features: Array, name: str, xp: Namespace) -> Basis:
    """Return a basis of the independent features, whatever these are measured in."""
    features, scale = equilibrate(features, xp, axis=(0,), always=True)
    u, s, vh = xp.linalg.svd(features, full_matrices=False)
    cut = eps(features.dtype, xp) * max(features.shape) * xp.max(s)
    kept = int(xp.sum(xp.astype(s > cut, xp.int32)))
    if not kept:
        raise ValueError(f"{name} are all zero: they describe nothing")
    return Basis(u[:, :kept], adjoint(vh[:kept, :], xp) / s[:kept] / xp.matrix_transpose(scale))
