"""Short series and low ranks: within the tolerance, no longer than needed, once and for all."""

import numpy as np
import pytest

from tdecomp import ToleranceError
from tdecomp.chebyshev import ChebyshevTucker, add, chebyshev_tucker, norm, scale, simplify
from tdecomp.chebyshev._legendre import root
from tdecomp.testing import gaussian

NODES, WEIGHTS = np.polynomial.legendre.leggauss(44)
BOX = np.array([[0.0, 2.0], [-1.0, 3.0], [5.0, 6.0]])
F = chebyshev_tucker(lambda x, y, z: 1 / (1 + x * y**2 + z), BOX).tensor


def on_grid(f):
    """Values for quadrature, times the roots of weights."""
    scaled = [
        np.sqrt(WEIGHTS)[:, None] * (np.polynomial.chebyshev.chebvander(NODES, len(v) - 1) @ v)
        for v in f.factors
    ]
    return np.einsum("abc,ia,jb,kc->ijk", f.core, *scaled, optimize=True)


def distance(f, g):
    """The distance of two functions of the box, by quadrature, over the norm of the first."""
    return np.linalg.norm(on_grid(f) - on_grid(g)) / np.linalg.norm(on_grid(f))


@pytest.mark.parametrize("rtol", [0.3, 1e-2, 1e-4, 1e-7, 1e-11])
def test_the_error_is_guaranteed_and_used(rtol):
    found = simplify(F, rtol=rtol)
    assert rtol / 20 <= distance(F, found) <= rtol
    assert all(a < b for a, b in zip(found.rank, F.rank, strict=True))
    assert all(a < b for a, b in zip(found.shape, F.shape, strict=True))
    for factor in found.factors:
        scaled = root(factor.shape[0]) @ factor
        assert np.abs(scaled.T @ scaled - np.eye(factor.shape[1])).max() <= 1e-13


def test_what_is_simple_stays():
    once = simplify(F, rtol=1e-6)
    again = simplify(once)
    assert (again.rank, again.shape) == (once.rank, once.shape)
    assert distance(once, again) <= 1e-14
    for rtol in (1e-3, 1e-9):
        short, low = simplify(F, rtol=rtol).shape, simplify(F, rtol=rtol).rank
        assert (short < once.shape, low < once.rank) == (rtol > 1e-6,) * 2


@pytest.mark.when_compiled(dtype="float32")
def test_padding_and_repetition_are_undone(xp, dtype):
    core = gaussian((2, 2), dtype=dtype)
    factors = [gaussian((3, 2), rng=k + 1, dtype=dtype) for k in range(2)]
    longer = [np.concatenate([v, np.zeros_like(v)]) for v in factors]
    wider = [np.concatenate([v, v], axis=1) for v in longer]
    arrays = [xp.asarray(v) for v in (np.tile(core, (2, 2)) / 4, *wider)]
    box = xp.asarray(np.array([[0.0, 1.0]] * 2, np.empty(0, dtype).real.dtype))
    found = simplify(ChebyshevTucker(arrays[0], tuple(arrays[1:]), box))
    assert found.rank == (2, 2)
    assert found.shape == (3, 3)
    assert found.dtype == arrays[0].dtype
    tables = [root(3) @ xp.to_numpy(v) for v in (*found.factors, *map(xp.asarray, factors))]
    whole = tables[0] @ xp.to_numpy(found.core) @ tables[1].T
    expected = tables[2] @ core @ tables[3].T
    slack = 30 * np.finfo(dtype).eps
    assert np.linalg.norm(whole - expected) <= slack * np.linalg.norm(expected)


def test_the_series_ends_where_it_is_best_cut():
    """Of one variable the rest is that of Legendre coefficients: no shorter series is as near."""
    c = 0.5 ** np.arange(30.0)[:, None]
    f = ChebyshevTucker(np.ones((1,)), (c,), np.array([[-1.0, 1.0]]))
    z = np.abs(root(30) @ c)[:, 0]
    tails = np.sqrt(np.cumsum(z[::-1] ** 2)[::-1]) / np.linalg.norm(z)
    for rtol in (1e-2, 1e-5):
        found = simplify(f, rtol=rtol)
        best = int(np.sum(tails > rtol))
        assert best <= found.shape[0] <= best + 1


def test_ranks_are_limits():
    found = simplify(F, rank=2)
    assert found.rank == (2, 2, 2)
    assert simplify(F, rtol=1e-2, rank=(4, 2, 3)).rank[1] == 2
    assert 1e-4 < distance(F, found) < 0.1


def test_any_scale_and_nothing():
    for power in (2.0**-900, 2.0**900):
        found, plain = simplify(scale(F, power), rtol=1e-5), simplify(F, rtol=1e-5)
        assert (found.rank, found.shape) == (plain.rank, plain.shape)
        assert float(norm(add(found, scale(plain, -power)))) <= 1e-14 * float(norm(found))
    zero = simplify(scale(F, 0))
    assert zero.rank == zero.shape == (1, 1, 1)
    assert float(norm(zero)) == 0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: simplify(F, rtol=1e-16), ToleranceError, "rounding alone may cost"),
        (lambda: simplify(F, rtol=1), ValueError, "rtol"),
        (lambda: simplify(F, rank=0), ValueError, "rank"),
        (lambda: simplify(F, rank=(1, 2)), ValueError, "one entry for each of 3"),
        (lambda: simplify(F.core), TypeError, "must be a ChebyshevTucker"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_there_is_no_gradient():
    torch = pytest.importorskip("torch")
    arrays = [torch.tensor(x, requires_grad=True) for x in (F.core, *F.factors)]
    with pytest.raises(ValueError, match="no program"):
        simplify(ChebyshevTucker(arrays[0], tuple(arrays[1:]), torch.tensor(F.domain)))
