"""Subgradients: recovery under gross outliers, from small starts, without the rank."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp.completion.robust import sense, subgradient
from tdecomp.completion.robust._packed import packed
from tdecomp.completion.robust._sensing import sensing
from tdecomp.completion.robust._subgradient import planned_decay, pull
from tdecomp.completion.robust._unit_signs import unit_signs
from tdecomp.testing import gaussian

D, RANK = 12, 2


def instance(m=500, outliers=0.1, noise=0.0):
    """A projector, a Gaussian map, and what it sees, some of it wrong."""
    rng = np.random.default_rng(0)
    u = np.linalg.qr(rng.standard_normal((D, RANK)))[0]
    stack = rng.standard_normal((m, D, D))
    y = np.tensordot(stack, u @ u.T, 2) + noise * rng.standard_normal(m)
    wrong = rng.permutation(m)[: int(outliers * m)]
    y[wrong] += 10 * rng.standard_normal(wrong.size)
    return u @ u.T, stack, y


def far(fit, truth):
    return np.linalg.norm(fit.tensor.to_array() - truth)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_direction_is_the_derivative_off_kinks(dtype):
    stack, u = gaussian((40, 6, 6), rng=0, dtype=dtype), gaussian((6, 3), rng=1, dtype=dtype)
    y = gaussian((40,), rng=2, dtype=dtype)
    problem = packed(sensing(y, stack))

    def loss(factor):
        residual = problem.residual(factor, factor.conj().T)
        return np.sum(np.abs(residual)) / (40 * np.sqrt(problem.energy))

    slope = pull(problem, u, unit_signs(problem.residual(u, u.conj().T), np))
    direction, h = gaussian((6, 3), rng=3, dtype=dtype), 1e-7
    expected = (loss(u + h * direction) - loss(u - h * direction)) / (2 * h)
    assert np.vdot(slope, direction).real == pytest.approx(expected, rel=1e-6)


def test_a_smaller_start_ends_nearer():
    truth, stack, y = instance()
    sizes = [1e-2, 1e-3, 1e-4]
    errors = [
        far(subgradient(y, stack, rank=D, init_scale=a, rng=0, max_iter=2000), truth)
        for a in sizes
    ]
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    assert 0.6 <= np.polyfit(np.log(sizes), np.log(errors), 1)[0] <= 1.5


@pytest.mark.parametrize(
    ("columns", "outliers"), [(2, 0.0), (2, 0.4), (4, 0.2), (12, 0.0), (12, 0.4)]
)
def test_neither_the_number_of_columns_nor_of_outliers_matters(columns, outliers):
    truth, stack, y = instance(800, outliers)
    fit = subgradient(y, stack, rank=columns, rng=0, max_iter=2000)
    assert far(fit, truth) < 1e-5


def test_least_squares_fails_where_outliers_are():
    truth, stack, y = instance()
    assert far(sense(y, stack, rank=D, symmetric=True, rng=0, max_iter=500), truth) > 0.3


def test_the_error_is_proportional_to_noise_in_every_measurement():
    errors = []
    for noise in (0.01, 0.1):
        truth, stack, y = instance(outliers=0.0, noise=noise)
        errors.append(far(subgradient(y, stack, rank=D, rng=0, max_iter=1500), truth))
    assert errors[1] / errors[0] == pytest.approx(10, rel=0.2)


def test_turning_the_start_turns_the_factor():
    _, stack, y = instance(200)
    u = 1e-2 * gaussian((D, 4), rng=0)
    q = np.linalg.qr(gaussian((4, 4), rng=1))[0]
    plain, turned = (
        subgradient(y, stack, rank=4, init=td.LowRank(x, x.T), max_iter=30).tensor.left
        for x in (u, u @ q)
    )
    np.testing.assert_allclose(turned, plain @ q, atol=1e-12)


def test_steps_add_up_to_what_the_start_needs_to_grow():
    for alpha in (1e-2, 1e-8):
        eta = 0.25
        total = eta / (1 - planned_decay(alpha, eta))
        assert total == pytest.approx(2 * np.log(1 / alpha))
    truth, stack, y = instance()
    fast = subgradient(y, stack, rank=D, init_scale=1e-3, decay=0.9, rng=0)
    assert far(fast, truth) == pytest.approx(np.linalg.norm(truth), rel=1e-2)  # still at zero
    assert fast.status is td.Status.STAGNATED


def test_the_nearest_semidefinite_matrix_to_a_negative_number_is_zero():
    fit = subgradient([-3.0], np.array([[[2.0]]]), rank=1, rng=0)
    assert (fit.status, fit.error) == (td.Status.CONVERGED, 1.0)
    assert abs(fit.tensor.to_array()[0, 0]) < 1e-12


def test_steps_end():
    truth, stack, y = instance(300, 0.0)
    fit = subgradient(y, stack, rank=RANK, init_scale=1e-2, rng=0)
    assert fit.status is td.Status.CONVERGED
    assert far(fit, truth) < 1e-8


def test_complex_matrices_are_recovered():
    rng = np.random.default_rng(0)
    u = gaussian((8, 2), rng=3, dtype="complex128")
    square = gaussian((600, 8, 8), rng=4, dtype="complex128")
    y = np.einsum("pij,ij->p", square.conj(), u @ u.conj().T)
    y[::6] += 100 * rng.standard_normal(y[::6].size)
    fit = subgradient(y, square, rank=4, rng=0, init_scale=1e-4)
    assert far(fit, u @ u.conj().T) <= 1e-3 * np.linalg.norm(u) ** 2


@pytest.mark.parametrize(("dtype", "alpha"), [("f4", 1e-18), ("f8", 1e-160)])
def test_a_start_whose_square_is_zero_is_refused(dtype, alpha):
    _, stack, y = instance(100)
    with pytest.raises(ValueError, match="init_scale"):
        subgradient(y.astype(dtype), stack.astype(dtype), rank=2, init_scale=alpha, rng=0)
