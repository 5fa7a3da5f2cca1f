"""Shapes that are suggested: all there are, in an order that knows a product when it sees one."""

import math
from functools import reduce
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp.kronecker._divisors import divisors, primes, splits
from tdecomp.kronecker._suggest_shapes import Suggestion, suggest_shapes
from tdecomp.kronecker._svd import kronecker_svd
from tdecomp.testing import gaussian

EPS = np.finfo(float).eps


def kron(shapes, *, noise=0.0, rng=0, dtype="float64"):
    factors = [gaussian(shape, rng=rng + k, dtype=dtype) for k, shape in enumerate(shapes)]
    a = reduce(np.kron, factors)
    gap = gaussian(a.shape, rng=rng + 9, dtype=dtype)
    return a / np.linalg.norm(a) + noise * gap / np.linalg.norm(gap)


@given(n=st.integers(1, 2000))
def test_primes_and_divisors_are_all_of_them(n):
    assert math.prod(primes(n)) == n
    assert all(all(p % d for d in range(2, p)) for p in primes(n))
    assert divisors(n) == [d for d in range(1, n + 1) if n % d == 0]


@given(n=st.integers(1, 60), count=st.integers(1, 3))
def test_splits_are_all_of_them(n, count):
    brute = [t for t in product(range(1, n + 1), repeat=count) if math.prod(t) == n]
    assert splits(n, count) == brute


@given(m=st.integers(2, 40), n=st.integers(2, 40))
def test_the_fewest_parameters_come_first(m, n):
    try:
        found = suggest_shapes(m, n, limit=10**6)
    except ValueError:
        found = ()
    sizes = [
        size if size < 4 or len(primes(size)) > 1 else size + 1 for size in (m, n)
    ]  # the number after a prime is even
    brute = [
        m1 * n1 + sizes[0] // m1 * (sizes[1] // n1)
        for m1, n1 in product(divisors(sizes[0]), divisors(sizes[1]))
        if (m1, n1) not in ((1, 1), tuple(sizes))
    ]
    assert [s.n_parameters for s in found] == sorted(p for p in brute if p < m * n)
    for s in found:
        assert tuple(math.prod(side) for side in zip(*s.shapes, strict=True)) == tuple(sizes)
        assert s.pad == (sizes[0] - m, sizes[1] - n)
        assert s.rank == 1
        assert math.isnan(s.energy)


def test_among_equals_the_same_proportions_come_first():
    best = suggest_shapes(4096, 4096)[0]
    assert best == suggest_shapes(4096, 4096, limit=1)[0]
    assert best.shapes == ((64, 64), (64, 64))
    assert suggest_shapes(768, 3072)[0].shapes == ((24, 64), (32, 48))
    assert suggest_shapes(4096, 4096, factors=3)[0].shapes == ((16, 16),) * 3


def test_a_number_of_parameters_is_used_up():
    for s in suggest_shapes(768, 3072, max_parameters=50_000):
        term = sum(m * n for m, n in s.shapes)
        assert s.n_parameters == s.rank * term <= 50_000 < (s.rank + 1) * term


@pytest.mark.parametrize(("m", "n"), [(769, 3072), (7, 11), (12, 13)])
def test_prime_sides_are_padded_and_the_pad_fits(m, n):
    found = suggest_shapes(m, n)
    a = gaussian((m, n), rng=1)
    fit = kronecker_svd(a, found[0].shapes, rank=1, pad=True)
    assert fit.tensor.shape == (m + found[0].pad[0], n + found[0].pad[1])
    assert found[0].pad == tuple(int(len(primes(size)) < 2) for size in (m, n))


TRUTHS = [
    ((12, 8), (4, 6)),
    ((2, 2), (24, 24)),
    ((24, 3), (2, 16)),
    ((4, 3), (3, 4), (4, 4)),
]


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("truth", TRUTHS)
def test_a_product_is_recognised(truth, noise):
    a = kron(truth, noise=noise)
    best = suggest_shapes(48, 48, a=a, factors=len(truth))[0]
    assert best.shapes == truth
    assert best.rank == 1
    assert 1 - best.energy == pytest.approx(noise**2, rel=0.5, abs=1e-12)


def test_in_every_library(xp):
    truth = TRUTHS[0]
    a = xp.asarray(kron(truth, noise=0.1, dtype="float32"))
    # Of few parameters alone: fewer shapes for a library that compiles each.
    found = suggest_shapes(48, 48, a=a, max_parameters=125)
    assert found[0].shapes == truth
    assert all(isinstance(s.energy, float) for s in found)


