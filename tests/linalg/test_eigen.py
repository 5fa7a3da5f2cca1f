"""The spectrum of a Gram matrix, and its leading eigenvectors alone."""

import numpy as np
import pytest

from tdecomp.linalg import _eigen
from tdecomp.linalg._eigen import spectrum
from tdecomp.testing import assert_isometry, gaussian

EPS = float(np.finfo(float).eps)
N = 230


def matrices():
    a = gaussian((N, 2 * N))
    q = np.linalg.qr(gaussian((N, N), rng=1))[0]
    s = 10.0 ** -np.linspace(0, 20, N)
    return {
        "full": a @ a.T,
        "of low rank": a[:, :5] @ a[:, :5].T,
        "zero": np.zeros((N, N)),
        "one": np.eye(N),
        "constant": np.ones((N, N)),
        "graded": (q * s) @ q.T,
        "in clusters": (q * np.repeat([4.0, 2.0], N // 2)) @ q.T,
    }


@pytest.mark.parametrize("kind", matrices())
@pytest.mark.parametrize("count", [1, 28, N])
def test_leading_eigenvectors_are_those_of_the_matrix(kind, count):
    g = matrices()[kind]
    w, leading = spectrum(g, np)
    v, norm = leading(count), float(np.linalg.norm(g, 2))
    wanted = np.maximum(np.linalg.eigvalsh(g)[::-1], 0)
    assert np.all(abs(w - wanted) <= 10 * N**0.5 * EPS * norm)
    assert v.shape == (N, count)
    assert_isometry(v)
    assert np.all(np.linalg.norm(g @ v - v * w[:count], axis=0) <= 10 * N**0.5 * EPS * norm)


def test_the_matrix_is_left_alone_and_may_be_read_only():
    g = matrices()["full"]
    before = g.copy()
    g.flags.writeable = False
    first = spectrum(g, np)
    assert abs(first.leading(3) - first.leading(5)[:, :3]).max() <= 1e3 * EPS
    assert np.array_equal(g, before)


def test_where_the_tridiagonal_solver_gives_up_all_eigenvectors_are_found(monkeypatch):
    import scipy.linalg

    def give_up(*_args, **_options):
        raise np.linalg.LinAlgError

    g = matrices()["full"]
    w, leading = spectrum(g, np)
    monkeypatch.setattr(scipy.linalg, "eigh_tridiagonal", give_up)
    v = spectrum(g, np).leading(4)
    assert abs(abs(np.sum(v * leading(4), axis=0)) - 1).max() <= 1e3 * EPS
    assert np.linalg.norm(g @ v - v * w[:4]) <= 1e3 * EPS * w[0]


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_every_library_and_dtype_has_that_spectrum(xp, dtype, monkeypatch):
    monkeypatch.setattr(_eigen, "_SMALL", 0)
    a = gaussian((9, 20), dtype=dtype)
    g = a @ a.conj().T
    w, leading = spectrum(xp.asarray(g), xp.namespace)
    v = xp.to_numpy(leading(3))
    assert_isometry(v)
    eps = float(np.finfo(dtype).eps)
    assert np.linalg.norm(g @ v - v * xp.to_numpy(w)[:3]) <= 60 * eps * np.linalg.norm(g)
