"""Low-rank decompositions with certified error, for NumPy, PyTorch, JAX and their like."""

from tdecomp import completion, convert, cp, kronecker, linalg, ops, tt, tucker
from tdecomp._errors import ToleranceError
from tdecomp._iterate import Fit, Progress, Status
from tdecomp._measure import compression_ratio, n_parameters, relative_error
from tdecomp.completion import Completion, complete
from tdecomp.cp import CP, cp_als
from tdecomp.kronecker import KroneckerSum, kronecker_svd
from tdecomp.linalg import (
    SVD,
    LowRank,
    orthogonalize,
    polar,
    procrustes,
    randomized_polar,
    randomized_svd,
    truncated_svd,
    weighted_svd,
)
from tdecomp.ops import COO
from tdecomp.tt import TensorTrain, tt_svd
from tdecomp.tucker import Tucker, hooi, hosvd, sthosvd

__all__ = [
    "COO",
    "CP",
    "SVD",
    "Completion",
    "Fit",
    "KroneckerSum",
    "LowRank",
    "Progress",
    "Status",
    "TensorTrain",
    "ToleranceError",
    "Tucker",
    "complete",
    "completion",
    "compression_ratio",
    "convert",
    "cp",
    "cp_als",
    "hooi",
    "hosvd",
    "kronecker",
    "kronecker_svd",
    "linalg",
    "n_parameters",
    "ops",
    "orthogonalize",
    "polar",
    "procrustes",
    "randomized_polar",
    "randomized_svd",
    "relative_error",
    "sthosvd",
    "truncated_svd",
    "tt",
    "tt_svd",
    "tucker",
    "weighted_svd",
]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version

        return version("tdecomp-array")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
