"""Matrices of low rank from the entries that are known, robust to those that are wrong."""

from tdecomp.completion import robust, sampling
from tdecomp.completion._complete import complete
from tdecomp.completion._dense._weighted_low_rank import weighted_low_rank
from tdecomp.completion._format import Completion
from tdecomp.completion._path import ImputePath, soft_impute_path
from tdecomp.completion._using._cross_validate import CrossValidation, cross_validate
from tdecomp.completion._using._features import inductive
from tdecomp.completion._using._fold_in import fold_in
from tdecomp.completion._using._implicit import implicit_als
from tdecomp.completion._using._inductive import Inductive
from tdecomp.completion._using._predict import predict
from tdecomp.completion._using._top_n import TopN, top_n
from tdecomp.completion._using._trials import Trial
from tdecomp.completion._using._unseen import Unseen, unseen
from tdecomp.completion._using._variance import Variance, variance
from tdecomp.completion._using._variational import variational_als

__all__ = [
    "Completion",
    "CrossValidation",
    "ImputePath",
    "Inductive",
    "TopN",
    "Trial",
    "Unseen",
    "Variance",
    "complete",
    "cross_validate",
    "fold_in",
    "implicit_als",
    "inductive",
    "predict",
    "robust",
    "sampling",
    "soft_impute_path",
    "top_n",
    "unseen",
    "variance",
    "variational_als",
    "weighted_low_rank",
]
