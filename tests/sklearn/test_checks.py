"""The checks that scikit-learn has for estimators: all pass, none is excepted."""

import pytest

pytest.importorskip("sklearn")

from sklearn.utils.estimator_checks import parametrize_with_checks

from tdecomp.sklearn import LowRankImputer, MatrixCompletion, TuckerTransformer, WeightedPCA

ESTIMATORS = [
    LowRankImputer(),
    LowRankImputer(n_components=2, missing_values=-1, method="als_cg", add_indicator=True),
    MatrixCompletion(),
    MatrixCompletion(2, biases=False, by_count=False, regularization=1.0, nonnegative=True),
    TuckerTransformer(),
    TuckerTransformer(n_components=2, center=False),
    WeightedPCA(),
    WeightedPCA(n_components=0.9),
]


@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_is_content(estimator, check):
    check(estimator)
