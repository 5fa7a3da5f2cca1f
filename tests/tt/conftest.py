"""What the tests of trains share: random ones, and their entries by brute force."""

from __future__ import annotations

import numpy as np
import pytest

from tdecomp.tt import TensorRing, TensorTrain


def _cores(shape, rank, *, dtype="float64", seed=0):
    """Draw Gaussian cores; `rank` has an entry for each bond, both ends included."""
    rng = np.random.default_rng(seed)
    cores = []
    for k, n in enumerate(shape):
        core = rng.standard_normal((rank[k], n, rank[k + 1]))
        if dtype.startswith("complex"):
            core = core + 1j * rng.standard_normal(core.shape)
        cores.append(core.astype(dtype))
    return tuple(cores)


def _brute(cores):
    """Return the tensor of a chain of NumPy cores entry by entry, in double precision."""
    wide = [core.astype(np.result_type(core.dtype, np.float64)) for core in cores]
    out = np.empty([core.shape[1] for core in cores], dtype=wide[0].dtype)
    for index in np.ndindex(out.shape):
        product = np.eye(wide[0].shape[0])
        for core, i in zip(wide, index, strict=True):
            product = product @ core[:, i, :]
        out[index] = np.trace(product)
    return out


@pytest.fixture(scope="session")
def train_of():
    """Draw a train: `rank` holds the inner ranks."""

    def draw(shape, rank, *, dtype="float64", seed=0, xp=None):
        cores = _cores(shape, (1, *rank, 1), dtype=dtype, seed=seed)
        return TensorTrain(cores if xp is None else tuple(map(xp.asarray, cores)))

    return draw


@pytest.fixture(scope="session")
def ring_of():
    """Draw a ring: `rank` has an entry for each mode."""

    def draw(shape, rank, *, dtype="float64", seed=0, xp=None):
        cores = _cores(shape, (*rank, rank[0]), dtype=dtype, seed=seed)
        return TensorRing(cores if xp is None else tuple(map(xp.asarray, cores)))

    return draw


@pytest.fixture(scope="session")
def brute():
    """Return the tensor of NumPy cores entry by entry."""
    return _brute


@pytest.fixture(scope="session")
def on_host():
    """Move a train or ring to NumPy."""

    def move(fmt, xp):
        return type(fmt)(tuple(map(xp.to_numpy, fmt.cores)))

    return move
