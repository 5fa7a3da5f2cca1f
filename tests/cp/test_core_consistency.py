"""Core consistency: against the Kronecker pseudoinverse, invariances, ranks, inputs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp import cp
from tdecomp.ops import from_dense
from tdecomp.testing import gaussian


def kronecker(factors):
    """Return the Kronecker product of factors."""
    product = np.ones((1, 1))
    for factor in factors:
        product = np.kron(product, factor)
    return product


def brute(x, fit):
    """Solve the least-squares problem for the core with balanced columns, in full."""
    lengths = [np.linalg.norm(factor, axis=0) for factor in fit.factors]
    weights = fit.weights * np.prod(lengths, axis=0)
    columns = [factor / length for factor, length in zip(fit.factors, lengths, strict=True)]
    share = np.abs(weights) ** (1 / fit.modes)
    columns = [column * share for column in columns]
    columns[0] = columns[0] * weights / np.abs(weights)
    core = np.linalg.lstsq(kronecker(columns), np.ravel(x), rcond=None)[0]
    core = core.reshape((fit.rank,) * fit.modes)
    for r in range(fit.rank):
        core[(r,) * fit.modes] -= 1
    return 100 * (1 - np.linalg.norm(core) ** 2 / fit.rank)


@pytest.mark.parametrize("shape", [(7,), (6, 7), (5, 6, 7), (3, 4, 5, 3)])
def test_it_is_that_of_the_full_least_squares_problem(random_cp, dense, dtype, shape):
    fit = random_cp(shape, 3, dtype=dtype)
    x = dense(fit) + 0.1 * gaussian(shape, rng=1, dtype=dtype)
    found = cp.core_consistency(x.astype(dtype), fit)
    assert found.dtype == np.zeros(0, dtype).real.dtype
    eps = float(np.finfo(dtype).eps)
    # The core is off by eps times the product of condition numbers, the percent by its square.
    slack = 1e4 * eps * float(np.prod([np.linalg.cond(f) for f in fit.factors]))
    assert float(found) == pytest.approx(brute(x, fit), rel=slack, abs=slack)


@given(
    shape=st.lists(st.integers(3, 6), min_size=2, max_size=4).map(tuple),
    rank=st.integers(1, 3),
    seed=st.integers(0, 99),
    size=st.sampled_from([1e-300, 1e-100, 1.0, 1e300]),
)
def test_scaling_and_order_do_not_matter(shape, rank, seed, size):
    rng = np.random.default_rng(seed)
    fit = cp.CP(
        rng.uniform(0.5, 2, rank),
        tuple(np.linalg.qr(rng.standard_normal((n, rank)))[0] for n in shape),
    )
    x = fit.to_array() + 0.1 * rng.standard_normal(shape)
    expected = float(cp.core_consistency(x, fit))
    scales = rng.uniform(0.1, 10, (len(shape), rank)) * rng.choice([-1.0, 1.0], (len(shape), rank))
    order = rng.permutation(rank)
    other = cp.CP(
        (fit.weights * size / np.prod(scales, axis=0))[order],
        tuple((f * s)[:, order] for f, s in zip(fit.factors, scales, strict=True)),
    )
    assert float(cp.core_consistency(x * size, other)) == pytest.approx(expected, abs=1e-9)


def test_an_exact_decomposition_has_all_of_it(random_cp, dense, dtype):
    fit = random_cp((5, 6, 7), 3, dtype=dtype)
    slack = 1e5 * float(np.finfo(dtype).eps)
    x = dense(fit).astype(dtype)
    assert float(cp.core_consistency(x, fit)) == pytest.approx(100, abs=slack)


def test_the_best_single_component_has_all_of_it():
    x = gaussian((5, 6, 7), rng=0)
    fit = cp.cp_als(x, rank=1, rng=0).tensor
    assert float(cp.core_consistency(x, fit)) == pytest.approx(100, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_it_falls_where_there_are_too_many_components(random_cp, seed):
    truth = random_cp((12, 13, 14), 3, seed=seed)._replace(weights=np.ones(3))
    x = truth.to_array()
    noise = gaussian(x.shape, rng=seed)
    x = x + 0.1 * np.linalg.norm(x) / np.linalg.norm(noise) * noise
    right, wrong = (
        float(cp.core_consistency(x, cp.cp_als(x, rank=r, n_starts=5, rng=0).tensor))
        for r in (3, 5)
    )
    assert right > 90
    assert wrong < 50


def test_a_tucker_core_that_is_full_has_none():
    x = gaussian((3, 3, 3), rng=0)
    # Each entry of the core is one of x, off the diagonal as large as on it.
    found = float(cp.core_consistency(x, cp.CP(np.ones(3), (np.eye(3),) * 3)))
    unit = np.zeros((3, 3, 3))
    unit[range(3), range(3), range(3)] = 1
    assert found == pytest.approx(100 * (1 - np.linalg.norm(x - unit) ** 2 / 3), rel=1e-12)
    assert found < 0


def test_dependent_columns_share_what_they_explain(random_cp, dense):
    fit = random_cp((5, 6, 7), 2, seed=3)
    double = cp.CP(
        np.repeat(fit.weights, 2) / 2, tuple(np.repeat(f, 2, axis=1) for f in fit.factors)
    )
    found = float(cp.core_consistency(dense(fit), double))
    # In the smallest core each of 2 * 2 * 2 combinations of twins holds an eighth of w = 2 * w/2:
    # a quarter of the weight of a twin. Four diagonal entries miss 3/4, 12 others hold 1/4.
    assert found == pytest.approx(100 * (1 - (4 * 9 / 16 + 12 / 16) / 4), abs=1e-8)


def test_a_component_that_is_zero_costs_its_share(random_cp, dense):
    fit = random_cp((5, 6, 7), 3)
    x = dense(fit)
    for empty in (
        cp.CP(np.append(fit.weights, 0.0), tuple(np.c_[f, np.ones(len(f))] for f in fit.factors)),
        cp.CP(np.append(fit.weights, 1.0), tuple(np.c_[f, np.zeros(len(f))] for f in fit.factors)),
    ):
        assert float(cp.core_consistency(x, empty)) == pytest.approx(75, abs=1e-8)
    nothing = cp.CP(np.zeros(2), (np.ones((5, 2)), np.ones((6, 2))))
    assert float(cp.core_consistency(np.zeros((5, 6)), nothing)) == 0


def test_more_components_than_a_mode_is_long():
    x = gaussian((2, 6, 7), rng=0)
    fit = cp.CP(np.ones(4), tuple(gaussian((n, 4), rng=n) for n in x.shape))
    assert np.isfinite(float(cp.core_consistency(x, fit)))


def test_twelve_modes():
    fit = cp.CP(np.ones(2), (np.eye(2),) * 12)
    assert float(cp.core_consistency(fit.to_array(), fit)) == pytest.approx(100)


def test_zeros_of_sparse_tensors_are_not_filled_in(xp, moved, random_cp):
    x = np.where(np.random.default_rng(0).random((8, 9, 10)) < 0.2, gaussian((8, 9, 10)), 0)
    fit = random_cp(x.shape, 3)
    there = moved(fit, xp.asarray)
    sparse = cp.core_consistency(from_dense(xp.asarray(x)), there)
    full = cp.core_consistency(xp.asarray(x), there)
    expected = brute(x, fit)
    for found in (sparse, full):
        assert float(xp.to_numpy(found)) == pytest.approx(expected, rel=1e-9)


def test_real_data_may_have_complex_components(random_cp):
    fit = random_cp((5, 6, 7), 2, dtype="complex128")
    x = gaussian((5, 6, 7), rng=0)
    assert float(cp.core_consistency(x, fit)) == pytest.approx(brute(x, fit), rel=1e-9)


def test_what_is_no_fit_is_refused(random_cp):
    fit = random_cp((5, 6, 7), 2)
    with pytest.raises(ValueError, match=r"one shape, got \(5, 6, 8\) and \(5, 6, 7\)"):
        cp.core_consistency(np.ones((5, 6, 8)), fit)
    with pytest.raises(ValueError, match=r"first at x\[0, 0, 0\]"):
        cp.core_consistency(np.full((5, 6, 7), np.nan), fit)
    with pytest.raises(TypeError, match="cp must be a CP"):
        cp.core_consistency(np.ones((5, 6, 7)), 3)
