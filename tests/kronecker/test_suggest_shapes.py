"""Shapes that are suggested: all there are, in an order that knows a product when it sees one."""

import math
import re
from functools import reduce
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from tdecomp.kronecker import _suggest_shapes
from tdecomp.kronecker._captured import _entries
from tdecomp.kronecker._divisors import (
    divisors,
    n_padded_splits,
    padded_sizes,
    padded_splits,
    primes,
    splits,
)
from tdecomp.kronecker._suggest_shapes import Suggestion, suggest_shapes
from tdecomp.kronecker._svd import kronecker_svd
from tdecomp.linalg._operand import operand
from tdecomp.testing import gaussian

EPS = np.finfo(float).eps


def kron(shapes, *, noise=0.0, rng=0, dtype="float64"):
    factors = [gaussian(shape, rng=rng + k, dtype=dtype) for k, shape in enumerate(shapes)]
    a = reduce(np.kron, factors)
    gap = gaussian(a.shape, rng=rng + 9, dtype=dtype)
    return a / np.linalg.norm(a) + noise * gap / np.linalg.norm(gap)


def suggested(m, n, **options):
    """Return suggestions, none where there can be none."""
    try:
        return suggest_shapes(m, n, **options)
    except ValueError as error:
        if re.search("keep the matrix|for one term, got|too many to list", str(error)):
            return ()
        raise


@given(n=st.integers(1, 2000))
def test_primes_and_divisors_are_all_of_them(n):
    assert math.prod(primes(n)) == n
    assert all(all(p % d for d in range(2, p)) for p in primes(n))
    assert divisors(n) == [d for d in range(1, n + 1) if n % d == 0]


@given(n=st.integers(1, 60), count=st.integers(1, 3))
def test_splits_are_all_of_them(n, count):
    brute = [t for t in product(range(1, n + 1), repeat=count) if math.prod(t) == n]
    assert splits(n, count) == brute


@given(n=st.integers(1, 300), count=st.integers(1, 4))
def test_padded_splits_are_those_and_more_of_larger_sizes(n, count):
    found = padded_splits(n, count)
    assert len(found) == n_padded_splits(n, count)
    assert [split for split in found if math.prod(split) == n] == splits(n, count)
    for split in found:
        parts = sum(side > 1 for side in split)
        assert math.prod(split) == padded_sizes(n, count)[parts]
        if math.prod(split) > n:
            assert len(primes(n)) < parts
            sizes = range(n, math.prod(split))
            assert all(len(primes(size)) < parts for size in sizes)
    assert len(set(found)) == len(found)


