"""CP decompositions: sums of rank-one tensors."""

from tdecomp.cp._algebra import add, evaluate, mode_product, permute, section
from tdecomp.cp._algebra_norm import inner, norm
from tdecomp.cp._alignment import align, congruence, factor_match_score
from tdecomp.cp._als import cp_als
from tdecomp.cp._format import CP
from tdecomp.cp._gauss_newton import cp_gauss_newton
from tdecomp.cp._initial import initialise
from tdecomp.cp._normalise import normalise

__all__ = [
    "CP",
    "add",
    "align",
    "congruence",
    "cp_als",
    "cp_gauss_newton",
    "evaluate",
    "factor_match_score",
    "initialise",
    "inner",
    "mode_product",
    "norm",
    "normalise",
    "permute",
    "section",
]
