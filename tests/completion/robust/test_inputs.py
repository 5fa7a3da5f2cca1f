"""What robust decompositions of matrices take, and what they say of what they do not take."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp.completion.robust import godec, principal_component_pursuit, scaled_gd_rpca

METHODS = {
    "pcp": principal_component_pursuit,
    "godec": lambda x, **o: godec(x, **{"rank": 1, "cardinality": 2, "rng": 0} | o),
    "rpca": lambda x, **o: scaled_gd_rpca(x, **{"rank": 1, "outliers": 0.1} | o),
}
LOW = np.outer(np.arange(1.0, 13), np.arange(3.0, 13))
X = LOW.copy()
X[2, 3], X[7, 8] = -200.0, 300.0


@pytest.mark.parametrize("method", METHODS)
def test_what_is_exact_is_told_apart(method):
    fit = METHODS[method](X)
    assert fit.status is td.Status.CONVERGED
    np.testing.assert_allclose(fit.tensor.to_array(), X, atol=1e-4)
    np.testing.assert_allclose(fit.tensor.low_rank.to_array(), LOW, atol=1e-3)


@pytest.mark.when_compiled(method="pcp")  # the table of capabilities runs all of them
@pytest.mark.parametrize("method", METHODS)
def test_every_backend_takes_the_same_steps(xp, method):
    fit, expected = (METHODS[method](x, max_iter=2) for x in (xp.asarray(X), X))
    for found, part in zip(fit.tensor, expected.tensor, strict=True):
        np.testing.assert_allclose(xp.to_numpy(found.to_array()), part.to_array(), atol=1e-10)
    assert isinstance(fit.error, float)
    assert fit.error == pytest.approx(expected.error, abs=1e-14)
    assert fit.n_iter == 2


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("form", [
    np.asfortranarray, lambda x: x.tolist(), lambda x: x.astype(int), lambda x: x.astype(">f8"),
    lambda x: np.repeat(x, 2, axis=0)[::2], lambda x: x.astype("f4"), lambda x: x.astype("f2"),
    lambda x: x * 1e280, lambda x: x * 1e-280,
])  # fmt: skip
def test_every_form_of_a_matrix(method, form):
    given = form(X)
    fit = METHODS[method](given)
    scale = abs(np.asarray(given, float)).max() / 300
    np.testing.assert_allclose(fit.tensor.low_rank.to_array() / scale, LOW, rtol=0, atol=0.1)
    kind = getattr(given, "dtype", np.dtype(float))
    assert fit.tensor.dtype == (np.float32 if kind in (np.float32, np.float16) else np.float64)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (2, 3)])
def test_small_matrices_and_zero(method, shape):
    rng = np.random.default_rng(0)
    for x in (np.zeros(shape), rng.standard_normal(shape)):
        options = {"cardinality": 1} if method == "godec" else {}
        fit = METHODS[method](x, **options)
        dense = fit.tensor.to_array()
        assert np.all(np.isfinite(dense))
        gap = np.linalg.norm(x - dense)
        assert fit.error == pytest.approx(gap / (np.linalg.norm(x) or 1), abs=1e-12)
    assert METHODS[method](np.zeros((3, 2))).error == 0
    assert not np.any(METHODS[method](np.zeros((3, 2))).tensor.to_array())


@pytest.mark.parametrize("method", METHODS)
def test_the_input_stays(method):
    x = X.copy()
    METHODS[method](x)
    np.testing.assert_array_equal(x, X)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("x", "message"), [
    (np.ones(3), "must have 2 dim"), (np.ones((2, 2, 2)), "must have 2 dim"),
    (np.ones((0, 3)), "is empty"), (np.array([[1.0, np.nan]]), r"first at x\[0, 1\]"),
    (np.array([[1.0, np.inf]]), "non-finite"),
])  # fmt: skip
def test_what_is_no_matrix_is_refused(method, x, message):
    with pytest.raises(ValueError, match=message):
        METHODS[method](x)


@pytest.mark.parametrize(("method", "options", "message"), [
    ("pcp", {"sparsity": 0.0}, "sparsity"), ("pcp", {"sparsity": np.nan}, "sparsity"),
    ("pcp", {"weights": -np.ones((12, 10))}, "nonnegative"),
    ("pcp", {"weights": np.zeros((12, 10))}, "all zero"),
    ("pcp", {"weights": np.ones((5, 10))}, "cannot be broadcast"),
    ("pcp", {"weights": np.full((12, 10), np.nan)}, "weights has"),
    ("pcp", {"tol": -1}, "tol"), ("pcp", {"max_iter": 0}, "max_iter"),
    ("godec", {"rank": 0}, "rank"), ("godec", {"rank": 11}, "rank"),
    ("godec", {"cardinality": -1}, "cardinality"), ("godec", {"cardinality": 121}, "cardinality"),
    ("rpca", {"rank": 11}, "rank"), ("rpca", {"outliers": 0.5}, "outliers"),
    ("rpca", {"outliers": -0.1}, "outliers"), ("rpca", {"step": 0}, "step"),
])  # fmt: skip
def test_options_out_of_range_are_refused(method, options, message):
    with pytest.raises(ValueError, match=message):
        METHODS[method](X, **options)


@pytest.mark.parametrize(("method", "options"), [
    ("pcp", {"sparsity": "a"}), ("pcp", {"weights": np.ones((12, 10), complex)}),
    ("pcp", {"callback": 1}), ("godec", {"rank": 1.5}), ("godec", {"rank": True}),
    ("godec", {"cardinality": 2.5}), ("godec", {"rng": "x"}), ("rpca", {"outliers": None}),
])  # fmt: skip
def test_options_of_the_wrong_kind_are_refused(method, options):
    with pytest.raises(TypeError):
        METHODS[method](X, **options)


def test_nothing_observed_but_one_entry():
    x = np.full((4, 3), np.nan)
    x[1, 2] = 5.0
    fit = principal_component_pursuit(x, weights=np.isfinite(x))
    assert np.all(np.isfinite(fit.tensor.to_array()))
    assert fit.tensor.to_array()[1, 2] == pytest.approx(5.0, abs=1e-5)


def test_missing_entries_on_every_backend(xp):
    known = np.ones(X.shape, dtype=bool)
    known[3, 4] = known[9, 0] = False
    x = np.where(known, X, np.nan)
    fit = principal_component_pursuit(xp.asarray(x), weights=xp.asarray(known))
    np.testing.assert_allclose(xp.to_numpy(fit.tensor.low_rank.to_array()), LOW, atol=1e-3)
    assert xp.to_numpy(fit.tensor.sparse.to_array())[3, 4] == 0
