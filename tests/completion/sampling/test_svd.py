"""Sampled factorisations keep their invariants, and their errors are those of the literature."""

import re

import array_api_compat
import numpy as np
import pytest
import scipy.sparse

import tdecomp as td
from tdecomp.completion.sampling import (
    LengthSquaredMatrix,
    _rows,
    recommend,
    sampled_svd,
    solve,
    transform,
)
from tdecomp.completion.sampling._rows import drawn_rows
from tdecomp.completion.sampling._svd import small_matrix
from tdecomp.testing import matrix

XP = array_api_compat.array_namespace(np.empty(0))
# The synthetic case of Arrazola et al.: shape, rank and singular values of their matrix.
VALUES = np.asarray([462.96, 425.36, 154.32])
A = matrix(500, 250, VALUES, rng=0)
HELD = LengthSquaredMatrix(A)
RUNS = 12


def dense(rows):
    """Form the sampled rows."""
    return rows.columns(np.arange(rows.matrix.shape[1])) * 2.0**rows.unit


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_sampled_rows_have_one_norm_and_columns_the_norm_of_the_matrix(scale):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((60, 40)) * rng.random((60, 1)) * scale
    rows = drawn_rows(LengthSquaredMatrix(a), 30, rng)
    norms = np.linalg.norm(dense(rows) / scale, axis=1)
    np.testing.assert_allclose(norms, np.linalg.norm(a / scale) / np.sqrt(30), rtol=1e-12)
    small = small_matrix(rows, 20, rng)
    total = np.linalg.norm(small) * (2.0**rows.unit / scale)
    assert total == pytest.approx(np.linalg.norm(a / scale), rel=1e-12)


def test_gram_matrices_are_as_near_as_the_bounds_say():
    gaps = []
    for k in range(RUNS):
        rng = np.random.default_rng(k)
        rows = drawn_rows(HELD, 200, rng)
        r, c = dense(rows), small_matrix(rows, 200, rng) * 2.0**rows.unit
        gaps.append((np.linalg.norm(A.T @ A - r.T @ r), np.linalg.norm(r @ r.T - c @ c.T)))
    bound = np.linalg.norm(A) ** 2 / np.sqrt(200)
    root_mean_squares = np.sqrt(np.mean(np.square(gaps), axis=0))
    assert np.all(root_mean_squares <= 1.2 * bound)
    assert np.all(root_mean_squares >= 0.2 * bound)


@pytest.mark.parametrize(("samples", "values", "error"), [(50, 0.134, 0.20), (200, 0.109, 0.086)])
def test_the_synthetic_case_of_the_literature_is_reproduced(samples, values, error):
    found = [sampled_svd(HELD, rank=3, samples=samples, rng=k) for k in range(RUNS)]
    # As there, columns of V count as they are: not orthonormal, and nobody's projection.
    errors = np.mean([float(td.relative_error(A, f)) for f in found])
    worst = np.mean([np.max(np.abs(f.S / VALUES - 1)) for f in found])
    assert 0.4 * error < errors < 2.5 * error
    assert 0.3 * values < worst < 2.5 * values


def test_the_error_falls_as_the_root_of_the_number_of_samples():
    errors = [
        np.mean([float(td.relative_error(A, sampled_svd(HELD, rank=3, samples=s, rng=k)))
                 for k in range(RUNS)])
        for s in (30, 480)
    ]  # fmt: skip
    assert 2.0 < errors[0] / errors[1] < 8.0  # four, in the mean


def test_orthonormal_vectors_of_exact_rank_leave_nothing():
    found = sampled_svd(HELD, rank=3, samples=40, rng=0)
    low = found.lowrank()
    assert float(td.relative_error(A, low)) < 1e-13
    np.testing.assert_allclose(low.right @ low.right.T, np.eye(3), rtol=0, atol=1e-13)


