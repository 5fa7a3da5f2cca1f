"""Entries, best columns, new rows and uncertainty of a completed matrix."""

import numpy as np
import pytest
import scipy.sparse

import tdecomp as td
from tdecomp.completion import fold_in, predict, top_n, unseen, variance
from tdecomp.completion._using import _top_n
from tdecomp.ops import COO


def model(xp=np, m=7, n=5, seed=0, dtype="float64"):
    """Return a completion with biases."""
    rng = np.random.default_rng(seed)
    shapes = ((m, 2), (2, n), (), (m,), (n,))
    return td.Completion(*(xp.asarray(rng.standard_normal(s).astype(dtype)) for s in shapes))


def not_compiled(xp):
    """Skip a case on JAX that the table of capabilities makes on the same arrays."""
    if xp.name == "jax":
        pytest.skip("compiled for tests/testing/test_capabilities.py already")


def noisy(seed=0, share=0.5, sigma=0.3, shape=(40, 30), rank=2):
    """Return a matrix of low rank, and the same with noise and entries that are not known."""
    rng = np.random.default_rng(seed)
    m, n = shape
    truth = rng.standard_normal((m, rank)) @ rng.standard_normal((rank, n))
    x = truth + sigma * rng.standard_normal(truth.shape)
    return truth, np.where(rng.random(truth.shape) < share, x, np.nan)


def test_predictions_are_entries_of_the_matrix_on_every_library(xp):
    z = model(xp)
    dense = xp.to_numpy(z.to_array())
    found = predict(z, [[0], [-1]], [1, 2, -5])
    np.testing.assert_allclose(xp.to_numpy(found), dense[[[0], [-1]], [1, 2, -5]], atol=1e-14)
    low = xp.to_numpy(predict(z.lowrank, [3, 3], [0, 4], clip=(-0.1, 0.1)))
    np.testing.assert_allclose(low, dense[3, [0, 4]].clip(-0.1, 0.1), atol=1e-14)


def test_predictions_come_in_blocks_and_from_every_format(monkeypatch):
    z = model(dtype="complex128")._replace(left=1j * model().left)
    monkeypatch.setattr("tdecomp.completion._using._predict._BLOCK", 4)
    i, j = np.arange(7).repeat(5), np.tile(np.arange(5), 7)
    dense = z.to_array()
    np.testing.assert_allclose(predict(z, i, j), dense[i, j], atol=1e-14)
    svd = td.truncated_svd(dense, rank=4)
    np.testing.assert_allclose(predict(svd, i, j), dense[i, j], atol=1e-13)
    assert predict(z, [], []).shape == (0,)
    assert predict(z, 3, 2).shape == ()


def test_the_product_of_the_dimensions_may_be_more_than_an_index_holds():
    m = 70_000
    z = td.LowRank(np.arange(m, dtype=float)[:, None], np.arange(m, dtype=float)[None, :])
    assert predict(z, np.int32(m - 1), np.array([m - 1], np.int32))[0] == (m - 1.0) ** 2
    x = COO(np.array([[0, m - 1], [m - 1, m - 1]]), np.array([3.0, 5.0]), (m, m))
    fit = td.complete(x, rank=1, rng=0)
    np.testing.assert_allclose(predict(fit.tensor, *x.indices), x.values, rtol=1e-6)
    assert top_n(z, 1, rows=[m - 1], exclude=x).indices.tolist() == [[m - 2]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda z: predict(z, [7], [0]), ValueError, "rows has an index outside of -7 ... 6"),
        (lambda z: predict(z, [0.5], [0]), TypeError, "rows must be"),
        (lambda z: predict(z, ["a"], [0]), TypeError, "rows"),
        (lambda z: predict(z, [0, 1, 2], [0, 1]), ValueError, "cannot be broadcast"),
        (lambda z: predict(z, 0, 0, clip=(2, 1)), ValueError, "clip must be a pair"),
        (lambda z: predict(z, 0, 0, clip=3), TypeError, "clip must be a pair"),
        (lambda z: predict(z.left, 0, 0), TypeError, "must be a Completion, LowRank or SVD"),
        (lambda z: predict(td.Fit(z, 0.0, 1, 0), 0, 0), TypeError, "of a fit pass its tensor"),
        (lambda z: top_n(z, 0), ValueError, "n must be an int >= 1"),
        (lambda z: top_n(z, 2, rows=[9]), ValueError, "rows has an index outside"),
        (lambda z: top_n(z, 2, exclude=np.zeros((2, 2))), ValueError, "exclude must have"),
        (lambda z: fold_in(z, np.ones((2, 4))), ValueError, "must have the 5 columns"),
        (lambda z: fold_in(z, [["a"] * 5]), TypeError, "dtype"),
        (lambda z: fold_in(z, np.ones((2, 5)), mode="up"), ValueError, "mode must be one of"),
        (
            lambda z: fold_in(z, np.ones((2, 5)), by_count="yes"),
            TypeError,
            "by_count must be a bool",
        ),
        (lambda z: fold_in(z, np.ones((2, 5)), biases="a"), TypeError, "a bool or a number >= 0"),
        (lambda z: variance(z, np.ones((2, 5)), 0, 0), ValueError, "must have the shape"),
        (lambda z: variance(z, z.left, 0, 0, by_count=1), TypeError, "by_count must be a bool"),
    ],
)
def test_what_makes_no_sense_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(model())


