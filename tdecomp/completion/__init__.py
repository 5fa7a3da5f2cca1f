"""Matrices of low rank from the entries that are known, robust to those that are wrong."""

from tdecomp.completion import robust, sampling
from tdecomp.completion._complete import complete
from tdecomp.completion._dense._weighted_low_rank import weighted_low_rank
from tdecomp.completion._format import Completion

__all__ = ["Completion", "complete", "robust", "sampling", "weighted_low_rank"]
