"""What the tests of matrix factorisations share: theorems on every result, a counter."""

from __future__ import annotations

import numpy as np
import pytest

from tdecomp.testing import assert_descending, assert_isometry


class Counted:
    """A matrix that is known by its products only, and counts them: one width for each block."""

    def __init__(self, array, adjoint=None):
        self.array = np.asarray(array)
        self.shape, self.dtype = self.array.shape, self.array.dtype
        self.widths = [] if adjoint is None else adjoint.widths
        self._adjoint = adjoint

    @property
    def mH(self):
        return self._adjoint or Counted(self.array.conj().T, self)

    def __matmul__(self, x):
        self.widths.append(x.shape[1])
        return self.array @ x


@pytest.fixture(scope="session")
def counted():
    """Build a matrix that counts its products in `widths`."""
    return Counted


def _is_canonical(u):
    """Tell whether the first of the largest entries of every column is real and positive."""
    slack = 8 * np.finfo(u.dtype).eps
    sizes = np.abs(u)
    largest = sizes >= (1 - 8 * slack) * sizes.max(axis=-2, keepdims=True)
    pivots = np.take_along_axis(u, np.argmax(largest, axis=-2, keepdims=True), axis=-2)
    return bool(np.all(np.abs(pivots.imag) <= slack) and np.all(pivots.real > 0))


@pytest.fixture(scope="session")
def is_canonical():
    """Tell whether the largest entry of every column is real and positive."""
    return _is_canonical


def _certified(fit, a, *, projection=True):
    """Assert what holds for every result of a randomized method, given NumPy arrays.

    Both bases are orthonormal, the values descend, signs are canonical, the reported error is the
    error; a `projection` has no singular value above the true one. Returns the error and the
    optimum of the same rank, both relative.
    """
    u, s, vh = fit.tensor
    eps = float(np.finfo(s.dtype).eps)
    assert_isometry(u)
    assert_isometry(vh.conj().T)
    assert_descending(s)
    assert _is_canonical(u)
    wide = a.astype(np.result_type(a.dtype, np.float64))
    size = float(np.max(np.abs(wide))) or 1.0
    true = np.linalg.svd(wide / size, compute_uv=False)
    scaled = s.astype(float) / size
    if projection:
        assert np.all(scaled <= true[: s.size] * (1 + 1e-10) + 30 * eps * true[0])
    norm = float(np.linalg.norm(true)) or 1.0
    error = float(np.linalg.norm(wide / size - (u * scaled) @ vh)) / norm
    # Six digits, down to the error that rounding alone makes.
    assert fit.error == pytest.approx(error, rel=1e-6, abs=40 * eps)
    return error, float(np.linalg.norm(true[s.size :])) / norm


@pytest.fixture(scope="session")
def certified():
    """Assert what holds for every result of a randomized method; return error and optimum."""
    return _certified


@pytest.fixture(scope="session")
def on_host():
    """Move a fit with all its arrays to NumPy."""

    def move(fit, xp):
        return fit._replace(tensor=type(fit.tensor)(*map(xp.to_numpy, fit.tensor)))

    return move


@pytest.fixture(scope="session")
def numpy_backend():
    """Take NumPy in and give it back, where a theorem is not about backends."""

    class Same:
        asarray = staticmethod(np.asarray)
        to_numpy = staticmethod(np.asarray)

    return Same()
