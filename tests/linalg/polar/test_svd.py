"""Polar factors from the SVD: which singular values count, and derivatives."""

from functools import partial

import numpy as np
import pytest

import tdecomp as td
from tdecomp.linalg._polar._svd import svd_polar
from tdecomp.testing import gaussian, matrix

SLACK = 100 * np.finfo(float).eps
SHAPE = (6, 4)
DIFFERENTIABLE = pytest.mark.parametrize("xp", ["torch", "jax"], indirect=True)
GAPS = [4.0, 2.0, 1.0, 0.25]
ORTHOGONAL = np.linalg.qr(gaussian(SHAPE))[0]
CASES = {
    "distinct values": matrix(*SHAPE, GAPS),
    "all values equal": ORTHOGONAL,
    "the identity": np.eye(4),
    "complex": matrix(*SHAPE, GAPS, dtype="complex128"),
    "a stack": np.stack([ORTHOGONAL, 3 * ORTHOGONAL]),
}


def triplets(a):
    return np.linalg.svd(a, full_matrices=False)


@pytest.mark.parametrize("rank", [1, 3, 4])
def test_a_rank_keeps_the_leading_triplets(xp, rank):
    a = CASES["complex"]
    u, s, vh = triplets(a)
    found, h = svd_polar(xp.asarray(a), rank, xp=xp.namespace)
    isometry = u[:, :rank] @ vh[:rank]
    assert np.abs(xp.to_numpy(found) - isometry).max() <= SLACK
    expected = (np.conj(vh[:rank].T) * s[:rank]) @ vh[:rank]
    assert np.abs(xp.to_numpy(h) - expected).max() <= 4 * SLACK
    residual = np.linalg.norm(a - xp.to_numpy(found) @ xp.to_numpy(h))
    assert residual == pytest.approx(np.linalg.norm(s[rank:]), rel=1e-12, abs=4 * SLACK)


def test_a_cutoff_chooses_for_each_matrix(xp):
    stack = np.stack([CASES["distinct values"], ORTHOGONAL, 0 * ORTHOGONAL])
    for rank, ranks in ((None, (2, 4, 0)), (1, (1, 1, 0))):
        u, h = td.polar(xp.asarray(stack), cutoff=0.3, rank=rank)
        traces = np.linalg.norm(xp.to_numpy(u), axis=(1, 2)) ** 2
        assert np.abs(traces - ranks).max() <= SLACK
        assert np.all(xp.to_numpy(h)[2] == 0)
    alone = td.polar(xp.asarray(stack[0]), cutoff=0.3).U
    assert np.abs(xp.to_numpy(alone - td.polar(xp.asarray(stack[0]), rank=2).U)).max() <= SLACK


def test_without_h_there_is_none():
    assert svd_polar(ORTHOGONAL, with_h=False, xp=np)[1] is None


def number(factors, xp):
    """A smooth number that depends on all entries of both factors."""
    u, h = factors
    return sum(xp.sum(xp.real(x) ** 3 + xp.imag(x * x)) for x in (u, h))


def derivatives(xp, a, direction, options):
    """Return the first two derivatives along a direction, by the library's own means."""
    if xp.name == "jax":
        import jax

        def line(t):
            return number(td.polar(xp.asarray(a) + t * xp.asarray(direction), **options), xp)

        slope = jax.grad(line)
        return [float(x) for x in xp.jit(lambda t: (slope(t), jax.grad(slope)(t)))(0.0)]
    import torch

    t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    factors = td.polar(xp.asarray(a) + t * xp.asarray(direction), **options)
    factors = [x if x.is_complex() else x + 0j for x in factors]
    (first,) = torch.autograd.grad(number(factors, xp), t, create_graph=True)
    (second,) = torch.autograd.grad(first, t)
    return [float(first.detach()), float(second.detach())]


