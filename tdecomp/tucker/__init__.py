"""Tucker decompositions: a core in bases of its own for every mode."""

from tdecomp.tucker._algebra import (
    add,
    inner,
    mode_product,
    norm,
    orthogonalise,
    scale,
    section,
    truncate,
)
from tdecomp.tucker._format import Tucker
from tdecomp.tucker._hosvd import hosvd, sthosvd

__all__ = [
    "Tucker",
    "add",
    "hosvd",
    "inner",
    "mode_product",
    "norm",
    "orthogonalise",
    "scale",
    "section",
    "sthosvd",
    "truncate",
]
