"""Test data with known answers, assertions, and the table of what works where."""

from tdecomp.testing._assertions import (
    assert_descending,
    assert_isometry,
    assert_reconstructs,
)
from tdecomp.testing._capabilities import capabilities_table, limitation
from tdecomp.testing._functions import Function, functions
from tdecomp.testing._gaussian import gaussian
from tdecomp.testing._matrices import LAPACK_SHAPES, graded, matrix
from tdecomp.testing._problems import Problem, problems
from tdecomp.testing._spectra import SPECTRA, spectrum
from tdecomp.testing._tensors import low_rank_tensor, tensor

__all__ = [
    "LAPACK_SHAPES",
    "SPECTRA",
    "Function",
    "Problem",
    "assert_descending",
    "assert_isometry",
    "assert_reconstructs",
    "capabilities_table",
    "functions",
    "gaussian",
    "graded",
    "limitation",
    "low_rank_tensor",
    "matrix",
    "problems",
    "spectrum",
    "tensor",
]