def differences(a, direction, options, h=2e-4):
    """Return the first two derivatives along a direction, by differences of order four."""

    def line(t):
        return number(td.polar(a + t * direction, **options), np)

    p, q, o, r, s = (line(t * h) for t in (-2, -1, 0, 1, 2))
    first = (p - 8 * q + 8 * r - s) / (12 * h)
    return [first, (-p + 16 * q - 30 * o + 16 * r - s) / (12 * h * h)]


@DIFFERENTIABLE
@pytest.mark.parametrize("options", [{}, {"rank": 2}, {"cutoff": 0.3}, {"side": "left"}])
@pytest.mark.parametrize("case", CASES)
def test_first_and_second_derivatives_are_those_of_differences(xp, case, options):
    if xp.name == "jax" and "cutoff" in options:
        pytest.skip("an array's rank cannot depend on its values")
    a = CASES[case]
    if "rank" in options and case not in ("distinct values", "complex"):
        pytest.skip("no gap behind the rank")
    direction = gaussian(a.shape, rng=3, dtype=a.dtype) / 4
    found = derivatives(xp, a, direction, options)
    assert found == pytest.approx(differences(a, direction, options), rel=1e-5, abs=1e-5)


@DIFFERENTIABLE
def test_a_value_does_not_change_because_it_is_differentiated(xp):
    a = matrix(8, 5, np.geomspace(1, 1e-14, 5))
    plain = xp.to_numpy(td.polar(xp.asarray(a)).U)
    if xp.name == "jax":
        traced = xp.to_numpy(xp.jit(lambda a: td.polar(a).U)(xp.asarray(a)))
    else:
        traced = xp.to_numpy(td.polar(xp.asarray(a).requires_grad_()).U)
    assert np.linalg.norm(traced.T @ traced - np.eye(5)) <= SLACK
    assert np.abs(traced.T @ plain - np.eye(5)).max() <= 1


@pytest.mark.parametrize("xp", ["torch"], indirect=True)
def test_the_zero_matrix_has_a_derivative_that_is_zero(xp):
    leaf = xp.asarray(np.zeros((3, 2))).requires_grad_()
    u, h = td.polar(leaf)
    u.sum().backward()
    assert np.all(leaf.grad.numpy() == 0)
    assert np.all(h.detach().numpy() == 0)
    assert np.linalg.norm(u.detach().numpy().T @ u.detach().numpy() - np.eye(2)) <= SLACK


@DIFFERENTIABLE
def test_a_cutoff_that_leaves_several_ranks_is_not_differentiated(xp):
    stack = np.stack([CASES["distinct values"], ORTHOGONAL])
    call = partial(td.polar, cutoff=0.3)
    if xp.name == "torch":
        leaf = xp.asarray(stack).requires_grad_()
    else:
        call, leaf = xp.jit(call), xp.asarray(stack)
    with pytest.raises(ValueError, match="pass rank="):
        call(leaf)


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_single_precision_has_a_second_route(monkeypatch, certified, dtype):
    import scipy.linalg

    a = gaussian((9, 6), dtype=dtype)
    certified(a, td.polar(a))

    def fails(*_, **__):
        raise np.linalg.LinAlgError("SVD did not converge")

    monkeypatch.setattr(scipy.linalg, "svd", fails)
    certified(a, td.polar(a))


@pytest.mark.parametrize("options", [{}, {"rank": 5}, {"cutoff": 0.052}])
def test_tall_matrices_are_reduced_to_a_triangle(xp, options, dtype):
    a = matrix(70, 32, "polynomial", rng=1, dtype=dtype)
    u, s, vh = triplets(a)
    rank = {"rank": 5, "cutoff": int(np.sum(s > 0.052 * s[0]))}.get(*options or [""], 32)
    found, h = svd_polar(xp.asarray(a), **options, xp=xp.namespace)
    slack = 200 * np.finfo(dtype).eps / s[rank - 1]
    assert np.abs(xp.to_numpy(found) - u[:, :rank] @ vh[:rank]).max() <= slack
    assert np.abs(xp.to_numpy(h) - (np.conj(vh[:rank].T) * s[:rank]) @ vh[:rank]).max() <= slack
