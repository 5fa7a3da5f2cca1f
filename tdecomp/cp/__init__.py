"""CP decompositions: sums of rank-one tensors."""

from tdecomp.cp._algebra import add, evaluate, mode_product, permute, section
from tdecomp.cp._algebra_norm import inner, norm
from tdecomp.cp._alignment import align, congruence, factor_match_score
from tdecomp.cp._als import cp_als
from tdecomp.cp._arls import cp_arls
from tdecomp.cp._core_consistency import core_consistency
from tdecomp.cp._format import CP
from tdecomp.cp._gauss_newton import cp_gauss_newton
from tdecomp.cp._gcp import gcp
from tdecomp.cp._initial import initialise
from tdecomp.cp._losses import Loss, huber, negative_binomial
from tdecomp.cp._normalise import normalise
from tdecomp.cp._split_half import SplitHalf, split_half
from tdecomp.cp._suggest_rank import RankTable, suggest_rank

__all__ = [
    "CP",
    "Loss",
    "RankTable",
    "SplitHalf",
    "add",
    "align",
    "congruence",
    "core_consistency",
    "cp_als",
    "cp_arls",
    "cp_gauss_newton",
    "evaluate",
    "factor_match_score",
    "gcp",
    "huber",
    "initialise",
    "inner",
    "mode_product",
    "negative_binomial",
    "norm",
    "normalise",
    "permute",
    "section",
    "split_half",
    "suggest_rank",
]