def test_complex_products_of_three_are_recognised():
    a = kron(TRUTHS[3], dtype="complex128")
    best = suggest_shapes(48, 48, a=a, factors=3)[0]
    assert best.shapes == TRUTHS[3]
    assert best.energy == pytest.approx(1, abs=1e-12)


@given(rng=st.integers(0, 20), most=st.integers(60, 600), decay=st.floats(0, 2))
def test_no_more_energy_is_promised_than_there_is(rng, most, decay):
    a = gaussian((24, 18), rng=rng) * np.arange(1.0, 19) ** -decay
    found = suggest_shapes(24, 18, a=a, max_parameters=most)
    energies = [round(s.energy, 12) for s in found]
    assert energies == sorted(energies, reverse=True)
    for s in found:
        error = kronecker_svd(a, s.shapes, rank=s.rank).error
        assert error**2 <= 1 - s.energy + 100 * EPS
        # Nor much less than that: what a step of iteration misses.
        assert 1 - s.energy <= error**2 + 0.2


def test_three_factors_promise_no_more_either():
    a = gaussian((16, 24), rng=3)
    for s in suggest_shapes(16, 24, a=a, factors=3, limit=3):
        fit = kronecker_svd(a, s.shapes, rank=s.rank, n_starts=5)
        assert fit.error**2 <= 1 - s.energy + 1e-6


def test_padded_matrices_are_measured_with_their_zeros():
    a = kron(((4, 6), (3, 2)))[:11, :]
    best = suggest_shapes(11, 12, a=a, max_parameters=70)[0]
    assert best.pad == (1, 0)
    fit = kronecker_svd(a, best.shapes, rank=best.rank, pad=True)
    assert fit.error**2 <= 1 - best.energy + 100 * EPS


def test_a_sample_finds_what_is_hidden_among_many():
    truth = ((12, 16), (16, 24))
    a = kron(truth, noise=0.3)
    found = suggest_shapes(192, 384, a=a)
    assert found[0].shapes == truth
    assert found == suggest_shapes(192, 384, a=a)  # the same again
    assert suggest_shapes(192, 384, a=a, limit=1) == found[:1]


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_no_scale_matters(scale):
    a = kron(TRUTHS[0], noise=0.1)
    plain, scaled = (suggest_shapes(48, 48, a=x, limit=3) for x in (a, a * scale))
    assert [s.shapes for s in plain] == [s.shapes for s in scaled]


def test_nothing_is_captured_by_any():
    best = suggest_shapes(12, 12, a=np.zeros((12, 12)))[0]
    assert best == Suggestion(((3, 4), (4, 3)), (0, 0), 1, 24, 1.0)


def test_plain_numbers_are_taken():
    a = np.kron([[1, 2], [3, 4], [5, 6]], np.arange(12).reshape(3, 4))
    best = suggest_shapes(9, 8, a=a)[0]
    assert best.shapes == ((3, 2), (3, 4))
    for other in (a.tolist(), np.asfortranarray(a), a.astype(np.float16), a[::-1, ::-1]):
        assert suggest_shapes(9, 8, a=other)[0].n_parameters == best.n_parameters


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="m must be an int >= 1, got 0"):
        suggest_shapes(0, 4)
    with pytest.raises(TypeError, match=r"n must be an int >= 1, got 2\.5"):
        suggest_shapes(4, 2.5)
    with pytest.raises(ValueError, match="factors must be an int >= 2, got 1"):
        suggest_shapes(8, 8, factors=1)
    with pytest.raises(ValueError, match="limit must be an int >= 1"):
        suggest_shapes(8, 8, limit=0)
    with pytest.raises(ValueError, match="no fewer parameters than a matrix of shape"):
        suggest_shapes(2, 2)
    with pytest.raises(ValueError, match=r"max_parameters must be at least 3072, .* got 3000"):
        suggest_shapes(768, 3072, max_parameters=3000)
    with pytest.raises(ValueError, match=r"too many to list: pass a smaller factors="):
        suggest_shapes(2**20, 2**20, factors=5)
    with pytest.raises(ValueError, match=r"a must have the shape \(8, 8\) .* got \(4, 8\)"):
        suggest_shapes(8, 8, a=np.ones((4, 8)))
    a = np.ones((8, 8))
    a[1, 2] = np.nan
    with pytest.raises(ValueError, match=r"the first at a\[1, 2\]"):
        suggest_shapes(8, 8, a=a)
    with pytest.raises(TypeError, match="rng must be an int"):
        suggest_shapes(8, 8, rng="seed")
