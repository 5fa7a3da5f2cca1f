"""Weighted principal components: PCA without weights, the least weighted error with them."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

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
    assert np.isclose(ours.noise_variance_, theirs.noise_variance_, rtol=1e-10)
    assert np.allclose(ours.score_samples(X), theirs.score_samples(X), rtol=1e-9)
    assert np.isclose(ours.score(X), theirs.score(X), rtol=1e-10)


def test_whitened_scores_are_those_of_pca_and_come_back():
    X, *_ = case()
    ours, theirs = WeightedPCA(3, whiten=True).fit(X), PCA(3, whiten=True).fit(X)
    assert np.allclose(ours.transform(X), theirs.transform(X), rtol=0, atol=1e-11)
    back = theirs.inverse_transform(theirs.transform(X))
    assert np.allclose(ours.inverse_transform(ours.transform(X)), back, rtol=0, atol=1e-11)
    flat = WeightedPCA(2, whiten=True).fit(np.ones((4, 3)))
    assert not flat.transform(np.ones((4, 3))).any()


def test_likelihood_is_that_of_a_normal_distribution_with_noise_by_feature_weight():
    X, samples, features = case()
    features[1] = 0
    pca = WeightedPCA(2, feature_weight=features).fit(X, sample_weight=samples)
    kept = features > 0
    parts, noise = pca.components_[:, kept], pca.noise_variance_
    every = WeightedPCA(feature_weight=features).fit(X, sample_weight=samples)
    assert np.isclose(noise, every.explained_variance_[2:].mean(), rtol=1e-10)
    covariance = (parts.T * (pca.explained_variance_ - noise)) @ parts
    covariance += np.diag(noise / features[kept])
    expected = multivariate_normal(pca.mean_[kept], covariance).logpdf(X[:, kept])
    assert np.allclose(pca.score_samples(X), expected, rtol=1e-9)
    mean = np.average(expected, weights=samples)
    assert np.isclose(pca.score(X, sample_weight=1e300 * samples), mean, rtol=1e-10)


def test_likelihood_of_incomplete_samples_is_that_of_what_is_known():
    X, samples, features = case()
    features[1] = 0
    pca = WeightedPCA(2, feature_weight=features).fit(X, sample_weight=samples)
    X[np.random.default_rng(0).random(X.shape) < 0.3] = np.nan
    X[0] = np.nan
    found = pca.score_samples(X)
    assert found[0] == 0
    spread = pca.explained_variance_ - pca.noise_variance_
    for i in range(1, 30):
        kept = ~np.isnan(X[i]) & (features > 0)
        parts = pca.components_[:, kept]
        covariance = parts.T * spread @ parts + np.diag(pca.noise_variance_ / features[kept])
        expected = multivariate_normal(pca.mean_[kept], covariance).logpdf(X[i, kept])
        assert np.isclose(found[i], expected, rtol=1e-9)
    alone = pca.score_samples(np.nan_to_num(X))
    full = ~np.isnan(X[:, features > 0]).any(axis=1)
    assert np.allclose(found[full], alone[full], rtol=1e-10)


@pytest.mark.parametrize("exponent", [-1000, 1000])
def test_likelihood_is_told_where_variances_leave_the_range_of_numbers(exponent):
    X, samples, features = case()
    X[2, 1] = np.nan
    pca = WeightedPCA(2, feature_weight=features)
    expected = pca.fit(X, sample_weight=samples).score_samples(X)
    scaled = np.ldexp(X, exponent)
    found = pca.fit(scaled, sample_weight=samples).score_samples(scaled)
    known = np.count_nonzero(~np.isnan(X), axis=1)
    assert np.allclose(found, expected - known * exponent * np.log(2), rtol=1e-9)


def test_without_noise_there_is_no_likelihood():
    X, *_ = case(4)
    with pytest.raises(ValueError, match="4 components leave no noise"):
        WeightedPCA(4).fit(X).score(X)


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


@pytest.mark.parametrize("size", [1e-300, 1e-200, 1e300])
def test_the_scale_of_weights_changes_nothing_but_singular_values(size):
    X, samples, _ = case()
    plain = WeightedPCA(2).fit(X, sample_weight=samples)
    scaled = WeightedPCA(2).fit(X, sample_weight=size * samples)
    assert np.allclose(scaled.mean_, plain.mean_, rtol=1e-13)
    assert np.allclose(scaled.explained_variance_, plain.explained_variance_, rtol=1e-12)
    expected = np.sqrt(size) * plain.singular_values_
    assert np.allclose(scaled.singular_values_, expected, rtol=1e-12, atol=0)


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
    white, whitened = (WeightedPCA(2, whiten=True).fit(part) for part in (X, scale * X))
    assert np.allclose(whitened.transform(scale * X), white.transform(X), rtol=0, atol=1e-12)
    assert np.allclose(
        whitened.inverse_transform([[1, 2]]) / scale, white.inverse_transform([[1, 2]])
    )


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


@pytest.mark.parametrize("options", [{"max_iter": 0}, {"max_iter": 1.5}, {"tol": "small"}])
def test_limits_of_rounds_are_checked_where_there_are_none(options):
    with pytest.raises((TypeError, ValueError), match=next(iter(options))):
        WeightedPCA(2, **options).fit(case()[0])


def test_one_sample_of_weight_has_no_variance():
    X, *_ = case()
    weights = np.zeros(30)
    weights[3] = 0.1
    pca = WeightedPCA(2, whiten=True).fit(X, sample_weight=weights)
    assert np.allclose(pca.mean_, X[3], rtol=1e-14)
    assert not pca.explained_variance_.any()
    assert not pca.transform(X).any()


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


@pytest.mark.parametrize("exponent", [-900, 900])
def test_weights_of_entries_and_features_may_both_be_of_any_scale(exponent):
    X, samples, features = case()
    X[2, 1] = np.nan
    weights = np.random.default_rng(5).uniform(0.5, 2, X.shape)
    pca = WeightedPCA(2, feature_weight=features).fit(X, sample_weight=samples, weights=weights)
    expected = pca.transform(X, weights)
    scale = 2.0**exponent
    other = WeightedPCA(2, feature_weight=scale * features)
    other.fit(X, sample_weight=scale * samples, weights=scale * weights)
    found = other.transform(X, scale * weights)
    assert np.allclose(found, np.sqrt(scale) * expected, rtol=1e-10, atol=0)
    assert np.allclose(other.inverse_transform(found), pca.inverse_transform(expected))


def test_scores_of_another_number_of_components_are_refused():
    with pytest.raises(ValueError, match="one column for each of 2 components, got 5"):
        WeightedPCA(2).fit(case()[0]).inverse_transform(np.ones((3, 5)))


STATE = (
    "mean_", "components_", "singular_values_", "explained_variance_",
    "explained_variance_ratio_", "noise_variance_",
)  # fmt: skip


@pytest.mark.parametrize("light", [False, True])
def test_rows_of_equal_weights_are_samples_of_that_weight(light):
    X, samples, features = case()
    features[2] *= not light
    pca = WeightedPCA(2, feature_weight=features)
    entries = np.repeat(samples[:, None], 6, axis=1)
    expected = clone(pca).fit(X, sample_weight=samples)
    for found in (
        clone(pca).fit(X, weights=entries),
        clone(pca).fit(X, sample_weight=1e200 * samples, weights=np.full_like(X, 1e-200)),
    ):
        for name in STATE:
            assert np.allclose(getattr(found, name), getattr(expected, name), rtol=1e-10), name
    assert np.allclose(found.transform(X, np.ones_like(X)), expected.transform(X), rtol=1e-10)


def holed(rank=2, share=0.3, noise=0.0, m=40, n=8):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((m, rank)) @ rng.standard_normal((rank, n))
    X += 5 * rng.standard_normal(n) + noise * rng.standard_normal((m, n))
    return X, np.where(rng.random((m, n)) < share, np.nan, X)


def test_missing_entries_follow_from_the_others():
    X, Y = holed()
    pca = WeightedPCA(2, tol=1e-12).fit(Y)
    gap = pca.inverse_transform(pca.transform(Y)) - X
    assert np.abs(gap).max() <= 1e5 * EPS
    assert np.isclose(pca.explained_variance_ratio_.sum(), 1.0, rtol=1e-12)
    full = PCA(2).fit(X)
    assert np.allclose(
        np.abs(pca.components_ @ full.components_.T @ full.components_),
        np.abs(pca.components_),
        atol=1e-10,
    )


def test_nan_and_weights_of_zero_are_the_same():
    X, Y = holed(noise=0.3)
    zeros = (~np.isnan(Y)).astype(float)
    absent = np.where(np.isnan(Y), np.nan, 1.0)
    plain = WeightedPCA(2).fit(Y)
    for weights in (zeros, absent):
        found = WeightedPCA(2).fit(X, weights=weights)
        assert np.array_equal(found.components_, plain.components_)
        assert np.array_equal(found.transform(X, weights), plain.transform(Y))


def test_no_mean_or_component_nearby_has_a_smaller_weighted_error():
    X, samples, features = case()
    rng = np.random.default_rng(0)
    weights = rng.uniform(0, 1, X.shape) * (rng.random(X.shape) < 0.8)
    pca = WeightedPCA(2, feature_weight=features, tol=1e-12)
    scores = pca.fit_transform(X, sample_weight=samples, weights=weights)
    assert np.array_equal(scores, pca.transform(X, weights))
    cost = samples[:, None] * features * weights

    def error(mean, scores, components):
        return float((cost * (X - mean - scores @ components) ** 2).sum())

    least = error(pca.mean_, scores, pca.components_)
    for _ in range(20):
        parts = (pca.mean_, scores, pca.components_)
        bent = [part + 1e-3 * rng.standard_normal(part.shape) for part in parts]
        assert error(*bent) > least
    gram = (pca.components_ * features) @ pca.components_.T
    assert np.abs(gram - np.eye(2)).max() <= THRESHOLD


def test_new_rows_are_regressed_on_what_is_known_of_them():
    X, _, features = case()
    pca = WeightedPCA(3, feature_weight=features).fit(X)
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.1, 1, (4, 6))
    weights[1, 2:] = 0  # fewer than there are components
    weights[2] = 0
    scores = pca.transform(np.where(weights > 0, X[:4], np.nan), weights)
    for i in range(4):
        root = np.sqrt(weights[i] * features)
        expected, *_ = np.linalg.lstsq(
            (root * pca.components_).T, root * (X[i] - pca.mean_), rcond=None
        )
        assert np.allclose(scores[i], expected, rtol=0, atol=1e-11)
    assert not scores[2].any()


def test_a_share_of_incomplete_data_takes_as_few_components_as_keep_it():
    _, Y = holed(rank=3, noise=0.05, share=0.2)
    pca = WeightedPCA(0.98).fit(Y)
    assert pca.n_components_ == 3
    assert pca.explained_variance_ratio_.sum() >= 0.98
    assert WeightedPCA(2).fit(Y).explained_variance_ratio_.sum() < 0.98


def test_rows_of_which_nothing_is_known_do_not_count():
    _, Y = holed(noise=0.3)
    padded = np.vstack([Y, np.full((3, 8), np.nan)])
    plain, found = WeightedPCA(2).fit(Y), WeightedPCA(2).fit(padded)
    for name in STATE:
        assert np.allclose(getattr(found, name), getattr(plain, name), rtol=1e-4), name
    assert not found.transform(padded)[-3:].any()


def test_rounds_cut_short_warn():
    _, Y = holed(noise=0.3)
    with pytest.warns(ConvergenceWarning, match="WeightedPCA did not converge in 1 iterations"):
        WeightedPCA(2, max_iter=1).fit(Y)


@pytest.mark.parametrize(
    ("options", "weights", "complaint"),
    [
        ({"n_components": None}, np.ones((40, 8)), "n_components must be a number where entries"),
        ({}, np.ones((40, 1)), r"weights must have the shape \(40, 8\) of X, got \(40, 1\)"),
        ({}, np.ones(40), "Expected 2D array"),
        ({}, -np.ones((40, 8)), r"Negative values in weights: weights\[0, 0\] is -1"),
        ({}, np.full((40, 8), np.inf), "weights contains infinity"),
        ({}, np.arange(8) * np.ones((40, 8)), "nothing is known of feature 0"),
        ({"max_iter": 0}, np.tile([[1.0, 2.0]], (40, 4)), "max_iter"),
    ],
)
def test_weights_of_entries_that_do_not_fit_are_refused(options, weights, complaint):
    X, _ = holed()
    with pytest.raises(ValueError, match=complaint):
        WeightedPCA(**{"n_components": 2, **options}).fit(X, weights=weights)


def test_all_components_of_incomplete_data_are_refused():
    X, Y = holed()
    with pytest.raises(ValueError, match="contains NaN"):
        WeightedPCA().fit(Y)
    with pytest.raises(ValueError, match="contains NaN"):
        WeightedPCA().fit(X).transform(Y)
