"""Products along modes obey the laws of multilinear algebra, in the cheapest order."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp.ops import _mode_products as module
from tdecomp.ops import kronecker, mode_product, mode_products, unfold
from tdecomp.testing import assert_isometry, gaussian, matrix, tensor

LETTERS = "abcde"
SHAPES = st.sampled_from([(4,), (3, 5), (2, 1, 3), (4, 2, 3, 2)])


def contracted(x, a, mode):
    """Multiply by brute force, in double precision."""
    old = LETTERS[: x.ndim]
    new = old.replace(old[mode], "z")
    return np.einsum(f"z{old[mode]},{old}->{new}", a.astype(complex), x.astype(complex))


def assert_close(found, expected, *factors):
    """Compare to rounding, relative to the product of the norms that went in."""
    eps = np.finfo(np.asarray(found).dtype).eps
    scale = np.prod([np.linalg.norm(factor) for factor in factors])
    assert found.shape == expected.shape
    assert np.linalg.norm(found - expected) <= 10 * eps * scale


@given(shape=SHAPES, m=st.sampled_from([1, 4]), data=st.data())
def test_it_is_the_sum_that_defines_it(xp, dtype, shape, m, data):
    mode = data.draw(st.integers(-len(shape), len(shape) - 1))
    x, a = gaussian(shape, dtype=dtype), gaussian((m, shape[mode]), dtype=dtype, rng=1)
    y = mode_product(xp.asarray(x), xp.asarray(a), mode)
    found = xp.to_numpy(y)
    assert found.dtype == dtype
    assert_close(found, contracted(x, a, mode % len(shape)), x, a)


@given(shape=SHAPES, data=st.data())
def test_it_multiplies_the_unfolding(shape, data):
    mode = data.draw(st.integers(0, len(shape) - 1))
    x, a = gaussian(shape), gaussian((3, shape[mode]), rng=1)
    assert_close(unfold(mode_product(x, a, mode), mode), a @ unfold(x, mode), x, a)


@given(shape=SHAPES, data=st.data())
def test_products_along_one_mode_compose(shape, data):
    mode = data.draw(st.integers(0, len(shape) - 1))
    x, a, b = gaussian(shape), gaussian((3, shape[mode]), rng=1), gaussian((2, 3), rng=2)
    twice = mode_product(mode_product(x, a, mode), b, mode)
    assert_close(twice, mode_product(x, b @ a, mode), x, a, b)


@given(data=st.data())
def test_products_along_different_modes_commute(data):
    shape = (4, 2, 3, 2)
    k, n = data.draw(st.permutations(range(4)))[:2]
    x, a, b = gaussian(shape), gaussian((3, shape[k]), rng=1), gaussian((5, shape[n]), rng=2)
    one = mode_product(mode_product(x, a, k), b, n)
    other = mode_product(mode_product(x, b, n), a, k)
    assert_close(one, other, x, a, b)
    assert_close(mode_products(x, [a, b], modes=[k, n]), one, x, a, b)


@given(alpha=st.floats(-4, 4), data=st.data())
def test_it_is_linear_in_each_argument(alpha, data):
    mode = data.draw(st.integers(0, 2))
    x, y, a, b = (gaussian(s, rng=i) for i, s in enumerate([(2, 3, 4)] * 2 + [(5, 2 + mode)] * 2))
    left = mode_product(x + alpha * y, a, mode)
    right = mode_product(x, a, mode) + alpha * mode_product(y, a, mode)
    assert_close(left, right, np.abs(x) + abs(alpha) * np.abs(y), a)
    left = mode_product(x, a + alpha * b, mode)
    right = mode_product(x, a, mode) + alpha * mode_product(x, b, mode)
    assert_close(left, right, np.abs(a) + abs(alpha) * np.abs(b), x)


def test_the_identity_changes_nothing(xp, dtype):
    x = gaussian((2, 3, 4), dtype=dtype)
    for mode in range(3):
        found = mode_product(xp.asarray(x), xp.asarray(np.eye(x.shape[mode], dtype=dtype)), mode)
        np.testing.assert_array_equal(xp.to_numpy(found), x)


@given(shape=SHAPES, data=st.data())
def test_several_products_are_a_kronecker_product(xp, shape, data):
    dtype = data.draw(st.sampled_from(["float64", "complex64"]))
    x = gaussian(shape, dtype=dtype)
    factors = [gaussian((2 + k % 2, n), dtype=dtype, rng=k) for k, n in enumerate(shape)]
    found = xp.to_numpy(mode_products(xp.asarray(x), [xp.asarray(a) for a in factors]))
    expected = kronecker(factors) @ x.reshape(-1)
    assert_close(found, expected.reshape(found.shape), x, *factors)


def test_an_adjoint_product_is_the_adjoint_map(xp, dtype):
    x, y = gaussian((2, 3, 4), dtype=dtype), gaussian((3, 2, 5), dtype=dtype, rng=9)
    factors = [
        gaussian((m, n), dtype=dtype, rng=k)
        for k, (m, n) in enumerate(zip(y.shape, x.shape, strict=True))
    ]
    there = [xp.asarray(a) for a in factors]
    forward = xp.to_numpy(mode_products(xp.asarray(x), there))
    backward = xp.to_numpy(mode_products(xp.asarray(y), there, adjoint=True))
    assert_close(np.vdot(y, forward), np.vdot(backward, x), x, y, *factors)


def test_projection_onto_orthonormal_factors_is_idempotent(xp, dtype):
    factors = [xp.asarray(matrix(n, 2, "flat", rng=n, dtype=dtype)) for n in (4, 5, 6)]
    for q in factors:
        assert_isometry(q)
    x = xp.asarray(tensor((4, 5, 6), "polynomial", dtype=dtype))
    core = mode_products(x, factors, adjoint=True)
    again = mode_products(mode_products(core, factors), factors, adjoint=True)
    x = xp.to_numpy(x)
    assert_close(xp.to_numpy(again), xp.to_numpy(core), x)
    assert np.linalg.norm(xp.to_numpy(core)) <= np.linalg.norm(x) * 1.0001


def test_a_skipped_mode_is_left_as_it_is(xp):
    x = gaussian((2, 3, 4))
    factors = [gaussian((5, n), rng=n) for n in x.shape]
    for skip in (-3, 1, 2):
        # What is skipped is not looked at, bad as it may be.
        given_ = [xp.asarray(a) for a in factors]
        given_[skip] = None
        rest = [k for k in range(3) if k != skip % 3]
        found = xp.to_numpy(mode_products(xp.asarray(x), given_, skip=skip))
        expected = mode_products(x, [factors[k] for k in rest], modes=rest)
        assert_close(found, expected, x, *factors)


def test_fewer_matrices_take_the_first_modes():
    x, a = gaussian((2, 3, 4)), gaussian((5, 2))
    assert_close(mode_products(x, [a]), mode_product(x, a, 0), x, a)
    np.testing.assert_array_equal(mode_products(x, []), x)
    np.testing.assert_array_equal(mode_products(x, [a], skip=0), x)


@given(sizes=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=4))
def test_no_order_needs_fewer_flops(sizes):
    def flops(order):
        entries, total = np.prod([n for _, n in sizes]), 0
        for k in order:
            m, n = sizes[k]
            total += m * entries
            entries = entries // n * m
        return total

    taken, product = [], module._mode_product

    def watched(x, a, mode, *, xp):
        taken.append(mode)
        return product(x, a, mode, xp=xp)

    x = np.ones([n for _, n in sizes])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_mode_product", watched)
        mode_products(x, [np.ones(size) for size in sizes])
    assert flops(taken) == min(map(flops, permutations(range(len(sizes)))))


@pytest.mark.parametrize(
    ("one", "other"),
    [("float32", "float64"), ("float64", "complex64"), ("float32", "complex64")],
)
def test_dtypes_meet(xp, one, other):
    x, a = gaussian((2, 3), dtype=one), gaussian((4, 3), dtype=other, rng=1)
    for left, right in ((x, a), (a[:2], x)):
        found = xp.to_numpy(mode_product(xp.asarray(left), xp.asarray(right), 1))
        assert found.dtype == np.result_type(one, other)
        np.testing.assert_allclose(found, left @ right.T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["int64", "uint8", "bool"])
def test_integers_become_floats(xp, kind):
    x, a = np.arange(6).reshape(2, 3).astype(kind), np.array([[1.0, 0.5, 0.25]])
    default = "float32" if xp.name == "torch" else "float64"
    alone = xp.to_numpy(mode_product(xp.asarray(x), xp.asarray(x), 1))
    assert alone.dtype == default
    np.testing.assert_array_equal(alone, x.astype(float) @ x.T.astype(float))
    found = xp.to_numpy(mode_product(xp.asarray(x), xp.asarray(a), 1))
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, x @ a.T)


def test_lists_are_matrices_too(xp):
    x = gaussian((2, 3))
    found = mode_product(xp.asarray(x), [[1.0, 2.0, 4.0]], 1)
    assert_close(xp.to_numpy(found), x @ np.array([[1.0], [2.0], [4.0]]), x)
    np.testing.assert_array_equal(mode_product([[1, 2], [3, 4]], [[1, 1]], 0), [[4.0, 6.0]])


@pytest.mark.writable
def test_inputs_are_left_alone(xp):
    x, a = gaussian((2, 3, 4)), gaussian((3, 3), rng=1)
    there = xp.asarray(x), xp.asarray(a)
    mode_product(*there, 1)
    np.testing.assert_array_equal(xp.to_numpy(there[0]), x)
    np.testing.assert_array_equal(xp.to_numpy(there[1]), a)


@pytest.mark.parametrize("order", ["F", "strided"])
def test_the_layout_in_memory_does_not_matter(order):
    x, a = gaussian((3, 4, 5)), gaussian((2, 4), rng=1)
    y = np.asfortranarray(x) if order == "F" else np.repeat(x, 2, axis=1)[:, ::2]
    b = np.asfortranarray(a) if order == "F" else np.repeat(a, 2, axis=1)[:, ::2]
    assert_close(mode_product(y, b, 1), mode_product(x, a, 1), x, a)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_any_scale_will_do(xp, scale):
    x, a = gaussian((3, 4, 5)), matrix(2, 4, "flat")
    found = xp.to_numpy(mode_product(xp.asarray(x * scale), xp.asarray(a), 1))
    assert_close(found / scale, mode_product(x, a, 1), x, a)


def test_it_compiles(xp):
    x, factors = gaussian((3, 4, 5)), [gaussian((2, n), rng=n) for n in (3, 4, 5)]
    there = [xp.asarray(a) for a in factors]
    found = xp.jit(mode_products)(xp.asarray(x), there)
    assert_close(xp.to_numpy(found), mode_products(x, factors), x, *factors)


# --- What is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("matrices", "options", "message"),
    [
        ([(5, 4)], {}, r"matrices\[0\] must have 2 columns for mode 0 .* shape \(5, 4\)"),
        ([(5, 4)], {"adjoint": True}, r"matrices\[0\] must have 2 rows"),
        ([(5, 2), (5, 2)], {}, r"matrices\[1\] must have 3 columns for mode 1"),
        ([(5, 2)] * 3, {}, r"modes\[2\] must lie between -2 and 1 for 2 modes, got 2"),
        ([(5, 2)], {"modes": [0, 1]}, "got 1 matrices for 2 modes"),
        ([(5, 2)] * 2, {"modes": [0, -2]}, r"modes must all be different, got \(0, 0\)"),
        ([(5, 2)], {"skip": 2}, "skip must lie between"),
        ([(2,)], {}, r"matrices\[0\] must have 2 dimensions, got shape \(2,\)"),
        ([(0, 2)], {}, r"matrices\[0\] is empty"),
    ],
)
def test_what_does_not_fit_is_named(xp, matrices, options, message):
    factors = [xp.asarray(np.ones(shape)) for shape in matrices]
    with pytest.raises(ValueError, match=message):
        mode_products(xp.asarray(np.ones((2, 3))), factors, **options)


def test_a_matrix_that_does_not_fit_is_named(xp):
    with pytest.raises(ValueError, match="matrix must have 3 columns for mode 1 of x"):
        mode_product(xp.asarray(np.ones((2, 3))), xp.asarray(np.ones((3, 2))), -1)


def test_bad_entries_are_named(xp):
    x, a = np.ones((2, 3)), np.ones((3, 3))
    bad = a.copy()
    bad[2, 1] = np.inf
    with pytest.raises(ValueError, match=r"the first at matrices\[1\]\[2, 1\]"):
        mode_products(xp.asarray(x), [xp.asarray(a[:, :2]), xp.asarray(bad)])
    with pytest.raises(ValueError, match=r"the first at matrix\[2, 1\]"):
        mode_product(xp.asarray(x), xp.asarray(bad), 1)
    with pytest.raises(ValueError, match=r"the first at x\[2, 1\]"):
        mode_product(xp.asarray(bad), xp.asarray(a), 1)


@pytest.mark.parametrize("mode", [0.0, None, "0", True])
def test_modes_are_ints(mode):
    x = np.ones((2, 2))
    with pytest.raises(TypeError, match="mode must be an int"):
        mode_product(x, x, mode)
    with pytest.raises(TypeError, match=r"modes\[0\] must be an int"):
        mode_products(x, [x], modes=[mode])
    if mode is not None:
        with pytest.raises(TypeError, match="skip must be an int"):
            mode_products(x, [x], skip=mode)


def test_libraries_are_not_mixed(xp):
    if "numpy" in xp.name:
        pytest.skip("needs a second library")
    x = np.ones((2, 2))
    for pair in ((x, xp.asarray(x)), (xp.asarray(x), x)):
        with pytest.raises(TypeError, match="one library"):
            mode_product(*pair, 0)
        with pytest.raises(TypeError, match="one library"):
            mode_products(pair[0], [pair[1]])


def test_devices_are_not_mixed():
    strict = pytest.importorskip("array_api_strict")
    here, there = strict.ones((2, 2)), strict.ones((2, 2), device=strict.Device("device1"))
    with pytest.raises((TypeError, ValueError), match="device"):
        mode_product(here, there, 0)
