"""The checks that scikit-learn has for estimators: all pass but one of one option."""

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
    WeightedPCA(n_components=1, whiten=True),
]


# PCA's variance of n samples has the denominator n - 1. No extension of it to weights that leaves
# it as it is whatever their scale, as this one does, is also that of repeated samples.
UNLIKE_REPEATED = {
    "check_sample_weight_equivalence_on_dense_data": "whitened scores differ by a factor"
}


def exceptions(estimator):
    return UNLIKE_REPEATED if getattr(estimator, "whiten", False) else {}


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=exceptions)
def test_scikit_learn_is_content(estimator, check):
    check(estimator)