def brute(scores, n):
    """Return the best columns of each row, ties by place, and -1 where none is left."""
    out = np.full((len(scores), n), -1)
    for row, line in enumerate(scores):
        order = [j for j in sorted(range(line.size), key=lambda j: (-line[j], j))]
        best = [j for j in order if line[j] > -np.inf][:n]
        out[row, : len(best)] = best
    return out


def test_the_best_columns_are_those_of_the_sorted_matrix_on_every_library(xp):
    z = model(xp)._replace(left=xp.asarray(np.round(np.asarray(model().left))))
    seen = np.random.default_rng(1).random((7, 5)) < 0.5
    dense = np.where(seen, -np.inf, xp.to_numpy(z.to_array()))
    found = top_n(z, 4, rows=[5, 0, -1, 5], exclude=seen)
    np.testing.assert_array_equal(xp.to_numpy(found.indices), brute(dense[[5, 0, 6, 5]], 4))
    scores = xp.to_numpy(found.scores)
    assert (np.diff(scores[scores > -np.inf].reshape(-1)[:2]) <= 0).all()


@pytest.mark.parametrize("n", [1, 3, 6, 9])
def test_ties_go_to_the_smaller_column_and_blocks_change_nothing(monkeypatch, n):
    rng = np.random.default_rng(2)
    z = td.LowRank(np.round(rng.standard_normal((11, 1))), np.round(rng.standard_normal((1, 8))))
    seen = scipy.sparse.random_array((11, 8), density=0.6, rng=rng, format="csr")
    seen.data[:] = 0
    dense = z.to_array()
    dense[seen.tocoo().coords] = -np.inf
    expected = brute(dense, n)
    np.testing.assert_array_equal(top_n(z, n, exclude=seen).indices, expected)
    monkeypatch.setattr(_top_n, "_BLOCK", 16)
    np.testing.assert_array_equal(top_n(z, n, exclude=seen).indices, expected)


def test_nothing_need_be_excluded_and_everything_may_be():
    z = model()
    listed = [[False] * 5] * 7
    np.testing.assert_array_equal(top_n(z, 3, exclude=listed).indices, top_n(z, 3).indices)
    plain = top_n(z, 3)
    np.testing.assert_array_equal(top_n(z, 3, exclude=np.full((7, 5), np.nan)).indices, plain[0])
    none = scipy.sparse.coo_array((7, 5))
    np.testing.assert_array_equal(top_n(z, 3, exclude=none).indices, plain.indices)
    all_seen = top_n(z, 3, exclude=np.ones((7, 5)))
    assert (all_seen.indices == -1).all()
    assert (all_seen.scores == -np.inf).all()
    assert top_n(z, 3, rows=[]).indices.shape == (0, 3)


def test_what_is_not_a_number_is_never_among_the_best():
    right = np.array([[1.0, np.nan, 3.0, 2.0]])
    found = top_n(td.LowRank(np.ones((2, 1)), right), 2)
    assert found.indices.tolist() == [[2, 3], [2, 3]]
    torch = pytest.importorskip("torch")
    z = td.LowRank(torch.ones((2, 1), dtype=torch.float64), torch.asarray(right))
    assert top_n(z, 4).indices.tolist() == [[2, 3, 0, -1]] * 2


