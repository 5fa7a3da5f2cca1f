"""Sampling by squared entries: algebra from few entries, at a cost free of the dimensions."""

from tdecomp.completion.sampling._bilinear import bilinear
from tdecomp.completion.sampling._combination import Combination
from tdecomp.completion.sampling._combine import combine
from tdecomp.completion.sampling._inner import inner
from tdecomp.completion.sampling._matmul import sampled_matmul
from tdecomp.completion.sampling._matrix import LengthSquaredMatrix
from tdecomp.completion.sampling._product import SampledProduct
from tdecomp.completion.sampling._recommend import recommend
from tdecomp.completion.sampling._rows import SampledRows
from tdecomp.completion.sampling._singular import SampledSVD
from tdecomp.completion.sampling._solve import solve
from tdecomp.completion.sampling._svd import sampled_svd
from tdecomp.completion.sampling._transform import transform
from tdecomp.completion.sampling._transformed import SampledTransform
from tdecomp.completion.sampling._vector import LengthSquaredVector

__all__ = [
    "Combination",
    "LengthSquaredMatrix",
    "LengthSquaredVector",
    "SampledProduct",
    "SampledRows",
    "SampledSVD",
    "SampledTransform",
    "bilinear",
    "combine",
    "inner",
    "recommend",
    "sampled_matmul",
    "sampled_svd",
    "solve",
    "transform",
]
