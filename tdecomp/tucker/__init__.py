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
from tdecomp.tucker._hooi import hooi
from tdecomp.tucker._hosvd import hosvd, sthosvd
from tdecomp.tucker._nonnegative import nonnegative_tucker

__all__ = [
    "Tucker",
    "add",
    "hooi",
    "hosvd",
    "inner",
    "mode_product",
    "nonnegative_tucker",
    "norm",
    "orthogonalise",
    "scale",
    "section",
    "sthosvd",
    "truncate",
]
