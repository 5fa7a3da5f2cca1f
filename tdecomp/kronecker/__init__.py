"""Sums of Kronecker products: best approximations, algebra and structured solves."""

from tdecomp.kronecker._format import KroneckerSum
from tdecomp.kronecker._suggest_shapes import suggest_shapes
from tdecomp.kronecker._svd import kronecker_svd

__all__ = ["KroneckerSum", "kronecker_svd", "suggest_shapes"]
