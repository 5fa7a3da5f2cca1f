"""What the tests of Tucker tensors share: random ones, and their entries by brute force."""

from __future__ import annotations

import numpy as np
import pytest

from tdecomp.tucker import Tucker


def _draw(rng, shape, dtype):
    values = rng.standard_normal(shape)
    if dtype.startswith("complex"):
        values = values + 1j * rng.standard_normal(shape)
    return values.astype(dtype)


@pytest.fixture(scope="session")
def tucker_of():
    """Draw a Tucker tensor; modes in `alone` have no factor."""

    def draw(shape, rank, *, dtype="float64", seed=0, alone=(), xp=None):
        rng = np.random.default_rng(seed)
        rank = tuple(n if k in alone else rank[k] for k, n in enumerate(shape))
        core = _draw(rng, rank, dtype)
        factors = [
            None if k in alone else _draw(rng, (n, rank[k]), dtype) for k, n in enumerate(shape)
        ]
        move = np.asarray if xp is None else xp.asarray
        return Tucker(move(core), tuple(None if f is None else move(f) for f in factors))

    return draw


def _host(x, xp):
    factors = tuple(None if f is None else xp.to_numpy(f) for f in x.factors)
    return Tucker(xp.to_numpy(x.core), factors)


@pytest.fixture(scope="session")
def host():
    """Move a Tucker tensor to NumPy."""
    return _host


@pytest.fixture(scope="session")
def brute():
    """Return the entries of a Tucker tensor, in double precision and by NumPy alone."""

    def entries(x, xp=None):
        x = x if xp is None else _host(x, xp)
        full = x.core.astype(np.result_type(x.dtype, np.float64))
        for k, factor in enumerate(x.factors):
            if factor is not None:
                full = np.moveaxis(np.tensordot(factor, full, axes=(1, k)), 0, k)
        return full

    return entries
