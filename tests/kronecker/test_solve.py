"""Structured systems and determinants agree with those of the dense matrix."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp.kronecker import KroneckerSum
from tdecomp.kronecker._algebra import add, scale
from tdecomp.kronecker._eigh import eigh
from tdecomp.kronecker._solve import logdet, solve
from tdecomp.testing import gaussian

MIXED = (-1.0, 2.3)
sizes = st.lists(st.integers(1, 4), min_size=2, max_size=4)
dtypes = st.sampled_from(["float32", "float64", "complex64", "complex128"])


def well_conditioned(k):
    """Add four times the identity to factors."""
    left, right, *rest = (f + 4 * np.eye(f.shape[-1], dtype=f.dtype) for f in k.factors)
    return KroneckerSum(left, right, tuple(rest))


@given(shape=sizes, dtype=dtypes, rng=st.integers(0, 99))
def test_one_term_is_solved_factor_by_factor(shape, dtype, rng, drawn):
    k = well_conditioned(drawn([(n, n) for n in shape], 1, dtype=dtype, rng=rng)[0])
    wide = np.result_type(dtype, "float64")
    a = KroneckerSum(
        k.left.astype(wide), k.right.astype(wide), tuple(f.astype(wide) for f in k.rest)
    )
    conditions = np.prod([np.linalg.cond(f[0]) for f in a.factors])
    slack = 50 * np.finfo(dtype).eps * conditions
    a, b = a.to_array(), gaussian((len(k.to_array()), 2), rng=rng, dtype=dtype)
    x = np.linalg.solve(a, b)
    assert np.linalg.norm(solve(k, b) - x) <= slack * np.linalg.norm(x)
    assert np.linalg.norm(solve(k, b[:, 0]) - x[:, 0]) <= slack * np.linalg.norm(x)
    sign, size = logdet(k)
    expected = np.linalg.slogdet(a)
    assert abs(sign - expected[0]) <= slack * len(a)
    assert abs(size - expected[1]) <= slack * len(a)


def test_all_systems_on_every_backend(xp, dtype, drawn, hermitian):
    plain = well_conditioned(drawn(((4, 4), (3, 3)), 1, dtype=dtype)[0])
    spd, a = hermitian((4, 3), dtype=dtype)
    second, m = hermitian((4, 3), dtype=dtype, rng=9)
    b = gaussian((12, 2), rng=5, dtype=dtype)

    def everything(plain, spd, second, c):
        two = add(spd, second)
        return (
            *(solve(plain, c), solve(plain, c[:, 0]), solve(spd, c, shift=0.5), solve(two, c)),
            *(*logdet(plain), *logdet(spd, shift=0.5), *logdet(two)),
        )

    moved = [KroneckerSum(*(xp.asarray(f) for f in k.factors)) for k in (plain, spd, second)]
    found = [xp.to_numpy(x) for x in xp.jit(everything)(*moved, xp.asarray(b))]
    dense = [plain.to_array(), a + 0.5 * np.eye(12), a + m]
    expected = [
        *(np.linalg.solve(dense[0], b), np.linalg.solve(dense[0], b[:, 0])),
        *(np.linalg.solve(matrix, b) for matrix in dense[1:]),
        *(part for matrix in dense for part in np.linalg.slogdet(matrix)),
    ]
    worst = max(np.linalg.cond(matrix) for matrix in dense)
    for x, y in zip(found, expected, strict=True):
        assert x.shape == np.shape(y)
        bound = 200 * np.finfo(dtype).eps * worst * max(1.0, np.abs(y).max())
        assert np.abs(x - y).max() <= bound
    assert found[0].dtype == found[2].dtype == np.dtype(dtype)


def test_three_factors_and_batches(drawn):
    k = well_conditioned(drawn(((2, 2), (3, 3), (4, 4)), 1)[0])
    a, b = k.to_array(), gaussian((2, 5, 24, 3))
    assert np.allclose(a @ solve(k, b), b, rtol=0, atol=1e-12)
    assert np.allclose(solve(k, b + 1j), np.linalg.solve(a, b + 1j))


@pytest.mark.parametrize("shape", [(12, 0), (0, 12, 3), (2, 12, 0), (2, 0, 12, 1)])
@pytest.mark.when_compiled(shape=(12, 0))
def test_no_right_hand_side_has_no_solution(xp, hermitian, shape):
    k, _ = hermitian((4, 3), dtype="float32", xp=xp)
    b, e = xp.asarray(np.ones(shape, "float32")), eigh(k)
    found = [solve(k, b), solve(k, b, shift=1.0), solve(add(k, k), b), e.solve(b)]
    for x in (*found, e.apply(lambda w: w, b), k @ b):
        assert (xp.to_numpy(x).shape, x.dtype) == (shape, b.dtype)
    assert xp.to_numpy(e.quadratic(b)).shape == (*shape[:-2], shape[-1])


@pytest.mark.parametrize("kind", ["float64", "complex128"])
@pytest.mark.when_compiled(kind="complex128")
def test_a_singular_determinant_is_that_of_numpy(xp, kind):
    # Signs of the other factors and eigenvalues would make of 0 a -0.
    sides = [np.diag([-1.0, -2.0, -3.0]), np.diag([1.0, 0.0, -2.0]), np.diag([-0.0, -1.0, -1.0])]
    for one, other in zip(sides, sides[1:] + sides[:1], strict=True):
        k = KroneckerSum(*(xp.asarray(f[None].astype(kind)) for f in (one, other)))
        expected = np.linalg.slogdet(np.kron(one, other).astype(kind))
        found = [logdet(k), logdet(k, shift=0.0), eigh(k).logdet()]
        shift = -float(np.kron(one, other).max())
        shifted = [
            logdet(k, shift=shift),
            eigh(k).logdet(shift=shift),
            logdet(k, shift=shift + 0j),
        ]
        for sign, size in (*found, *shifted):
            assert float(size) == expected[1] == -np.inf
            assert sign == 0
            assert not np.signbit([np.real(xp.to_numpy(sign)), np.imag(xp.to_numpy(sign))]).any()
    assert found[0][0].dtype == getattr(xp, kind)


def test_of_two_definite_terms_the_better_conditioned_one_is_inverted():
    # A smooth covariance and white noise: the sum is as round as the noise, in either order.
    grid = np.linspace(0.0, 1.0, 12)
    smooth = np.exp(-(((grid[:, None] - grid) / 0.35) ** 2)) + 1e-13 * np.eye(12)
    whole, b = np.eye(144) + np.kron(smooth, smooth), gaussian((144,))
    for pair in ((np.eye(12), smooth), (smooth, np.eye(12))):
        k = KroneckerSum(np.stack(pair), np.stack(pair))
        assert np.linalg.norm(whole @ solve(k, b) - b) <= 1e-13 * np.linalg.norm(b)
        assert logdet(k)[1] == pytest.approx(np.linalg.slogdet(whole)[1], rel=1e-13)


def test_either_of_two_terms_may_be_the_definite_one(hermitian):
    spd, a = hermitian((3, 4))
    other, b = hermitian((3, 4), rng=7, values=MIXED)
    x = gaussian((12,))
    for k in (add(spd, other), add(other, spd)):
        assert np.allclose((a + b) @ solve(k, x), x, rtol=0, atol=1e-12)
        sign, size = logdet(k)
        assert sign * np.exp(size) == pytest.approx(np.linalg.det(a + b))
    with pytest.raises(np.linalg.LinAlgError, match="one of the two terms must be positive def"):
        solve(add(other, scale(other, 2)), x)


def test_noise_that_varies_is_a_second_term():
    # The covariance of a random walk, which has a sparse inverse, with another noise in each row.
    times = np.arange(1.0, 31.0)
    k, noise = np.minimum(times[:, None], times), np.diag(np.linspace(0.1, 2.0, 30))
    both = KroneckerSum(np.stack([k, noise]), np.stack([k[:20, :20], np.eye(20)]))
    b = gaussian((600,))
    x = solve(both, b)
    assert np.linalg.norm(both @ x - b) <= 1e-11 * np.linalg.norm(b)
    assert logdet(both)[1] == pytest.approx(np.linalg.slogdet(both.to_array())[1], rel=1e-12)


def test_what_is_singular_is_named(xp):
    singular, fine = np.array([[1.0, 2.0], [2.0, 4.0]]), np.diag([1.0, 2.0, 3.0])
    k = KroneckerSum(*(xp.asarray(f[None]) for f in (fine, singular)))
    b = xp.asarray(np.ones(6))
    with pytest.raises(np.linalg.LinAlgError, match=r"k\.factors\[1\] is singular"):
        solve(k, b)
    with pytest.raises(np.linalg.LinAlgError, match="plus the shift, is zero"):
        solve(k, b, shift=-5.0)
    sign, size = logdet(k)
    assert (float(sign), float(size)) == (0.0, -np.inf)
    assert float(logdet(k, shift=-1.0)[0]) == -1.0


def test_scales_neither_overflow_nor_vanish():
    k = KroneckerSum(
        *(np.diag([2.0, 4.0])[None] * 1e-200,) * 2, (np.diag([1.0, 8.0])[None] * 1e300,)
    )
    assert np.allclose(solve(k, np.full(8, 1e-100)), 1 / np.kron([4, 8, 8, 16], [1, 8]))
    expected = np.sum(np.log(np.kron([4, 8, 8, 16], [1, 8]))) + 8 * np.log(1e-100)
    assert logdet(k)[1] == pytest.approx(expected, rel=1e-13)
    for power in (1e-90, 1e90):
        assert np.allclose(
            solve(scale(k, power), np.full(8, power * 1e-100)), solve(k, np.full(8, 1e-100))
        )


def test_what_does_not_fit_is_refused(xp, drawn, hermitian):
    k, _ = hermitian((3, 2), xp=xp)
    b = xp.asarray(np.ones(6))
    three, _ = drawn(((3, 3), (2, 2)), 3, xp=xp)
    two, _ = drawn(((3, 3), (2, 2)), 2, xp=xp)
    for call in (lambda k, **options: solve(k, b, **options), logdet):
        with pytest.raises(ValueError, match="one term, or two and no shift, got 3"):
            call(three)
        with pytest.raises(ValueError, match="one term, or two and no shift, got 2"):
            call(two, shift=1.0)
        with pytest.raises(ValueError, match=r"factors\[0\] must be Hermitian"):
            call(two)
        with pytest.raises(ValueError, match=r"k\.factors\[1\] must be square, got 2 x 3"):
            call(KroneckerSum(k.left, xp.asarray(np.ones((1, 2, 3)))))
        with pytest.raises(ValueError, match=r"k\.factors\[1\] has 4 non-finite"):
            call(k._replace(right=xp.asarray(np.full((1, 2, 2), np.inf))))
        with pytest.raises(ValueError, match="shift"):
            call(k, shift=float("inf"))
    general = k._replace(right=xp.asarray(np.array([[[1.0, 1.0], [0.0, 1.0]]])))
    with pytest.raises(ValueError, match=r"k\.factors\[1\] must be Hermitian"):
        solve(general, b, shift=1.0)
    for wrong in (np.ones(5), np.ones((2, 5, 1))):
        with pytest.raises(ValueError, match=r"b must have shape \(6,\)"):
            solve(k, xp.asarray(wrong))
    if not xp.name.startswith("numpy"):
        with pytest.raises(TypeError, match="one library"):
            solve(k, np.ones(6))


@pytest.mark.parametrize(("given", "promoted"), [("int64", "float64"), ("float16", "float32")])
def test_narrow_numbers_are_promoted(given, promoted):
    k = KroneckerSum(2 * np.eye(2, dtype=given)[None], np.eye(3, dtype=given)[None])
    assert solve(k, np.ones(6, given)).dtype == np.dtype(promoted)
    assert np.all(solve(k, [2] * 6) == 1)
    assert logdet(k)[1].dtype == np.dtype(promoted)
