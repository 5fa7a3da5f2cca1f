"""Drafts: projections of which one basis is never made."""

import functools

import numpy as np
import pytest

import tdecomp as td
from tdecomp.linalg._draft import begin, hidden_gain, proceed
from tdecomp.linalg._operand import operand
from tdecomp.testing import matrix

INDEX = np.arange(90.0)
# Moderate decay: squares keep the digits that these tests ask for.
SPECTRA = {"decay": 0.8**INDEX, "slow": 1 / (1 + INDEX), "low rank": [3.0, 2.0, 1.0]}


def drafts(a, width, products, xp, *, turned=False):
    """Drafts after each product with a tall matrix, and the matrix as an operand."""
    rng = np.random.default_rng(0)
    op = operand(xp.asarray(a), rng)
    rows = a.shape[0] if turned else a.shape[1]
    test = xp.asarray(rng.standard_normal((rows, width)).astype(a.dtype))
    d = begin(op, test, turned=turned)
    out = []
    for _ in range(products):
        d = proceed(op, d)
        out.append(d)
    return op, out


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.when_compiled(dtype="complex128")
def test_every_product_shows_the_singular_values_of_a_projection(name, turned, dtype, xp):
    a = matrix(140, 90, SPECTRA[name], dtype=dtype)
    op, found = drafts(a, 8, 5, xp, turned=turned)
    for d in found:
        right = xp.to_numpy(d.basis)
        assert np.linalg.norm(right.conj().T @ right - np.eye(right.shape[1])) < 1e-12
        projected = a @ right @ right.conj().T
        if not d.from_left:
            q, s, _ = np.linalg.svd(a @ right[:, :-8], full_matrices=False)
            q = q[:, s > 1e-7]
            projected = q @ (q.conj().T @ a)
        exact = np.linalg.svd(projected, compute_uv=False) ** 2
        squares = d.squares(op.xp)
        assert squares[:3] == pytest.approx(exact[:3], rel=1e-9)
        assert squares.sum() == pytest.approx(exact.sum(), rel=1e-9)


@pytest.mark.parametrize("name", ["decay", "slow"])
def test_its_block_spans_the_leading_vectors_of_that_projection(name, xp):
    a = matrix(140, 90, SPECTRA[name])
    op, found = drafts(a, 8, 4, xp)
    for d in found:
        block, left = d.block(3, op.xp)
        assert left == d.from_left
        block = xp.to_numpy(block)
        assert np.linalg.norm(block.T @ block - np.eye(3)) < 1e-8
        image = a.T @ block if d.from_left else a @ block
        # A product with the block keeps at least the energy of the projection.
        assert np.linalg.norm(image) ** 2 >= d.squares(op.xp)[:3].sum() * (1 - 1e-9)


def test_the_hidden_gain_is_the_gain_to_first_order(xp):
    a = matrix(140, 90, 0.8**INDEX)
    op, found = drafts(a, 8, 5, xp)
    energies = [d.squares(op.xp)[:3].sum() for d in found]
    for old, new, before, after in zip(found, found[1:], energies, energies[1:], strict=False):
        gain = after - before
        hidden = hidden_gain(old, new, 3, op.xp)
        if gain > 1e-12:
            assert 0.5 * gain <= hidden <= gain * (1 + 1e-6)


@pytest.mark.parametrize("shape", [(1300, 1000), (1000, 1300), (5000, 300), (300, 5000)])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_a_search_that_starts_from_a_draft_keeps_its_promise(shape, dtype):
    s = 1 / np.arange(1.0, 301.0)
    a = matrix(*shape, s, dtype=dtype)
    fit = td.randomized_svd(a, rank=10, tol=1e-4, rng=0)
    u, values, vh = fit.tensor
    error = np.linalg.norm(a - (u * values) @ vh) / np.linalg.norm(a)
    best = np.linalg.norm(s[10:]) / np.linalg.norm(s)
    assert fit.error == pytest.approx(error, rel=1e-6)
    assert error <= best * (1 + 1e-3)
    assert np.linalg.norm(u.conj().T @ u - np.eye(10)) < 1e-13
    assert np.linalg.norm(vh @ vh.conj().T - np.eye(10)) < 1e-13


