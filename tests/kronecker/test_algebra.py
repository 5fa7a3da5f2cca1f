"""The algebra of Kronecker sums agrees with that of matrices, without their size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp._errors import ToleranceError
from tdecomp.kronecker import KroneckerSum
from tdecomp.kronecker._algebra import add, inner, matmul, norm, scale
from tdecomp.kronecker._linear_operator import to_linear_operator
from tdecomp.kronecker._round import round as rounded
from tdecomp.kronecker._round import spectrum
from tdecomp.testing import gaussian

SHAPES = ((2, 3), (4, 5))
sizes = st.lists(st.tuples(*[st.integers(1, 4)] * 3), min_size=2, max_size=4)
dtypes = st.sampled_from(["float32", "float64", "complex64", "complex128"])


def host(k, xp):
    left, right, *rest = map(xp.to_numpy, k.factors)
    return KroneckerSum(left, right, tuple(rest))


def sizes_of(*sums):
    """The sums of the norms of terms, which rounding is measured by."""
    return [
        sum(np.prod([np.linalg.norm(f[j]) for f in k.factors]) for j in range(k.rank))
        for k in sums
    ]


@given(
    shape=sizes, ranks=st.tuples(*[st.integers(1, 4)] * 2), dtype=dtypes, rng=st.integers(0, 99)
)
def test_algebra_is_that_of_matrices(shape, ranks, dtype, rng, drawn):
    one, other = ([(s[j], s[j + 1]) for s in shape] for j in (0, 1))
    a, x = drawn(one, ranks[0], dtype=dtype, rng=rng)
    b, y = drawn(one, ranks[1], dtype=dtype, rng=rng + 50)
    c, z = drawn(other, ranks[1], dtype=dtype, rng=rng + 90)
    slack = 50 * float(np.finfo(dtype).eps)
    p, q, r = sizes_of(a, b, c)
    assert abs(norm(a) - np.linalg.norm(x)) <= slack * p
    assert abs(inner(a, b) - np.vdot(x, y)) <= slack * p * q
    total, product = add(a, b, a), matmul(a, c)
    assert total.rank == 2 * ranks[0] + ranks[1]
    assert product.rank == ranks[0] * ranks[1]
    assert total.dtype == product.dtype == np.dtype(dtype)
    assert np.linalg.norm(total.to_array() - (2 * x + y)) <= slack * (2 * p + q)
    assert np.linalg.norm(product.to_array() - x @ z) <= slack * p * r
    assert np.linalg.norm(scale(a, -3).to_array() + 3 * x) <= slack * 3 * p


@pytest.mark.when_compiled(shapes=((2, 2), (3, 3), (1, 4)))
@pytest.mark.parametrize("shapes", [SHAPES, ((2, 2), (3, 3), (1, 4))])
def test_algebra_on_every_backend(xp, shapes, drawn):
    a, x = drawn(shapes, 2, xp=xp)
    b, y = drawn(shapes, 3, dtype="complex128", rng=7, xp=xp)
    number = xp.asarray(np.array(3.0))
    # Compiled as a whole where there is a compiler: one program instead of a hundred.
    sums, numbers = xp.jit(
        lambda a, b: (
            (add(a, b), scale(a, 2 - 1j), scale(b, number), matmul(a.mT, b), add(a)),
            (inner(a, b), inner(b, a), norm(b)),
        )
    )(a, b)
    expected = [x + y, (2 - 1j) * x, 3 * y, x.T @ y, x]
    for found, dense in zip(sums, expected, strict=True):
        assert np.allclose(xp.to_numpy(found.to_array()), dense, rtol=0, atol=2e-13)
    assert complex(numbers[0]) == pytest.approx(np.vdot(x, y), abs=3e-12 * np.linalg.norm(x))
    assert complex(numbers[1]) == pytest.approx(np.vdot(y, x), abs=3e-12 * np.linalg.norm(x))
    assert float(numbers[2]) == pytest.approx(np.linalg.norm(y), rel=1e-14)


def test_rounding_on_every_backend_and_dtype(xp, dtype, drawn, rearranged):
    k, a = drawn(SHAPES, 5, dtype=dtype, xp=xp)
    eps = np.finfo(dtype).eps
    values = np.linalg.svd(rearranged(a, SHAPES), compute_uv=False)
    rank = 3
    found, best = xp.jit(lambda k: (spectrum(k), rounded(k, rank=rank)))(k)
    found, best = xp.to_numpy(found), host(best, xp)
    assert found.shape == (5,)
    assert found.dtype == np.finfo(dtype).dtype
    assert np.abs(found - values[:5]).max() <= 50 * eps * values[0]
    assert (best.rank, best.shapes, best.dtype) == (rank, SHAPES, np.dtype(dtype))
    error = np.linalg.norm(a - best.to_array())
    assert abs(error - np.linalg.norm(values[rank:])) <= 50 * eps * values[0]
    for stack in best.factors:
        vectors = stack.reshape(rank, -1)
        gram = vectors @ vectors.conj().T
        assert np.abs(gram - np.diag(values[:rank])).max() <= 50 * eps * values[0]
    flat = best.left.reshape(rank, -1)
    top = flat[np.arange(rank), np.abs(flat).argmax(axis=1)]
    assert np.all(top.real > 0)
    assert np.all(np.abs(top.imag) <= 4 * eps * top.real)


@given(
    rank=st.integers(1, 8),
    rtol=st.floats(1e-5, 0.9),
    dtype=dtypes,
    rng=st.integers(0, 99),
    most=st.one_of(st.none(), st.integers(1, 6)),
)
def test_a_tolerance_is_kept_by_the_fewest_terms(  # noqa: PLR0917
    rank, rtol, dtype, rng, most, drawn, rearranged
):
    k, _ = drawn(SHAPES, rank, dtype=dtype, rng=rng)
    k = k._replace(left=k.left * np.logspace(0, -5, rank, dtype=dtype)[:, None, None])
    # In double precision what the factors, as they are, stand for is known.
    wide = KroneckerSum(*(f.astype(np.result_type(f, np.float64)) for f in k.factors[:2]))
    a = wide.to_array()
    best = rounded(k, rank=most, rtol=rtol)
    values = np.linalg.svd(rearranged(a, SHAPES), compute_uv=False)
    fewest = 1 + sum(np.linalg.norm(values[r:]) > rtol * np.linalg.norm(a) for r in range(1, 6))
    assert best.rank <= min(fewest + 1, most or 6)
    if most is None:
        exact = KroneckerSum(*(f.astype(wide.dtype) for f in best.factors[:2])).to_array()
        assert np.linalg.norm(a - exact) <= rtol * np.linalg.norm(a)
        clear = np.linalg.norm(values[fewest:]) <= 0.9 * rtol * np.linalg.norm(a)
        assert best.rank == fewest or not clear


def test_sums_and_products_are_recompressed(drawn):
    a, x = drawn(SHAPES, 2)
    b, y = drawn(SHAPES, 2, rng=8)
    total = add(a, b, scale(b, -1), a, rtol=1e-10)
    assert total.rank == 2
    assert np.abs(total.to_array() - 2 * x).max() <= 1e-10 * np.linalg.norm(2 * x)
    assert add(a, b, rank=3).rank == 3
    assert matmul(a.mT, b, rank=2).rank == 2
    exact = matmul(a.mT, b, rtol=1e-12)
    assert np.abs(exact.to_array() - x.T @ y).max() <= 1e-12 * np.linalg.norm(x.T @ y)


def test_what_cancels_keeps_its_digits(drawn):
    a, x = drawn(SHAPES, 2)
    b, _ = drawn(SHAPES, 1, rng=5)
    for delta in (1e-6, 1e-10):
        # Exactly x + delta b - x: the formula for the norm would lose it all at 1e-10.
        small = add(a, scale(b, delta), scale(a, -1))
        size = delta * float(norm(b))
        slack = 50 * np.finfo(float).eps * np.linalg.norm(x)
        assert abs(norm(small) - size) <= slack
        assert abs(spectrum(small)[0] - size) <= slack
        assert np.all(spectrum(small)[1:] <= slack)
        assert abs(inner(a, small) - delta * inner(a, b)) <= slack * np.linalg.norm(x)
        assert rounded(small, rtol=1e-3).rank == 1
    with pytest.raises(ToleranceError) as refusal:
        rounded(small, rtol=1e-9)
    assert 1e-9 < refusal.value.reachable < 1e-3


@pytest.mark.parametrize("power", [-140, 145])
@pytest.mark.parametrize("unequal", [0, 150])
def test_scales_neither_overflow_nor_vanish(power, unequal, drawn):
    k, a = drawn(SHAPES, 3)
    factor = 10.0 ** np.array([power + unequal, power, power - unequal])[:, None, None]
    other = 10.0 ** np.array([power - unequal, power, power + unequal])[:, None, None]
    far = KroneckerSum(k.left * factor, k.right * other)
    size = 10.0 ** (2 * power)
    assert norm(far) / size == pytest.approx(norm(k), rel=1e-12)
    assert np.allclose(spectrum(far) / size, spectrum(k), rtol=1e-12)
    best = rounded(far, rank=2)
    expected = rounded(k, rank=2)
    assert np.allclose(best.left / 10.0**power, expected.left, rtol=0, atol=1e-12)
    assert np.allclose(best.to_array() / size, expected.to_array(), rtol=0, atol=1e-12)
    assert np.all(np.abs(rounded(far, rtol=1e-9).to_array() / size - a) <= 1e-9 * norm(k))


def test_norms_beyond_the_range_of_products_exist():
    k = KroneckerSum(*[np.full((1, 2, 2), 1e-300)] * 2, (np.full((1, 2, 2), 1e300),) * 2)
    assert norm(k) == pytest.approx(16.0, rel=1e-13)
    assert inner(k, k) == pytest.approx(256.0, rel=1e-13)
    zero = scale(k, 0)
    assert norm(zero) == 0
    assert inner(zero, k) == 0


def test_numbers_beyond_what_a_factor_can_take_are_shared():
    ones = KroneckerSum(np.full((2, 2, 2), 1e200), np.full((2, 1, 1), 1e-200))
    assert np.allclose(scale(ones, 1e200).to_array(), 2e200, rtol=1e-14)
    assert np.allclose(scale(ones.mT, -1e-300).to_array(), -2e-300, rtol=1e-14)
    near = KroneckerSum(np.full((1, 1, 1), 1e30), np.full((1, 1, 1), 1e-30))
    assert scale(near, 1e300).to_array()[0, 0] == pytest.approx(1e300, rel=1e-14)
    assert np.array_equal(scale(near, 3).right, near.right)


def test_zero_has_one_term_of_zeros():
    zero = KroneckerSum(np.zeros((3, 2, 2)), np.ones((3, 2, 2)))
    for best in (rounded(zero, rank=1), rounded(zero, rtol=0.1)):
        assert best.rank == 1
        assert np.all(best.to_array() == 0)
    assert np.all(spectrum(zero) == 0)
    assert norm(zero) == 0


def test_an_operator_of_scipy_multiplies_both_ways(dtype, drawn):
    k, a = drawn(SHAPES, 3, dtype=dtype)
    op = to_linear_operator(k)
    assert (op.shape, op.dtype) == (a.shape, np.dtype(dtype))
    x, y = gaussian((15, 2), dtype=dtype), gaussian((8, 2), rng=1, dtype=dtype)
    slack = 50 * np.finfo(dtype).eps * np.linalg.norm(a)
    for found, expected in [
        (op @ x, a @ x),
        (op.matvec(x[:, 0]), a @ x[:, 0]),
        (op.matvec(x[:, :1]), a @ x[:, :1]),
        (op.H @ y, a.conj().T @ y),
        (op.adjoint().matvec(y[:, 0]), a.conj().T @ y[:, 0]),
        (op.T @ y, a.T @ y),
        (op.rmatmat(y), a.conj().T @ y),
    ]:
        assert np.abs(found - expected).max() <= slack * np.linalg.norm(expected)


def test_singular_values_of_the_operator_are_those_of_the_matrix(drawn):
    svds = pytest.importorskip("scipy.sparse.linalg").svds
    k, a = drawn(SHAPES, 3)
    found = svds(to_linear_operator(k), k=2, return_singular_vectors=False, rng=0)
    assert np.allclose(np.sort(found), np.linalg.svd(a)[1][1::-1], rtol=1e-10)


def test_an_operator_needs_arrays_of_numpy(xp, drawn):
    k, _ = drawn(SHAPES, 1, xp=xp)
    if xp.name.startswith("numpy"):
        assert to_linear_operator(k).shape == (8, 15)
    else:
        with pytest.raises(TypeError, match="takes NumPy arrays"):
            to_linear_operator(k)


@pytest.mark.parametrize(("given", "promoted"), [("int64", "float64"), ("float16", "float32")])
def test_narrow_numbers_are_promoted(given, promoted):
    k = (np.ones((2, 2, 2), given), np.ones((2, 3, 3), given))
    for found in (add(k, k), scale(k, 2), matmul(k, k), rounded(k, rank=1)):
        assert found.dtype == np.dtype(promoted)
    assert norm(k).dtype == spectrum(k).dtype == np.dtype(promoted)
    assert norm(k) == pytest.approx(12.0)
    lists = ([[[1, 2], [3, 4]]], [[[1, 0], [0, 1]]])
    assert norm(lists) == pytest.approx(60**0.5)


def test_inputs_are_left_alone(drawn):
    k, a = drawn(SHAPES, 3)
    kept = [f.copy() for f in k.factors]
    add(k, k, rank=1)
    scale(k, 3)
    norm(k)
    rounded(k, rtol=0.1)
    assert all(map(np.array_equal, k.factors, kept))
    turned = KroneckerSum(np.asfortranarray(k.left), np.ascontiguousarray(k.right[::-1])[::-1])
    assert np.allclose(rounded(turned, rank=3).to_array(), a)
    assert np.allclose(add(KroneckerSum(*(f.astype(">f8") for f in kept))).to_array(), a)


def test_what_does_not_fit_is_refused(xp, drawn):
    k, _ = drawn(SHAPES, 2, xp=xp)
    other, _ = drawn(((2, 3), (4, 4)), 2, xp=xp)
    three, _ = drawn(((2, 2), (2, 2), (2, 2)), 2, xp=xp)
    bad = k._replace(right=xp.asarray(np.full((2, 4, 5), np.nan)))
    for call in (norm, lambda x: add(k, x), lambda x: inner(x, k), lambda x: rounded(x, rank=1)):
        with pytest.raises(ValueError, match=r"factors\[1\] has 40 non-finite .*\[0, 0, 0\]"):
            call(bad)
    with pytest.raises(ValueError, match="at least one sum"):
        add()
    with pytest.raises(ValueError, match=r"sums\[0\] and sums\[1\] must have factors of the same"):
        add(k, other)
    with pytest.raises(ValueError, match="a and b must have factors of the same shapes"):
        inner(k, other)
    with pytest.raises(ValueError, match="as many factors"):
        add(k, three)
    with pytest.raises(ValueError, match=r"as many columns .* \[3, 5\] and \[2, 4\]"):
        matmul(k, k)
    for call in (spectrum, lambda x: rounded(x, rank=1), lambda x: add(x, rtol=0.1)):
        with pytest.raises(ValueError, match="two factors in each term, got 3"):
            call(three)
    with pytest.raises(ValueError, match=r"pass rank=.*between 1 and 6"):
        rounded(k)
    for rank in (0, -1, 7):
        with pytest.raises(ValueError, match=f"between 1 and 6, got {rank}"):
            rounded(k, rank=rank)
    for rank in (2.5, True):
        with pytest.raises(TypeError, match="rank must be an int"):
            rounded(k, rank=rank)
    for rtol in (0, 1, -0.1, float("nan")):
        with pytest.raises(ValueError, match="rtol is a relative error"):
            rounded(k, rtol=rtol)
    for factor in (float("inf"), [1.0, 2.0]):
        with pytest.raises(ValueError, match="factor"):
            scale(k, factor)
    with pytest.raises(TypeError, match="must be a KroneckerSum"):
        norm(3)


def test_libraries_are_not_mixed(xp, drawn):
    if xp.name.startswith("numpy"):
        pytest.skip("the other library")
    k, _ = drawn(SHAPES, 2, xp=xp)
    other, _ = drawn(SHAPES, 2)
    for call in (add, inner):
        with pytest.raises(TypeError, match="one library"):
            call(k, other)
    with pytest.raises(TypeError, match="one library"):
        norm(k._replace(right=other.right))
