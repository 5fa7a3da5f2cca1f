"""Tucker decompositions: a core in bases of its own for every mode."""

from tdecomp.tucker._algebra import add, mode_product, scale, section
from tdecomp.tucker._algebra_norm import inner, norm, orthogonalise
from tdecomp.tucker._format import Tucker
from tdecomp.tucker._hooi import hooi
from tdecomp.tucker._hosvd import hosvd, sthosvd
from tdecomp.tucker._nonnegative import nonnegative_tucker
from tdecomp.tucker._suggest_rank import RankSuggestion, mode_spectra, rank_map, suggest_rank
from tdecomp.tucker._truncate import truncate

__all__ = [
    "RankSuggestion",
    "Tucker",
    "add",
    "hooi",
    "hosvd",
    "inner",
    "mode_product",
    "mode_spectra",
    "nonnegative_tucker",
    "norm",
    "orthogonalise",
    "rank_map",
    "scale",
    "section",
    "sthosvd",
    "suggest_rank",
    "truncate",
]
