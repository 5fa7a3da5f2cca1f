"""Matrices of low rank from data that are wrong in places, or seen through measurements."""

from tdecomp.completion.robust._formats import LowRankPlusSparse
from tdecomp.completion.robust._godec import godec
from tdecomp.completion.robust._measurements import (
    EntryMeasurements,
    LinearMeasurements,
    MatrixMeasurements,
    RankOneMeasurements,
)
from tdecomp.completion.robust._pcp import principal_component_pursuit
from tdecomp.completion.robust._rpca import scaled_gd_rpca
from tdecomp.completion.robust._scaled_subgradient import scaled_subgradient
from tdecomp.completion.robust._sense import sense
from tdecomp.completion.robust._subgradient import subgradient

__all__ = [
    "EntryMeasurements",
    "LinearMeasurements",
    "LowRankPlusSparse",
    "MatrixMeasurements",
    "RankOneMeasurements",
    "godec",
    "principal_component_pursuit",
    "scaled_gd_rpca",
    "scaled_subgradient",
    "sense",
    "subgradient",
]
