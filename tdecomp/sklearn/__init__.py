"""Estimators for scikit-learn: imputation, completion, weighted and multilinear components.

Each follows its conventions: parameters are set in the constructor, what is learnt ends in an
underscore, and rows are samples. They can be cloned, put in pipelines and searched over.
"""

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError as error:
    raise ImportError(
        "tdecomp.sklearn needs scikit-learn: pip install 'tdecomp-array[sklearn]'"
    ) from error

from tdecomp.sklearn._imputer import LowRankImputer
from tdecomp.sklearn._matrix_completion import MatrixCompletion
from tdecomp.sklearn._tucker import TuckerTransformer
from tdecomp.sklearn._weighted_pca import WeightedPCA

__all__ = ["LowRankImputer", "MatrixCompletion", "TuckerTransformer", "WeightedPCA"]
