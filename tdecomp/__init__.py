"""Low-rank decompositions with certified error, for NumPy, PyTorch, JAX and their like."""

from tdecomp import linalg, ops
from tdecomp._errors import ToleranceError
from tdecomp._iterate import Fit, Progress, Status
from tdecomp._measure import compression_ratio, n_parameters, relative_error
from tdecomp.linalg import SVD, LowRank, randomized_svd, truncated_svd, weighted_svd

__all__ = [
    "SVD",
    "Fit",
    "LowRank",
    "Progress",
    "Status",
    "ToleranceError",
    "compression_ratio",
    "linalg",
    "n_parameters",
    "ops",
    "randomized_svd",
    "relative_error",
    "truncated_svd",
    "weighted_svd",
]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version

        return version("tdecomp-array")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
