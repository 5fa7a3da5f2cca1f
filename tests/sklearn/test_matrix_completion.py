"""Regression on pairs: what `complete` says of a matrix, asked by labels."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.exceptions import ConvergenceWarning

import tdecomp as td
from tdecomp.sklearn import MatrixCompletion


def ratings(m=40, n=30, rank=2, share=0.5, seed=0):
    """Pairs and values of a share of a matrix of low rank, and of the rest."""
    rng = np.random.default_rng(seed)
    x = 3.0 + rng.standard_normal((m, rank)) @ rng.standard_normal((rank, n))
    x += rng.standard_normal((m, 1)) + rng.standard_normal(n)
    known = rng.random(x.shape) < share
    return x, np.argwhere(known), x[known], np.argwhere(~known), x[~known]


def model(**options):
    return MatrixCompletion(**{"n_components": 2, "random_state": 0, **options})


def test_entries_that_were_not_seen_are_predicted():
    _, seen, y, unseen, truth = ratings(share=0.8)
    exact = {"n_components": 4, "regularization": 1e-3, "tol": 1e-5, "max_iter": 500}
    fitted = model(biases=False, **exact).fit(seen, y)
    assert fitted.score(unseen, truth) > 0.999
    assert model().fit(seen, y).score(unseen, truth) > 0.9


def test_it_is_complete_by_labels():
    x, seen, y, _, _ = ratings()
    known = np.full(x.shape, np.nan)
    known[tuple(seen.T)] = y
    rng = np.random.RandomState(0).randint(np.iinfo(np.int32).max)
    fit = td.complete(
        known, rank=2, regularization=0.1, by_count=True, biases=True, tol=1e-4, rng=int(rng)
    )
    ours = model().fit(seen, y)
    assert np.allclose(ours.completion_.to_array(), fit.tensor.to_array(), rtol=0, atol=1e-10)
    expected = fit.tensor.to_array()[tuple(seen.T)]
    assert np.allclose(ours.predict(seen), expected, rtol=0, atol=1e-10)
    assert ours.n_iter_ == fit.n_iter


@pytest.mark.parametrize("kind", ["strings", "floats", "mixed", "gaps"])
def test_labels_may_be_of_any_kind(kind):
    _, seen, y, unseen, _ = ratings()
    renamed = {
        "strings": lambda p: np.char.add("n", np.char.zfill(p.astype(str), 3)),
        "floats": lambda p: p / 7 - 1,
        "mixed": lambda p: np.array([[f"user {i:03d}", j] for i, j in p.tolist()], dtype=object),
        "gaps": lambda p: p * 10**12 - 5,
    }[kind]
    expected = model().fit(seen, y).predict(unseen)
    assert np.allclose(model().fit(renamed(seen), y).predict(renamed(unseen)), expected)


def test_labels_that_were_not_seen_count_for_nothing():
    _, seen, y, _, _ = ratings()
    fitted = model().fit(seen, y)
    z = fitted.completion_
    known_row, known_column, neither = fitted.predict([[3, 999], [-7, 4], [-7, 999]])
    assert np.isclose(known_row, z.mean + z.row_bias[3])
    assert np.isclose(known_column, z.mean + z.column_bias[4])
    assert neither == z.mean


def test_further_columns_are_not_looked_at():
    _, seen, y, _, _ = ratings()
    times = np.random.default_rng(1).integers(10**9, size=(len(y), 1))
    wide = np.hstack([seen, times])
    assert np.array_equal(model().fit(wide, y).predict(wide), model().fit(seen, y).predict(seen))


def test_pairs_that_recur_count_as_their_mean():
    _, seen, y, _, _ = ratings()
    twice = model(tol=1e-9, max_iter=1000).fit(
        np.vstack([seen, seen]), np.concatenate([y + 1, y - 1])
    )
    weighted = model(tol=1e-9, max_iter=1000).fit(seen, y, sample_weight=np.full(len(y), 2.0))
    assert np.allclose(twice.predict(seen), weighted.predict(seen), rtol=0, atol=1e-6)


def test_weight_zero_is_not_seen():
    _, seen, y, _, _ = ratings()
    weights = np.ones(len(y))
    weights[seen[:, 0] == 7] = 0
    fitted = model().fit(seen, np.where(weights > 0, y, 1e9), sample_weight=weights)
    assert 7 not in fitted.row_labels_
    kept = weights > 0
    assert np.allclose(fitted.predict(seen), model().fit(seen[kept], y[kept]).predict(seen))


def test_values_are_clipped_to_what_there_can_be():
    _, seen, y, unseen, _ = ratings()
    found = model(clip=(2.0, 4.0)).fit(seen, y).predict(unseen)
    assert found.min() == 2.0
    assert found.max() == 4.0


def test_factors_may_be_kept_from_being_negative():
    _, seen, y, _, _ = ratings()
    z = model(nonnegative=True, biases=False).fit(seen, np.abs(y)).completion_
    assert min(z.left.min(), z.right.min()) >= 0


def test_the_precision_of_the_values_is_kept():
    _, seen, y, _, _ = ratings()
    assert model().fit(seen, y.astype(np.float32)).predict(seen).dtype == np.float32


def test_one_observation_is_enough():
    assert np.isclose(model().fit([["a", "b"]], [3.0]).predict([["a", "b"]])[0], 3.0, rtol=0.2)


def test_an_iteration_cut_short_warns():
    _, seen, y, _, _ = ratings()
    with pytest.warns(ConvergenceWarning, match="MatrixCompletion did not converge"):
        model(max_iter=1, tol=1e-12).fit(seen, y)


@pytest.mark.parametrize(
    ("X", "y", "complaint"),
    [
        ([[1], [2]], [1.0, 2.0], "minimum of 2 is required"),
        ([[1, 2], [2, 1]], [1.0, np.nan], "Input y contains NaN"),
        ([[1, 2], [2, 1]], ["good", "bad"], "could not convert string to float"),
        ([[1, np.nan], [2, 1]], [1.0, 2.0], "Input contains NaN"),
        ([["a", "b"], ["a", None]], [1.0, 2.0], "contains None in row 1, column 1: no label"),
        ([[1, 2], [2, 1]], [1.0], "inconsistent numbers of samples"),
        (np.zeros((0, 2)), np.zeros(0), "0 sample"),
    ],
)
def test_what_is_wrong_is_named(X, y, complaint):
    with pytest.raises(ValueError, match=complaint):
        model().fit(X, y)


def test_long_labels_in_a_frame_of_several_types_stay_apart():
    pandas = pytest.importorskip("pandas")
    _, seen, y, _, _ = ratings()
    frame = pandas.DataFrame({"user": seen[:, 0] + 2**60, "film": seen[:, 1].astype(float)})
    fitted = model().fit(frame, y)
    assert fitted.row_labels_.tolist() == (np.unique(seen[:, 0]) + 2**60).tolist()
    assert np.array_equal(fitted.predict(frame), model().fit(seen, y).predict(seen))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        plain = fitted.predict(seen + np.array([2**60, 0]))
    assert np.array_equal(plain, fitted.predict(frame))
    tall = frame.astype({"user": np.uint64, "film": np.int64})
    assert np.array_equal(model().fit(tall, y).predict(tall), fitted.predict(frame))


def test_labels_that_may_be_missing_stay_whole_and_are_refused_where_they_are():
    pandas = pytest.importorskip("pandas")
    _, seen, y, _, _ = ratings()
    frame = pandas.DataFrame(seen + 2**60, columns=["user", "film"]).astype("Int64")
    fitted = model().fit(frame, y)
    assert fitted.row_labels_.tolist() == (np.unique(seen[:, 0]) + 2**60).tolist()
    assert np.array_equal(fitted.predict(frame), model().fit(seen, y).predict(seen))
    frame.iloc[3, 1] = pandas.NA
    with pytest.raises(ValueError, match="NaN"):
        fitted.predict(frame)


def test_frames_of_polars_keep_labels_as_they_are():
    polars = pytest.importorskip("polars")
    _, seen, y, _, _ = ratings()
    users, films = seen.T.tolist()
    frame = polars.DataFrame({"user": [2**60 + i for i in users], "film": map(float, films)})
    fitted = model().fit(frame, y)
    assert fitted.row_labels_.tolist() == (np.unique(seen[:, 0]) + 2**60).tolist()
    assert np.array_equal(fitted.predict(frame), model().fit(seen, y).predict(seen))


def named(seen):
    return [[f"user {i:03d}", j] for i, j in seen.tolist()]


def test_lists_of_several_types_keep_labels_as_they_are():
    pandas = pytest.importorskip("pandas")
    _, seen, y, _, _ = ratings()
    expected = model().fit(seen, y).predict(seen)
    frame = pandas.DataFrame(named(seen), columns=["user", "film"])
    from_frame, from_lists = model().fit(frame, y), model().fit(named(seen), y)
    assert from_lists.column_labels_.tolist() == sorted(set(seen[:, 1].tolist()))
    with pytest.warns(UserWarning, match="valid feature names"):
        assert np.array_equal(from_frame.predict(named(seen)), expected)
    assert np.array_equal(from_lists.predict(named(seen)), expected)
    with pytest.warns(UserWarning, match="fitted without feature names"):
        assert np.array_equal(from_lists.predict(frame), expected)
    long = [[2**60 + i, float(j)] for i, j in seen.tolist()]
    assert model().fit(long, y).row_labels_[0] == 2**60


@pytest.mark.parametrize("held", [list, np.array, "frame"])
def test_a_missing_label_is_none_whatever_holds_it(held):
    X = [["ann", "tea"], ["bob", np.nan]]
    if held == "frame":
        held = pytest.importorskip("pandas").DataFrame
    elif held is np.array:
        X = np.array(X, dtype=object)
    with pytest.raises(ValueError, match="NaN"):
        model().fit(held(X), [1.0, 2.0])


TEXT = np.array([["1", "1"], ["1", "2"], ["2", "1"]])
OF_KIND = {
    "text": TEXT,
    "text in objects": TEXT.astype(object),
    "numbers": TEXT.astype(int),
    "numbers in objects": TEXT.astype(int).astype(object),
}


@pytest.mark.parametrize("fitted", OF_KIND)
@pytest.mark.parametrize("asked", OF_KIND)
def test_text_is_not_taken_for_numbers_that_were_not_seen(fitted, asked):
    y = [1.0, 2.0, 3.0]
    X = OF_KIND[fitted]
    guess = model().fit(X, y)
    if fitted.split()[0] == asked.split()[0]:
        assert np.array_equal(guess.predict(OF_KIND[asked]), guess.predict(X))
        return
    complaint = r"labels of rows were (no )?text where they were fitted, but X\[0, 0\] is .*: 1"
    with pytest.raises(TypeError, match=complaint):
        guess.predict(OF_KIND[asked])
    if asked == "text in objects":
        X = X.astype(object)
        X[1, 1] = "unknown"
        with pytest.raises(TypeError, match=r"labels of columns .* X\[1, 1\] is text: unknown"):
            guess.predict(X)


def test_dates_are_labels():
    pandas = pytest.importorskip("pandas")
    _, seen, y, unseen, _ = ratings()
    start, day = pandas.Timestamp("2020-01-01"), pandas.Timedelta(days=1)

    def dated(pairs):
        return pandas.DataFrame({"of": start + day * pairs[:, 0], "at": start + day * pairs[:, 1]})

    fitted = model().fit(dated(seen), y)
    assert fitted.row_labels_[0] == start
    expected = model().fit(seen, y).predict(unseen)
    assert np.array_equal(fitted.predict(dated(unseen)), expected)
    assert np.array_equal(fitted.predict(dated(unseen).astype("datetime64[ns]")), expected)
    gap = dated(seen)
    gap.iloc[3, 1] = pandas.NaT
    with pytest.raises(ValueError, match="NaN"):
        model().fit(gap, y)


@pytest.mark.parametrize("clip", [(5, 1), 3.0, (1,), (None, 1)])
def test_a_range_that_is_none_is_refused_before_anything_is_fitted(clip):
    _, seen, y, _, _ = ratings()
    with pytest.raises((TypeError, ValueError), match="clip must be"):
        model(clip=clip).fit(seen, y)
