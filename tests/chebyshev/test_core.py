"""Cores that are tensor trains: the same functions as with the array that they stand for."""

import numpy as np
import pytest

from tdecomp import ToleranceError
from tdecomp._xp import namespace
from tdecomp.chebyshev import ChebyshevTucker, cumulative_integral, diff, evaluate, integrate
from tdecomp.chebyshev._compress import orthonormal, recompress
from tdecomp.chebyshev._core import norm
from tdecomp.chebyshev._format import as_function
from tdecomp.chebyshev._legendre import root
from tdecomp.testing import gaussian
from tdecomp.tt import TensorTrain, tt_svd

BOX = np.array([[-1.0, 2.0], [0.5, 3.0], [-4.0, -1.0], [0.0, 1.0]])
RANKS, SIZES, BONDS = (2, 3, 2, 3), (4, 6, 3, 5), (1, 2, 5, 3, 1)
X = np.array([[0.3, 1.7, -2.2, 0.9], [-0.9, 0.6, -1.1, 0.0], [2.0, 3.0, -4.0, 0.5]])


def both(xp, dtype="float64"):
    """A function whose core is a train, and the same with an array."""
    cores = tuple(
        xp.asarray(gaussian((BONDS[k], RANKS[k], BONDS[k + 1]), rng=k, dtype=dtype))
        for k in range(4)
    )
    factors = tuple(
        xp.asarray(gaussian((m, r), rng=9 + m, dtype=dtype))
        for m, r in zip(SIZES, RANKS, strict=True)
    )
    box = xp.asarray(BOX.astype(np.empty(0, dtype).real.dtype))
    train = ChebyshevTucker(TensorTrain(cores), factors, box)
    return train, train._replace(core=train.core.to_array())


def values(xp, f, dtype="float64"):
    points = xp.asarray(X[:, : len(f.factors)].astype(np.empty(0, dtype).real.dtype))
    return xp.to_numpy(evaluate(f, points))


@pytest.mark.when_compiled(dtype="complex64")
def test_values_shape_and_calculus_are_those_with_an_array(xp, dtype):
    train, plain = both(xp, dtype)
    slack = 200 * np.finfo(dtype).eps
    assert train.rank == plain.rank == RANKS
    assert train.shape == plain.shape == SIZES
    assert train.dtype == plain.dtype
    for change in (lambda f: diff(f, 1), lambda f: cumulative_integral(f, -1)):
        one, two = (values(xp, change(f), dtype) for f in (train, plain))
        assert one.dtype == dtype
        assert np.abs(one - two).max() <= slack * np.abs(two).max()
    one, two = (xp.to_numpy(f.to_array()) for f in (train, plain))
    assert np.abs(one - two).max() <= slack * np.abs(two).max()


@pytest.mark.when_compiled(over=(3, 0, 1))
@pytest.mark.parametrize("over", [(1, 2), (0,), (3, 0, 1), (0, 1, 2, 3)])
def test_integrals_are_those_with_an_array(xp, over):
    one, two = (integrate(f, over) for f in both(xp))
    if len(over) == 4:
        assert one.shape == ()
        found, expected = xp.to_numpy(one), xp.to_numpy(two)
    else:
        assert type(one.core) is TensorTrain
        assert one.rank == two.rank
        found, expected = xp.to_numpy(one.to_array()), xp.to_numpy(two.to_array())
    assert np.abs(found - expected).max() <= 1e-13 * np.abs(expected).max()


@pytest.mark.when_compiled(dtype="complex64")
def test_orthonormal_factors_show_the_norm(xp, dtype):
    train, plain = both(xp, dtype)
    core, factors = orthonormal(train.core, train.factors, namespace(train.core.cores[0]))
    expected, _ = orthonormal(plain.core, plain.factors, namespace(plain.core))
    size = np.linalg.norm(xp.to_numpy(expected))
    assert float(norm(core)) == pytest.approx(size, rel=float(200 * np.finfo(dtype).eps))
    same = ChebyshevTucker(core, factors, train.domain)
    one, two = (values(xp, f, dtype) for f in (same, plain))
    assert np.abs(one - two).max() <= 2000 * np.finfo(dtype).eps * np.abs(two).max()