def test_a_draft_on_every_library(xp):
    a = matrix(1200, 1000, 1 / np.arange(1.0, 1001.0))
    fit = td.randomized_svd(xp.asarray(a), rank=10, rng=0)
    u, s, vh = map(xp.to_numpy, fit.tensor)
    best = np.linalg.norm(1 / np.arange(11.0, 1001.0))
    assert np.linalg.norm(a - (u * s) @ vh) <= best * (1 + 1e-3)


BLIND = {
    "one large value": lambda g: 50 + g,
    "low rank": lambda g: matrix(*g.shape, [3.0, 2.0, 1.0]),
    "low rank and noise": lambda g: matrix(*g.shape, [300.0, 200.0, 100.0]) + 1e-2 * g,
    "steep, then flat": lambda g: matrix(
        *g.shape, np.where(np.arange(1000) < 5, 1.0, 1e-3 / (1 + np.arange(1000)))
    ),
}


@functools.cache
def blind(name):
    """Return a matrix and its singular values, which take longer than what is tested."""
    a = BLIND[name](np.random.default_rng(0).standard_normal((1300, 1000)))
    return a, np.linalg.svd(a, compute_uv=False)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("name", BLIND)
@pytest.mark.when_compiled(turned=True, name="low rank and noise")
def test_what_squares_in_single_precision_do_not_see_is_found_in_double(name, turned, xp):
    a, s = blind(name)
    a = a.T.copy() if turned else a
    fit = td.randomized_svd(xp.asarray(a), rank=10, rng=1)
    u, values, vh = map(xp.to_numpy, fit.tensor)
    assert values.shape == (10,)
    assert fit.status is td.Status.CONVERGED
    assert fit.n_iter <= 20
    best = np.linalg.norm(s[10:])
    assert np.linalg.norm(a - (u * values) @ vh) <= best * (1 + 1e-3) + 1e-13 * s[0]


@pytest.mark.parametrize("scale", [1e-13, 1e-9, 1e-5, 1e-3, 1.0, 1e5, 1e7, 1e9, 1e13])
def test_the_scale_changes_neither_the_products_nor_the_excess(scale):
    s = 1 / np.arange(1.0, 1001.0)
    a = matrix(1200, 1000, s) * scale
    fit = td.randomized_svd(a, rank=10, tol=1e-6, rng=0)
    assert fit.n_iter <= 9
    best = scale * np.linalg.norm(s[10:])
    assert np.linalg.norm(a - fit.tensor.to_array()) <= best * (1 + 1e-5)


def test_equal_singular_values_leave_nothing_to_gain():
    fit = td.randomized_svd(np.eye(1100), rank=10, rng=1)
    assert fit.status is td.Status.CONVERGED
    assert fit.n_iter <= 6


def test_the_callback_of_a_draft_counts_on_and_is_asked_once_to_stop():
    a = matrix(1200, 1000, 1 / np.arange(1.0, 1001.0))
    seen = []
    td.randomized_svd(a, rank=10, tol=1e-8, rng=1, callback=seen.append)
    assert [progress.iteration for progress in seen] == list(range(1, len(seen) + 1))
    elapsed = [progress.elapsed for progress in seen]
    assert elapsed == sorted(elapsed)
    calls = []
    fit = td.randomized_svd(
        a, rank=10, tol=1e-8, rng=1, callback=lambda progress: calls.append(progress) or True
    )
    assert fit.status is td.Status.INTERRUPTED
    assert len(calls) == 1
    error = np.linalg.norm(a - fit.tensor.to_array()) / np.linalg.norm(a)
    assert fit.error == pytest.approx(error, rel=1e-6)
