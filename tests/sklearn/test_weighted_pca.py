"""Weighted principal components: PCA without weights, the least weighted error with them."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.decomposition import PCA

from tdecomp.sklearn import WeightedPCA

EPS = float(np.finfo(float).eps)
# An SVD and two products.
THRESHOLD = 1000 * EPS


def case(m=30, n=6, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((m, n)) * np.geomspace(3, 0.1, n) @ rng.standard_normal((n, n)) + 5.0
    return X, rng.uniform(0.1, 2.0, m), rng.uniform(0.1, 2.0, n)


def squares(pca, X, samples, features):
    gap = X - pca.inverse_transform(pca.transform(X))
    return float(samples @ gap**2 @ features)


@pytest.mark.parametrize("n_components", [None, 1, 4, 0.9])
def test_without_weights_it_is_pca(n_components):
    X, *_ = case()
    ours, theirs = WeightedPCA(n_components).fit(X), PCA(n_components).fit(X)
    for name in (
        "mean_", "components_", "singular_values_", "explained_variance_",
        "explained_variance_ratio_",
    ):  # fmt: skip
        found, expected = getattr(ours, name), getattr(theirs, name)
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= THRESHOLD * max(1, np.abs(expected).max()), name
    assert np.allclose(ours.transform(X), theirs.transform(X), rtol=0, atol=1e-12)
    assert ours.n_components_ == theirs.n_components_


def test_weights_of_samples_repeat_them_whatever_their_scale():
    X, *_ = case(12)
    counts = np.arange(12) % 4
    weighted = WeightedPCA(3).fit(X, sample_weight=counts)
    scaled = WeightedPCA(3).fit(X, sample_weight=counts / 1e6)
    repeated = PCA(3).fit(np.repeat(X, counts, axis=0))
    assert np.allclose(weighted.components_, repeated.components_, rtol=0, atol=1e-12)
    assert np.allclose(weighted.mean_, repeated.mean_, rtol=0, atol=1e-13)
    ratios = weighted.explained_variance_ratio_, repeated.explained_variance_ratio_
    assert np.allclose(*ratios, rtol=1e-12)
    assert np.allclose(scaled.explained_variance_, weighted.explained_variance_, rtol=1e-12)


def test_explained_variances_sum_to_that_of_numpys_weighted_covariance():
    X, samples, _ = case()
    pca = WeightedPCA().fit(X, sample_weight=samples)
    covariance = np.cov(X.T, aweights=samples)
    assert np.allclose(pca.explained_variance_, np.linalg.eigvalsh(covariance)[::-1], rtol=1e-10)
    scores = pca.transform(X)
    assert np.allclose(np.cov(scores.T, aweights=samples), np.diag(pca.explained_variance_))


def test_weighted_error_is_what_the_singular_values_leave_and_nothing_near_is_better():
    X, samples, features = case()
    pca = WeightedPCA(2, feature_weight=features).fit(X, sample_weight=samples)
    every = WeightedPCA(feature_weight=features).fit(X, sample_weight=samples)
    least = squares(pca, X, samples, features)
    assert np.isclose(least, np.sum(every.singular_values_[2:] ** 2), rtol=1e-10)
    rng = np.random.default_rng(1)
    scores, components, mean = pca.transform(X), pca.components_, pca.mean_
    for _ in range(20):
        bent = [part + 1e-3 * rng.standard_normal(part.shape) for part in (scores, components)]
        gap = X - (mean + 1e-3 * rng.standard_normal(mean.shape)) - bent[0] @ bent[1]
        assert samples @ gap**2 @ features > least


def test_components_are_orthonormal_in_the_metric_of_the_features():
    X, samples, features = case()
    pca = WeightedPCA(4, feature_weight=features).fit(X, sample_weight=samples)
    gram = (pca.components_ * features) @ pca.components_.T
    assert np.abs(gram - np.eye(4)).max() <= THRESHOLD
    weighted = pca.components_ * np.sqrt(features)
    assert (np.take_along_axis(weighted, np.abs(weighted).argmax(1)[:, None], 1) > 0).all()


def test_features_of_weight_zero_are_regressed_on_the_scores():
    X, samples, features = case()
    features[2] = 0
    pca = WeightedPCA(3, feature_weight=features).fit(X, sample_weight=samples)
    changed = X.copy()
    changed[:, 2] = 1e3
    scores = pca.transform(X)
    assert np.array_equal(pca.transform(changed), scores)
    root = np.sqrt(samples)
    found, *_ = np.linalg.lstsq(
        root[:, None] * scores, root * (X[:, 2] - pca.mean_[2]), rcond=None
    )
    assert np.allclose(pca.components_[:, 2], found, rtol=0, atol=1e-12)


def test_a_share_takes_as_few_components_as_keep_it():
    X, samples, features = case()
    every = WeightedPCA(feature_weight=features).fit(X, sample_weight=samples)
    kept = np.cumsum(every.explained_variance_ratio_)
    for share in (0.3, 0.8, 0.95, 0.999):
        pca = WeightedPCA(share, feature_weight=features).fit(X, sample_weight=samples)
        assert pca.n_components_ == int(np.argmax(kept >= share)) + 1


@pytest.mark.parametrize("exponent", [-1000, -100, 100, 1000])
def test_scale_changes_nothing(exponent):
    X, samples, _ = case()
    scale = 2.0**exponent
    plain = WeightedPCA(2).fit(X, sample_weight=samples)
    scaled = WeightedPCA(2).fit(scale * X, sample_weight=samples)
    assert np.allclose(scaled.components_, plain.components_, rtol=0, atol=1e-12)
    assert np.allclose(scaled.transform(scale * X) / scale, plain.transform(X), atol=1e-12)
    ratios = scaled.explained_variance_ratio_, plain.explained_variance_ratio_
    assert np.allclose(*ratios, rtol=1e-12)


def test_constant_data_have_no_variance_and_no_warning():
    pca = WeightedPCA(2).fit(np.full((5, 3), 7.0))
    assert not pca.components_.any()
    assert not pca.explained_variance_ratio_.any()
    assert np.array_equal(pca.inverse_transform(pca.transform([[7.0, 8.0, 9.0]])), [[7.0] * 3])


@pytest.mark.parametrize(
    ("arguments", "weights", "complaint"),
    [
        ((0,), None, "n_components == 0, must be >= 1"),
        ((7,), None, "n_components == 7, must be <= 6"),
        ((1.5,), None, "n_components == 1.5, must be < 1"),
        (("two",), None, "n_components must be an instance of"),
        ((True,), None, "n_components must be an instance of int, not bool"),
        ((2,), 3.0, "sample_weight must have 1 dimension, got 3.0"),
        ((2,), np.zeros(30), "sample_weight is zero for all samples"),
        ((2,), -np.ones(30), r"Negative values in sample_weight: sample_weight\[0\] is -1"),
        ((2,), np.full(30, np.nan), "sample_weight contains NaN"),
        ((2,), np.ones(29), "inconsistent numbers of samples"),
    ],
)
def test_what_is_out_of_range_is_named(arguments, weights, complaint):
    X, *_ = case()
    with pytest.raises((TypeError, ValueError), match=complaint):
        WeightedPCA(*arguments).fit(X, sample_weight=weights)


@pytest.mark.parametrize(
    ("weights", "complaint"),
    [
        (np.ones(5), "one number for each of the 6 features, got 5"),
        (np.zeros(6), "feature_weight is zero for all features"),
        (np.ones((6, 1)), "feature_weight must have 1 dimension"),
    ],
)
def test_weights_of_features_that_do_not_fit_are_refused(weights, complaint):
    with pytest.raises(ValueError, match=complaint):
        WeightedPCA(feature_weight=weights).fit(case()[0])


def test_scores_of_another_number_of_components_are_refused():
    with pytest.raises(ValueError, match="one column for each of 2 components, got 5"):
        WeightedPCA(2).fit(case()[0]).inverse_transform(np.ones((3, 5)))
