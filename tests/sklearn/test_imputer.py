"""Imputation: exact where the data have the rank, better than means where they nearly have."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.preprocessing import StandardScaler

from tdecomp._iterate import Fit, Status
from tdecomp.sklearn import LowRankImputer
from tdecomp.sklearn._conventions import warn_unfinished

EXACT = {"scale": False, "regularization": 0.0, "tol": 1e-12, "max_iter": 2000, "random_state": 0}


def holes(X, share, seed=0):
    hole = np.random.default_rng(seed).random(X.shape) < share
    return hole, np.where(hole, np.nan, X)


def centred(m=60, n=12, rank=2, seed=0):
    """A matrix whose known entries have the mean zero in every column."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((m, rank)) @ rng.standard_normal((rank, n))
    hole, Y = holes(np.vstack([X, -X]), 0.0, seed)
    hole[:m] = hole[m:] = rng.random((m, n)) < 0.25
    Y[hole] = np.nan
    return hole, np.vstack([X, -X]), Y


def test_data_of_low_rank_come_back():
    hole, X, Y = centred()
    full = LowRankImputer(2, **EXACT).fit_transform(Y)
    assert np.abs(full - X)[hole].max() <= 1e-6
    assert np.array_equal(full[~hole], X[~hole])


def test_new_samples_are_completed_without_those_that_were_fitted():
    _, X, Y = centred()
    imputer = LowRankImputer(2, **EXACT).fit(Y)
    hole, new = holes(X[:20], 0.3, 1)
    assert np.abs(imputer.transform(new) - X[:20]).max() <= 1e-6
    assert np.allclose(imputer.transform(new[:1]), imputer.transform(new)[:1], rtol=1e-12)
    assert hole.any()


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
def test_real_data_are_guessed_better_than_by_means_and_by_neighbours(load):
    X = StandardScaler().fit_transform(load().data)
    hole, Y = holes(X, 0.2)
    ours, means, neighbours = (
        np.linalg.norm((imputer.fit_transform(Y) - X)[hole])
        for imputer in (LowRankImputer(random_state=0), SimpleImputer(), KNNImputer())
    )
    assert ours < 0.8 * means
    assert ours < 1.02 * neighbours


def test_units_of_features_do_not_matter():
    X = load_wine().data
    _, Y = holes(X, 0.2)
    units = np.geomspace(1e-6, 1e6, X.shape[1])
    plain = LowRankImputer(random_state=0).fit_transform(Y)
    scaled = LowRankImputer(random_state=0).fit_transform(Y * units)
    assert np.allclose(scaled / units, plain, rtol=1e-6)


def test_samples_of_which_nothing_is_known_get_the_means():
    _, _, Y = centred()
    imputer = LowRankImputer(2, random_state=0).fit(Y)
    assert np.allclose(imputer.transform(np.full((2, 12), np.nan)), imputer.statistics_)


@pytest.mark.parametrize("mark", [-999.0, 0])
def test_a_number_may_stand_for_what_is_missing(mark):
    _, _, Y = centred()
    expected = LowRankImputer(2, random_state=0).fit_transform(Y)
    marked = np.where(np.isnan(Y), mark, Y)
    imputer = LowRankImputer(2, missing_values=mark, random_state=0)
    assert np.array_equal(imputer.fit_transform(marked), expected)
    with pytest.raises(ValueError, match="contains NaN"):
        imputer.transform(Y)


def test_what_frames_of_pandas_have_for_missing_may_be_the_mark():
    pandas = pytest.importorskip("pandas")
    _, _, Y = centred()
    frame = pandas.DataFrame(np.round(Y)).astype("Int64")
    expected = LowRankImputer(2, random_state=0).fit_transform(np.round(Y))
    marked = LowRankImputer(2, missing_values=pandas.NA, random_state=0)
    assert np.array_equal(clone(marked).fit_transform(frame), expected)


def test_what_is_put_in_stays_within_limits_and_what_is_known_does_not():
    hole, X, Y = centred()
    free = LowRankImputer(2, random_state=0).fit_transform(Y)
    largest = np.linspace(0.1, 2, 12)
    bound = LowRankImputer(2, min_value=-1, max_value=largest, random_state=0).fit(Y)
    full = bound.transform(Y.astype(np.float32))
    assert full.dtype == np.float32
    assert np.allclose(full, np.where(hole, np.clip(free, -1, largest), X), rtol=0, atol=1e-5)
    assert (X[~hole] < -1).any()
    Y[:, 3] = np.nan
    free = LowRankImputer(2, random_state=0).fit_transform(Y)
    bound = np.where(np.delete(hole, 3, axis=1), np.clip(free, -1, np.delete(largest, 3)), free)
    limited = LowRankImputer(2, min_value=-1, max_value=largest, random_state=0)
    assert np.array_equal(limited.fit_transform(Y), bound)


