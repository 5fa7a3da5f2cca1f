"""The estimators among others: pipelines, searches, routed weights, frames."""

import importlib
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tdecomp.sklearn import LowRankImputer, MatrixCompletion, TuckerTransformer, WeightedPCA


def incomplete_wine(share=0.2):
    X, y = load_wine(return_X_y=True)
    return np.where(np.random.default_rng(0).random(X.shape) < share, np.nan, X), y


def test_an_imputer_feeds_a_classifier():
    X, y = incomplete_wine()
    steps = LowRankImputer(random_state=0), StandardScaler(), LogisticRegression()
    assert cross_val_score(make_pipeline(*steps), X, y, cv=3).mean() > 0.9


def test_a_search_goes_through_a_pipeline():
    X, y = incomplete_wine()
    pipeline = make_pipeline(
        LowRankImputer(random_state=0), StandardScaler(), WeightedPCA(), LogisticRegression()
    )
    grid = {"lowrankimputer__regularization": [0.05, 0.5], "weightedpca__n_components": [1, 5]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    assert search.best_params_["weightedpca__n_components"] == 5
    assert not np.isnan(search.cv_results_["mean_test_score"]).any()


def test_a_search_finds_the_rank_of_a_matrix():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 3)) @ rng.standard_normal((3, 40))
    pairs = np.argwhere(rng.random(x.shape) < 0.8)
    deal = KFold(3, shuffle=True, random_state=0)
    options = {"biases": False, "regularization": 1e-3, "random_state": 0, "max_iter": 500}
    search = GridSearchCV(MatrixCompletion(**options), {"n_components": [1, 3]}, cv=deal)
    search.fit(pairs, x[tuple(pairs.T)])
    assert search.best_params_ == {"n_components": 3}
    assert search.best_score_ > 0.99


def test_images_are_compressed_before_they_are_classified():
    X, y = load_digits(return_X_y=True)
    shaped = TuckerTransformer((4, 5), sample_shape=(8, 8))
    pipeline = make_pipeline(shaped, StandardScaler(), LogisticRegression(max_iter=500))
    assert pipeline.fit(X[:800], y[:800]).score(X[800:1200], y[800:1200]) > 0.88


@pytest.mark.parametrize(
    "estimator", [WeightedPCA(2), TuckerTransformer(2), LowRankImputer(2, random_state=0)]
)
def test_weights_are_routed(estimator):
    X, y = load_wine(return_X_y=True)
    X, weights = X[:60], np.arange(60.0)
    with config_context(enable_metadata_routing=True):
        asking = clone(estimator).set_fit_request(sample_weight=True)
        pipeline = make_pipeline(asking, Ridge().set_fit_request(sample_weight=True))
        pipeline.fit(X, y[:60], sample_weight=weights)
    alone = clone(estimator).fit(X, sample_weight=weights)
    assert np.array_equal(pipeline[0].transform(X), alone.transform(X))


def test_weights_of_entries_are_routed_through_pipelines_and_folds():
    X, y = load_wine(return_X_y=True)
    X, y = StandardScaler().fit_transform(X), y.astype(float)
    weights = np.random.default_rng(0).uniform(0, 1, X.shape)
    with config_context(enable_metadata_routing=True):
        asking = WeightedPCA(2).set_fit_request(weights=True).set_transform_request(weights=True)
        pipeline = make_pipeline(asking, Ridge())
        found = pipeline.fit(X, y, weights=weights).predict(X, weights=weights)
        folds = cross_validate(pipeline, X, y, cv=KFold(2), params={"weights": weights})
    scores = WeightedPCA(2).fit_transform(X, weights=weights)
    assert np.array_equal(found, Ridge().fit(scores, y).predict(scores))
    assert not np.isnan(folds["test_score"]).any()


def test_a_search_by_likelihood_finds_how_many_components_there_are():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((80, 3)) @ rng.standard_normal((3, 8))
    X += 0.1 * rng.standard_normal(X.shape)
    incomplete = np.where(rng.random(X.shape) < 0.1, np.nan, X)
    for data in (X, incomplete):
        search = GridSearchCV(WeightedPCA(), {"n_components": [1, 2, 3, 4]}, cv=4).fit(data)
        assert search.best_params_ == {"n_components": 3}


def test_frames_come_in_and_go_out():
    pandas = pytest.importorskip("pandas")
    X, _ = incomplete_wine()
    frame = pandas.DataFrame(X, columns=load_wine().feature_names)
    imputer = LowRankImputer(random_state=0, add_indicator=True).set_output(transform="pandas")
    full = imputer.fit_transform(frame)
    assert list(full.columns[:13]) == list(frame.columns)
    assert full.columns[13] == "missingindicator_alcohol"
    for transformer in (WeightedPCA(2), TuckerTransformer(2)):
        scores = transformer.set_output(transform="pandas").fit_transform(full)
        assert list(scores.columns) == list(transformer.get_feature_names_out())
        assert scores.index.equals(frame.index)


def test_frames_of_labels_are_read():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"user": ["a", "a", "b", "b"], "film": [1, 2, 1, 3]})
    model = MatrixCompletion(1, random_state=0).fit(frame, [1.0, 2.0, 3.0, 4.0])
    assert model.predict(frame).shape == (4,)
    assert list(model.feature_names_in_) == ["user", "film"]


def test_columns_can_be_chosen():
    X, _ = incomplete_wine()
    chosen = make_column_transformer(
        (LowRankImputer(2, random_state=0), slice(0, 5)), remainder="drop"
    )
    full = chosen.fit_transform(X)
    assert full.shape == (178, 5)
    assert not np.isnan(full).any()


HOLDINGS = {
    "list": lambda x: x.tolist(),
    "integers": lambda x: x.astype(np.int32),
    "half": lambda x: x.astype(np.float16),
    "Fortran": np.asfortranarray,
    "every second": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "other end first": lambda x: x.astype(x.dtype.newbyteorder()),
}


@pytest.mark.parametrize("holding", HOLDINGS)
@pytest.mark.parametrize(
    "estimator",
    [
        LowRankImputer(2, missing_values=0, random_state=0),
        WeightedPCA(2),
        TuckerTransformer(2, sample_shape=(3, 2)),
        MatrixCompletion(2, random_state=0),
    ],
)
def test_it_does_not_matter_how_numbers_are_held(estimator, holding):
    x = np.random.default_rng(0).integers(8, size=(12, 6)).astype(float)
    held, y = HOLDINGS[holding](x), x[:, 0] + 1
    plain, other = clone(estimator).fit(x, y), clone(estimator).fit(held, y)
    if hasattr(estimator, "predict"):
        found, expected = other.predict(held), plain.predict(x)
    else:
        found, expected = other.transform(held), plain.transform(x)
    assert found.dtype == np.float64
    assert np.allclose(found, expected, rtol=0, atol=1e-12)


def test_without_scikit_learn_it_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("tdecomp.sklearn")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r"pip install 'tdecomp-array\[sklearn\]'"):
        importlib.import_module("tdecomp.sklearn")
