"""Multilinear algebra: unfoldings, products along modes, products of factors."""

from tdecomp.ops._products import khatri_rao, kronecker, mode_product, mode_products
from tdecomp.ops._unfold import fold, unfold

__all__ = ["fold", "khatri_rao", "kronecker", "mode_product", "mode_products", "unfold"]
