"""Truncation in L2: guaranteed there, exact for what has low rank, independent of the order."""

import array_api_compat
import numpy as np
import pytest

from tdecomp._xp import namespace
from tdecomp.chebyshev._compress import recompress
from tdecomp.chebyshev._format import ChebyshevTucker, boxed
from tdecomp.chebyshev._legendre import root
from tdecomp.chebyshev._points import points
from tdecomp.chebyshev._transform import coefficients
from tdecomp.chebyshev._values._evaluate import evaluate
from tdecomp.testing import gaussian

NODES, WEIGHTS = np.polynomial.legendre.leggauss(40)


def compress(c, domain, *, xp, **targets):
    """The function of given coefficients, of least rank."""
    place = array_api_compat.device(c)
    factors = tuple(xp.eye(int(m), dtype=c.dtype, device=place) for m in c.shape)
    return recompress(ChebyshevTucker(c, factors, boxed(domain, c, xp)), **targets)


def series(f, sizes):
    """Coefficients of the polynomial through values of a function on the grid."""
    c = f(*np.meshgrid(*map(points, sizes), indexing="ij"))
    for k in range(len(sizes)):
        c = np.moveaxis(coefficients(np.moveaxis(c, k, 0), namespace(c)), 0, k)
    return c


@pytest.mark.when_compiled(rtol=1e-5)
@pytest.mark.parametrize("rtol", [1e-2, 1e-5, 1e-9])
def test_the_error_in_l2_is_guaranteed(xp, rtol):
    def f(x, y, z):
        return 1 / (2.1 + x + 0.5 * y * z) + np.sin(x * y)

    c = series(f, (14, 12, 10))
    found = compress(xp.asarray(c), None, xp=namespace(xp.asarray(c)), rtol=rtol)
    grid = np.meshgrid(NODES, NODES, NODES, indexing="ij")
    weights = np.einsum("i,j,k->ijk", WEIGHTS, WEIGHTS, WEIGHTS)
    x = np.stack(grid, axis=-1)
    difference = xp.to_numpy(evaluate(found, xp.asarray(x))) - np.polynomial.chebyshev.chebgrid3d(
        NODES, NODES, NODES, c
    )
    norm = np.sqrt(np.sum(weights * f(*grid) ** 2))
    assert np.sqrt(np.sum(weights * difference**2)) <= (rtol + 1e-13) * norm
    assert np.linalg.norm(xp.to_numpy(found.core)) == pytest.approx(norm, rel=2 * rtol)
    for factor in map(xp.to_numpy, found.factors):
        scaled = root(factor.shape[0]) @ factor
        assert np.abs(scaled.T @ scaled - np.eye(factor.shape[1])).max() <= 1e-13


def test_sums_of_products_have_few_ranks_in_any_order():
    def f(x, y, z):
        return x * z + x**2 * y

    found = compress(series(f, (6, 5, 4)), (-1, 1), xp=namespace(np.empty(0)), rtol=1e-12)
    assert found.rank == (2, 2, 2)
    turned = compress(
        series(lambda z, x, y: f(x, y, z), (4, 6, 5)), None, xp=namespace(np.empty(0)), rtol=1e-12
    )
    assert turned.rank == (2, 2, 2)
    x = np.random.default_rng(0).uniform(-1, 1, (10, 3))
    assert np.abs(evaluate(found, x) - f(*x.T)).max() <= 1e-14
    assert np.abs(evaluate(turned, x[:, [2, 0, 1]]) - f(*x.T)).max() <= 1e-14


def test_singular_values_of_hashemi_and_trefethen():
    """Of x z + x^2 y on [0, 1]^3, computed by hand."""

    def f(x, y, z):
        x, y, z = ((t + 1) / 2 for t in (x, y, z))
        return x * z + x**2 * y

    found = compress(series(f, (3, 2, 2)), (0, 1), xp=namespace(np.empty(0)), rtol=1e-12)
    expected = [
        np.sqrt(109 / 720 + np.array([1, -1]) * np.sqrt(46) / 45),
        np.sqrt(109 / 720 + np.array([1, -1]) * np.sqrt(2899) / 360),
        np.sqrt(109 / 720 + np.array([1, -1]) * np.sqrt(2899) / 360),
    ]
    for k in range(3):
        unfolded = np.moveaxis(found.core, k, 0).reshape(2, -1) / 2**1.5
        s = np.linalg.svd(unfolded, compute_uv=False)
        assert np.abs(s - expected[k]).max() <= 1e-14


@pytest.mark.parametrize("dtype", ["float32", "complex64", "complex128"])
def test_dtypes_are_kept(dtype):
    c = gaussian((4, 3, 5), dtype=dtype)
    found = compress(c, None, xp=namespace(c), rank=(4, 3, 5))
    assert found.dtype == dtype
    assert all(factor.dtype == dtype for factor in found.factors)
    assert found.domain.dtype == np.empty(0, dtype).real.dtype
    x = np.zeros((1, 3), found.domain.dtype)
    even = [np.where(np.arange(m) % 2, 0, 1 - np.arange(m) % 4) for m in c.shape]
    expected = np.einsum("ijk,i,j,k->", c, *even)
    assert abs(evaluate(found, x)[0] - expected) <= 200 * np.finfo(dtype).eps