def decaying():
    """A function with a train of many ranks whose singular values fall."""
    grid = np.meshgrid(*[np.arange(5.0)] * 4, indexing="ij")
    core = 1 / (1 + grid[0] + 2 * grid[1] + grid[2] + 0.5 * grid[3] * grid[0])
    factors = tuple(gaussian((7, 5), rng=k) for k in range(4))
    return ChebyshevTucker(tt_svd(core, rtol=1e-13), factors, BOX)


@pytest.mark.parametrize("rtol", [1e-2, 1e-5, 1e-9])
def test_errors_of_truncation_in_l2_are_guaranteed(rtol):
    f = decaying()
    found = recompress(f, rtol=rtol)
    assert type(found.core) is TensorTrain
    dense = f._replace(core=f.core.to_array())
    whole, _ = orthonormal(dense.core, dense.factors, namespace(dense.core))
    difference = found.core.to_array()
    for k, (mine, theirs) in enumerate(zip(found.factors, f.factors, strict=True)):
        q = np.linalg.qr(root(7) @ theirs)[0]
        turn = q.T @ root(7) @ mine
        difference = np.moveaxis(np.tensordot(turn, difference, (1, k)), 0, k)
        assert np.abs(mine.T @ root(7).T @ root(7) @ mine - np.eye(mine.shape[1])).max() <= 1e-13
    assert np.linalg.norm(difference - whole) <= rtol * np.linalg.norm(whole)
    least = recompress(dense, rtol=rtol).rank
    assert np.max(np.subtract(found.rank, least)) <= 1
    assert max(found.core.rank) <= max(f.core.rank)


@pytest.mark.parametrize("xp", ["numpy", "array-api-strict", "torch"], indirect=True)
def test_truncation_to_ranks_is_nearly_that_of_an_array(xp, dtype):
    train, plain = both(xp, dtype)
    found, expected = recompress(train, rank=(2, 1, 2, 2)), recompress(plain, rank=(2, 1, 2, 2))
    assert found.rank == expected.rank
    one, two = float(norm(found.core)), np.linalg.norm(xp.to_numpy(expected.core))
    assert 0.5 * two <= one <= 2 * two
    again = recompress(train, rtol=1e-3)
    assert again.dtype == train.dtype
    assert again.rank == RANKS


def test_zero_has_ranks_of_one():
    train, _ = both_numpy()
    zero = train._replace(core=TensorTrain(tuple(0 * core for core in train.core.cores)))
    found = recompress(zero, rtol=1e-6)
    assert found.rank == (1, 1, 1, 1)
    assert float(norm(found.core)) == 0


def both_numpy():
    class Plain:
        asarray = staticmethod(np.asarray)

    return both(Plain)


@pytest.mark.parametrize("xp", ["torch", "jax"], indirect=True)
def test_programs_compile_and_gradients_are_slopes(xp):
    train, plain = both(xp)
    x = X[:1] * 0.9
    run = xp.jit(evaluate)
    expected = xp.to_numpy(evaluate(plain, xp.asarray(x)))
    assert np.abs(xp.to_numpy(run(train, xp.asarray(x))) - expected).max() <= 1e-12
    found = xp.gradient(lambda x: evaluate(train, x).sum(), x)
    slopes = [float(evaluate(diff(plain, k), xp.asarray(x))[0]) for k in range(4)]
    assert np.abs(found - slopes).max() <= 1e-11 * np.abs(slopes).max()


def test_what_does_not_fit_is_named():
    train, _ = both_numpy()
    with pytest.raises(ValueError, match="must have 3 modes, one for each factor, got 4"):
        diff(train._replace(factors=train.factors[:3]), 0)
    with pytest.raises(TypeError, match=r"f.factors must be a tuple of arrays, got NoneType"):
        diff(train._replace(factors=None), 0)
    with pytest.raises(TypeError, match="a variable is an int, got bool"):
        diff(train, True)
    with pytest.raises(ValueError, match=r"f.factors\[1\] must have 3 columns"):
        evaluate(train._replace(factors=(train.factors[0],) * 4), X)
    with pytest.raises(TypeError, match=r"pass f._replace\(core=f.core.to_array\(\)\)"):
        as_function(train)
    with pytest.raises(ToleranceError, match="cannot be guaranteed"):
        recompress(train, rtol=1e-16)
