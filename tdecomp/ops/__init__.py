"""Multilinear algebra: unfoldings, products along modes, products of factors."""

from tdecomp.ops._coo import COO, coo
from tdecomp.ops._factor_products import khatri_rao, kronecker
from tdecomp.ops._mode_products import mode_product, mode_products
from tdecomp.ops._mttkrp import mttkrp
from tdecomp.ops._sparse_convert import from_dense, from_sparse, to_scipy
from tdecomp.ops._sparse_layout import SparseLayout
from tdecomp.ops._unfold import fold, unfold

__all__ = [
    "COO",
    "SparseLayout",
    "coo",
    "fold",
    "from_dense",
    "from_sparse",
    "khatri_rao",
    "kronecker",
    "mode_product",
    "mode_products",
    "mttkrp",
    "to_scipy",
    "unfold",
]