@pytest.mark.parametrize("keep", [False, True])
def test_empty_features_are_left_out_or_zero(keep):
    _, _, Y = centred()
    Y[:, 3] = np.nan
    imputer = LowRankImputer(2, keep_empty_features=keep, random_state=0).fit(Y)
    full, names = imputer.transform(Y), list(imputer.get_feature_names_out())
    assert full.shape[1] == len(names) == 11 + keep
    assert ("x3" in names) is keep
    assert np.isnan(imputer.statistics_[3])
    assert not keep or not full[:, 3].any()


def test_an_indicator_tells_what_was_missing():
    _, X, _ = centred()
    hole, Y = holes(X, 0.2)
    Y[:, 5], hole[:, 5] = X[:, 5], False
    imputer = LowRankImputer(2, add_indicator=True, random_state=0).fit(Y)
    full, names = imputer.transform(Y), imputer.get_feature_names_out(list("abcdefghijkl"))
    assert np.array_equal(full[:, 12:].astype(bool), np.delete(hole, 5, axis=1))
    assert list(names[:13]) == [*"abcdefghijkl", "missingindicator_a"]
    assert len(names) == full.shape[1] == 23


def test_weights_repeat_samples():
    _, X, _ = centred(10)
    _, Y = holes(X, 0.2)
    counts = np.arange(20) % 3
    options = {"random_state": 0, "tol": 1e-10, "max_iter": 5000}
    weighted = LowRankImputer(2, **options).fit(Y, sample_weight=counts)
    repeated = LowRankImputer(2, **options).fit(np.repeat(Y, counts, axis=0))
    assert np.allclose(weighted.statistics_, repeated.statistics_, rtol=0, atol=1e-12)
    new = holes(X, 0.4, 2)[1]
    assert np.allclose(weighted.transform(new), repeated.transform(new), rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [1e-300, 1e300])
def test_the_scale_of_weights_changes_nothing(size):
    _, _, Y = centred()
    weights = np.linspace(0.5, 2, 120)
    plain, scaled = (
        LowRankImputer(2, random_state=0).fit(Y, sample_weight=w)
        for w in (weights, size * weights)
    )
    assert np.allclose(scaled.transform(Y), plain.transform(Y), rtol=0, atol=1e-6)


def test_inputs_are_left_alone_and_the_dtype_is_kept():
    _, _, Y = centred()
    for dtype in (np.float32, np.float64):
        given = Y.astype(dtype)
        before = given.copy()
        given.flags.writeable = False
        full = LowRankImputer(2, random_state=0).fit_transform(given)
        assert full.dtype == dtype
        assert np.array_equal(given, before, equal_nan=True)
        assert np.isfinite(full).all()


def test_an_iteration_cut_short_warns():
    _, _, Y = centred()
    with pytest.warns(ConvergenceWarning, match="LowRankImputer did not converge in 1 iterations"):
        LowRankImputer(2, max_iter=1, tol=1e-12, random_state=0).fit(Y)


def test_an_iteration_that_does_not_get_there_warns():
    fit = Fit(None, 0.1, 3, Status.STAGNATED)
    with pytest.warns(ConvergenceWarning, match="LowRankImputer stopped after 3 iterations: the"):
        warn_unfinished(fit, LowRankImputer())


@pytest.mark.parametrize(
    ("options", "X", "complaint"),
    [
        ({}, np.full((3, 2), np.nan), "X has no known entry"),
        ({"n_components": 0}, np.eye(3), "n_components == 0"),
        ({"n_components": True}, np.eye(3), "n_components must be an instance of int, not bool"),
        ({"n_components": 1.5}, np.eye(3), "n_components must be an instance of"),
        ({"missing_values": "?"}, np.eye(3), "missing_values must be an instance of"),
        ({"method": "magic"}, np.eye(3), "method must be"),
        ({"min_value": 1.0, "max_value": [2, 0, 2]}, np.eye(3), "1.0 and 0.0 for feature 1"),
        ({"max_value": np.nan}, np.eye(3), "min_value must not exceed max_value"),
        ({"max_value": [1, 2]}, np.eye(3), "max_value must be a number or one for each of the 3"),
        ({"regularization": -1}, np.eye(3), "regularization"),
        ({}, [[1.0, np.inf], [2.0, 3.0]], "infinity"),
    ],
)
def test_what_is_wrong_is_named(options, X, complaint):
    with pytest.raises((TypeError, ValueError), match=complaint):
        LowRankImputer(**options).fit(X)


