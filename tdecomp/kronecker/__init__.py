"""Sums of Kronecker products: best approximations, algebra and structured solves."""

from tdecomp.kronecker._algebra import add, inner, matmul, norm, scale
from tdecomp.kronecker._butterfly import butterfly
from tdecomp.kronecker._butterfly_format import Butterfly
from tdecomp.kronecker._eigh import eigh
from tdecomp.kronecker._eigh_format import KroneckerEigh
from tdecomp.kronecker._format import KroneckerSum
from tdecomp.kronecker._linear_operator import to_linear_operator
from tdecomp.kronecker._monarch import Monarch, monarch
from tdecomp.kronecker._round import round, spectrum
from tdecomp.kronecker._solve import logdet, solve
from tdecomp.kronecker._suggest_shapes import Suggestion, suggest_shapes
from tdecomp.kronecker._svd import kronecker_svd

__all__ = [
    "Butterfly",
    "KroneckerEigh",
    "KroneckerSum",
    "Monarch",
    "Suggestion",
    "add",
    "butterfly",
    "eigh",
    "inner",
    "kronecker_svd",
    "logdet",
    "matmul",
    "monarch",
    "norm",
    "round",
    "scale",
    "solve",
    "spectrum",
    "suggest_shapes",
    "to_linear_operator",
]