@pytest.mark.parametrize("mode", ["rows", "columns"])
def test_of_a_batch_of_which_nothing_is_known_only_offsets_are_said(mode):
    z = model()
    shape = (3, 5) if mode == "rows" else (7, 3)
    found = fold_in(z, np.full(shape, np.nan), mode=mode, biases=True).to_array()
    said = z.mean + (z.column_bias[None, :] if mode == "rows" else z.row_bias[:, None])
    np.testing.assert_allclose(found, np.broadcast_to(said, shape), atol=1e-15)


@pytest.mark.parametrize("by_count", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_row_of_the_fit_is_folded_in_to_itself(by_count, weighted):
    _, x = noisy()
    w = np.random.default_rng(1).random(x.shape) if weighted else np.ones(x.shape)
    w = w * ~np.isnan(x)
    rules = {"regularization": 0.3, "by_count": by_count, "biases": 2.0}
    z = td.complete(x + 3, rank=3, tol=0, max_iter=2000, rng=0, weights=w, **rules).tensor
    columns = fold_in(z, x[:, 5:9] + 3, mode="columns", weights=w[:, 5:9], **rules)
    # The last half step solved for the columns: these are equal to rounding.
    np.testing.assert_allclose(columns.to_array(), z.to_array()[:, 5:9], atol=1e-12)
    rows = fold_in(z, x[5:9] + 3, weights=w[5:9], **rules)
    np.testing.assert_allclose(rows.to_array(), z.to_array()[5:9], atol=1e-6)
    np.testing.assert_allclose(rows.row_bias, z.row_bias[5:9], atol=1e-7)


def test_a_folded_row_solves_its_ridge_regression_on_every_library(xp):
    not_compiled(xp)
    rng = np.random.default_rng(0)
    v, x = rng.standard_normal((2, 6)), rng.standard_normal((3, 6))
    x[0, 2], x[2] = np.nan, np.nan
    z = fold_in(td.LowRank(xp.asarray(np.ones((1, 2))), xp.asarray(v)), xp.asarray(x),
                regularization=0.7)  # fmt: skip
    for i in range(2):
        known = ~np.isnan(x[i])
        a = v[:, known] @ v[:, known].T + 0.7 * np.eye(2)
        np.testing.assert_allclose(
            xp.to_numpy(z.left)[i], np.linalg.solve(a, v[:, known] @ x[i, known]), atol=1e-13
        )
    assert (xp.to_numpy(z.left)[2] == 0).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_with_fewer_entries_than_the_rank_is_the_shortest_that_fits(dtype):
    rng = np.random.default_rng(0)
    model = td.LowRank(*(rng.standard_normal(s).astype(dtype) for s in ((4, 7), (7, 30))))
    x = np.full((20, 30), np.nan, dtype)
    for i, row in enumerate(x):
        row[rng.permutation(30)[: 1 + i % 6]] = rng.standard_normal(1 + i % 6)
    found = fold_in(model, x).left
    for row, values in zip(found, x, strict=True):
        known = ~np.isnan(values)
        shortest = np.linalg.lstsq(model.right[:, known].T.astype(float), values[known])[0]
        # The solution is corrected once, from half of the digits.
        digits = np.linalg.cond(model.right[:, known]) ** 2 * np.finfo(dtype).eps ** 0.5
        np.testing.assert_allclose(row, shortest, atol=digits * np.linalg.norm(shortest))


@pytest.mark.parametrize("scale", [1e-300, 1e-140, 1e140, 1e300])
def test_folding_in_follows_the_scale_of_the_data(scale):
    truth, x = noisy(sigma=0)
    z = td.truncated_svd(truth, rank=2)
    big = td.LowRank(z.U * z.S * scale, z.Vh)
    found = fold_in(big, scale * x[:4]).to_array() / scale
    np.testing.assert_allclose(found, truth[:4], atol=1e-10)


@pytest.mark.parametrize("alpha", [None, 2.0])
@pytest.mark.parametrize("spread", [1e-10, 1e-100])
def test_no_column_of_a_factor_hides_another(alpha, spread):
    truth, x = noisy(sigma=0.1)
    z = td.truncated_svd(truth, rank=2)
    x = x[:5] if alpha is None else np.round(np.abs(np.nan_to_num(x[:5])))
    plain = td.LowRank(z.U * z.S, z.Vh)
    other = td.LowRank(z.U * z.S / [1.0, spread], z.Vh * [[1.0], [spread]])
    own, found = (fold_in(model, x, alpha=alpha).to_array() for model in (plain, other))
    np.testing.assert_allclose(found, own, atol=1e-11)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_a_penalty_of_rows_of_any_size_is_no_warning(scale):
    _, x = noisy(shape=(7, 5))
    z = td.LowRank(model().left / scale, model().right * scale)
    rules = {"regularization": 1.0, "by_count": True}
    for part in (fold_in(z, x, **rules).left, variance(z, x, 0, 0, noise=1.0, **rules).values):
        assert np.isfinite(part).all()


def test_the_variance_is_that_of_bayesian_regression_where_columns_are_known(xp):
    not_compiled(xp)
    rng = np.random.default_rng(0)
    v, sigma, lam = rng.standard_normal((3, 8)), 0.4, 0.6
    x = rng.standard_normal((5, 8))
    x[rng.random(x.shape) < 0.3] = np.nan
    u = 1e-9 * rng.standard_normal((5, 3))  # rows that lend columns no variance
    z = td.LowRank(xp.asarray(u), xp.asarray(v))
    found = variance(
        z, xp.asarray(x), [[0], [4]], range(8), regularization=lam, noise=sigma**2
    ).values
    for row, i in enumerate((0, 4)):
        known = ~np.isnan(x[i])
        a = v[:, known] @ v[:, known].T + lam * np.eye(3)
        expected = sigma**2 * np.einsum("kj,kl,lj->j", v, np.linalg.inv(a), v)
        np.testing.assert_allclose(xp.to_numpy(found)[row], expected, rtol=1e-10)


def test_intervals_cover_as_often_as_they_say_and_the_noise_is_found():
    inside, noise = [], []
    for seed in range(6):
        truth, x = noisy(seed, shape=(60, 50))
        z = td.complete(x, rank=2, rng=0, tol=1e-9, max_iter=300).tensor
        i, j = np.nonzero(np.isnan(x))
        found = variance(z, x, i, j)
        noise.append(found.noise)
        off = np.abs(predict(z, i, j) - truth[i, j])
        inside.append(np.mean(off < 1.96 * np.sqrt(found.values)))
    assert abs(np.mean(inside) - 0.95) < 0.02
    assert abs(np.mean(noise) / 0.3**2 - 1) < 0.03


@pytest.mark.parametrize("scale", [1e-300, 1e-140, 1e140, 1e300])
def test_uncertainty_does_not_depend_on_how_the_scale_is_shared_by_the_factors(scale):
    truth, x = noisy()
    z = td.truncated_svd(truth, rank=2)
    left, right = z.U * z.S, z.Vh
    rules = {"weights": 1.0 * ~np.isnan(x)}
    one, other = (
        variance(td.LowRank(left / s, right * s), x, [0, 3], [5, 7], **rules) for s in (1.0, scale)
    )
    np.testing.assert_allclose(other.values, one.values, rtol=1e-9)
    assert other.noise == pytest.approx(one.noise, rel=1e-9)
    assert variance(z, x, [], []).values.shape == (0,)


def test_what_the_data_do_not_determine_is_infinitely_uncertain():
    x = np.full((4, 4), np.nan)
    x[:2, :2] = 1.0
    z = td.LowRank(np.ones((4, 1)), np.ones((1, 4)))
    found = variance(z, x, [0, 0, 2], [0, 3, 0], noise=1.0).values
    assert found[0] == pytest.approx(1.0)
    assert np.isinf(found[1:]).all()
    without = variance(z, x, [0, 0, 2], [0, 3, 0], noise=0.0).values
    assert without.tolist() == [0.0, np.inf, np.inf]
    with pytest.raises(ValueError, match="no degrees of freedom"):
        variance(td.LowRank(np.eye(4), np.eye(4)), np.eye(4), 0, 0)


def test_offsets_that_were_fitted_are_uncertain_too():
    rng = np.random.default_rng(0)
    x = 5 + 0.2 * rng.standard_normal((30, 20))
    z = td.complete(x, rank=1, regularization=1e9, biases=True, rng=0).tensor
    found = variance(z, x, 0, 0, regularization=1e9, biases=True, noise=0.04)
    assert found.values == pytest.approx(0.04 * (1 / 25 + 1 / 35), rel=1e-6)


def test_what_is_unseen_is_told(xp):
    x = np.array([[1.0, np.nan, 0.0], [2, np.nan, 5], [np.nan] * 3])
    rows, columns = unseen(xp.asarray(x))
    assert xp.to_numpy(rows).tolist() == [2]
    assert xp.to_numpy(columns).tolist() == [1]
    lighter = np.where(np.arange(3) == 2, 0.0, ~np.isnan(x))
    assert unseen(x, weights=lighter).columns.tolist() == [1, 2]
    listed = unseen([[True, False], [True, False]])
    assert (listed.rows.tolist(), listed.columns.tolist()) == ([], [1])
    empty = unseen(scipy.sparse.coo_array((2, 3)))
    assert (empty.rows.tolist(), empty.columns.tolist()) == ([0, 1], [0, 1, 2])


def test_a_ridge_of_any_size_holds_back_nothing_else():
    z = td.LowRank(np.ones((3, 2)), np.arange(8.0).reshape(2, 4))
    x = np.eye(2, 4) + 1
    fixed = fold_in(z, x, biases=1e300)
    np.testing.assert_allclose(fixed.left, fold_in(z, x).left, rtol=1e-7)
    alone = fold_in(z, x, biases=0, regularization=1e300)
    np.testing.assert_allclose(alone.row_bias, x.mean(axis=1), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("heavy", [2.0**-90, 2.0**90])
def test_a_row_that_is_penalised_by_count_does_not_depend_on_the_unit_of_weights(dtype, heavy):
    z, x = model(dtype=dtype), np.ones((1, 5), dtype)
    rules = {"regularization": 0.5, "by_count": True}
    found, own = (fold_in(z, x, weights=w * np.ones_like(x), **rules) for w in (heavy, 1))
    np.testing.assert_allclose(found.left, own.left, rtol=8 * np.finfo(dtype).eps)


def test_a_model_of_rank_zero_is_its_offsets(xp):
    not_compiled(xp)
    zero = model()._replace(left=np.zeros((7, 0)), right=np.zeros((0, 5)))
    _, x = noisy(shape=(3, 5))
    own = zero._replace(**{name: xp.asarray(getattr(zero, name)) for name in zero._fields})
    found = fold_in(own, xp.asarray(x), biases=2.0)
    rest = x - zero.mean - zero.column_bias
    known = np.isfinite(x)
    expected = np.nansum(rest, axis=1) / (known.sum(axis=1) + 2)
    np.testing.assert_allclose(xp.to_numpy(found.row_bias), expected, rtol=1e-12)
    assert found.left.shape == (3, 0)
    assert (xp.to_numpy(fold_in(own, xp.asarray(x)).row_bias) == 0).all()
    _, seen = noisy(shape=(7, 5))
    known = np.isfinite(seen)
    uncertain = variance(own, xp.asarray(seen), [2], [4], biases=2.0, noise=1.0)
    expected = 1 / (known[2].sum() + 2) + 1 / (known[:, 4].sum() + 2)
    np.testing.assert_allclose(xp.to_numpy(uncertain.values), [expected], rtol=1e-12)
    exact = variance(own, xp.asarray(seen), [2], [4])
    rest = seen - zero.to_array()
    assert exact.noise == pytest.approx(np.nansum(rest**2) / known.sum(), rel=1e-12)
    assert xp.to_numpy(exact.values).tolist() == [0.0]


def test_no_new_rows_are_no_error_however_they_are_held():
    for empty in (np.zeros((0, 5)), scipy.sparse.coo_array((0, 5))):
        assert fold_in(model(), empty).shape == (0, 5)
        assert unseen(empty).columns.tolist() == [0, 1, 2, 3, 4]
    assert fold_in(model(), np.zeros((7, 0)), mode="columns").shape == (7, 0)


def test_the_noise_is_over_the_entries_less_the_dimension_of_what_fits():
    z, (m, n) = model(), (7, 5)
    rng = np.random.default_rng(3)
    x = z.to_array() + 0.1 * rng.standard_normal((m, n))
    rows, columns = np.eye(m), np.eye(n)
    moves = [
        np.ones((1, m, n)),
        rows[:, :, None] + np.zeros(n),
        np.zeros((m, 1)) + columns[:, None],
    ]
    moves += [rows[:, :, None] * z.right[r] for r in range(2)]
    moves += [z.left[:, r, None] * columns[:, None] for r in range(2)]
    dimension = np.linalg.matrix_rank(np.concatenate(moves).reshape(-1, m * n))
    found = variance(z, x, [0], [0], biases=0).noise
    assert found == pytest.approx(np.sum((x - z.to_array()) ** 2) / (m * n - dimension), rel=1e-9)
