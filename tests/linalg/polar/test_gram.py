"""Polar factors through the Gram matrix: as accurate as by the SVD, or refused."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp._xp import namespace
from tdecomp.linalg._polar import _gram, _polar
from tdecomp.linalg._polar._bidiagonal import bidiagonal_polar
from tdecomp.linalg._polar._gram import gram_polar
from tdecomp.linalg._polar._svd import svd_polar
from tdecomp.testing import gaussian, matrix

DTYPES = ("float32", "float64", "complex64", "complex128")


def spectrum(kind, n, condition):
    if kind == "graded":
        return np.geomspace(1, 1 / condition, n)
    return [1.0] * (n - 1) + [1 / condition]


def errors(a, u, h):
    """Return T1 and T2, measured in double precision."""
    a, u, h = (x.astype("complex128") for x in (a, u, h))
    unit = np.eye(a.shape[1])
    residual = np.linalg.norm(a - u @ h) / np.linalg.norm(a)
    return np.linalg.norm(np.conj(u.T) @ u - unit), residual


@pytest.mark.parametrize("kind", ["graded", "one small"])
@pytest.mark.parametrize("shape", [(5, 5), (70, 70), (90, 60), (150, 60)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_no_digit_is_lost_at_any_condition_that_is_accepted(shape, kind, dtype):
    n, eps = shape[1], np.finfo(dtype).eps
    limit = 6 if np.finfo(dtype).bits == 32 else 4
    for condition in [1.0, 2.9, *10.0 ** np.arange(1, limit + 1)]:
        a = matrix(*shape, spectrum(kind, n, condition), rng=n, dtype=dtype)
        found = errors(a, *gram_polar(a, with_h=True, xp=namespace(a)))
        of_svd = errors(a, *svd_polar(a, xp=namespace(a)))
        assert found[0] <= max(1.2 * of_svd[0], 10 * eps * np.sqrt(n))
        assert found[1] <= max(1.2 * of_svd[1], 20 * eps)


@pytest.mark.parametrize("method", ["gram", "auto"])
def test_libraries_agree(xp, method):
    a = matrix(400, 130, spectrum("graded", 130, 1e3))
    found = td.polar(xp.asarray(a), method=method)
    assert np.abs(xp.to_numpy(found.to_array()) - a).max() <= 1e-14
    u = xp.to_numpy(found.U)
    assert np.linalg.norm(u.T @ u - np.eye(130)) <= 30 * np.finfo(float).eps * np.sqrt(130)
    assert np.all(xp.to_numpy(found.H) == xp.to_numpy(found.H).T)


@pytest.mark.parametrize("condition", [1e3, 1e5, 1e9, 1e15])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_auto_takes_either_route_and_is_certified(certified, monkeypatch, condition, dtype):
    calls = []

    def spy(a, **options):
        calls.append("bidiagonal")
        return bidiagonal_polar(a, **options)

    monkeypatch.setattr(_polar, "bidiagonal_polar", spy)
    a = matrix(600, 200, spectrum("graded", 200, condition), dtype=dtype)
    certified(a, td.polar(a))
    limit = 1e6 if dtype == "float32" else 1e4
    assert calls == ([] if condition < limit else ["bidiagonal"])


def test_what_has_no_gram_matrix_goes_other_ways(certified):
    for a in (np.zeros((400, 130)), np.ones((400, 130)), np.eye(400, 130)[::-1]):
        certified(a, td.polar(a))


def test_the_distance_from_diagonal_is_checked(monkeypatch):
    a = matrix(30, 30, spectrum("graded", 30, 1e3))
    eigh = _gram.eigh

    def poor(gram, xp):
        values, v = eigh(gram, xp)
        return values, np.linalg.qr(v + 1e-5 * gaussian(v.shape))[0]

    assert _gram.gram_polar(a, with_h=True, xp=namespace(a)) is not None
    monkeypatch.setattr(_gram, "eigh", poor)
    assert _gram.gram_polar(a, with_h=True, xp=namespace(a)) is None


def test_a_poor_eigenvector_is_corrected(monkeypatch):
    a = matrix(60, 60, spectrum("graded", 60, 10.0))
    eigh = _gram.eigh

    def poor(gram, xp):
        values, v = eigh(gram, xp)
        return values, np.linalg.qr(v + 1e-12 * gaussian(v.shape))[0]

    monkeypatch.setattr(_gram, "eigh", poor)
    orthogonality, residual = errors(a, *gram_polar(a, with_h=True, xp=namespace(a)))
    assert orthogonality <= 10 * np.finfo(float).eps * np.sqrt(60)
    assert residual <= 20 * np.finfo(float).eps


@pytest.mark.parametrize("condition", [1e7, 1e160, np.inf])
def test_a_condition_that_is_too_large_is_refused_by_name(condition):
    a = matrix(8, 6, spectrum("one small", 6, condition))
    message = "squares the condition .* use method='svd'"
    with pytest.raises(td.ToleranceError, match=message) as info:
        td.polar(a, method="gram")
    assert 0 < info.value.reachable <= 1


@pytest.mark.parametrize("shape", [(2, 3, 9, 6), (3, 5, 8), (4, 5, 5)])
@pytest.mark.parametrize("side", ["right", "left"])
def test_stacks_go_one_by_one(shape, side, dtype):
    a = gaussian(shape, dtype=dtype)
    found, expected = (td.polar(a, side=side, method=method) for method in ("gram", "svd"))
    assert type(found) is type(expected)
    for x, y in zip(found, expected, strict=True):
        assert x.shape == y.shape
        assert x.dtype == y.dtype
        assert np.abs(x - y).max() <= 2000 * np.finfo(dtype).eps


def test_without_h_there_is_none():
    for condition, dtype in ((1.5, "float64"), (1e2, "float64"), (1e2, "float32")):
        a = matrix(6, 6, spectrum("graded", 6, condition), dtype=dtype)
        assert gram_polar(a, with_h=False, xp=namespace(a))[1] is None


def test_inputs_are_kept():
    a = matrix(400, 130, spectrum("graded", 130, 1e2))
    a.setflags(write=False)
    kept = a.copy()
    td.polar(a)
    assert np.all(a == kept)


@pytest.mark.parametrize("xp", ["torch", "jax"], indirect=True)
def test_gradients_and_tracing_are_refused(xp):
    a = xp.asarray(gaussian((5, 4)))
    a = a.requires_grad_() if xp.name == "torch" else a
    with pytest.raises(ValueError, match="looks at values"):
        xp.jit(lambda a: td.polar(a, method="gram").U)(a)


def test_without_double_precision_what_loses_digits_is_refused():
    jax = pytest.importorskip("jax")
    with jax.enable_x64(False):
        near, far = (
            jax.numpy.asarray(matrix(40, 20, spectrum("graded", 20, c), dtype="float32"))
            for c in (3.0, 1e3)
        )
        found = td.polar(near, method="gram")
        assert errors(*map(np.asarray, (near, *found)))[0] <= 1e-5
        with pytest.raises(td.ToleranceError):
            td.polar(far, method="gram")
