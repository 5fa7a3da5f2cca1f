"""Tensor trains: chains of three-way cores."""

from tdecomp.tt._algebra import add, hadamard, inner, mode_product, norm, scale, section
from tdecomp.tt._cross import Counted, tt_cross
from tdecomp.tt._evaluate import evaluate
from tdecomp.tt._formats import TensorRing, TensorTrain
from tdecomp.tt._maxvol import maxvol
from tdecomp.tt._orthogonalise import orthogonalise
from tdecomp.tt._ring_als import tr_als
from tdecomp.tt._ring_svd import tr_svd
from tdecomp.tt._round import round
from tdecomp.tt._svd import tt_svd

__all__ = [
    "Counted",
    "TensorRing",
    "TensorTrain",
    "add",
    "evaluate",
    "hadamard",
    "inner",
    "maxvol",
    "mode_product",
    "norm",
    "orthogonalise",
    "round",
    "scale",
    "section",
    "tr_als",
    "tr_svd",
    "tt_cross",
    "tt_svd",
]
