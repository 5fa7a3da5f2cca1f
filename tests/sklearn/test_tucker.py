"""Multilinear components: PCA for one mode, the least error of given ranks for more."""

import math

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.decomposition import PCA

import tdecomp as td
from tdecomp.sklearn import TuckerTransformer

EPS = float(np.finfo(float).eps)


def tensors(m=20, shape=(6, 5, 4), rank=(2, 3, 2), noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    core = rng.standard_normal((m, *rank))
    factors = [rng.standard_normal((n, r)) for n, r in zip(shape, rank, strict=True)]
    x = td.ops.mode_products(core, factors, modes=range(1, 1 + len(shape)))
    return 2.0 + x + noise * rng.standard_normal(x.shape)


@pytest.mark.parametrize("n_components", [1, 3, None, 0.8])
def test_of_one_mode_it_is_pca(n_components):
    X = tensors(noise=0.1).reshape(20, -1)[:, :7]
    ours, theirs = TuckerTransformer(n_components).fit(X), PCA(n_components).fit(X)
    assert np.allclose(ours.factors_[0].T, theirs.components_, rtol=0, atol=1e-10)
    assert np.allclose(ours.transform(X), theirs.transform(X), rtol=0, atol=1e-10)
    assert np.allclose(ours.explained_variance_, theirs.explained_variance_, rtol=1e-10)
    ratios = ours.explained_variance_ratio_, theirs.explained_variance_ratio_
    assert np.allclose(*ratios, rtol=1e-10)


def test_tensors_of_the_rank_come_back_and_new_ones_too():
    x = tensors(30)
    tucker = TuckerTransformer((2, 3, 2)).fit(x[:20])
    back = tucker.inverse_transform(tucker.transform(x[20:])).reshape(-1, 6, 5, 4)
    assert np.linalg.norm(back - x[20:]) <= 1e4 * EPS * np.linalg.norm(x)
    assert math.isclose(tucker.explained_variance_ratio_.sum(), 1.0, rel_tol=1e-12)


def test_what_is_kept_is_what_the_iteration_keeps():
    x = tensors(noise=0.5)
    tucker = TuckerTransformer(2).fit(x)
    fit = td.hooi(x - x.mean(axis=0), rank=2, modes=(1, 2, 3))
    assert math.isclose(1 - fit.error**2, tucker.explained_variance_ratio_.sum(), rel_tol=1e-10)
    assert tucker.n_iter_ == fit.n_iter
    for factor in tucker.factors_:
        assert np.abs(factor.T @ factor - np.eye(2)).max() <= 100 * EPS
        assert (factor[np.abs(factor).argmax(0), range(2)] > 0).all()


def test_rows_and_tensors_are_the_same():
    x = tensors(noise=0.1)
    rows = x.reshape(20, -1)
    given = TuckerTransformer(2).fit(x)
    flat = TuckerTransformer(2, sample_shape=(6, 5, 4)).fit(rows)
    assert np.array_equal(given.transform(rows), flat.transform(x))
    assert given.n_features_in_ == flat.n_features_in_ == 120
    assert given.sample_shape_ == flat.sample_shape_ == (6, 5, 4)


def test_a_share_is_kept():
    x = tensors(noise=0.5)
    for share in (0.5, 0.9, 0.99):
        tucker = TuckerTransformer(share).fit(x)
        assert tucker.explained_variance_ratio_.sum() >= share
    assert tucker.n_components_ > TuckerTransformer(0.5).fit(x).n_components_


def test_weights_repeat_samples():
    x = tensors(8, noise=0.3)
    counts = np.arange(8) % 3
    weighted = TuckerTransformer(2, tol=1e-12).fit(x, sample_weight=counts)
    repeated = TuckerTransformer(2, tol=1e-12).fit(np.repeat(x, counts, axis=0))
    assert np.allclose(weighted.mean_, repeated.mean_, rtol=0, atol=1e-13)
    scores = weighted.transform(x), repeated.transform(x)
    assert np.allclose(*scores, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [1e-300, 1e300])
def test_the_scale_of_weights_changes_nothing(size):
    x, weights = tensors(noise=0.5), np.linspace(0.5, 2, 20)
    plain = TuckerTransformer(2).fit(x, sample_weight=weights)
    scaled = TuckerTransformer(2).fit(x, sample_weight=size * weights)
    assert np.allclose(scaled.transform(x), plain.transform(x), rtol=0, atol=1e-10)
    assert np.allclose(scaled.explained_variance_, plain.explained_variance_, rtol=1e-10)


def test_without_a_center_the_mean_counts():
    x = tensors()
    tucker = TuckerTransformer(1, center=False).fit(x)
    assert not tucker.mean_.any()
    assert tucker.explained_variance_ratio_.sum() < 1
    assert not tucker.transform(np.zeros((1, 120))).any()


def test_constant_samples_have_no_variance():
    tucker = TuckerTransformer(2).fit(np.full((4, 3, 5), 7.0))
    scores = tucker.transform(np.full((1, 3, 5), 7.0))
    assert not scores.any()
    assert not tucker.explained_variance_ratio_.any()
    assert np.array_equal(tucker.inverse_transform(scores), np.full((1, 15), 7.0))


@pytest.mark.parametrize("exponent", [-1000, 1000])
def test_scale_changes_nothing(exponent):
    x = tensors(noise=0.5)
    plain, scaled = (TuckerTransformer(2).fit(scale * x) for scale in (1.0, 2.0**exponent))
    ratios = scaled.explained_variance_ratio_, plain.explained_variance_ratio_
    assert np.allclose(*ratios, rtol=1e-10)


def test_names_count_the_entries_of_the_core():
    names = TuckerTransformer((1, 2, 1)).fit(tensors()).get_feature_names_out()
    assert list(names) == ["tuckertransformer0", "tuckertransformer1"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"n_components": (2, 2)}, "one rank for each of 3 modes"),
        ({"n_components": (2, 9, 2)}, "n_components == 9, must be <= 5"),
        ({"n_components": 0}, "n_components == 0, must be >= 1"),
        ({"n_components": 1.0}, "n_components == 1.0, must be < 1"),
        ({"sample_shape": (6, 20)}, r"sample_shape is \(6, 20\), but samples have shape"),
        ({"max_iter": 0}, "max_iter"),
    ],
)
def test_what_does_not_fit_is_named(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        TuckerTransformer(**options).fit(tensors())


def test_tensors_of_another_shape_are_refused():
    tucker = TuckerTransformer(2).fit(tensors())
    with pytest.raises(ValueError, match=r"samples must have shape \(6, 5, 4\), got \(4, 5, 6\)"):
        tucker.transform(np.ones((2, 4, 5, 6)))
    with pytest.raises(ValueError, match="X has 119 features"):
        tucker.transform(np.ones((2, 119)))


def test_lists_are_read_like_arrays():
    X = np.random.default_rng(0).standard_normal((9, 3, 4))
    tucker = TuckerTransformer(np.array([2, 3])).fit(X.tolist())
    assert tucker.sample_shape_ == (3, 4)
    assert np.array_equal(tucker.transform(X.tolist()), TuckerTransformer((2, 3)).fit_transform(X))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"n_components": True}, "n_components must be an instance of int, not bool"),
        ({"n_components": (2, True)}, "n_components must be an instance of int, not bool"),
        ({"n_components": 2, "sample_shape": 12}, "sample_shape must be a tuple of int, got 12"),
    ],
)
def test_what_is_no_rank_or_shape_is_named(options, complaint):
    with pytest.raises(TypeError, match=complaint):
        TuckerTransformer(**options).fit(np.ones((9, 3, 4)))


def test_scores_of_another_number_of_components_are_refused():
    tucker = TuckerTransformer((2, 3)).fit(np.random.default_rng(0).standard_normal((9, 3, 4)))
    with pytest.raises(ValueError, match="one column for each of 6 components, got 4"):
        tucker.inverse_transform(np.ones((3, 4)))