@pytest.mark.parametrize("exponent", [-900, 900])
def test_features_of_any_scale_are_imputed_alike(exponent):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((30, 2)) @ rng.standard_normal((2, 5))
    x[rng.random(x.shape) < 0.2] = np.nan
    usual = LowRankImputer(2, random_state=0).fit_transform(x)
    found = LowRankImputer(2, random_state=0).fit_transform(np.ldexp(x, exponent))
    np.testing.assert_allclose(np.ldexp(found, -exponent), usual, rtol=1e-12)


@pytest.mark.parametrize("mark", ["nan", "NA"])
def test_objects_of_pandas_may_be_missing_in_any_way(mark):
    pandas = pytest.importorskip("pandas")
    _, _, Y = centred()
    expected = LowRankImputer(2, random_state=0).fit_transform(Y)
    frame = pandas.DataFrame(Y).astype(object)
    imputer = LowRankImputer(
        2, missing_values=np.nan if mark == "nan" else pandas.NA, random_state=0
    )
    for nothing in (None, np.nan, pandas.NA):
        held = frame.where(frame.notna(), nothing)
        assert np.array_equal(imputer.fit(held).transform(held), expected)


def test_limits_that_are_none_are_none():
    _, _, Y = centred()
    free = LowRankImputer(2, random_state=0).fit_transform(Y)
    imputer = LowRankImputer(2, min_value=None, max_value=None, random_state=0)
    assert np.array_equal(imputer.fit_transform(Y), free)


@pytest.mark.parametrize("indicator", [False, True])
def test_where_nothing_is_known_zeros_are_kept_if_they_are_asked_for(indicator):
    X = np.full((3, 2), np.nan)
    options = {"keep_empty_features": True, "add_indicator": indicator}
    ours, theirs = LowRankImputer(**options).fit(X), SimpleImputer(**options).fit(X)
    assert np.array_equal(ours.transform(X), theirs.transform(X))
    assert np.isnan(ours.statistics_).all()
    assert ours.n_iter_ == 0
    known = np.array([[1.0, np.nan]])
    assert np.array_equal(ours.transform(known)[:, :2], [[1.0, 0.0]])
    assert list(ours.get_feature_names_out()) == list(theirs.get_feature_names_out())


@pytest.mark.parametrize("indicator", [False, True])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("mark", [np.nan, -1])
def test_it_stands_in_for_other_imputers(indicator, keep, mark):
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    whole = rng.integers(5, size=(12, 4)).astype(float)
    hole = rng.random(whole.shape) < 0.3
    hole[:, 2], hole[:, 3] = True, False
    seen = pandas.DataFrame(np.where(hole, mark, whole), columns=list("abcd"))
    asked = pandas.DataFrame(np.where(rng.random((5, 4)) < 0.5, mark, 3.0), columns=list("abcd"))
    asked.loc[0] = mark
    options = {"add_indicator": indicator, "keep_empty_features": keep, "missing_values": mark}
    ours = LowRankImputer(random_state=0, **options).set_output(transform="pandas").fit(seen)
    theirs = KNNImputer(**options).fit(seen)
    found, expected = ours.transform(asked), theirs.transform(asked)
    assert found.shape == expected.shape
    features = 3 + keep
    assert np.array_equal(found.iloc[:, features:], expected[:, features:])
    known = (asked != mark) & asked.notna() & [True, True, False, True]
    kept = found.reindex(columns=list("abcd"))
    assert np.array_equal(kept.where(known), asked.where(known), equal_nan=True)
    assert found.notna().all(axis=None)
    alone = pandas.concat([ours.transform(asked.loc[[i]]) for i in asked.index])
    assert np.allclose(alone, found, rtol=1e-12)
    for other in (asked[list("bacd")], asked.assign(e=1.0)):
        with pytest.raises(ValueError, match="feature names should match"):
            ours.transform(other)