def test_entries_of_vectors_are_those_of_the_formed_ones():
    found = sampled_svd(HELD, rank=3, samples=40, rng=0)
    right = found.right()
    np.testing.assert_allclose(found.right([3, -1]), right[[3, -1]], rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(found.right(7), right[7], rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(found.vector(1).to_array(), right[:, 1], rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(found.vector(-1).query(5), right[5, 2], rtol=1e-9, atol=1e-14)
    whole = A @ right @ right.T
    np.testing.assert_allclose(found.to_array((slice(3, 9), [1, 2])), whole[3:9][:, [1, 2]])
    np.testing.assert_allclose(found.to_array((4, 5)), whole[4, 5])
    np.testing.assert_allclose(found.to_array((slice(3), 6)), whole[:3, 6])
    np.testing.assert_allclose(found @ np.ones(250), whole.sum(axis=1), atol=1e-10)


@pytest.mark.parametrize("n", [10**3, 10**6])
def test_a_million_columns_take_as_many_look_ups_as_a_thousand(n, monkeypatch):
    rng = np.random.default_rng(0)
    columns = rng.choice(n, 3000) if n > 3000 else np.tile(np.arange(n), 3)
    entries = (rng.standard_normal(3000), (rng.integers(0, 9, 3000), columns))
    held = LengthSquaredMatrix(scipy.sparse.csr_array(entries, shape=(9, n)))
    asked = []
    look_up = _rows.store.entries
    monkeypatch.setattr(
        _rows.store, "entries", lambda *a: asked.append(look_up(*a).size) or look_up(*a)
    )
    found = sampled_svd(held, rank=2, samples=20, rng=0)
    found.right([0, n - 1])
    assert sum(asked) == 20 * 20 + 20 * 2


@pytest.mark.parametrize("kind", ["sparse", "complex", "float32"])
def test_any_matrix_will_do(kind):
    a = {
        "sparse": A * (np.abs(A) > 1.0),
        "complex": A[:100] * np.exp(1j * np.arange(100.0))[:, None] * np.exp(1j * np.arange(250)),
        "float32": A.astype("float32"),
    }[kind]
    given = scipy.sparse.csr_array(a) if kind == "sparse" else a
    found = sampled_svd(given, rank=3, samples=(150, 200), rng=1)
    exact = np.linalg.svd(a, compute_uv=False)
    assert found.dtype == a.dtype
    assert np.max(np.abs(found.S / exact[:3] - 1)) < 0.4
    best = np.linalg.norm(exact[3:]) / np.linalg.norm(exact)
    assert float(td.relative_error(a, found.lowrank())) < best + 0.15


def test_rank_above_that_of_the_matrix_is_cut():
    assert sampled_svd(HELD, rank=30, samples=40, rng=0).rank == 3


def test_scale_comes_back():
    for scale in (2.0**-990, 2.0**980):
        found = sampled_svd(A * scale, rank=3, samples=40, rng=0)
        plain = sampled_svd(A, rank=3, samples=40, rng=0)
        np.testing.assert_allclose(found.S / scale, plain.S, rtol=1e-13)
        np.testing.assert_allclose(found.right(), plain.right(), rtol=0, atol=1e-13)
        x = solve(A * scale, A[:, 0], rank=3, samples=40, rng=0)
        y = solve(A, A[:, 0], rank=3, samples=40, rng=0)
        np.testing.assert_allclose(x.to_array() * scale, y.to_array(), rtol=0, atol=1e-13)
        np.testing.assert_array_equal(x.sample(20, rng=0), y.sample(20, rng=0))
    f, g = (
        transform(a, lambda t: t, rank=3, samples=40, rng=0) for a in (A * 2.0**200, A * 2.0**-200)
    )
    plain = recommend(transform(A, lambda t: t, rank=3, samples=40, rng=0), 4)
    for scale, found in ((2.0**600, f), (2.0**-600, g)):
        row = recommend(found, 4).to_array()
        np.testing.assert_allclose(row / scale, plain.to_array(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "f", [lambda t: t, lambda t: np.minimum(t, 1e4) + 3.0], ids=["gram", "clipped"]
)
def test_functions_are_near_those_of_the_whole_matrix(f):
    _, s, vh = np.linalg.svd(A, full_matrices=False)
    exact = vh.T @ ((f(s**2) - f(np.zeros(1)))[:, None] * vh) + f(np.zeros(1)) * np.eye(250)
    found = transform(HELD, f, samples=800, rng=0)
    assert float(td.relative_error(exact, found)) < 0.25
    whole = found.to_array()
    np.testing.assert_allclose(found @ A.T, whole @ A.T, rtol=0, atol=1e-9 * np.abs(whole).max())
    np.testing.assert_allclose(found.to_array((5, slice(None))), whole[5], rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.to_array(([4, 5], 6)), whole[[4, 5], 6], rtol=0, atol=1e-9)


@pytest.mark.parametrize("samples", [None, 3000])
def test_recommended_rows_are_those_of_the_product(samples):
    found = transform(HELD, np.ones_like, samples=300, rank=3, at_zero=0.0, rng=0)
    exact = A[9] @ found.to_array()
    row = recommend(found, 9, samples=samples, rng=1)
    tolerance = 1e-12 if samples is None else 0.2
    assert float(td.relative_error(exact, row)) < tolerance
    drawn = row.sample(200, rng=0)
    assert np.mean(exact[drawn] ** 2) > np.mean(exact**2)
    shifted = transform(HELD, lambda t: t + 1.0, samples=50, rank=3, rng=0)
    whole = A[9] @ shifted.to_array()
    np.testing.assert_allclose(recommend(shifted, 9).to_array(), whole, rtol=1e-9)


def test_solutions_tend_to_the_exact_one():
    b = A @ np.random.default_rng(0).standard_normal(250)
    exact = np.linalg.pinv(A, rcond=1e-8) @ b
    errors = {}
    for samples in (40, 400):
        found = [solve(HELD, b, rank=3, samples=samples, rng=k) for k in range(5)]
        errors[samples] = np.mean([float(td.relative_error(exact, x)) for x in found])
    assert errors[400] < 0.5
    assert errors[400] < errors[40]


def test_estimated_products_change_a_solution_little():
    b = A @ np.random.default_rng(0).standard_normal(250)
    exact = solve(HELD, b, rank=2, samples=400, rng=0).to_array()
    found = solve(HELD, b, rank=2, samples=400, products=4000, groups=3, rng=0)
    assert float(td.relative_error(exact, found)) < 0.15


def test_a_ridge_above_the_range_of_numbers_gives_zero():
    found = solve(A * 1e-200, A[:, 0], rank=2, samples=40, ridge=1e300, rng=0)
    np.testing.assert_array_equal(found.to_array(), np.zeros(250))


def test_a_ridge_is_that_of_ridge_regression():
    a, b = np.diag([4.0, 2.0]), np.asarray([8.0, 2.0])
    stacked = np.repeat(a, 200, axis=0) / np.sqrt(200)
    found = solve(stacked, np.repeat(b, 200) / np.sqrt(200), rank=2, samples=400, ridge=4.0, rng=0)
    np.testing.assert_allclose(found.to_array(), [32 / 20, 4 / 8], rtol=0.25)


def test_indices_are_called_what_the_caller_calls_them():
    a = np.eye(4)[:, :3]
    found, f = sampled_svd(a, rank=1, samples=4, rng=0), transform(a, np.copy, samples=4, rng=0)
    x = solve(a, np.ones(4), rank=1, samples=4, rng=0)
    held = LengthSquaredMatrix(a)
    for call, name in (
        (lambda i: f.to_array((i, 0)), "region[0]"),
        (lambda i: f.to_array(([i], 0)), "region[0]"),
        (lambda i: f.to_array((0, i)), "region[1]"),
        (lambda i: found.to_array((0, [i])), "region[1]"),
        (found.right, "columns"),
        (lambda i: found.right([i]), "columns"),
        (found.vector, "index"),
        (lambda i: recommend(f, i), "i"),
        (x.query, "index"),
        (lambda i: x.to_array(([i],)), "region[0]"),
        (lambda i: held[i, 0], "index[0]"),
        (lambda i: held[0, [i]], "index[1]"),
        (held.row, "i"),
        (lambda i: held.row(0)[i], "index"),
        (lambda i: held.update(i, 0, 1.0), "rows"),
        (lambda i: held.update(0, [i], 1.0), "columns"),
        (lambda i: held.to_array((0, [i])), "region[1]"),
    ):
        with pytest.raises(ValueError, match=re.escape(name) + " (must lie|has an index outside)"):
            call(9)
        with pytest.raises(TypeError, match=re.escape(name)):
            call(0.5)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: sampled_svd(A, rank=0, samples=9), ValueError, "rank must be an int between 1"),
        (lambda: sampled_svd(A, rank=True, samples=9), TypeError, "it counts singular values"),
        (lambda: sampled_svd(A, rank=9, samples=(8, 50)), ValueError, "between 1 and 8"),
        (lambda: sampled_svd(A, rank=1, samples=(8,)), ValueError, r"a pair \(rows, columns\)"),
        (lambda: sampled_svd(A, rank=1, samples=0), ValueError, "samples must be an int >= 1"),
        (lambda: sampled_svd(A * 0, rank=1, samples=5), ValueError, "all entries are zero"),
        (lambda: transform(A, 3, samples=5), TypeError, "f must be callable"),
        (lambda: transform(A, lambda t: 1 / t, samples=5), ValueError, "give at_zero="),
        (lambda: transform(A, lambda t: t[:0], samples=5), ValueError, "as many numbers"),
        (lambda: transform(A, np.sqrt, samples="5"), TypeError, "samples must be an int"),
        (lambda: transform(A * 1e200, np.copy, samples=5), ValueError, "or scale the data"),
        (lambda: transform(A, lambda t: 1j * t, samples=5), TypeError, "must return real numbers"),
        (lambda: solve(A, 1j * A[:, 0], rank=1, samples=5), TypeError, "b is complex and a is"),
        (lambda: recommend(A, 0), TypeError, "f must be a SampledTransform"),
        (lambda: solve(A, A, rank=1, samples=5), ValueError, "b must have 1 dimensions"),
        (lambda: solve(A, A[0], rank=1, samples=5), ValueError, r"b must have shape \(500,\)"),
        (lambda: solve(A, A[:, 0], rank=1, samples=5, ridge=-1), ValueError, "ridge"),
        (
            lambda: solve(A, A[:, 0], rank=1, samples=5, groups=3),
            ValueError,
            "groups counts means of draws: give products= too",
        ),
        (
            lambda: recommend(transform(A, np.copy, samples=5), 0, groups=3),
            ValueError,
            "groups counts means of draws: give samples= too",
        ),
    ],
)
def test_bad_input_is_named(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
