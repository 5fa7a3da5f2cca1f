"""Rows by conjugate gradients: how close to least squares, and what that does to sweeps."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp._xp import namespace
from tdecomp.completion._gradients import Effort, improve_rows
from tdecomp.completion._masked import misfit, solve_rows
from tdecomp.completion._methods._als_cg import _along_axes
from tdecomp.completion._observed import Side

XP = namespace(np.ones(1))


def problem(m, n, k, share, condition=1.0):
    """Both sides of known entries of a matrix of rank `k`, and where to start."""
    rng = np.random.default_rng(0)
    u, v = (np.linalg.qr(rng.standard_normal((size, k)))[0] for size in (m, n))
    x = (u * np.geomspace(1, 1 / condition, k)) @ v.T * np.sqrt(m * n)
    known = rng.random((m, n)) < share
    near = x + 0.3 * rng.standard_normal((m, n)) / np.sqrt(k)
    svd = td.linalg.truncated_svd(near, rank=k)
    left, right = svd.U * np.sqrt(svd.S), svd.Vh.T * np.sqrt(svd.S)
    return side_of(x, known), side_of(x.T, known.T), left, np.ascontiguousarray(right)


def side_of(x, known):
    others = np.nonzero(known)[1]
    starts = np.concatenate([[0], np.cumsum(known.sum(axis=1))])
    return Side(starts.astype(np.int64), others.astype(np.int32), x[known], None)


def swept(sides, left, right, half, sweeps):
    """Return the relative misfit after every sweep of a way to treat one side."""
    size, errors = np.linalg.norm(sides[0].values), []
    for _ in range(sweeps):
        left, right = _along_axes(left, right, left.shape[1], XP)
        left = half(sides[0], left, right)
        right, left = _along_axes(right, left, left.shape[1], XP)
        right = half(sides[1], right, left)
        errors.append(np.sqrt(misfit(sides[0], left, right, XP)) / size)
    return np.asarray(errors)


def inexact(steps, shrink, floor):
    effort = Effort(steps, shrink, floor)
    return lambda side, left, right: improve_rows(
        side, left, right, np.zeros_like(left), effort=effort, xp=XP
    )


def exact(side, left, right):
    return solve_rows(side, left, right, np.zeros_like(left), XP)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("xp", ["numpy", "array-api-strict", "torch"], indirect=True)
def test_as_many_steps_as_columns_solve_a_row(xp, dtype):
    rng, k = np.random.default_rng(0), 5
    x, right = (rng.standard_normal(shape).astype(dtype) for shape in ((4, 30), (30, k)))
    if dtype == "complex128":
        right = right + 1j * rng.standard_normal(right.shape)
    side = side_of(x, np.ones(x.shape, bool))
    index = np.int32 if xp.name == "numpy" else np.int64
    wide = Side(
        *(xp.asarray(p) for p in (side.starts, side.indices.astype(index), side.values)), None
    )
    real = right.real.dtype
    found = improve_rows(
        wide, xp.asarray(np.zeros((4, k), dtype)), xp.asarray(right),
        xp.asarray(np.full((4, k), 0.5, real)), effort=Effort(k + 2, 0.0, 0.0), xp=xp.namespace,
    )  # fmt: skip
    normal = right.T @ right.conj() + 0.5 * np.eye(k)
    expected = np.linalg.solve(normal.T, (x @ right.conj()).T).T
    # Forward error: eps times the condition of the normal equations, here below 10.
    rounding = 50 * np.finfo(real).eps * np.max(abs(expected))
    np.testing.assert_allclose(xp.to_numpy(found), expected, atol=rounding)


def test_errors_of_rows_fall_with_the_bound_of_conjugate_gradients():
    rng = np.random.default_rng(0)
    right = rng.standard_normal((400, 16))
    side, left = side_of(rng.standard_normal((3, 400)), np.ones((3, 400), bool)), np.zeros((3, 16))
    best = exact(side, left, right)
    scaled = right / np.linalg.norm(right, axis=0)
    root = np.linalg.cond(scaled)

    def energy(rows):
        return np.linalg.norm((rows - best) @ right.T)

    for steps in (1, 3, 6):
        bound = 2 * ((root - 1) / (root + 1)) ** steps
        assert energy(inexact(steps, 0.0, 0.0)(side, left, right)) <= bound * energy(left)


def test_sweeps_keep_the_pace_of_exact_ones_whatever_the_condition():
    for condition in (1.0, 100.0):
        *sides, left, right = problem(120, 100, 4, 0.5, condition)
        ours = swept(sides, left, right, inexact(8, 0.02, 0.0), 8)
        theirs = swept(sides, left, right, exact, 8)
        assert np.all(ours < 1.1 * theirs + 1e-14)


def test_the_plateau_is_proportional_to_the_inner_tolerance():
    *sides, left, right = problem(120, 100, 4, 0.5)
    for floor in (1e-2, 1e-4, 1e-6):
        plateau = swept(sides, left, right, inexact(8, 0.0, floor), 15)[-1]
        assert 0.05 * floor < plateau < 5 * floor


@pytest.mark.parametrize("xp", ["numpy", "array-api-strict", "torch"], indirect=True)
def test_axes_change_no_model_and_make_columns_orthogonal(xp):
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((n, 3)) + 1j * rng.standard_normal((n, 3)) for n in (5, 6))
    turned = _along_axes(xp.asarray(left), xp.asarray(right), 3, xp.namespace)
    a, b = (xp.to_numpy(f) for f in turned)
    np.testing.assert_allclose(a @ b.T, left @ right.T, atol=1e-13)
    gram = b.conj().T @ b
    np.testing.assert_allclose(gram - np.diag(np.diag(gram)), 0, atol=1e-13)


def test_rows_with_fewer_entries_than_columns_are_fitted_without_growing():
    rng = np.random.default_rng(0)
    known = np.zeros((2, 30), bool)
    known[0, :3] = True
    side = side_of(rng.standard_normal((2, 30)), known)
    left, right = rng.standard_normal((2, 8)), rng.standard_normal((30, 8))
    found = inexact(20, 0.0, 0.0)(side, left, right)
    np.testing.assert_allclose(found[0] @ right[:3].T, side.values, atol=1e-10)
    assert np.linalg.norm(found[0] - left[0]) < 5 * np.linalg.norm(
        np.linalg.lstsq(right[:3], side.values - right[:3] @ left[0])[0]
    )
    assert not found[1].any()
