"""Components as a model: the covariance, its inverse and the densities are of one distribution."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

from scipy.stats import multivariate_normal
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.model_selection import KFold, cross_validate

from tdecomp.sklearn import WeightedPCA

EPS = float(np.finfo(float).eps)


def case(m=30, n=6, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((m, n)) * np.geomspace(3, 0.1, n) @ rng.standard_normal((n, n)) + 5.0
    return X, rng.uniform(0.1, 2.0, m), rng.uniform(0.1, 2.0, n)


def public(estimator):
    """What is learnt, and what methods without data tell."""
    learnt = {k: v for k, v in vars(estimator).items() if k.endswith("_") and k[0] != "_"}
    for name in ("get_covariance", "get_precision"):
        learnt[name] = getattr(estimator, name)()
    return learnt


@pytest.mark.parametrize("n_components", [None, 1, 4, 6, 0.9, "mle"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_all_that_pca_tells_is_told_alike_without_weights(n_components, dtype):
    X = case()[0].astype(dtype)
    ours, theirs = WeightedPCA(n_components).fit(X), PCA(n_components).fit(X)
    found, expected = public(ours), public(theirs)
    assert expected.keys() - found.keys() == set()
    bound = 2e5 * float(np.finfo(dtype).eps)  # a square of the condition of the data
    for name, value in expected.items():
        assert np.shape(found[name]) == np.shape(value), name
        size = np.abs(value).max()
        assert np.abs(found[name] - value).max() <= bound * size, name
    assert ours.get_covariance().dtype == ours.get_precision().dtype == dtype


def test_weights_that_are_whole_numbers_repeat_samples():
    X, *_ = case(24)
    counts = np.arange(24) % 4
    ours = public(WeightedPCA(3).fit(X, sample_weight=counts))
    theirs = public(PCA(3).fit(np.repeat(X, counts, axis=0)))
    # The one difference: the denominator of variances is that of np.cov with aweights.
    total = counts.sum()
    factor = (total - 1) / (total - counts @ counts / total)
    scales = {
        "explained_variance_": factor, "noise_variance_": factor, "get_covariance": factor,
        "get_precision": 1 / factor,
    }  # fmt: skip
    for name in theirs.keys() - {"n_samples_"}:
        expected = scales.get(name, 1) * theirs[name]
        assert np.allclose(ours[name], expected, rtol=1e-9, atol=1e-12), name


@pytest.mark.parametrize("exponent", [0, -200, 200])
@pytest.mark.parametrize("k", [2, 6])
def test_precision_is_the_inverse_of_the_covariance(exponent, k):
    X, samples, features = case()
    pca = WeightedPCA(k, feature_weight=features)
    pca.fit(np.ldexp(X, exponent), sample_weight=samples)
    covariance, precision = pca.get_covariance(), pca.get_precision()
    spread = np.linalg.norm(covariance) * np.linalg.norm(precision)
    assert np.abs(covariance @ precision - np.eye(6)).max() <= 20 * EPS * spread
    assert np.array_equal(covariance, covariance.T)
    assert np.array_equal(precision, precision.T)


def test_all_components_have_the_weighted_covariance_of_the_data():
    X, samples, features = case()
    pca = WeightedPCA(feature_weight=features).fit(X, sample_weight=samples)
    expected = np.cov(X.T, aweights=samples)
    assert np.allclose(pca.get_covariance(), expected, rtol=1e-12, atol=1e-12)


def test_densities_are_of_that_covariance_whether_scores_are_whitened_or_not():
    X, samples, features = case()
    X[3, 2] = np.nan
    for whiten in (False, True):
        pca = WeightedPCA(2, feature_weight=features, whiten=whiten)
        pca.fit(X, sample_weight=samples)
        whole = ~np.isnan(X).any(axis=1)
        expected = multivariate_normal(pca.mean_, pca.get_covariance()).logpdf(X[whole])
        assert np.allclose(pca.score_samples(X)[whole], expected, rtol=1e-9)


def test_features_of_weight_zero_have_noise_without_bound():
    X, samples, features = case()
    features[2] = 0
    pca = WeightedPCA(2, feature_weight=features).fit(X, sample_weight=samples)
    nearly = np.where(features > 0, features, 1e-12)
    limit = WeightedPCA(2, feature_weight=nearly).fit(X, sample_weight=samples)
    # The one difference: there are as many directions as features that are looked at.
    limit._variances = limit._variances._replace(noise=pca._variances.noise)
    assert np.allclose(pca.get_precision(), limit.get_precision(), rtol=1e-6, atol=1e-9)
    found = pca.get_covariance()
    assert found[2, 2] == np.inf
    expected = limit.get_covariance()
    expected[2, 2] = np.inf
    assert np.allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_a_singular_covariance_has_no_inverse():
    pca = WeightedPCA(4).fit(case(4)[0])
    assert np.linalg.matrix_rank(pca.get_covariance()) == 3
    with pytest.raises(ValueError, match="4 components leave no noise"):
        pca.get_precision()


@pytest.mark.parametrize("load", [load_iris, load_wine])
def test_the_likeliest_number_of_components_is_that_of_pca(load):
    X = load().data
    assert WeightedPCA("mle").fit(X).n_components_ == PCA("mle").fit(X).n_components_
    rng = np.random.default_rng(0)
    for k in (1, 3, 5):
        x = rng.standard_normal((200, k)) @ rng.standard_normal((k, 8))
        x += 0.1 * rng.standard_normal(x.shape)
        assert WeightedPCA("mle").fit(x).n_components_ == k == PCA("mle").fit(x).n_components_


@pytest.mark.parametrize("exponent", [-900, 0, 900])
def test_what_weighs_nothing_does_not_count_for_the_number_of_components(exponent):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3)) @ rng.standard_normal((3, 8))
    X += 0.1 * rng.standard_normal(X.shape)
    plain = WeightedPCA("mle").fit(X)
    wide = np.hstack([X, 100 * rng.standard_normal((60, 2))])
    wide = np.vstack([wide, 100 * rng.standard_normal((5, 10))])
    pca = WeightedPCA("mle", feature_weight=np.repeat([2.0, 0.0], [8, 2]))
    pca.fit(np.ldexp(wide, exponent), sample_weight=np.repeat([3.0, 0.0], [60, 5]))
    assert pca.n_components_ == plain.n_components_ == 3
    given = WeightedPCA(3).fit(X)
    for name in ("noise_variance_", "explained_variance_ratio_", "components_"):
        found, expected = getattr(plain, name), getattr(given, name)
        assert np.allclose(found, expected, rtol=1e-10, atol=1e-13), name


def test_without_noise_the_likeliest_number_is_the_rank():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 2)) @ rng.standard_normal((2, 6))
    assert WeightedPCA("mle").fit(X).n_components_ == 2
    assert WeightedPCA("mle").fit(np.ones((9, 3))).n_components_ == 1


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"sample_weight": np.arange(30.0)}, "samples of equal weight"),
        ({"weights": np.ones((30, 6))}, "n_components must be a number where entries"),
        ({"rows": 5}, "as many samples as features, got 5 and 6"),
    ],
)
def test_where_no_number_is_likeliest_it_says_so(options, complaint):
    X, *_ = case()
    X = X[: options.pop("rows", 30)]
    with pytest.raises(ValueError, match=complaint):
        WeightedPCA("mle").fit(X, **options)


def test_incomplete_data_have_no_likeliest_number():
    X, *_ = case()
    X[0, 0] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        WeightedPCA("mle").fit(X)


def test_copies_and_what_was_stored_tell_the_same():
    X, _, features = case()
    pca = WeightedPCA("mle", feature_weight=features).fit(X)
    stored, copied = pickle.loads(pickle.dumps(pca)), clone(pca).fit(X)
    for other in (stored, copied):
        assert np.array_equal(other.get_precision(), pca.get_precision())
        assert np.array_equal(other.score_samples(X), pca.score_samples(X))


def test_weights_are_routed_to_the_likelihood():
    X, samples, _ = case()
    with config_context(enable_metadata_routing=True):
        asking = WeightedPCA(2).set_fit_request(sample_weight=True)
        asking.set_score_request(sample_weight=True)
        folds = cross_validate(asking, X, cv=KFold(2), params={"sample_weight": samples})
    for (train, test), found in zip(KFold(2).split(X), folds["test_score"], strict=True):
        pca = WeightedPCA(2).fit(X[train], sample_weight=samples[train])
        assert found == pca.score(X[test], sample_weight=samples[test])
