"""Multilinear algebra: unfoldings, products along modes, products of factors."""

from tdecomp.ops._factor_products import khatri_rao, kronecker
from tdecomp.ops._mode_products import mode_product, mode_products
from tdecomp.ops._mttkrp import mttkrp
from tdecomp.ops._unfold import fold, unfold

__all__ = ["fold", "khatri_rao", "kronecker", "mode_product", "mode_products", "mttkrp", "unfold"]