def sides(size):
    """Split a side into two, and if it is a prime the next number without ones."""
    whole = {(d, size // d) for d in divisors(size)}
    if size < 4 or len(primes(size)) > 1:
        return whole
    return whole | {(d, (size + 1) // d) for d in divisors(size + 1)[1:-1]}


@given(m=st.integers(1, 40), n=st.integers(1, 40))
def test_the_fewest_parameters_come_first(m, n):
    found = suggested(m, n, limit=10**6)
    brute = {
        tuple(zip(rows, columns, strict=True)) for rows, columns in product(sides(m), sides(n))
    }
    fewer = {s for s in brute if (1, 1) not in s and sum(a * b for a, b in s) < m * n}
    assert {s.shapes for s in found} == fewer
    assert len(found) == len(fewer)
    keys = [(s.n_parameters, (m + s.pad[0]) * (n + s.pad[1])) for s in found]
    assert keys == sorted(keys)
    for s in found:
        whole = tuple(math.prod(side) for side in zip(*s.shapes, strict=True))
        assert s.pad == (whole[0] - m, whole[1] - n)
        assert s.n_parameters == sum(a * b for a, b in s.shapes)
        assert s.rank == 1
        assert math.isnan(s.energy)


def test_prime_sides_are_split_with_and_without_a_pad():
    found = suggest_shapes(7, 7, limit=100)
    assert [s.shapes for s in found[:2]] == [((1, 7), (7, 1)), ((7, 1), (1, 7))]
    assert [s.n_parameters for s in found[:3]] == [14, 14, 16]
    assert {s.pad for s in found} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert {s.pad for s in suggest_shapes(49, 49, limit=100)} == {(0, 0)}
    assert {s.pad[0] for s in suggest_shapes(49, 64, factors=3, limit=1000)} == {0, 1}


def test_among_equally_many_parameters_no_padding_comes_first():
    found = [s for s in suggest_shapes(11, 23, limit=100) if s.n_parameters == 34]
    assert [s.pad for s in found] == sorted(s.pad for s in found)
    assert {s.pad for s in found} == {(0, 0), (0, 1), (1, 1)}


def test_among_equal_energies_no_padding_comes_first():
    for a in (np.zeros((7, 15)), np.ones((7, 15))):
        found = [s for s in suggest_shapes(7, 15, a=a) if s.n_parameters == 22]
        assert [s.pad[0] for s in found] == sorted(s.pad[0] for s in found)
        assert found[0].pad == (0, 0)


@pytest.mark.parametrize("factors", [2, 3])
@given(
    m=st.integers(1, 30),
    n=st.integers(1, 30),
    most=st.one_of(st.none(), st.integers(1, 2000)),
    kind=st.sampled_from(["gaussian", "zero", "one term", None]),
)
def test_terms_have_fewer_parameters_than_the_matrix_entries(factors, m, n, most, kind):
    a = {
        "gaussian": gaussian((m, n)),
        "zero": np.zeros((m, n)),
        "one term": np.ones((m, n)),
        None: None,
    }[kind]
    found = suggested(m, n, a=a, factors=factors, max_parameters=most)
    for s in found:
        assert s.n_parameters == s.rank * sum(a * b for a, b in s.shapes)
        assert 0 < s.n_parameters < m * n
        assert most is None or s.n_parameters <= most


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
def test_every_pad_fits(m, n):
    found = suggest_shapes(m, n, limit=100)
    padded = [next(s for s in found if s.pad == pad) for pad in sorted({s.pad for s in found})]
    assert {s.pad for s in padded} >= {(0, 0), tuple(int(len(primes(k)) < 2) for k in (m, n))}
    a = gaussian((m, n), rng=1)
    for s in padded:
        fit = kronecker_svd(a, s.shapes, rank=1, pad=any(s.pad))
        assert fit.tensor.shape == (m + s.pad[0], n + s.pad[1])


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
    found = suggest_shapes(48, 48, a=a, max_parameters=120)
    assert found[0].shapes == truth
    assert all(isinstance(s.energy, float) for s in found)


def test_entries_beyond_the_matrix_are_zeros(xp):
    a = gaussian((5, 6))
    whole, places = np.pad(a, 2)[2:, 2:], np.ix_([0, 4, 5, 6], [1, 5, 6])
    i, j = np.broadcast_arrays(*places)
    op = operand(xp.asarray(a), np.random.default_rng(0))
    assert np.array_equal(xp.to_numpy(_entries(op, i, j)), whole[places])
    for kind in (sparse.csr_array, sparse.csr_matrix, aslinearoperator):
        op = operand(kind(a), np.random.default_rng(0))
        assert np.allclose(_entries(op, i, j), whole[places], rtol=0, atol=10 * EPS)


def test_complex_products_of_three_are_recognised():
    a = kron(TRUTHS[3], dtype="complex128")
    best = suggest_shapes(48, 48, a=a, factors=3)[0]
    assert best.shapes == TRUTHS[3]
    assert best.energy == pytest.approx(1, abs=1e-12)


def spectrum(a, shapes):
    """Return all singular values of the padded and rearranged matrix, in double precision."""
    (m1, n1), (m2, n2) = shapes
    a = np.asarray(a, np.result_type(a, np.float64))
    a = np.pad(a, ((0, m1 * m2 - a.shape[0]), (0, n1 * n2 - a.shape[1])))
    turned = a.reshape(m1, m2, n1, n2).transpose(0, 2, 1, 3).reshape(m1 * n1, m2 * n2)
    return np.linalg.svd(turned, compute_uv=False)


def matrix(kind, shape, rng, dtype):
    m, n = shape
    if kind == "repeated":
        return np.eye(m, n, dtype=dtype)
    if kind == "few":
        (u, v) = (gaussian((size, 3), rng=rng + size, dtype=dtype) for size in shape)
        return u @ v.T
    if kind == "one":
        return np.ones(shape, dtype=dtype)
    if kind == "single":
        a = np.zeros(shape, dtype=dtype)
        a[rng % m, rng % n] = 3
        return a
    decay = rng % 8 if kind == "decaying" else 0
    return gaussian(shape, rng=rng, dtype=dtype) * np.arange(1, n + 1).astype(dtype) ** -decay


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize("wrap", [np.asarray, sparse.csr_array, aslinearoperator])
@given(
    rng=st.integers(0, 20),
    most=st.one_of(st.none(), st.integers(60, 600)),
    case=st.tuples(
        st.sampled_from(["decaying", "flat", "repeated", "few", "one", "single"]),
        st.sampled_from([(24, 18), (13, 36), (17, 19)]),
    ),
)
def test_no_more_energy_is_promised_than_there_is(dtype, wrap, rng, most, case):
    kind, shape = case
    a = matrix(kind, shape, rng, dtype)
    found = suggest_shapes(*shape, a=wrap(a), max_parameters=most)
    unit = 200 * np.finfo(dtype).eps
    if most is not None:
        energies = [s.energy for s in found]
        assert np.all(np.diff(energies) <= unit)
    for s in found:
        squares = spectrum(a, s.shapes) ** 2
        true = math.fsum(squares[: s.rank]) / math.fsum(squares)
        assert s.energy <= true + unit
        # Nor much less than that: what a step of iteration misses.
        assert true <= s.energy + 0.2


def test_three_factors_promise_no_more_either():
    a = gaussian((16, 24), rng=3)
    for s in suggest_shapes(16, 24, a=a, factors=3, limit=3):
        fit = kronecker_svd(a, s.shapes, rank=s.rank, n_starts=5)
        assert fit.error**2 <= 1 - s.energy + 1e-6


def test_padded_matrices_are_measured_with_their_zeros():
    a = kron(((4, 6), (3, 2)))[:11, :]
    for kind in (np.asarray, sparse.csr_matrix, aslinearoperator):
        best = suggest_shapes(11, 12, a=kind(a), max_parameters=70)[0]
        assert best.pad == (1, 0)
        fit = kronecker_svd(a, best.shapes, rank=best.rank, pad=True)
        assert fit.error**2 <= 1 - best.energy + 100 * EPS


def test_every_kind_of_matrix_is_suggested_the_same():
    for truth in TRUTHS[2:]:
        a = kron(truth, noise=0.1)
        plain = suggest_shapes(48, 48, a=a, factors=len(truth))[0]
        for kind in (sparse.coo_array, sparse.csc_matrix, aslinearoperator):
            found = suggest_shapes(48, 48, a=kind(a), factors=len(truth))[0]
            assert found[:4] == plain[:4]
            assert found.energy == pytest.approx(plain.energy, abs=0.01)


@pytest.mark.parametrize(("truth", "trim"), [(TRUTHS[0], 1), (TRUTHS[1], 0), (TRUTHS[3], 0)])
def test_large_operators_are_asked_for_few_columns_at_a_time(truth, trim, monkeypatch):
    a = kron(truth, noise=0.1)[: 48 - trim, :]
    widths = []

    def product(x):
        widths.append(x.shape[1])
        return a @ x

    op = LinearOperator(
        a.shape,
        matvec=lambda x: product(x[:, None])[:, 0],
        matmat=product,
        rmatmat=lambda y: a.T @ y,
        dtype=a.dtype,
    )
    formed = suggest_shapes(*a.shape, a=op, factors=len(truth))[0]
    assert sum(widths) <= 24 + 48
    if not trim:
        assert formed.shapes == truth
    widths.clear()
    monkeypatch.setattr(_suggest_shapes, "_FORMED", 0)
    best = suggest_shapes(*a.shape, a=op, factors=len(truth))
    assert len(best) == 8
    assert best[0][:4] == formed[:4]
    assert best[0].energy == pytest.approx(formed.energy, abs=0.01)
    assert suggest_shapes(*a.shape, a=op, factors=len(truth)) == best


def test_an_operator_that_is_wide_is_formed_by_its_rows():
    a = kron(((2, 8), (2, 8)))

    def refuse(x):
        assert x.shape[1] <= 24, "the identity of the longer side"
        return a @ x

    op = LinearOperator(
        a.shape, matvec=None, matmat=refuse, rmatmat=lambda y: a.T @ y, dtype=float
    )
    assert suggest_shapes(4, 64, a=op)[0].shapes == ((2, 8), (2, 8))


def test_large_sparse_matrices_stay_sparse():
    # Filled in, it or a vector of the longer sides of its rearrangements would take terabytes.
    size, truth = 1 << 20, ((1024, 512), (1024, 2048))
    left, right = (
        sparse.random_array(shape, density=100 / math.prod(shape), rng=k)
        for k, shape in enumerate(truth)
    )
    a = sparse.kron(left, right)
    best = suggest_shapes(size, size, a=a, max_parameters=1 << 22)[0]
    assert best.shapes == truth
    assert best.energy == pytest.approx(1, abs=1e-12)
    assert suggest_shapes(size, size, a=a * 0, max_parameters=1 << 22)[0].energy == 1


def test_sparse_products_of_three_are_recognised():
    truth = ((16, 8), (4, 32), (32, 8))
    a = reduce(
        sparse.kron,
        (sparse.random_array(s, density=0.2, rng=k) for k, s in enumerate(truth)),
    )
    best = suggest_shapes(2048, 2048, a=a, factors=3)[0]
    assert best.shapes == truth
    assert best.energy == pytest.approx(1, abs=1e-12)


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
    for kind in (np.asarray, sparse.csr_array, aslinearoperator):
        best = suggest_shapes(12, 12, a=kind(np.zeros((12, 12))))[0]
        assert best == Suggestion(((3, 4), (4, 3)), (0, 0), 1, 24, 1.0)


def test_plain_numbers_are_taken():
    a = np.kron([[1, 2], [3, 4], [5, 6]], np.arange(12).reshape(3, 4))
    best = suggest_shapes(9, 8, a=a)[0]
    assert best.shapes == ((3, 2), (3, 4))
    for other in (
        a.tolist(),
        np.asfortranarray(a),
        a.astype(np.float16),
        a.astype(">f4"),
        a.astype(bool),
        a[::-1, ::-1],
        a.astype(float) * 1j,
        sparse.csr_array(a),
        aslinearoperator(a),
        aslinearoperator(a.astype(">c16")),
    ):
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
    with pytest.raises(ValueError, match=r"a\.data has 1 non-finite .* a\.data\[10\]"):
        suggest_shapes(8, 8, a=sparse.csr_array(a))
    with pytest.raises(ValueError, match="has 24 non-finite entries"):
        suggest_shapes(8, 8, a=aslinearoperator(a))
    for kind in (sparse.csr_array, aslinearoperator):
        with pytest.raises(ValueError, match=r"a must have the shape \(8, 8\) .* got \(4, 8\)"):
            suggest_shapes(8, 8, a=kind(np.ones((4, 8))))
    for wrong in (np.ones(64), np.ones((2, 4, 8)), np.ones((0, 8)), [[1.0, 2.0]], 3.0, [1.0]):
        with pytest.raises(ValueError, match="a must have"):
            suggest_shapes(8, 8, a=wrong)
    with pytest.raises(TypeError, match="rng must be an int"):
        suggest_shapes(8, 8, rng="seed")


@pytest.mark.parametrize("size", [math.nan, math.inf, True, "8", None, [8], 8.0])
def test_sizes_are_ints(size):
    for name in ("m", "n", "factors", "limit", "max_parameters"):
        if (name, size) == ("max_parameters", None):
            continue
        given = {"m": 8, "n": 8, name: size}
        with pytest.raises(TypeError, match=f"{name} must be an int"):
            suggest_shapes(given.pop("m"), given.pop("n"), **given)


def test_sizes_beyond_all_matrices_are_refused_at_once():
    with pytest.raises(ValueError, match="m must be an int below 2147483648, got 2305843009"):
        suggest_shapes(2**61 - 1, 8)  # a prime
    prime = 2**31 - 1
    found = suggest_shapes(prime, prime, limit=10**6)
    assert found[0].n_parameters == 2 * prime
    assert {s.pad for s in found} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert all(0 < s.n_parameters < prime**2 for s in found)
    best = suggest_shapes(prime, prime, max_parameters=10**30)[0]
    assert best.n_parameters < prime**2


@pytest.mark.parametrize("size", [1, 2, 7, 64, 2**30])
def test_more_factors_than_can_be_are_refused_at_once(size):
    for factors in (7, 70, 10**9):
        found = suggested(size, size, factors=factors)
        assert all(len(s.shapes) == factors for s in found)
        assert bool(found) == (factors == 7 and size == 64)


@pytest.mark.parametrize("n", [2, 6, 7, 12, 97])
def test_vectors_are_split(n):
    for shape in ((1, n), (n, 1)):
        if n == 2:
            with pytest.raises(ValueError, match="keep the matrix"):
                suggest_shapes(*shape)
            continue
        a = gaussian(shape, rng=n)
        for s in suggest_shapes(*shape, a=a):
            squares = spectrum(a, s.shapes) ** 2
            true = math.fsum(squares[: s.rank]) / math.fsum(squares)
            assert true - 0.2 <= s.energy <= true + 100 * EPS


def test_the_matrix_is_left_alone():
    a = kron(TRUTHS[0])
    kept, held = a.copy(), sparse.csr_matrix(a)
    data = held.data.copy()
    suggest_shapes(48, 48, a=a)
    suggest_shapes(48, 48, a=held)
    assert np.array_equal(a, kept)
    assert np.array_equal(held.data, data)
